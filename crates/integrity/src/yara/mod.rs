//! YARA rules over what files hold: our own, which the program carries, and packs of the owner; a file that does not compile is refused by name.
//!
//! Packs are compiled apart from our own rules: a `global` rule of theirs cannot silence ours. Nothing a rule file names is read (`include`).

mod own;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use boreal::compiler::CompilerParams;
use boreal::scanner::{EvaluatedRule, ScanError, ScanParams};
use boreal::{Compiler, MetadataValue, Scanner};

use super::judge::{Finding, extension};
use bartizan_model::HostText;

/// How long one set of rules may look at one content.
const PATIENCE: Duration = Duration::from_secs(1);
/// Matches of one string that are counted; rules that count higher are about other things than ours.
const MAX_MATCHES: u32 = 1000;
/// Longest file of rules, in bytes.
pub const MAX_RULE_FILE: usize = 1 << 20;
/// Bytes of all files of packs together.
const MAX_TOGETHER: usize = 16 << 20;
/// Rules of packs of which a match is reported for one file.
const MAX_FINDINGS: usize = 8;
/// Bytes of a rule's own description that are shown.
const MAX_DESCRIPTION: usize = 160;
/// What packs ask for by name besides the content (as the rules of LOKI and THOR do).
const SYMBOLS: [&str; 5] = ["filename", "filepath", "extension", "filetype", "owner"];

/// A file of rules that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRules {
    /// Which.
    pub file: String,
    /// Why, for a person.
    pub problem: String,
}

/// Compiled rules.
#[derive(Debug, Clone)]
pub struct YaraRules {
    own: Option<Scanner>,
    packs: Option<Scanner>,
}

/// What rules found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct YaraFindings {
    /// Dangerous contents.
    pub findings: Vec<Finding>,
    /// The rules were not done in time: there may be more.
    pub gave_up: bool,
}

impl YaraRules {
    /// Compiles our own rules, and those of these files (name and text); what cannot be used is named, and the rest goes on.
    pub fn load(files: &[(String, String)]) -> (Self, Vec<RefusedRules>) {
        let mut refused = Vec::new();
        let own = own::FILES.iter().map(|(name, text)| (*name, *text));
        let own = compiled(own, &mut refused);
        let packs = compiled(files.iter().map(|(name, text)| (name.as_str(), text.as_str())), &mut refused);
        (Self { own, packs }, refused)
    }

    /// How many rules there are: our own, and of packs.
    pub fn counts(&self) -> (usize, usize) {
        let count = |scanner: &Option<Scanner>| scanner.as_ref().map_or(0, |scanner| scanner.rules().count());
        (count(&self.own), count(&self.packs))
    }

    /// Looks at a content under its path; `before` is what was there: a rule that matched it already is no finding.
    pub fn judge(&self, path: &[u8], before: Option<&[u8]>, after: &[u8]) -> YaraFindings {
        let mut found = self.matched(path, after);
        if let Some(before) = before.filter(|before| !before.is_empty() && !found.findings.is_empty()) {
            let known = self.matched(path, before).findings;
            found.findings.retain(|finding| !known.contains(finding));
        }
        found
    }

    fn matched(&self, path: &[u8], content: &[u8]) -> YaraFindings {
        let mut found = YaraFindings::default();
        for (scanner, is_own) in [(&self.own, true), (&self.packs, false)] {
            let Some(scanner) = scanner else { continue };
            let mut scanner = scanner.clone();
            for (name, value) in SYMBOLS.into_iter().zip(values(path)) {
                // Known to the compiler, all of them.
                let _defined = scanner.define_symbol(name, value);
            }
            let result = match scanner.scan_mem(content) {
                Ok(result) => result,
                Err((why, result)) => {
                    found.gave_up |= matches!(why, ScanError::Timeout);
                    result
                }
            };
            let findings = result.rules.iter().take(MAX_FINDINGS).map(|rule| finding(&scanner, rule, is_own));
            found.findings.extend(findings);
        }
        found
    }
}

/// In the order of [`SYMBOLS`]; what nobody looked up is empty.
fn values(path: &[u8]) -> [Vec<u8>; 5] {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let ending = extension(path);
    let ending = if ending.is_empty() { ending } else { [&b"."[..], &ending].concat() };
    [name.to_vec(), path.to_vec(), ending, Vec::new(), Vec::new()]
}

fn compiler() -> Compiler {
    let mut compiler = Compiler::new();
    compiler.set_params(CompilerParams::default().disable_includes(true));
    for name in SYMBOLS {
        compiler.define_symbol(name, "");
    }
    compiler
}

/// All files that compile, each in a namespace of its own; `None` when no rule does.
fn compiled<'a>(files: impl Iterator<Item = (&'a str, &'a str)>, refused: &mut Vec<RefusedRules>) -> Option<Scanner> {
    let (mut all, mut any, mut together) = (compiler(), false, 0);
    for (file, text) in files {
        let problem = match together + text.len() {
            _ if text.len() > MAX_RULE_FILE => Some("it is longer than 1 MiB".to_owned()),
            sum if sum > MAX_TOGETHER => Some("with it, all files of rules are longer than 16 MiB".to_owned()),
            // A file that fails half way would leave its first rules behind.
            _ => compiler().add_rules_str(text).err().map(|why| problem_of(&why.to_string())),
        };
        let problem = problem.or_else(|| all.add_rules_str_in_namespace(text, file).err().map(|why| problem_of(&why.to_string())));
        match problem {
            Some(problem) => refused.push(RefusedRules { file: file.to_owned(), problem }),
            None => (any, together) = (true, together + text.len()),
        }
    }
    let mut scanner = any.then(|| all.finalize())?;
    scanner.set_scan_params(ScanParams::default().timeout_duration(Some(PATIENCE)).string_max_nb_matches(MAX_MATCHES).match_max_length(0));
    Some(scanner)
}

/// `mem:3:5: error: ...`: the text has no name of its own.
fn problem_of(why: &str) -> String {
    let line = why.strip_prefix("mem:").map_or_else(|| why.to_owned(), |rest| format!("line {rest}"));
    HostText::from(line.lines().next().unwrap_or_default()).escaped()
}

fn finding(scanner: &Scanner, rule: &EvaluatedRule<'_>, is_own: bool) -> Finding {
    let text = |wanted: &str| {
        let found = rule.metadatas.iter().find(|one| scanner.get_string_symbol(one.name) == wanted)?;
        match found.value {
            MetadataValue::Bytes(symbol) => Some(scanner.get_bytes_symbol(symbol)),
            MetadataValue::Integer(_) | MetadataValue::Boolean(_) => None,
        }
    };
    let description = text("description").map(|bytes| HostText::from(bytes.get(..MAX_DESCRIPTION).unwrap_or(bytes)).escaped());
    let technique = text("technique").filter(|bytes| is_technique(bytes)).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let sentence = match description {
        Some(description) if is_own => description,
        Some(description) => format!("it matches the YARA rule {} of {}: {description}", rule.name, rule.namespace),
        None => format!("it matches the YARA rule {} of {}", rule.name, rule.namespace),
    };
    Finding { rule: Cow::Owned(rule.name.to_owned()), technique: Cow::Owned(technique.unwrap_or_default().to_owned()), sentence }
}

/// `T1505` or `T1505.003`.
fn is_technique(bytes: &[u8]) -> bool {
    let digits = |bytes: &[u8], many: usize| bytes.len() == many && bytes.iter().all(u8::is_ascii_digit);
    let mut parts = bytes.strip_prefix(b"T").unwrap_or_default().split(|byte| *byte == b'.');
    let (number, sub) = (parts.next().unwrap_or_default(), parts.next());
    digits(number, 4) && sub.is_none_or(|sub| digits(sub, 3)) && parts.next().is_none()
}
