//! What is wrong with a filter: where, what, and what to write instead.

/// A filter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the filter is wrong at character {at}: {what}")]
pub struct FilterError {
    /// At which character, from 1.
    pub at: usize,
    /// What is wrong there. Safe to show.
    pub what: String,
    /// What to write instead. Safe to show.
    pub mend: String,
}

impl FilterError {
    pub(crate) fn new(source: &str, byte: usize, what: impl Into<String>, mend: impl Into<String>) -> Self {
        let before = source.get(..byte).unwrap_or(source);
        Self { at: before.chars().count() + 1, what: bartizan_model::sentence(&what.into()), mend: bartizan_model::sentence(&mend.into()) }
    }
}

/// A few words of the filter, to point at: never long, whatever was typed.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    format!("\"{}\"", bartizan_model::HostText::from(short).escaped())
}
