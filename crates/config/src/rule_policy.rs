//! `[rules]` of the policy: which rules are off, and how often one may speak.

use serde::{Deserialize, Serialize};

use super::policy_check::{Objection, within_counts};

/// Most rules that can be switched off by name.
const MAX_OFF: usize = 10_000;

/// `[rules]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulePolicy {
    /// Keys or ids of rules that are switched off.
    pub off: Vec<String>,
    /// Signals that one rule may give within a day; the last one says how to disable it, and further matches are only counted.
    pub most_per_day: u32,
}

/// The first value that makes no sense.
pub(super) fn check(rules: &RulePolicy) -> Result<(), Objection> {
    if rules.off.len() > MAX_OFF {
        return Err(Objection { section: "rules", key: "off", problem: format!("more than {MAX_OFF} rules") });
    }
    within_counts("rules", &[("most_per_day", rules.most_per_day, 1, 100_000)])
}

#[cfg(test)]
mod tests {
    use crate::Policy;

    #[test]
    fn a_budget_that_makes_no_sense_is_refused_by_name() {
        let problem = Policy::parse("[rules]\nmost_per_day = 0\n", "p.toml").unwrap_err().to_string();
        assert_eq!(problem, "p.toml: line 2: rules.most_per_day: 0 is not between 1 and 100000");
    }
}
