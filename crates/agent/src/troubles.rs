//! What does not work as it should, by name, with what to do: anybody reports it, `status` and `doctor` show it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bartizan_model::Unpoisoned as _;

/// The list.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<BTreeMap<String, String>>);

impl Troubles {
    /// Something does not work (or, with `None`, works again).
    pub(crate) fn report(&self, name: &str, trouble: Option<String>) {
        let mut all = self.0.lock().unpoisoned();
        match trouble {
            Some(trouble) => {
                if all.insert(name.to_owned(), trouble.clone()).as_ref() != Some(&trouble) {
                    tracing::warn!(part = name, trouble, "degraded");
                }
            }
            None => {
                if all.remove(name).is_some() {
                    tracing::info!(part = name, "works again");
                }
            }
        }
    }

    /// All of them: name and trouble.
    pub(crate) fn all(&self) -> BTreeMap<String, String> {
        self.0.lock().unpoisoned().clone()
    }

    /// The value, or nothing of it and a trouble of this name.
    pub(crate) fn or_report<T: Default, E: std::fmt::Display>(&self, name: &str, result: Result<T, E>) -> T {
        result.unwrap_or_else(|error| {
            self.report(name, Some(error.to_string()));
            T::default()
        })
    }
}
