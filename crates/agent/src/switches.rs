//! Detectors and kinds of action that a person switched off: read from policy.toml and from the command line's list, and always told of.

use std::collections::BTreeMap;

use crate::rule_packs;
use bartizan_config::{NameList, Policy, RuleFolders, Settings};
use bartizan_detect::detectors::{Info, full_catalogue};
use bartizan_model::{ALWAYS_REPORTED, Check, CheckState, nearest, sentence};

/// What this is called in the self-test and among degraded parts.
pub(crate) const SWITCHED_OFF: &str = "switched off";

/// Who switched something off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// `[detectors] off` in policy.toml; only there it can be switched on again.
    Policy,
    /// `bartizan detectors disable`.
    CommandLine,
}

/// What is switched off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Switches {
    /// Detectors by name, and where that was said.
    pub detectors: BTreeMap<String, Where>,
    /// Names that are no detector, or that of one that cannot be switched off; a sentence each.
    pub problems: Vec<String>,
}

/// The detector of this name.
pub fn detector(name: &str) -> Option<&'static Info> {
    full_catalogue().into_iter().find(|info| info.name == name)
}

/// Why nothing is a detector of this name, with the one that is meant.
pub fn unknown(name: &str) -> String {
    let shown: String = sentence(name).chars().take(80).collect();
    let meant = nearest(name, full_catalogue().iter().map(|info| info.name)).map(|near| format!(" (did you mean {near}?)"));
    format!("no detector is called \"{shown}\"{}", meant.unwrap_or_default())
}

/// Reads what is switched off under this policy.
pub fn read(settings: &Settings, policy: &Policy) -> Switches {
    let (mut found, list) = (Switches::default(), NameList::of_detectors(settings));
    let names = list.names().unwrap_or_else(|error| {
        found.problems.push(format!("cannot read {}: {error}", list.path().display()));
        Vec::new()
    });
    let all = names.iter().map(|name| (name, Where::CommandLine)).chain(policy.detectors.off.iter().map(|name| (name, Where::Policy)));
    for (name, place) in all {
        if ALWAYS_REPORTED.contains(&name.as_str()) {
            found.problems.push(format!("{name} reports attacks on Bartizan itself and cannot be switched off"));
        } else if detector(name).is_none() {
            found.problems.push(unknown(name));
        } else {
            found.detectors.insert(name.clone(), place);
        }
    }
    found
}

impl Switches {
    /// All that is off, in one line; `rules` of the rules are.
    pub(crate) fn told(&self, policy: &Policy, rules: usize) -> Option<String> {
        let names: Vec<&str> = self.detectors.keys().map(String::as_str).collect();
        let kinds: Vec<&str> = policy.actions.off.iter().map(|kind| kind.name()).collect();
        let mut said = Vec::new();
        said.extend((!names.is_empty()).then(|| format!("detectors {}", names.join(", "))));
        said.extend((!kinds.is_empty()).then(|| format!("actions {}", kinds.join(", "))));
        said.extend(match rules {
            0 => None,
            1 => Some("1 rule".to_owned()),
            many => Some(format!("{many} rules")),
        });
        said.extend(self.problems.iter().cloned());
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// The same as one line of the self-test; `told` is what is off.
pub(crate) fn check(told: Option<String>) -> Check {
    let (state, detail, mend) = match told {
        None => (CheckState::Works, "nothing is switched off".to_owned(), ""),
        Some(told) => {
            (CheckState::Degraded, told, "`bartizan detectors`, `bartizan rules list` and [actions] off in policy.toml show what")
        }
    };
    Check { name: SWITCHED_OFF.to_owned(), state, detail, mend: mend.to_owned() }
}

/// What is switched off on this host, without a running agent.
pub fn offline(settings: &Settings) -> Check {
    let rules = rule_packs::load(&RuleFolders::of(settings), &settings.policy).0;
    let off = (0..rules.rules().len()).filter(|index| rules.is_off(*index)).count();
    check(read(settings, &settings.policy).told(&settings.policy, off))
}
