//! Whether the content of a file that is new or changed is dangerous: webshells, disguised scripts, handlers, ways in for later.
//!
//! Structure, not names: a finding says that what a request sends, or what is decoded, gets executed. Bytes are handed in; nothing is run.

mod disguise;
mod php;
mod scripts;
mod start_up;
#[cfg(test)]
mod tests;
mod ways_in;

use std::borrow::Cow;

use serde::Serialize;

/// Longest content that is judged, in bytes; larger scripts are not written by hand in a hurry.
pub const LONGEST_JUDGED: usize = 1 << 20;

/// What is wrong with a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the rule.
    pub rule: Cow<'static, str>,
    /// ATT&CK technique; empty when a rule of a pack names none.
    pub technique: Cow<'static, str>,
    /// What it does, for a person.
    pub sentence: String,
}

impl Finding {
    pub(crate) fn new(rule: &'static str, technique: &'static str, sentence: impl Into<String>) -> Self {
        Self { rule: Cow::Borrowed(rule), technique: Cow::Borrowed(technique), sentence: sentence.into() }
    }
}

/// Webshells: Server Software Component.
pub(crate) const WEB_SHELL: &str = "T1505.003";

/// Judges a content under its path; `before` is what was there, empty for a new file and `None` when nobody knows it: what was so before is no
/// finding, and what was added is only told when it is known.
pub fn judge(path: &[u8], before: Option<&[u8]>, after: &[u8]) -> Vec<Finding> {
    let mut found = judged(path, after);
    if let Some(before) = before {
        let known = judged(path, before);
        found.retain(|finding| !known.contains(finding));
        found.extend(ways_in::added(path, before, after));
    }
    found
}

/// Whether a name or the first bytes make a content worth judging.
pub fn is_judged(path: &[u8], beginning: &[u8]) -> bool {
    php::is_php(path, beginning)
        || scripts::language(path, beginning).is_some()
        || disguise::is_candidate(path, beginning)
        || start_up::is_candidate(path)
        || ways_in::is_candidate(path)
}

fn judged(path: &[u8], content: &[u8]) -> Vec<Finding> {
    let content = content.get(..LONGEST_JUDGED).unwrap_or(content);
    let mut found = Vec::new();
    if php::is_php(path, content) {
        found.extend(php::judge(content));
    }
    if let Some(language) = scripts::language(path, content) {
        found.extend(scripts::judge(language, content));
    }
    if start_up::is_candidate(path) {
        found.extend(start_up::judge(content));
    }
    found.extend(disguise::judge(path, content));
    found
}

/// The part of a path after the last dot of its name, in lower case.
pub(crate) fn extension(path: &[u8]) -> Vec<u8> {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let extension = name.iter().rposition(|byte| *byte == b'.').and_then(|dot| name.get(dot + 1..));
    extension.unwrap_or_default().to_ascii_lowercase()
}

/// Whether the bytes hold this part.
pub(crate) fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}
