//! Ordinary work that looks bad, judged in each mode: nothing of it is acted on, and the table in the docs is what is so.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

#[path = "ordinary/host.rs"]
mod host;
#[path = "ordinary/kinds.rs"]
mod kinds;

use bartizan_model::Mode;
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

/// Two jobs of one service: the second kind's lines, with its service taken for the first's.
fn in_one_service(first: &str, second: &str) -> Option<String> {
    let service = |text: &str| Some(text.lines().next()?.strip_prefix("service ")?.split(' ').next()?.to_owned());
    let (one, other) = (service(first)?, service(second)?);
    let rename = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.iter_mut().skip(1).take(2).filter(|word| **word == other).for_each(|word| *word = &one);
        words.join(" ")
    };
    let renamed: Vec<String> = second.lines().skip(1).filter(|line| !line.is_empty()).map(rename).collect();
    Some(format!("{}\npause 600\n{}", first.trim_end(), renamed.join("\n")))
}

#[test]
fn no_two_jobs_of_one_service_within_an_hour_are_acted_on() {
    let (mut pairs, mut wrong) = (0, Vec::new());
    let kinds: Vec<_> = each(kinds::KINDS).collect();
    for (at, (one, first)) in kinds.iter().enumerate() {
        for (two, second) in &kinds[at..] {
            let Some(lines) = in_one_service(first, second) else { continue };
            pairs += 1;
            // What AGGRESSIVE does not do alone nobody does.
            let verdict = Host::new(Mode::Aggressive).play(&lines);
            if !verdict.acted.is_empty() {
                wrong.push(format!("{one}, then {two}: {}", verdict.cell()));
            }
        }
    }
    assert!(pairs > 900 && wrong.is_empty(), "{} of {pairs}: {wrong:#?}", wrong.len());
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
