//! Whom we saw logged in, from where and when, kept over restarts: logs of logins are rotated, and some hosts keep none.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use bartizan_model::Timestamp;

/// Under which name they are kept in the archive.
pub(crate) const KEY: &str = "seen_logins";
/// Remembered at most.
const MAX_SEEN: usize = 512;
/// A source of which we heard so lately is not written again.
const FRESH: chrono::TimeDelta = chrono::TimeDelta::hours(6);
/// As long as logins count as lately (`host::lifeline`).
const LATELY: chrono::TimeDelta = chrono::TimeDelta::days(30);

/// One account from one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    addr: IpAddr,
    account: Option<u32>,
    at: Timestamp,
}

/// All of them, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct SeenLogins(Vec<Seen>);

impl SeenLogins {
    /// From the archive; what cannot be read is as if nobody had been seen.
    pub(crate) fn load(json: Option<&str>) -> Self {
        let seen: Vec<Seen> = json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        Self(seen.into_iter().take(MAX_SEEN).collect())
    }

    /// Takes note of who is logged in; what is to be kept, when that has changed.
    pub(crate) fn note(&mut self, sessions: &[(Option<u32>, IpAddr)], now: Timestamp) -> Option<String> {
        let mut changed = false;
        for (account, addr) in sessions {
            let known = self.0.iter().position(|seen| seen.addr == *addr && seen.account == *account);
            match known {
                Some(at) if self.0.get(at).is_some_and(|seen| now - seen.at < FRESH) => continue,
                Some(at) => drop(self.0.remove(at)),
                None => {}
            }
            if self.0.len() >= MAX_SEEN {
                self.make_room();
            }
            self.0.push(Seen { addr: *addr, account: *account, at: now });
            changed = true;
        }
        if !changed {
            return None;
        }
        self.0.retain(|seen| now - seen.at <= LATELY);
        serde_json::to_string(&self.0).ok()
    }

    /// The account with the most sources loses its oldest: nobody pushes the owner out.
    fn make_room(&mut self) {
        let mut counts: BTreeMap<Option<u32>, usize> = BTreeMap::new();
        self.0.iter().for_each(|seen| *counts.entry(seen.account).or_default() += 1);
        let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(account, _)| account);
        if let Some(at) = self.0.iter().position(|seen| Some(seen.account) == most) {
            self.0.remove(at);
        }
    }

    /// Those of the last thirty days, newest first.
    pub(crate) fn lately(&self, now: Timestamp) -> Vec<(Option<u32>, IpAddr)> {
        self.0.iter().rev().filter(|seen| now - seen.at <= LATELY).map(|seen| (seen.account, seen.addr)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_we_saw_is_known_after_a_restart_for_thirty_days() {
        let now = chrono::Utc::now();
        let days = chrono::TimeDelta::days;
        let (ann, ben): (IpAddr, IpAddr) = ("203.0.113.5".parse().unwrap(), "203.0.113.6".parse().unwrap());
        let mut seen = SeenLogins::default();
        seen.note(&[(Some(1000), ann)], now - days(20)).unwrap();
        let kept = seen.note(&[(Some(1001), ben)], now - days(5)).unwrap();
        assert_eq!(seen.note(&[(Some(1001), ben)], now - days(5)), None, "nothing new");
        let again = SeenLogins::load(Some(&kept));
        assert_eq!(again.lately(now), [(Some(1001), ben), (Some(1000), ann)]);
        assert_eq!(again.lately(now + days(15)), [(Some(1001), ben)]);
        assert_eq!(SeenLogins::load(Some("nonsense")).lately(now), []);
    }

    #[test]
    fn many_sources_of_one_account_push_out_its_own_and_nobody_elses() {
        let now = chrono::Utc::now();
        let mut seen = SeenLogins::default();
        let owner = (Some(1000), "203.0.113.5".parse().unwrap());
        seen.note(&[owner], now);
        for turn in 0..MAX_SEEN as u32 + 10 {
            seen.note(&[(Some(7), IpAddr::from(std::net::Ipv4Addr::from(turn + 1)))], now);
        }
        let lately = seen.lately(now);
        assert!(lately.len() == MAX_SEEN && lately.contains(&owner), "{}", lately.len());
    }
}
