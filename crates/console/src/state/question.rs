//! A question that waits for a yes: what must be on screen before a yes counts, and the details, which scroll.

use chrono::TimeDelta;

use crate::input::Effect;
use crate::widgets::{Tone, TonedLine};
use bartizan_config::Command;
use bartizan_model::Timestamp;

/// How long a question must have been on screen before a key can mean yes: less is a key meant for what was there before.
const READING: TimeDelta = TimeDelta::milliseconds(300);

/// A line without which nobody may say yes: what, for how long, what stays open, how it is undone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Essential {
    pub label: &'static str,
    pub tone: Tone,
    pub full: String,
    /// The same for a small screen; the full words are then among the details.
    pub short: String,
    /// It names something of any length, which a small screen shows from both ends.
    pub is_name: bool,
}

impl Essential {
    pub(crate) fn new(label: &'static str, tone: Tone, text: impl Into<String>) -> Self {
        let full = text.into();
        Self { label, tone, short: full.clone(), full, is_name: false }
    }

    /// What is acted on.
    pub(crate) fn name(label: &'static str, text: impl Into<String>) -> Self {
        Self { is_name: true, ..Self::new(label, Tone::Plain, text) }
    }

    pub(crate) fn or(self, short: impl Into<String>) -> Self {
        Self { short: short.into(), ..self }
    }
}

/// Says exactly what will happen and waits for a yes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Confirm {
    pub title: String,
    /// Always on screen, at every size; where they do not fit, nobody can say yes.
    pub essentials: Vec<Essential>,
    /// What scrolls below them.
    pub details: Vec<TonedLine>,
    /// What a yes does.
    pub yes: Vec<Effect>,
    /// The command whose key means yes when it is pressed again.
    pub again: Option<Command>,
    /// First line of the details on screen.
    pub offset: usize,
    /// Since when all its essentials are on screen; whoever paints says so.
    pub shown: Option<Timestamp>,
    /// Why the last key was no yes.
    pub ignored: Option<&'static str>,
}

impl Confirm {
    pub(crate) fn new(title: impl Into<String>, essentials: Vec<Essential>, details: Vec<TonedLine>, yes: Vec<Effect>) -> Self {
        Self { title: title.into(), essentials, details, yes, again: None, offset: 0, shown: None, ignored: None }
    }

    /// Whether a person can have read it by now.
    pub(crate) fn is_read(&self, now: Timestamp) -> bool {
        self.shown.is_some_and(|shown| now - shown >= READING)
    }

    /// It was painted with all its essentials. A clock that was set back begins the time anew.
    pub(crate) fn painted(&mut self, now: Timestamp) {
        if self.shown.is_none_or(|shown| shown > now) {
            self.shown = Some(now);
        }
    }
}
