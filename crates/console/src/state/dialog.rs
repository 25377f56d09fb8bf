//! What stands over a view and takes the keys until it is closed.

use std::net::IpAddr;

use crate::input::Effect;
use crate::state::question::Confirm;
use crate::widgets::{TextLine, Tone, TonedLine};
use bartizan_model::{ApprovalId, ExceptionId, Explanation, IncidentId, Timestamp};
use bartizan_protocol::FeedbackVerdict;

/// What stands over a view.
#[derive(Debug, Clone)]
pub(crate) enum Dialog {
    /// All keys.
    Help { offset: usize },
    /// Find a command by name.
    Palette { line: TextLine, at: usize },
    /// What the filter of this view shall be.
    Filter(TextLine),
    /// The one way to anything that cannot be taken back by moving the cursor.
    Confirm(Confirm),
    /// One of a few.
    Choose(Choose),
    /// A text is wanted.
    Prompt(Prompt),
    /// Something to read.
    Page(Page),
}

/// One of a few.
#[derive(Debug, Clone)]
pub(crate) struct Choose {
    pub title: String,
    pub about: String,
    pub options: Vec<Choice>,
    pub at: usize,
}

/// One that can be chosen.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub label: String,
    pub about: String,
    pub then: Then,
}

/// What choosing leads to.
#[derive(Debug, Clone)]
pub(crate) enum Then {
    Do(Vec<Effect>),
    Confirm(Box<Confirm>),
    /// The table is sorted by this.
    Sort(&'static str),
    Nothing,
}

/// A text is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Prompt {
    pub title: String,
    pub about: String,
    pub line: TextLine,
    pub wants: Wants,
    /// What was wrong with the last answer.
    pub problem: Option<String>,
}

/// What the text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// How long an approved action shall last.
    Duration(ApprovalId),
    /// Why a question is answered no.
    Reason(ApprovalId),
    /// Why an exception ends before its time.
    End(ExceptionId),
    /// For how long a finding is accepted.
    AcceptFor(u64),
    /// Why, until then.
    AcceptWhy(u64, Timestamp),
    /// How many packets a second of an address may pass.
    Packets(IpAddr),
}

/// Something to read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page {
    pub title: String,
    pub lines: Vec<TonedLine>,
    pub offset: usize,
    /// Where it leads further: the first by enter, each by its number.
    pub links: Vec<crate::update::Goto>,
}

impl Page {
    pub(crate) fn new(title: impl Into<String>, lines: Vec<TonedLine>) -> Self {
        Self { title: title.into(), lines, offset: 0, links: Vec::new() }
    }

    /// Why an incident scores what it scores.
    pub(crate) fn explanation(why: &Explanation) -> Self {
        let mut lines = Vec::new();
        let parts: [(&str, &[String]); 5] = [
            ("What was seen", &why.seen),
            ("Why this confidence", &why.why),
            ("What would lower it", &why.lower),
            ("What was done", &why.done),
            ("How to undo it", &why.undo),
        ];
        for (title, sentences) in parts {
            lines.push(TonedLine::new(Tone::Title, title));
            if sentences.is_empty() {
                lines.push(TonedLine::labelled("  ", Tone::Muted, "nothing"));
            }
            lines.extend(sentences.iter().map(|sentence| TonedLine::labelled("  - ", Tone::Plain, sentence.clone())));
            lines.push(TonedLine::new(Tone::Plain, ""));
        }
        lines.push(TonedLine::new(Tone::Title, "Evidence"));
        lines.push(TonedLine::labelled("  ", Tone::Plain, why.evidence.clone()));
        Self::new(format!("Why {}", why.incident), lines)
    }
}

impl Choose {
    /// What a person thinks of an incident or action.
    pub(crate) fn feedback(id: String, incident: Option<IncidentId>) -> Self {
        let say = |label: &str, about: &str, verdict| Choice {
            label: label.to_owned(),
            about: about.to_owned(),
            then: Then::Do(vec![Effect::ask(
                bartizan_protocol::Request::Feedback { id: id.clone(), verdict },
                format!("recording \"{label}\" for {id}"),
            )]),
        };
        let about = match incident {
            Some(incident) => format!("About {incident}. It is recorded and never loosens a rule by itself."),
            None => format!("About {id}. It is recorded and never loosens a rule by itself."),
        };
        Self {
            title: format!("Feedback on {id}"),
            about,
            options: vec![
                say("correct", "it was right", FeedbackVerdict::Correct),
                say("false positive", "there was no attack", FeedbackVerdict::FalsePositive),
                say("too aggressive", "the action went too far", FeedbackVerdict::TooAggressive),
                say("missed", "something was missed", FeedbackVerdict::Missed),
            ],
            at: 0,
        }
    }
}
