//! Compiled patterns of dates, one for all filters of a process that have the same: those of the usual stamps take 5 MiB together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use bartizan_model::Unpoisoned as _;

use super::super::expression::{Expression, Found};

/// Those that some filter has.
static KNOWN: Mutex<BTreeMap<String, Weak<Mutex<Expression>>>> = Mutex::new(BTreeMap::new());

/// One of them.
#[derive(Debug)]
pub(super) struct Shared(Arc<Mutex<Expression>>);

impl Shared {
    /// Compiles a pattern, unless a filter has it already.
    pub(super) fn of(text: &str) -> Result<Self, String> {
        let mut known = KNOWN.lock().unpoisoned();
        if let Some(shared) = known.get(text).and_then(Weak::upgrade) {
            return Ok(Self(shared));
        }
        known.retain(|_, one| one.strong_count() > 0);
        let shared = Arc::new(Mutex::new(Expression::of_date(text)?));
        known.insert(text.to_owned(), Arc::downgrade(&shared));
        Ok(Self(shared))
    }

    /// Where its first group is, and all fields.
    pub(super) fn search_group(&self, line: &str) -> Option<Found> {
        self.0.lock().unpoisoned().search_group(line)
    }
}
