//! The house stands: no crate uses one that it may not, no package leaves its room, and the bans hold.
//!
//! Every rule here is shown able to fail: the tests at the end feed it small bad sources and bad lines of a Cargo.toml.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, unreachable_pub, missing_docs)] // a test fails by panic

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[path = "architecture/bans.rs"]
mod bans;
#[path = "architecture/catch_all.rs"]
mod catch_all;
#[path = "architecture/edges.rs"]
mod edges;
#[path = "architecture/packages.rs"]
mod packages;
#[path = "architecture/reader.rs"]
mod reader;
#[path = "architecture/workspace.rs"]
mod workspace;

use reader::{Source, Tree};
use workspace::{Crate, Use};

/// All rules over all files; one line for each breach.
fn breaches(tree: &Tree) -> Vec<String> {
    let mut out = Vec::new();
    for source in &tree.sources {
        match reader::read(source, tree) {
            Ok(facts) => {
                edges::check(source, &facts, &mut out);
                packages::check(source, &facts, &mut out);
                bans::check(source, &facts, &mut out);
                catch_all::check(source, tree, &mut out);
            }
            Err(why) => out.push(format!("{}: cannot be parsed: {why}", source.path)),
        }
    }
    bans::check_tree(tree, &mut out);
    out
}

/// All rules over all crates.
fn breaches_of_crates(crates: &[Crate]) -> Vec<String> {
    let mut out = Vec::new();
    edges::check_crates(crates, &mut out);
    packages::check_crates(crates, &mut out);
    bans::check_crates(crates, &mut out);
    out
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(dir: &Path, into: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            into.push(Source { path: path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), text });
        }
    }
}

fn folders_of_crates() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("crates")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn repository() -> Tree {
    let mut sources = Vec::new();
    collect(&root().join("src"), &mut sources);
    for name in folders_of_crates() {
        collect(&root().join("crates").join(name).join("src"), &mut sources);
    }
    Tree { sources }
}

#[test]
fn the_house_stands() {
    let tree = repository();
    assert!(tree.sources.len() > 400, "only {} files found: the test looks in the wrong place", tree.sources.len());
    let breaches = breaches(&tree);
    assert!(breaches.is_empty(), "{} breach(es) of the house:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn every_crate_uses_only_what_it_may() {
    let breaches = breaches_of_crates(&workspace::read(root()));
    assert!(breaches.is_empty(), "{} breach(es) of the house:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn every_file_says_its_one_idea_in_its_first_line() {
    let mut sources = repository().sources;
    collect(&root().join("tests"), &mut sources);
    let silent: Vec<_> = sources.iter().filter(|source| !source.text.starts_with("//! ")).map(|source| &source.path).collect();
    assert!(silent.is_empty(), "first line is not `//! ...`: {silent:?}");
}

#[test]
fn the_crates_are_the_folders_of_crates_and_bear_their_names() {
    let crates = workspace::read(root());
    let inside: BTreeSet<_> = crates.iter().filter_map(|one| one.folder.strip_prefix("crates/").map(str::to_owned)).collect();
    assert_eq!(inside, folders_of_crates(), "left: crates of the workspace, right: folders of crates/");
    let expected = |one: &Crate| match one.name.as_str() {
        "bartizan" => String::new(),
        "isolation" => "tests/isolation".to_owned(),
        name => format!("crates/{name}"),
    };
    for one in crates {
        assert_eq!(one.folder, expected(&one), "{} lies elsewhere", one.name);
    }
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
    catches_the_engine_that_knows_its_server: "crates/agent/src/start.rs", "use crate::server::Gate;", "only server/ itself";
    catches_a_detector_that_knows_the_correlator: "crates/detect/src/detectors/a.rs", "use crate::correlator::Correlator;", "only correlator/";
    catches_a_correlator_that_knows_a_detector: "crates/detect/src/correlator/a.rs", "fn f() { crate::detectors::catalogue(); }", "only detectors/";
    catches_a_path_through_super: "crates/detect/src/detectors/a.rs", "fn f() { super::super::correlator::join(); }", "only correlator/";
    catches_an_import_in_a_group: "crates/agent/src/a.rs", "use crate::{record, server::{Gate}};", "only server/ itself";
    catches_a_path_in_a_type: "crates/agent/src/a.rs", "struct S { field: crate::server::Door }", "only server/ itself";
    catches_a_path_in_a_macro: "crates/agent/src/a.rs", "fn f() { println!(\"{}\", crate::server::name()); }", "only server/ itself";
    catches_a_path_even_in_tests: "crates/agent/src/a.rs", "#[cfg(test)] mod tests { use super::super::server::x; }", "only server/ itself";
    catches_a_part_that_looks_into_another: "crates/agent/src/upkeep/a.rs", "use crate::ingest::lanes::Lanes;", "the insides of ingest/";
    catches_the_whole_that_looks_into_a_part: "crates/agent/src/answer.rs", "fn f() { crate::response::court::sit(); }", "the insides of response/";
    catches_a_part_with_no_business_there: "crates/agent/src/console/a.rs", "use crate::response::Response;", "console/ may not use response/";
    catches_a_part_that_knows_the_whole: "crates/agent/src/ingest/a.rs", "use crate::parts::Parts;", "may not know the whole";
    catches_an_arm_for_all_other_requests: "crates/agent/src/a.rs", "use bartizan_protocol::Request; fn f(r: Request) { match r { Request::Stop => {} _ => {} } }", "a match on Request";
    catches_a_name_for_all_other_requests: "crates/agent/src/a.rs", "use bartizan_protocol::Request; fn f(r: Request) { match r { Request::Act { .. } => {} other => drop(other) } }", "a match on Request";
    catches_an_arm_for_all_other_verbs: "src/cli/a.rs", "use super::args::Verb; fn f(v: Option<Verb>) { match v { None => {} Some(Verb::Stop) => {} Some(verb) => drop(verb) } }", "a match on Verb";
    catches_an_arm_for_all_other_commands: "crates/console/src/a.rs", "use bartizan_config::Command; fn f(c: Command) { match c { Command::Up | Command::Down => {} _ => {} } }", "a match on Command";
    catches_an_arm_for_all_other_events: "crates/detect/src/detectors/a.rs", "use bartizan_model::EventKind; fn f(k: &EventKind) { match k { EventKind::Exit { exit } => drop(exit), _ => {} } }", "a match on EventKind";
    catches_a_drawer_of_oddments: "crates/sys/src/utils.rs", "", "no drawer of oddments";
    catches_a_crate_of_oddments: "crates/helpers/src/lib.rs", "", "no drawer of oddments";

    catches_a_child_process: "crates/agent/src/a.rs", "use std::process::Command;", "only in sys";
    catches_a_child_process_by_module: "crates/agent/src/a.rs", "use std::process; fn f() { process::Command::new(\"sh\"); }", "only in sys";
    catches_a_child_process_by_glob: "crates/agent/src/a.rs", "use std::process::*;", "only in sys";
    catches_an_async_child_process: "crates/agent/src/a.rs", "use tokio::process::Command;", "only in sys";
    catches_a_child_process_in_a_macro: "src/cli/a.rs", "fn f() { assert!(std::process::Command::new(\"sh\").spawn().is_ok()); }", "only in sys";
    catches_a_clock_in_a_pure_crate: "crates/court/src/a.rs", "use chrono::Utc; fn f() { Utc::now(); }", "pure";
    catches_a_monotonic_clock_in_a_pure_crate: "crates/detect/src/correlator/a.rs", "fn f() { std::time::Instant::now(); }", "pure";
    catches_a_file_in_a_pure_crate: "crates/detect/src/detectors/a.rs", "fn f() { std::fs::read(\"x\"); }", "pure";
    catches_a_renamed_module_in_a_pure_crate: "crates/model/src/a.rs", "use std::fs as f; fn g() { f::read(\"x\"); }", "pure";

    catches_a_crate_that_does_not_forbid_unsafe: "crates/agent/src/lib.rs", "mod a;", "must forbid unsafe";
    catches_a_program_that_does_not_forbid_unsafe: "src/main.rs", "fn main() {}", "must forbid unsafe";
    catches_a_second_program_that_does_not: "crates/store/src/bin/dump.rs", "fn main() {}", "must forbid unsafe";
    catches_unsafe_forbidden_in_words_alone: "crates/agent/src/lib.rs", "// #![forbid(unsafe_code)]", "must forbid unsafe";
    catches_unwrap: "crates/agent/src/a.rs", "fn f() { g().unwrap(); }", "unwrap";
    catches_expect_in_a_macro: "crates/agent/src/a.rs", "fn f() { tokio::select! { _ = g() => h().expect(\"x\") } }", "expect";
    catches_unwrap_in_a_method: "crates/agent/src/a.rs", "impl A { #[cfg(not(test))] fn f() { g().unwrap(); } }", "unwrap";
    catches_panic: "crates/agent/src/a.rs", "fn f() { panic!(\"x\") }", "panic";
    catches_todo: "crates/agent/src/a.rs", "fn f() { todo!() }", "todo";
    catches_leave_to_panic: "crates/agent/src/a.rs", "#[allow(clippy::unwrap_used)] fn f() {}", "clippy::unwrap_used";
    catches_a_poisoned_lock_handled_by_hand: "crates/agent/src/a.rs", "use std::sync::PoisonError; fn f() { m.lock().unwrap_or_else(PoisonError::into_inner); }", "unpoisoned()";
    catches_a_poisoned_lock_in_a_closure: "crates/agent/src/a.rs", "fn f() { m.lock().unwrap_or_else(|p| p.into_inner()); }", "unpoisoned()";
    catches_a_poisoned_wait: "crates/agent/src/a.rs", "fn f() { c.wait_timeout(g, d).map_or_else(|e| e.into_inner().0, |(g, _)| g); }", "unpoisoned()";
    catches_a_poisoned_lock_in_a_match: "crates/agent/src/a.rs", "fn f() { match m.lock() { Ok(g) => g, Err(e) => e.into_inner() }; }", "unpoisoned()";
    catches_a_file_of_a_process_read_as_text: "crates/guard/src/a.rs", "fn f() { fs::read_to_string(format!(\"/proc/{pid}/status\")).ok()?; }", "one odd byte";
    catches_a_file_synced_by_hand: "crates/agent/src/a.rs", "fn f() { file.sync_all()?; }", "sys::replace_file";
    catches_a_fat_main: "src/main.rs", &"// line\n".repeat(40), "at most 40";

    catches_a_file_that_grew: "crates/agent/src/a.rs", &"// line\n".repeat(500), "at most 500";
    catches_a_warrant_that_can_be_read_in: "crates/court/src/warrant.rs", "#[derive(Debug, Deserialize)] pub struct Warrant { id: u64 }", "Deserialize";
    catches_a_warrant_read_in_by_hand: "crates/court/src/warrant.rs", "impl<'de> serde::Deserialize<'de> for Warrant {}", "Deserialize";
    catches_a_warrant_that_can_be_copied: "crates/court/src/warrant.rs", "#[derive(Clone)] pub struct Warrant { id: u64 }", "Clone";
    catches_a_warrant_with_an_open_field: "crates/court/src/warrant.rs", "pub struct Warrant { pub id: u64 }", "private";
    catches_a_warrant_from_elsewhere: "crates/responder/src/a.rs", "pub struct Warrant { id: u64 }", "only court";
}

/// What the rules say of this workspace after a change to what one crate says of itself.
fn after(name: &str, change: impl FnOnce(&mut Crate)) -> Vec<String> {
    let mut crates = workspace::read(root());
    change(crates.iter_mut().find(|one| one.name == name).unwrap());
    breaches_of_crates(&crates)
}

macro_rules! caught_line {
    ($($name:ident: $of:literal $table:ident $package:literal, $says:literal;)*) => {$(
        #[test]
        fn $name() {
            let line = Use {
                package: $package.trim_start_matches("bartizan-").to_owned(),
                ours: $package.starts_with("bartizan-"),
                in_tests: stringify!($table) == "dev_dependencies",
                features: Vec::new(),
            };
            let found = after($of, |one| one.uses.push(line));
            assert!(found.iter().any(|line| line.contains($says)), "{} in {} is not caught: {found:?}", $package, $of);
        }
    )*};
}

caught_line! {
    catches_an_arrow_that_runs_up: "sys" dependencies "bartizan-agent", "sys: may not use agent";
    catches_an_arrow_that_runs_sideways: "store" dependencies "bartizan-config", "store: may not use config";
    catches_an_arrow_between_the_verbs: "sensors" dependencies "bartizan-court", "sensors: may not use court";
    catches_a_noun_that_knows_a_verb: "model" dependencies "bartizan-config", "model: may not use config";
    catches_an_arrow_up_even_in_tests: "model" dev_dependencies "bartizan-console", "model: its tests may not use console";
    catches_a_verb_that_touches_the_host: "detect" dependencies "bartizan-sys", "detect: may not use sys";
    catches_a_verb_that_speaks: "court" dependencies "bartizan-protocol", "court: may not use protocol";
    catches_a_screen_that_sees_the_agent: "console" dependencies "bartizan-agent", "console: may not use agent";
    catches_a_screen_that_sees_the_store: "console" dependencies "bartizan-store", "console: may not use store";
    catches_isolation_in_a_program: "responder" dependencies "bartizan-isolation", "responder: may not use isolation";

    catches_sql_outside_the_store: "agent" dependencies "rusqlite", "only in store";
    catches_painting_outside_the_console: "agent" dependencies "ratatui", "only in console";
    catches_libc_outside_sys: "responder" dependencies "libc", "only in sys";
    catches_nix_outside_sys: "redteam" dependencies "nix", "only in sys";
    catches_procfs_outside_sys: "sensors" dependencies "procfs", "only in sys";
    catches_the_web_outside_outbound: "agent" dependencies "reqwest", "only in outbound";
    catches_clap_outside_the_command_line: "config" dependencies "clap", "only in bartizan";
    catches_a_tool_of_tests_in_a_program: "store" dependencies "tempfile", "only in isolation";
    catches_a_runtime_among_the_nouns: "model" dependencies "tokio", "pure: no tokio";
    catches_logs_in_a_pure_crate: "detect" dependencies "tracing", "pure: no tracing";
}

#[test]
fn catches_an_arrow_that_is_gone() {
    let found = after("redteam", |one| one.uses.retain(|used| used.package != "protocol"));
    assert!(found.iter().any(|line| line.contains("redteam: no longer uses protocol")), "{found:?}");
}

#[test]
fn catches_a_crate_without_a_line() {
    let found = after("redteam", |one| one.name = "misfit".to_owned());
    assert!(found.iter().any(|line| line.contains("misfit: has no line")), "{found:?}");
}

#[test]
fn catches_a_crate_without_the_lints() {
    let found = after("redteam", |one| one.manifest = one.manifest.replace("[lints]", "[lints.clippy]"));
    assert!(found.iter().any(|line| line.contains("redteam: its Cargo.toml must take the lints")), "{found:?}");
}

#[test]
fn catches_a_program_that_can_forge_warrants() {
    let found = after("agent", |one| {
        one.uses.iter_mut().filter(|used| used.package == "court").for_each(|used| used.features.push("forge".into()))
    });
    assert!(found.iter().any(|line| line.contains("agent: only tests may ask court for a feature")), "{found:?}");
    let found = after("court", |one| one.manifest.push_str("default = [\"forge\"]\n"));
    assert!(found.iter().any(|line| line.contains("court: only tests may ask court for a feature")), "{found:?}");
}

#[test]
fn allows_what_the_house_allows() {
    let fine = [
        ("crates/sys/src/nft.rs", "use bartizan_model::Action; fn f() { unsafe { libc::getpid() }; std::process::Command::new(\"nft\"); }"),
        ("crates/sys/src/a/b.rs", "use super::c; use super::super::procfs; use self::d::e; use crate::pidfd; mod c {} mod d {}"),
        ("crates/sys/src/lib.rs", "#![allow(unsafe_code)]\nmod nft;"),
        (
            "crates/detect/src/detectors/a.rs",
            "use std::net::IpAddr; use chrono::{DateTime, Utc}; fn f(now: DateTime<Utc>) { now.timestamp(); }",
        ),
        ("crates/detect/src/detectors/b.rs", "use super::acts; use crate::detectors::DetectorSet;"),
        ("crates/detect/src/lib.rs", "#![forbid(unsafe_code)]\npub mod correlator;\npub mod detectors;"),
        ("crates/console/src/a.rs", "use bartizan_client::Connection; use bartizan_protocol::Push; use ratatui::Frame;"),
        ("crates/agent/src/server/a.rs", "use crate::Engine; use crate::server::gate; use super::peer;"),
        ("crates/agent/src/a.rs", "fn f() { g().unwrap_or_default(); println!(\"libc::x unsafe .unwrap()\"); std::process::exit(1); }"),
        ("crates/agent/src/a.rs", "#[cfg(test)] mod tests { use std::process::Command; #[test] fn t() { f().unwrap(); panic!(); } }"),
        ("crates/agent/src/a.rs", "impl A { #[cfg(test)] fn fake() { g().unwrap(); } }"),
        ("crates/court/src/warrant.rs", "#[derive(Debug)] pub struct Warrant { id: bartizan_model::WarrantId }"),
        (
            "crates/agent/src/a.rs",
            "fn f() { m.lock().unpoisoned(); cell.into_inner(); match v.into_inner() { Ok(v) => v, Err(e) => e.to_string() }; }",
        ),
        ("crates/agent/src/upkeep/a.rs", "use crate::ingest::Ingest; use crate::response::failed; use super::probes;"),
        (
            "crates/agent/src/a.rs",
            "use bartizan_protocol::Request; fn f(r: Request) { match r { Request::Stop => {} Request::Reload => {} } }",
        ),
        ("crates/sys/src/a.rs", "use notify::EventKind; fn f(k: EventKind) { match k { EventKind::Any => {} _ => {} } }"),
        ("src/cli/a.rs", "use clap::Parser; use bartizan_agent::{Engine, server};"),
        ("src/main.rs", "#![forbid(unsafe_code)]\nfn main() { bartizan::cli::main() }"),
    ];
    for (path, text) in fine {
        assert_eq!(verdict(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn a_file_declared_for_tests_only_may_unwrap() {
    let tree = |attribute: &str| Tree {
        sources: vec![
            Source { path: "crates/store/src/lib.rs".into(), text: format!("//! Disk.\n#![forbid(unsafe_code)]\n{attribute} mod trial;") },
            Source { path: "crates/store/src/trial.rs".into(), text: "//! Trial.\nfn f() { g().unwrap(); }".into() },
            // A module of the same name elsewhere says nothing.
            Source { path: "crates/court/src/lib.rs".into(), text: "//! Court.\n#![forbid(unsafe_code)]\n#[cfg(test)] mod trial;".into() },
        ],
    };
    assert_eq!(breaches(&tree("#[cfg(test)]")), Vec::<String>::new());
    assert_eq!(breaches(&tree("")).len(), 1);
}
