//! The filter of `events --where`: one text, compiled once, that decides of each event whether it is wanted.
//!
//! Agent and client use the same type: the archive decides on the packed form (`store/scan.rs`), a client that follows
//! decides on whole events ([`Filter::fits`]). The two agree, which `store/scan_tests.rs` tests.

mod error;
mod field;
mod glob;
mod needle;
mod parse;
mod pattern;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use error::FilterError;
pub use field::{Field, Form};
pub use needle::Needle;
pub use pattern::Pattern;
pub use value::{Value, kind_values, word};

use bartizan_model::{Event, EventKind};

/// Longest filter, in bytes.
pub const LONGEST: usize = 4096;
/// Most conditions in one filter: the archive keeps a bit for each.
pub const MAX_CONDITIONS: usize = 32;
/// Most brackets and `not`s inside each other.
pub(crate) const DEEPEST: usize = 32;

/// What is asked of an event at one place of a filter.
#[derive(Debug, Clone)]
pub enum Condition {
    /// A value of this field is like this.
    Field(Field, Pattern),
    /// The event's JSON holds this text.
    Text(Box<Needle>),
}

/// How conditions are joined; each is named by its place among the conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    Condition(usize),
    Not(Box<Term>),
    All(Vec<Term>),
    Any(Vec<Term>),
}

/// A compiled filter, cheap to clone. On the wire it is its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Filter(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    source: String,
    conditions: Vec<Condition>,
    root: Term,
}

impl Filter {
    /// Only events whose JSON holds this text, whatever it looks like.
    pub fn text(text: &str) -> Self {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        let conditions = vec![Condition::Text(Box::new(Needle::new(text)))];
        Self(Arc::new(Compiled { source: format!("text:\"{escaped}\""), conditions, root: Term::Condition(0) }))
    }

    /// What is asked, in the order in which bits are given to it.
    pub fn conditions(&self) -> &[Condition] {
        &self.0.conditions
    }

    /// What follows when the conditions whose bits are in `met` are met, those in `open` are not known, and the others
    /// are not met. `None` when it depends on what is not known.
    pub fn judge(&self, met: u64, open: u64) -> Option<bool> {
        self.0.root.judge(met, open)
    }

    /// The bits of the conditions that this value of this field meets.
    pub fn met_by(&self, field: Field, value: Value<'_>) -> u64 {
        let meets = |condition: &Condition| match condition {
            Condition::Field(own, pattern) => *own == field && pattern.matches(value),
            Condition::Text(_) => false,
        };
        self.0.conditions.iter().enumerate().filter(|(_, condition)| meets(condition)).fold(0, |met, (place, _)| met | 1 << place)
    }

    /// Whether an event is wanted.
    pub fn fits(&self, event: &Event) -> bool {
        let mut met = 0;
        let mut see = |field, value: Value<'_>| met |= self.met_by(field, value);
        value::event_values(event, &mut see);
        let mut json = None;
        for (place, condition) in self.0.conditions.iter().enumerate() {
            let Condition::Text(needle) = condition else { continue };
            let json = json.get_or_insert_with(|| serde_json::to_vec(event).unwrap_or_default());
            met |= u64::from(needle.is_in(json)) << place;
        }
        self.judge(met, 0) == Some(true)
    }
}

impl Term {
    fn judge(&self, met: u64, open: u64) -> Option<bool> {
        match self {
            Self::Condition(place) if met >> place & 1 == 1 => Some(true),
            Self::Condition(place) => (open >> place & 1 == 0).then_some(false),
            Self::Not(term) => term.judge(met, open).map(|is| !is),
            Self::All(terms) => joined(terms, met, open, false),
            Self::Any(terms) => joined(terms, met, open, true),
        }
    }
}

/// `decisive` as soon as one term is that; the opposite when all are.
fn joined(terms: &[Term], met: u64, open: u64, decisive: bool) -> Option<bool> {
    let mut known = true;
    for term in terms {
        match term.judge(met, open) {
            Some(is) if is == decisive => return Some(decisive),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!decisive)
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(source: &str) -> Result<Self, FilterError> {
        let (root, conditions) = parse::parse(source)?;
        Ok(Self(Arc::new(Compiled { source: source.to_owned(), conditions, root })))
    }
}

impl TryFrom<String> for Filter {
    type Error = FilterError;

    fn try_from(source: String) -> Result<Self, FilterError> {
        source.parse()
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.to_string()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.source)
    }
}

/// What means the same is not always the same; what reads the same is.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

impl Eq for Filter {}

/// Whether `name` is this kind (`process.exec`) or of this family (`process`).
pub fn is_of_kind(name: &str, kind: &str) -> bool {
    name == kind || (!kind.contains('.') && name.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.')))
}

/// Whether there is such a kind or family.
pub fn is_a_kind(kind: &str) -> bool {
    EventKind::NAMES.iter().any(|name| is_of_kind(name, kind))
}
