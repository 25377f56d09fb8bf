//! Ordinary work that looks bad, judged in each mode: nothing of it is acted on, and the table in the docs is what is so.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

#[path = "ordinary/host.rs"]
mod host;
#[path = "ordinary/kinds.rs"]
mod kinds;

use bartizan::model::Mode;
use host::{Host, Verdict};

/// Name and lines of each.
fn each(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    text.split("\n# ").skip(1).map(|kind| kind.split_once('\n').unwrap())
}

fn in_modes(lines: &str) -> [Verdict; 3] {
    Mode::ALL.map(|mode| Host::new(mode).play(lines))
}

/// The table as it is in `docs/ordinary-work.md`.
fn table(text: &'static str) -> String {
    let row = |(name, lines): (&str, &str)| {
        let cells = in_modes(lines).map(|verdict| verdict.cell());
        format!("| {name} | {} |\n", cells.join(" | "))
    };
    let head = "| what | PARANOID | BALANCED | AGGRESSIVE |\n|--|--|--|--|\n";
    std::iter::once(head.to_owned()).chain(each(text).map(row)).collect()
}

#[test]
fn nothing_ordinary_is_acted_on_without_a_person() {
    assert!(each(kinds::KINDS).count() >= 60);
    let mut wrong = Vec::new();
    for (name, lines) in each(kinds::KINDS) {
        for (mode, verdict) in Mode::ALL.into_iter().zip(in_modes(lines)) {
            if !verdict.acted.is_empty() {
                wrong.push(format!("{name}: {mode} {}", verdict.cell()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn attacks_are_still_acted_on() {
    for (name, lines) in each(kinds::ATTACKS) {
        let [paranoid, balanced, aggressive] = in_modes(lines);
        assert!(paranoid.acted.is_empty() && !paranoid.asked.is_empty(), "{name}: {paranoid:?}");
        assert!(balanced.acted.contains("freeze"), "{name}: {balanced:?}");
        assert!(aggressive.acted.contains("freeze"), "{name}: {aggressive:?}");
    }
}

#[test]
fn the_table_in_the_docs_is_what_is_so() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ordinary-work.md");
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let mut fresh = found.clone();
    for (mark, text) in [("ordinary", kinds::KINDS), ("attacks", kinds::ATTACKS)] {
        let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->\n"));
        let (before, rest) = fresh.split_once(&begin).unwrap();
        let (_, after) = rest.split_once(&end).unwrap();
        fresh = format!("{before}{begin}{}{end}{after}", table(text));
    }
    if std::env::var_os("BARTIZAN_WRITE_REFERENCES").is_some() {
        std::fs::write(&file, &fresh).unwrap();
    } else {
        assert!(found == fresh, "stale: run BARTIZAN_WRITE_REFERENCES=1 cargo test --test ordinary");
    }
}
