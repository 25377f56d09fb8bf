//! Words that nobody outside of this project uses stay out of what users read: the pages, and what the program prints.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

use std::path::{Path, PathBuf};

/// The word, and what the trade says instead.
const FORBIDDEN: [(&str, &str); 22] = [
    ("docket", "case queue"),
    ("petition", "approval request"),
    ("opinion", "detection"),
    ("teller", "decoder"),
    ("wallet", "token cache"),
    ("caretaker", "reconcile loop"),
    ("nurse", "probe loop"),
    ("crier", "publisher"),
    ("outside end", "expiry record"),
    ("outrun", "escape"),
    ("outruns", "escapes"),
    ("overtaking", "escapee check"),
    ("manners", "scheduling"),
    ("sprint", "real-time scheduling"),
    ("step aside", "background scheduling"),
    ("vital sign", "health probe"),
    ("vital signs", "health probes"),
    ("access copies", "file backups"),
    ("kept copy", "backup"),
    ("kept copies", "backups"),
    ("acts alone no more", "automatic actions are paused"),
    ("act alone no more", "automatic actions are paused"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn below(place: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, ending, found);
        } else if path.extension().is_some_and(|known| known == ending) {
            found.push(path);
        }
    }
}

/// Whether `text` holds `word` with no letter on either side.
fn holds(text: &str, word: &str) -> bool {
    let lower = text.to_lowercase();
    let letter = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    lower.match_indices(word).any(|(at, _)| !letter(lower[..at].chars().next_back()) && !letter(lower[at + word.len()..].chars().next()))
}

/// A page without what stands in backticks: names of files and code.
fn prose(page: &str) -> String {
    page.lines().map(|line| line.split('`').step_by(2).collect::<Vec<_>>().join(" ") + "\n").collect()
}

/// The text between double quotes of each line that is no comment: what may be printed.
fn printed(code: &str) -> Vec<(usize, String)> {
    let shipped = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = shipped.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.flat_map(|(at, line)| line.split('"').skip(1).step_by(2).map(move |text| (at + 1, text.to_owned())).collect::<Vec<_>>()).collect()
}

/// Whether `line` cites a row of somebody's table of requirements, which no reader of the sources has: a letter and a number
/// after the word.
fn cites_a_row(line: &str) -> bool {
    let after = line.match_indices("row ").filter_map(|(at, found)| line.get(at + found.len()..));
    after.map(str::as_bytes).any(|rest| matches!(rest, [letter, digit, ..] if letter.is_ascii_uppercase() && digit.is_ascii_digit()))
}

#[test]
fn no_source_cites_what_its_reader_does_not_have() {
    assert!(cites_a_row(concat!("/// Scoped tokens (row ", "A6).")) && !cites_a_row("the row of A6 throws 4"));
    let mut files = Vec::new();
    for place in ["src", "crates", "tests", "benches"] {
        below(&root().join(place), "rs", &mut files);
    }
    let cites = |path: &PathBuf| std::fs::read_to_string(path).unwrap().lines().any(cites_a_row);
    let found: Vec<PathBuf> = files.into_iter().filter(cites).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn pages_speak_the_words_of_the_trade() {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md"), root().join("SECURITY.md")];
    below(&root().join("docs"), "md", &mut pages);
    assert!(pages.len() > 20, "{}", pages.len());
    let mut found = Vec::new();
    for page in pages {
        for (at, line) in prose(&std::fs::read_to_string(&page).unwrap()).lines().enumerate() {
            let said = FORBIDDEN.iter().filter(|(word, _)| holds(line, word));
            found.extend(said.map(|(word, better)| format!("{}:{}: \"{word}\": say \"{better}\"", page.display(), at + 1)));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_program_prints_the_words_of_the_trade() {
    let mut files = Vec::new();
    below(&root().join("crates"), "rs", &mut files);
    below(&root().join("src"), "rs", &mut files);
    files.retain(|file| !file.to_string_lossy().contains("tests"));
    assert!(files.len() > 300, "{}", files.len());
    let mut found = Vec::new();
    for file in files {
        for (at, text) in printed(&std::fs::read_to_string(&file).unwrap()) {
            let said = FORBIDDEN.iter().filter(|(word, _)| holds(&text, word));
            found.extend(said.map(|(word, better)| format!("{}:{at}: \"{word}\": say \"{better}\"", file.display())));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_forbidden_word_is_found_where_it_stands_and_only_there() {
    assert!(holds("The Docket is long", "docket") && !holds("dockets", "docket") && !holds("a_docket", "docket"));
    assert_eq!(prose("the `docket` of cases"), "the   of cases\n");
    assert_eq!(printed("// \"docket\"\nsay(\"docket\");\n#[cfg(test)]\nmod tests {\n\"docket\""), [(2, "docket".to_owned())]);
}
