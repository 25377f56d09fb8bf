//! One rule: its pattern, compiled when a keyword was seen for the first time, and what makes a match no secret.

use std::sync::OnceLock;

use regex::bytes::Regex;

use super::allowlist::Allowlist;
use super::place::{self, At};
use super::re2;
use bartizan_model::Severity;

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub id: String,
    /// What it finds, in words.
    pub what: String,
    /// How bad it is to find one.
    pub severity: Severity,
    /// Lower case; without one of them in a text, the pattern is not tried.
    pub(super) keywords: Vec<String>,
    pub(super) at: At,
    pattern: Option<String>,
    /// Group of the pattern that is the secret; `None`: the first that holds something, or all.
    pub(super) group: Option<usize>,
    /// Least entropy of a secret, in bits a byte.
    pub(super) entropy: Option<f64>,
    /// Only files with such a path.
    pub(super) path: Option<Regex>,
    pub(super) allowlists: Vec<Allowlist>,
    /// Its place in the file.
    pub(super) order: usize,
    assigns: bool,
    compiled: OnceLock<Option<Regex>>,
}

impl Rule {
    pub(super) fn new(id: String, what: String, severity: Severity, keywords: Vec<String>, pattern: Option<String>) -> Self {
        let keywords: Vec<String> = keywords.iter().map(|word| word.to_ascii_lowercase()).filter(|word| !word.is_empty()).collect();
        let (at, pattern) = match pattern {
            Some(pattern) => {
                let place = place::of(&pattern, &keywords);
                (place.at, Some(place.pattern))
            }
            None => (At::Anywhere, None),
        };
        // As rule files and ours have it between a name and its value.
        let assigns = pattern.as_deref().is_some_and(|pattern| pattern.contains(r"(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)"));
        Self {
            assigns,
            order: 0,
            id,
            what,
            severity,
            keywords,
            at,
            pattern,
            group: None,
            entropy: None,
            path: None,
            allowlists: Vec::new(),
            compiled: OnceLock::new(),
        }
    }

    /// Whether it is about names of files alone.
    pub(super) fn is_about_names(&self) -> bool {
        self.pattern.is_none()
    }

    /// Whether the pattern wants a sign of assignment soon after its name.
    pub(super) fn is_assignment(&self) -> bool {
        self.assigns
    }

    /// The pattern; `None` when it cannot be compiled within its bounds.
    pub(super) fn pattern(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| self.pattern.as_deref().and_then(|pattern| re2::compile(pattern).ok())).as_ref()
    }

    /// Why its pattern cannot be used, if so. Compiles it.
    pub fn trouble(&self) -> Option<String> {
        self.pattern.as_deref().and_then(|pattern| re2::compile(pattern).err())
    }
}
