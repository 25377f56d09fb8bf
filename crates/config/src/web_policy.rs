//! `[web]` of the policy: from when requests to a web server are an attack.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::policy::duration;
use super::policy_check::{Objection, within_counts, within_times};

/// `[web]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebPolicy {
    /// Different attacks of one address within `attack_within`, of two kinds; of one kind four times as many.
    pub attack_requests: u32,
    /// Different pages and files that only attackers look for, by one address within `attack_within`.
    pub probed_paths: u32,
    /// Requests of one address within `attack_within` by a program that calls itself a scanner.
    pub scanner_requests: u32,
    /// Failed logins of one address at web pages within `attack_within`.
    pub failed_logins: u32,
    /// In this time.
    #[serde(with = "duration")]
    pub attack_within: Duration,
    /// Answers 400 to 599 to one address within `burst_within`.
    pub errors: u32,
    /// And at least so many of a hundred of its requests.
    pub error_percent: u32,
    /// Requests of one address within `burst_within`.
    pub requests: u32,
    /// In this time.
    #[serde(with = "duration")]
    pub burst_within: Duration,
    /// Addresses with attacks within an hour above which all of them are one campaign.
    pub campaign_addresses: u32,
    /// How long a campaign is one alert.
    #[serde(with = "duration")]
    pub campaign: Duration,
}

/// The first value that makes no sense.
pub(super) fn check(web: &WebPolicy) -> Result<(), Objection> {
    let counts = [
        // Counted with 64 bits, which tell up to about a hundred apart; four times as many of one kind.
        ("attack_requests", web.attack_requests, 3, 25),
        ("probed_paths", web.probed_paths, 3, 50),
        ("scanner_requests", web.scanner_requests, 1, 10_000),
        ("failed_logins", web.failed_logins, 5, 10_000),
        ("errors", web.errors, 10, 60_000),
        ("error_percent", web.error_percent, 50, 100),
        ("requests", web.requests, 60, 60_000),
        ("campaign_addresses", web.campaign_addresses, 5, 50_000),
    ];
    within_counts("web", &counts)?;
    let (second, minute, hour) = (Duration::from_secs(1), Duration::from_secs(60), Duration::from_secs(60 * 60));
    let times = [
        ("attack_within", web.attack_within, minute, hour),
        ("burst_within", web.burst_within, second * 10, minute * 10),
        ("campaign", web.campaign, hour, hour * 24),
    ];
    within_times("web", &times)
}

#[cfg(test)]
mod tests {
    use crate::Policy;

    #[test]
    fn thresholds_that_make_no_sense_are_refused_by_name() {
        for (text, problem) in [
            ("[web]\nattack_requests = 1\n", "p.toml: line 2: web.attack_requests: 1 is not between 3 and 25"),
            ("[web]\nburst_within = \"1s\"\n", "p.toml: line 2: web.burst_within: 1s is not between 10s and 10m"),
        ] {
            assert_eq!(Policy::parse(text, "p.toml").unwrap_err().to_string(), problem);
        }
        assert!(Policy::parse("[web]\nprobed_paths = 20\n", "p.toml").is_ok());
    }
}
