//! What looks like a secret and is none: places, words and shapes that a rule file names.

use regex::bytes::Regex;

/// What a pattern of an allowlist is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Against {
    /// The secret alone.
    #[default]
    Secret,
    /// All that the rule's pattern matched.
    Match,
    /// The whole line.
    Line,
}

/// One list.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowlist {
    pub(super) paths: Vec<Regex>,
    pub(super) patterns: Vec<Regex>,
    pub(super) against: Against,
    /// Lower case; a secret that holds one is none.
    pub(super) stopwords: Vec<String>,
    /// All that is named must hold, not just one.
    pub(super) all: bool,
}

/// A match in its surroundings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) path: &'a [u8],
    pub(super) secret: &'a [u8],
    pub(super) matched: &'a [u8],
    pub(super) line: &'a [u8],
}

impl Allowlist {
    /// Whether this place is allowed whatever it holds.
    pub(super) fn allows_path(&self, path: &[u8]) -> bool {
        !self.all && self.paths.iter().any(|pattern| pattern.is_match(path))
    }

    /// Whether this match is allowed.
    pub(super) fn allows(&self, seen: &Seen) -> bool {
        let text = match self.against {
            Against::Secret => seen.secret,
            Against::Match => seen.matched,
            Against::Line => seen.line,
        };
        let lower = seen.secret.to_ascii_lowercase();
        let holds = [
            (!self.paths.is_empty()).then(|| self.paths.iter().any(|pattern| pattern.is_match(seen.path))),
            (!self.patterns.is_empty()).then(|| self.patterns.iter().any(|pattern| pattern.is_match(text))),
            (!self.stopwords.is_empty()).then(|| self.stopwords.iter().any(|word| memchr::memmem::find(&lower, word.as_bytes()).is_some())),
        ];
        let mut named = holds.into_iter().flatten().peekable();
        if self.all { named.peek().is_some() && named.all(|holds| holds) } else { named.any(|holds| holds) }
    }
}
