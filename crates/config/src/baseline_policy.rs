//! `[baseline]` of the policy: whether it is learned what is normal here, and for how long.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::policy::duration;
use super::policy_check::{Objection, within_times};

/// `[baseline]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselinePolicy {
    /// It is learned what is normal here, and told what deviates from it.
    pub learn: bool,
    /// So long after the first event it is only learned; the same holds for each program that comes later.
    #[serde(with = "duration")]
    pub learn_for: Duration,
}

/// The first value that makes no sense.
pub(super) fn check(baseline: &BaselinePolicy) -> Result<(), Objection> {
    let (least, most) = (Duration::from_secs(3600), Duration::from_secs(30 * 24 * 3600));
    within_times("baseline", &[("learn_for", baseline.learn_for, least, most)])
}

#[cfg(test)]
mod tests {
    use crate::Policy;

    #[test]
    fn a_time_of_learning_that_makes_no_sense_is_refused_by_name() {
        let problem = Policy::parse("[baseline]\nlearn_for = \"1m\"\n", "p.toml").unwrap_err().to_string();
        assert_eq!(problem, "p.toml: line 2: baseline.learn_for: 1m is not between 1h and 30days");
    }
}
