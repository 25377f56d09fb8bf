//! `rules test`: each rule against the examples recorded beside it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::outcome::{Failure, Outcome};
use super::super::print::{self, notice, table};
use super::Loaded;
use bartizan_rules::{EXAMPLES, Example, MAX_RULE_BYTES, PACK, Pack, RuleSet, Switches, parse};

/// Longest file of examples, in bytes.
const MAX_EXAMPLE_BYTES: u64 = 16 << 20;

/// What became of one file.
#[derive(Debug, Serialize)]
struct Tested {
    file: String,
    /// Examples that it must match, and did or did not.
    positive: usize,
    /// Examples that it must not match.
    negative: usize,
    /// What is wrong; empty: it passes.
    problems: Vec<String>,
}

/// All rules of this host.
pub(super) fn all(loaded: &Loaded, json: bool) -> Result<Outcome, Failure> {
    let own = PACK.iter().map(|(file, text)| {
        let beside = examples_name(file);
        let examples = EXAMPLES.iter().find(|(name, _)| *name == beside).map(|(_, text)| Ok((*text).to_owned()));
        tested(file, text, Pack::BuiltIn, examples)
    });
    let mut out: Vec<Tested> = own.collect();
    for folder in [&loaded.folders.host, &loaded.folders.imported] {
        out.extend(bartizan_config::rule_files(folder).into_iter().map(|file| match file.text {
            Ok(_) => of_file(&file.path),
            Err(problem) => Tested { file: file.path.display().to_string(), positive: 0, negative: 0, problems: vec![problem] },
        }));
    }
    report(&out, json)
}

/// These files.
pub(super) fn files(files: &[PathBuf], json: bool) -> Result<Outcome, Failure> {
    report(&files.iter().map(|file| of_file(file)).collect::<Vec<_>>(), json)
}

fn examples_name(file: &str) -> String {
    format!("{}.examples.jsonl", file.trim_end_matches(".yml").trim_end_matches(".yaml"))
}

fn of_file(path: &Path) -> Tested {
    let name = path.display().to_string();
    let beside = PathBuf::from(examples_name(&name));
    let examples = match read(&beside, MAX_EXAMPLE_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        read => Some(read.map_err(|error| format!("{}: {error}", beside.display()))),
    };
    match read(path, MAX_RULE_BYTES as u64 + 1) {
        Ok(text) => tested(&name, &text, Pack::Host, examples),
        Err(error) => Tested { file: name, positive: 0, negative: 0, problems: vec![format!("cannot be read: {error}")] },
    }
}

fn read(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

fn tested(file: &str, text: &str, pack: Pack, examples: Option<Result<String, String>>) -> Tested {
    let mut out = Tested { file: file.to_owned(), positive: 0, negative: 0, problems: Vec::new() };
    let rules = match parse(file, text, pack) {
        Ok(rules) => rules,
        Err(bad) => {
            out.problems.push(bad.problem);
            return out;
        }
    };
    let examples = match examples.map(|text| text.and_then(|text| Example::parse_all(&text).map_err(|error| error.to_string()))) {
        None => Vec::new(), // nobody recorded any: that it compiles is all that can be said
        Some(Ok(examples)) => examples,
        Some(Err(problem)) => {
            out.problems.push(problem);
            return out;
        }
    };
    if pack == Pack::BuiltIn && !(examples.iter().any(|one| one.matches) && examples.iter().any(|one| !one.matches)) {
        out.problems.push("it lacks an example that it must match, or one that it must not".to_owned());
    }
    let (set, twice) = RuleSet::new(rules, &Switches::default());
    out.problems.extend(twice.into_iter().map(|bad| bad.problem));
    for example in &examples {
        *(if example.matches { &mut out.positive } else { &mut out.negative }) += 1;
        let matched = example.is_reported_by(&set);
        if matched != example.matches {
            let what = if matched { "matched, but must not" } else { "did not match, but must" };
            out.problems.push(format!("example in line {}: {what} ({})", example.line, bartizan_model::sentence(&example.note)));
        }
    }
    out
}

fn report(tested: &[Tested], json: bool) -> Result<Outcome, Failure> {
    let failed = tested.iter().filter(|one| !one.problems.is_empty()).count();
    if json {
        print::items(tested)?;
    } else {
        let rows: Vec<[String; 4]> = tested
            .iter()
            .map(|one| {
                let what = if one.problems.is_empty() { "passes".to_owned() } else { one.problems.join("; ") };
                [one.file.clone(), one.positive.to_string(), one.negative.to_string(), what]
            })
            .collect();
        print::written(table::write(&mut io::stdout().lock(), ["FILE", "MUST MATCH", "MUST NOT", "RESULT"], &rows))?;
        notice(&format!("{} of {} rule files pass", tested.len() - failed, tested.len()));
    }
    Ok(if failed == 0 { Outcome::Done } else { Outcome::Found })
}
