//! The filter of a jail as text: all references filled in, not compiled yet, so that it can be handed to another process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::{Config, Why, tags};
use super::installed::Installed;
use super::problem::Problem;

/// Lines that a filter may look at together. fail2ban's own filters ask for 20 at most.
const MAX_LINES: usize = 100;
/// Expressions of one filter.
const MAX_EXPRESSIONS: usize = 500;

/// What a filter says, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterSpec {
    /// Its name: that of its file without the ending.
    pub name: String,
    /// What every line must match first; `<F-CONTENT>` is what the others see.
    pub prefregex: Option<String>,
    /// What is a failure.
    pub failregex: Vec<String>,
    /// What is none, whatever `failregex` says.
    pub ignoreregex: Vec<String>,
    /// Where a line says when; lines are alternatives. `None`: where lines usually say it.
    pub datepattern: Option<String>,
    /// Lines that are looked at together, 1 to 100.
    pub maxlines: usize,
    /// What the journal is asked for.
    pub journalmatch: Vec<String>,
    /// Seconds ahead of UTC in lines that name no zone, where the jail says so.
    pub zone: Option<i32>,
}

impl FilterSpec {
    /// Reads `filter.d/NAME` with the parameters of a jail (`filter = NAME[mode=aggressive]`).
    ///
    /// # Errors
    /// The one problem for which there is no such filter.
    pub(crate) fn read(
        installed: &Installed,
        name: &str,
        parameters: &BTreeMap<String, String>,
        problems: &mut Vec<Problem>,
    ) -> Result<Self, Problem> {
        let stem = format!("filter.d/{name}");
        let Some(mut config) = Config::read(installed, &stem) else {
            return Err(Problem::new(stem + ".conf", "", "", "there is no such filter, or it cannot be read"));
        };
        problems.append(&mut config.problems);
        if !config.has("Definition") {
            return Err(Problem::new(stem + ".conf", "Definition", "", "the section is missing"));
        }
        let reader = Reader { config: &config, parameters, stem: &stem };
        let lines = |name: &str, problems: &mut Vec<Problem>| -> Vec<String> {
            let text = reader.setting(name, problems).unwrap_or_default();
            let lines = text.lines().filter(|line| !line.is_empty()).map(str::to_owned);
            lines.take(MAX_EXPRESSIONS).collect()
        };
        let maxlines = reader.setting("maxlines", problems).filter(|text| !text.is_empty());
        let prefregex = reader.setting("prefregex", problems).filter(|text| !text.is_empty());
        Ok(Self {
            name: name.to_owned(),
            prefregex,
            failregex: lines("failregex", problems),
            ignoreregex: lines("ignoreregex", problems),
            datepattern: reader.setting("datepattern", problems).filter(|text| !text.is_empty()),
            maxlines: maxlines.and_then(|text| text.trim().parse().ok()).unwrap_or(1).clamp(1, MAX_LINES),
            journalmatch: lines("journalmatch", problems),
            zone: None,
        })
    }
}

struct Reader<'a> {
    config: &'a Config,
    parameters: &'a BTreeMap<String, String>,
    stem: &'a str,
}

impl Reader<'_> {
    /// A setting of the filter with references and tags filled in; what fails is a problem.
    fn setting(&self, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
        // What tags stand for comes in the same order: a setting of `[Init]` is stronger than one of `[Definition]`.
        let text = match self.lookup(name) {
            Ok(text) => text?,
            Err(why) => {
                problems.push(Problem::new(self.file(), name, "", why.to_string()));
                return None;
            }
        };
        match tags::fill(&text, &|tag| self.lookup(tag)) {
            Ok(text) => Some(text),
            Err(why) => {
                problems.push(Problem::new(self.file(), name, &text, why.to_string()));
                None
            }
        }
    }

    fn file(&self) -> String {
        format!("{}.conf", self.stem)
    }

    /// What a tag stands for: a parameter of the jail, then `[Init]`, `[Definition]`, `[DEFAULT]`.
    fn lookup(&self, tag: &str) -> Result<Option<String>, Why> {
        let none = BTreeMap::new();
        let lower = tag.to_lowercase();
        if let Some(known) = lower.strip_prefix("known/") {
            let found = self.config.get("Init", known, &none)?;
            return if found.is_some() { Ok(found) } else { self.config.get("Definition", known, &none) };
        }
        if let Some(value) = self.parameters.get(&lower) {
            return Ok(Some(value.clone()));
        }
        if self.config.names("Init").any(|name| name == lower) {
            return self.config.get("Init", &lower, self.parameters);
        }
        let own = self.config.get("Definition", &lower, self.parameters)?;
        match (own, tag.split_once('/')) {
            (Some(own), _) => Ok(Some(own)),
            (None, Some((section, name))) if self.config.has(section) => self.config.get(section, name, self.parameters),
            (None, _) => Ok(None),
        }
    }
}
