//! Bans: unsafe outside the kernel's door, calls that end the process, poisoned locks handled by hand, drawers of oddments,
//! forgeable warrants.

use super::reader::{Facts, Source, Tree};
use super::workspace::Crate;

const ODDMENTS: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

/// Lints that no one may silence outside tests.
const UNSILENCED: &[&str] = &["clippy::unwrap_used", "clippy::expect_used", "clippy::panic", "clippy::todo", "clippy::all"];

/// The one place that says what a poisoned lock means.
const UNPOISONED: &str = "crates/model/src/unpoisoned.rs";

/// Who may still sync a file by hand: the log before its anchor, and a copy that waits beside its place, reached by directory and name.
const SYNCED: &[&str] = &["crates/store/src/ledger/anchor.rs", "crates/guard/src/file_backups/present.rs"];

/// Most files have 40 to 300 lines; beyond this a file has become a place where things are put.
const LONGEST_FILE: usize = 500;

/// Bans on one file.
pub fn check(source: &Source, facts: &Facts, out: &mut Vec<String>) {
    let path = &source.path;
    if source.module().iter().chain([&source.of().to_owned()]).any(|part| ODDMENTS.contains(&part.as_str())) {
        out.push(format!("{path}: no drawer of oddments: name the noun it is about"));
    }
    // The compiler forbids the rest.
    if source.is_root() && source.of() != "sys" && !source.text.lines().any(|line| line == "#![forbid(unsafe_code)]") {
        out.push(format!("{path}: must forbid unsafe code: only sys may have any"));
    }
    out.extend(facts.shouts.iter().map(|what| format!("{path}: `{what}` can end the process: return an error")));
    for lint in UNSILENCED.iter().filter(|lint| facts.allows.iter().any(|allowed| allowed.split(',').any(|one| one == **lint))) {
        out.push(format!("{path}: silences {lint} outside tests"));
    }
    let poison =
        facts.paths.iter().filter(|(path, in_test)| !in_test && path.iter().any(|part| part == "PoisonError" || part == "TryLockError"));
    let by_hand = poison.map(|(whole, _)| whole.join("::")).chain(facts.taken_out.iter().cloned()).filter(|_| path != UNPOISONED);
    out.extend(by_hand.map(|what| format!("{path}: `{what}`: a lock is taken with `.lock().unpoisoned()`, of model::Unpoisoned")));
    if path == "src/main.rs" && source.text.lines().count() > 40 {
        out.push(format!("{path}: {} lines; main is at most 40", source.text.lines().count()));
    }
    let lines = source.text.lines().count();
    if lines > LONGEST_FILE {
        out.push(format!("{path}: {lines} lines: more than one idea lives here, at most {LONGEST_FILE}"));
    }
    let as_text = |line: &&str| {
        line.contains("read_to_string(")
            && !line.contains(".unwrap()")
            && ["\"/proc/{", "\"/proc/self/", "\"/proc/1/"].iter().any(|of| line.contains(of))
    };
    if let Some(line) = source.text.lines().find(as_text).filter(|_| source.of() != "sys") {
        out.push(format!("{path}: `{}`: one odd byte hides the whole file of a process: read it with sys::proc_files::text", line.trim()));
    }
    if let Some(call) = facts.synced.iter().find(|_| source.of() != "sys" && !SYNCED.contains(&path.as_str())) {
        out.push(format!("{path}: `.{call}()`: what must outlive something is written by sys::replace_file, which says what"));
    }
    check_warrant(source, facts, out);
}

/// Only the court can make a warrant: it has no open field, is not copied, and is never read in from anywhere.
fn check_warrant(source: &Source, facts: &Facts, out: &mut Vec<String>) {
    let path = &source.path;
    for warrant in facts.structs.iter().filter(|definition| definition.name == "Warrant") {
        if source.of() != "court" {
            out.push(format!("{path}: defines a Warrant: only court has one"));
        }
        if !warrant.all_private {
            out.push(format!("{path}: every field of Warrant must be private"));
        }
        for made in ["Deserialize", "Clone", "Copy", "Default"].iter().filter(|name| warrant.derives.contains(**name)) {
            out.push(format!("{path}: Warrant derives {made}: it could be made outside the court or used twice"));
        }
    }
    for (name, of) in facts.impls.iter().filter(|(_, of)| of == "Warrant") {
        if matches!(name.as_str(), "Deserialize" | "Clone" | "Copy" | "Default") {
            out.push(format!("{path}: {of} implements {name}: it could be made outside the court or used twice"));
        }
    }
}

/// Bans on the whole: once the court has more than its door, the warrant must be there, or the ban guards nothing.
pub fn check_tree(tree: &Tree, out: &mut Vec<String>) {
    let court: Vec<&Source> = tree.sources.iter().filter(|source| source.of() == "court").collect();
    if court.len() > 1 && !court.iter().any(|source| source.text.contains("struct Warrant ")) {
        out.push("crates/court/: no `struct Warrant` found: the ban on forged warrants guards nothing".to_owned());
    }
}

/// A crate that does not take the lints of the workspace may do what all others may not.
pub fn check_crates(crates: &[Crate], out: &mut Vec<String>) {
    let free = crates.iter().filter(|one| !one.manifest.contains("\n[lints]\nworkspace = true\n"));
    out.extend(free.map(|one| format!("{}: its Cargo.toml must take the lints of the workspace", one.name)));
    for one in crates {
        let forges = one.uses.iter().any(|used| used.package == "court" && !used.in_tests && !used.features.is_empty());
        if forges || one.name == "court" && one.manifest.contains("default = ") {
            out.push(format!("{}: only tests may ask court for a feature: with it warrants can be forged", one.name));
        }
    }
}
