//! `[logins]` of the policy: from when failed logins are an attack.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::policy::duration;
use super::policy_check::{Objection, within_counts, within_times};

/// `[logins]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginPolicy {
    /// Failed logins of one address within `brute_force_within`.
    pub brute_force_attempts: u32,
    /// In this time.
    #[serde(with = "duration")]
    pub brute_force_within: Duration,
    /// Failed logins of one address within `slow_within`.
    pub slow_attempts: u32,
    /// In this time.
    #[serde(with = "duration")]
    pub slow_within: Duration,
    /// Different accounts that one address tries within `accounts_within`.
    pub spraying_accounts: u32,
    /// Accounts that do not exist, tried by one address within `accounts_within`.
    pub unknown_accounts: u32,
    /// Addresses that try one account within `accounts_within`.
    pub distributed_addresses: u32,
    /// In this time.
    #[serde(with = "duration")]
    pub accounts_within: Duration,
    /// Connections of one address without a login within `brute_force_within`.
    pub probes: u32,
    /// Failed logins after which a login of the same address is told.
    pub failures_before_login: u32,
    /// Refused passwords of one account at sudo or su within `brute_force_within`.
    pub sudo_failures: u32,
    /// Which logins of root are told.
    pub root_login: RootLogin,
    /// Addresses with failed logins within an hour above which all of them are one attack.
    pub campaign_addresses: u32,
    /// How long an attack is one alert.
    #[serde(with = "duration")]
    pub campaign: Duration,
}

/// Which logins of root are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootLogin {
    /// None.
    Never,
    /// Those by a password.
    Password,
    /// All.
    Any,
}

/// The first value that makes no sense.
pub(super) fn check(logins: &LoginPolicy) -> Result<(), Objection> {
    let counts = [
        ("brute_force_attempts", logins.brute_force_attempts, 3, 10_000),
        ("slow_attempts", logins.slow_attempts, 5, 60_000),
        // Counted with 64 bits, which tell up to about a hundred apart.
        ("spraying_accounts", logins.spraying_accounts, 3, 100),
        ("unknown_accounts", logins.unknown_accounts, 2, 100),
        ("distributed_addresses", logins.distributed_addresses, 3, 3000),
        ("probes", logins.probes, 3, 60_000),
        ("failures_before_login", logins.failures_before_login, 1, 60_000),
        ("sudo_failures", logins.sudo_failures, 1, 1000),
        ("campaign_addresses", logins.campaign_addresses, 5, 50_000),
    ];
    within_counts("logins", &counts)?;
    let (minute, hour, day) = (Duration::from_secs(60), Duration::from_secs(60 * 60), Duration::from_secs(24 * 60 * 60));
    let times = [
        ("brute_force_within", logins.brute_force_within, minute, hour),
        ("slow_within", logins.slow_within, hour, day),
        ("accounts_within", logins.accounts_within, minute, day),
        ("campaign", logins.campaign, hour, day),
    ];
    within_times("logins", &times)
}

#[cfg(test)]
mod tests {
    use crate::Policy;

    #[test]
    fn thresholds_that_make_no_sense_are_refused_by_name() {
        for (text, problem) in [
            ("[logins]\nbrute_force_attempts = 1\n", "p.toml: line 2: logins.brute_force_attempts: 1 is not between 3 and 10000"),
            ("[logins]\ncampaign = \"1m\"\n", "p.toml: line 2: logins.campaign: 1m is not between 1h and 1day"),
        ] {
            assert_eq!(Policy::parse(text, "p.toml").unwrap_err().to_string(), problem);
        }
        assert!(Policy::parse("[logins]\nroot_login = \"any\"\n", "p.toml").is_ok());
    }
}
