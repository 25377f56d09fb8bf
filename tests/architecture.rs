//! The house stands: no import runs up or sideways, no package leaves its room, and the bans hold.
//!
//! Every rule here is shown able to fail: the tests at the end feed it small bad sources.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, unreachable_pub, missing_docs)] // a test fails by panic

use std::path::{Path, PathBuf};

#[path = "architecture/bans.rs"]
mod bans;
#[path = "architecture/floors.rs"]
mod floors;
#[path = "architecture/packages.rs"]
mod packages;
#[path = "architecture/reader.rs"]
mod reader;

use reader::{Source, Tree};

/// All rules over all files; one line for each breach.
fn breaches(tree: &Tree) -> Vec<String> {
    let mut out = Vec::new();
    for source in &tree.sources {
        match reader::read(source, tree) {
            Ok(facts) => {
                floors::check(source, &facts, &mut out);
                packages::check(source, &facts, &mut out);
                bans::check(source, &facts, &mut out);
            }
            Err(why) => out.push(format!("{}: cannot be parsed: {why}", source.path)),
        }
    }
    bans::check_tree(tree, &mut out);
    out
}

fn collect(dir: &Path, root: &Path, into: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, root, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            into.push(Source { path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), text });
        }
    }
}

fn repository() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    collect(&root.join("src"), root, &mut sources);
    Tree { sources }
}

#[test]
fn the_house_stands() {
    let tree = repository();
    assert!(tree.sources.len() > 20, "only {} files found: the test looks in the wrong place", tree.sources.len());
    let breaches = breaches(&tree);
    assert!(breaches.is_empty(), "{} breach(es) of the house:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn every_file_says_its_one_idea_in_its_first_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = repository().sources;
    collect(&root.join("tests"), root, &mut sources);
    let silent: Vec<_> = sources.iter().filter(|source| !source.text.starts_with("//! ")).map(|source| &source.path).collect();
    assert!(silent.is_empty(), "first line is not `//! ...`: {silent:?}");
}

#[test]
fn lib_rs_opens_exactly_the_rooms_that_exist() {
    let tree = repository();
    let lib = tree.sources.iter().find(|source| source.path == "src/lib.rs").unwrap();
    let opened: std::collections::BTreeSet<_> =
        lib.text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).map(str::to_owned).collect();
    let there: std::collections::BTreeSet<_> =
        tree.sources.iter().filter_map(|source| Some(source.path.strip_prefix("src/")?.split_once('/')?.0.to_owned())).collect();
    assert_eq!(opened, there, "left: `pub mod` lines of src/lib.rs, right: folders of src/");
}

/// What the rules say of one made-up file.
fn verdict(path: &str, text: &str) -> Vec<String> {
    let text = format!("//! A made-up file.\n{text}");
    breaches(&Tree { sources: vec![Source { path: path.to_owned(), text }] })
}

macro_rules! caught {
    ($($name:ident: $path:literal, $text:expr, $says:literal;)*) => {$(
        #[test]
        fn $name() {
            let found = verdict($path, $text);
            assert!(found.iter().any(|line| line.contains($says)), "not caught in {}: {:?}, found {found:?}", $path, $text);
        }
    )*};
}

caught! {
    catches_an_import_that_runs_up: "src/host/nft.rs", "use crate::engine::Engine;", "runs up";
    catches_an_import_in_a_group: "src/host/nft.rs", "use crate::{model::Event, engine::{Engine}};", "runs up";
    catches_an_import_that_runs_sideways: "src/store/archive.rs", "use crate::host::procfs;", "runs sideways";
    catches_a_path_without_use: "src/collector/a.rs", "fn f() { crate::court::judge(); }", "runs sideways";
    catches_a_path_through_super: "src/collector/a.rs", "fn f() { super::super::court::judge(); }", "runs sideways";
    catches_a_path_in_a_type: "src/model/a.rs", "struct S { field: crate::host::Door }", "runs up";
    catches_a_path_in_a_macro: "src/model/a.rs", "fn f() { println!(\"{}\", crate::host::name()); }", "runs up";
    catches_an_import_below_super_in_a_nested_module: "src/store/a.rs", "mod m { use super::super::super::host::x; }", "runs sideways";
    catches_an_import_up_even_in_tests: "src/model/a.rs", "#[cfg(test)] mod tests { use crate::tui::x; }", "runs up";
    catches_a_crate_import_of_everything: "src/model/a.rs", "use crate::*;", "names no room";
    catches_a_reexport_up: "src/model/a.rs", "pub use crate::tui::State;", "runs up";
    catches_a_verb_that_touches_the_host: "src/detector/a.rs", "use crate::host::procfs;", "may import only";
    catches_a_verb_that_speaks: "src/court/a.rs", "use crate::protocol::Request;", "may import only";
    catches_a_screen_that_sees_the_engine: "src/tui/a.rs", "use crate::engine::Engine;", "may import only";
    catches_a_screen_that_sees_the_store: "src/tui/a.rs", "use crate::store::Archive;", "may import only";
    catches_an_unknown_room: "src/misfit/mod.rs", "", "no floor";
    catches_a_drawer_of_oddments: "src/host/utils.rs", "", "no drawer of oddments";
    catches_a_room_of_oddments: "src/helpers/mod.rs", "", "no drawer of oddments";

    catches_sql_outside_the_store: "src/engine/a.rs", "use rusqlite::Connection;", "only in store/";
    catches_painting_outside_the_console: "src/server/a.rs", "fn f() -> ratatui::Frame { }", "only in tui/";
    catches_libc_outside_the_host: "src/responder/a.rs", "fn f() { libc::getpid(); }", "only in host/";
    catches_nix_inside_a_macro: "src/responder/a.rs", "fn f() { assert!(nix::unistd::getpid() > 1); }", "only in host/";
    catches_a_renamed_package: "src/responder/a.rs", "use procfs as p;", "only in host/";
    catches_the_web_outside_outbound: "src/engine/a.rs", "use reqwest::Client;", "only in outbound/";
    catches_clap_outside_the_command_line: "src/config/a.rs", "#[derive(clap::Parser)] struct A;", "only in cli/";
    catches_a_child_process: "src/engine/a.rs", "use std::process::Command;", "only in host/";
    catches_a_child_process_by_module: "src/engine/a.rs", "use std::process; fn f() { process::Command::new(\"sh\"); }", "only in host/";
    catches_a_child_process_by_glob: "src/engine/a.rs", "use std::process::*;", "only in host/";
    catches_an_async_child_process: "src/engine/a.rs", "use tokio::process::Command;", "only in host/";
    catches_a_clock_in_a_pure_room: "src/court/a.rs", "use chrono::Utc; fn f() { Utc::now(); }", "pure";
    catches_a_monotonic_clock_in_a_pure_room: "src/correlator/a.rs", "fn f() { std::time::Instant::now(); }", "pure";
    catches_a_file_in_a_pure_room: "src/detector/a.rs", "fn f() { std::fs::read(\"x\"); }", "pure";
    catches_a_runtime_among_the_nouns: "src/model/a.rs", "use tokio::sync::mpsc;", "pure";

    catches_unsafe_outside_the_host: "src/engine/a.rs", "fn f() { unsafe { g() } }", "unsafe";
    catches_an_unsafe_function: "src/engine/a.rs", "unsafe fn f() {}", "unsafe";
    catches_an_unsafe_impl: "src/engine/a.rs", "unsafe impl Send for A {}", "unsafe";
    catches_permission_for_unsafe: "src/engine/a.rs", "#![allow(unsafe_code)]", "unsafe";
    catches_unwrap: "src/engine/a.rs", "fn f() { g().unwrap(); }", "unwrap";
    catches_expect_in_a_macro: "src/engine/a.rs", "fn f() { tokio::select! { _ = g() => h().expect(\"x\") } }", "expect";
    catches_unwrap_in_a_method: "src/engine/a.rs", "impl A { #[cfg(not(test))] fn f() { g().unwrap(); } }", "unwrap";
    catches_panic: "src/engine/a.rs", "fn f() { panic!(\"x\") }", "panic";
    catches_todo: "src/engine/a.rs", "fn f() { todo!() }", "todo";
    catches_a_decision_that_differs_in_tests: "src/engine/a.rs", "fn f() -> bool { cfg!(test) || g() }", "asks with cfg!";
    catches_one_inside_a_macro: "src/engine/a.rs", "fn f() -> bool { matches!(g(), Some(_) if cfg!(any(test, debug_assertions))) }", "asks with cfg!";
    catches_leave_to_panic: "src/engine/a.rs", "#[allow(clippy::unwrap_used)] fn f() {}", "clippy::unwrap_used";
    catches_a_fat_main: "src/main.rs", &"// line\n".repeat(40), "at most 40";

    catches_a_file_that_grew: "src/engine/a.rs", &"// line\n".repeat(500), "at most 500";
    catches_a_warrant_that_can_be_read_in: "src/court/warrant.rs", "#[derive(Debug, Deserialize)] pub struct Warrant { id: u64 }", "Deserialize";
    catches_a_warrant_read_in_by_hand: "src/court/warrant.rs", "impl<'de> serde::Deserialize<'de> for Warrant {}", "Deserialize";
    catches_a_warrant_that_can_be_copied: "src/court/warrant.rs", "#[derive(Clone)] pub struct Warrant { id: u64 }", "Clone";
    catches_a_warrant_with_an_open_field: "src/court/warrant.rs", "pub struct Warrant { pub id: u64 }", "private";
    catches_a_warrant_from_elsewhere: "src/responder/a.rs", "pub struct Warrant { id: u64 }", "only court/";
}

#[test]
fn allows_what_the_house_allows() {
    let fine = [
        ("src/host/nft.rs", "use crate::model::Action; use crate::{config::Policy, telemetry}; fn f() { unsafe { libc::getpid() }; }"),
        ("src/host/a/b.rs", "use super::c; use super::super::procfs; use self::d::e; use crate::host::pidfd; mod c {} mod d {}"),
        ("src/detector/a.rs", "use std::net::IpAddr; use chrono::{DateTime, Utc}; fn f(now: DateTime<Utc>) { now.timestamp(); }"),
        ("src/tui/a.rs", "use crate::client::Connection; use crate::protocol::Push; use ratatui::Frame;"),
        ("src/collector/a.rs", "use crate::host::procfs; fn f() { procfs::read(); println!(\"{}\", procfs::name()); }"),
        ("src/engine/a.rs", "fn f() { g().unwrap_or_default(); println!(\"libc::x unsafe .unwrap()\"); std::process::exit(1); }"),
        ("src/engine/a.rs", "#[cfg(test)] mod tests { use std::process::Command; #[test] fn t() { f().unwrap(); panic!(); } }"),
        ("src/engine/a.rs", "impl A { #[cfg(test)] fn fake() { g().unwrap(); } }"),
        ("src/engine/a.rs", "fn f() -> bool { cfg!(target_arch = \"x86_64\") } #[cfg(test)] mod tests { fn t() -> bool { cfg!(test) } }"),
        ("src/court/warrant.rs", "#[derive(Debug)] pub struct Warrant { id: crate::model::WarrantId }"),
        ("src/cli/a.rs", "use clap::Parser; use anyhow::Result; use crate::{engine, server, tui};"),
        ("src/main.rs", "fn main() { bartizan::cli::main() }"),
    ];
    for (path, text) in fine {
        assert_eq!(verdict(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn a_file_declared_for_tests_only_may_unwrap() {
    let tree = |attribute: &str| Tree {
        sources: vec![
            Source { path: "src/store/mod.rs".into(), text: format!("//! Disk.\n{attribute} mod trial;") },
            Source { path: "src/store/trial.rs".into(), text: "//! Trial.\nfn f() { g().unwrap(); }".into() },
        ],
    };
    assert_eq!(breaches(&tree("#[cfg(test)]")), Vec::<String>::new());
    assert_eq!(breaches(&tree("")).len(), 1);
}
