//! Who logged in from where, by what the login daemons wrote: kept over restarts for thirty days. An address from which an account was
//! let in is asked about before it is held, never cut off alone: its owner may sit behind the same address as an attacker.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use bartizan_model::{HostText, Timestamp, is_same_place};

/// Under which name they are kept in the archive.
pub(crate) const KEY: &str = "accepted_logins";
/// Addresses remembered at most.
const MAX_ADDRESSES: usize = 4096;
/// Longest name of an account that is kept, in bytes (login.defs: 32).
const LONGEST: usize = 64;
/// A source of which we heard so lately is not written again.
const FRESH: chrono::TimeDelta = chrono::TimeDelta::hours(6);
/// So long a login counts.
const LATELY: chrono::TimeDelta = chrono::TimeDelta::days(30);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Login {
    account: HostText,
    at: Timestamp,
}

/// The last login from each address.
#[derive(Debug, Default)]
pub(crate) struct AcceptedLogins {
    by_addr: BTreeMap<IpAddr, Login>,
    changed: bool,
}

impl AcceptedLogins {
    /// From the archive; what cannot be read is as if nobody had logged in.
    pub(crate) fn load(json: Option<&str>) -> Self {
        let kept: Vec<(IpAddr, Login)> = json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        Self { by_addr: kept.into_iter().take(MAX_ADDRESSES).collect(), changed: false }
    }

    /// A daemon let this account in from there. Who may be anybody (an empty name) is nobody.
    pub(crate) fn note(&mut self, account: &HostText, addr: IpAddr, at: Timestamp) {
        let addr = addr.to_canonical();
        let known = self.by_addr.get(&addr);
        if account.as_bytes().is_empty() || known.is_some_and(|login| login.account == *account && at - login.at < FRESH) {
            return;
        }
        if known.is_none() && self.by_addr.len() >= MAX_ADDRESSES {
            self.make_room();
        }
        let account = HostText::from(account.as_bytes().get(..LONGEST).unwrap_or(account.as_bytes()));
        self.by_addr.insert(addr, Login { account, at });
        self.changed = true;
    }

    /// The account with the most addresses loses its oldest: nobody pushes the owner out.
    fn make_room(&mut self) {
        let mut counts: BTreeMap<&HostText, usize> = BTreeMap::new();
        self.by_addr.values().for_each(|login| *counts.entry(&login.account).or_default() += 1);
        let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(account, _)| account.clone());
        let theirs = self.by_addr.iter().filter(|(_, login)| Some(&login.account) == most.as_ref());
        let oldest = theirs.min_by_key(|(_, login)| login.at).map(|(addr, _)| *addr);
        oldest.and_then(|addr| self.by_addr.remove(&addr));
    }

    /// Who logged in from there, or from its /64, within thirty days, in one sentence that is safe to show.
    pub(crate) fn from(&self, addr: IpAddr, now: Timestamp) -> Option<String> {
        let lately = |login: &&Login| now - login.at <= LATELY;
        let exact = self.by_addr.get(&addr.to_canonical()).filter(lately);
        let near = || self.by_addr.iter().filter(|(known, _)| is_same_place(**known, addr)).map(|(_, login)| login).find(lately);
        let login = exact.or_else(near)?;
        Some(format!("{} logged in from there on {}", login.account.escaped(), login.at.format("%Y-%m-%d")))
    }

    /// What is to be kept, when that has changed since this was asked last.
    pub(crate) fn unsaved(&mut self, now: Timestamp) -> Option<String> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.by_addr.retain(|_, login| now - login.at <= LATELY);
        serde_json::to_string(&self.by_addr.iter().collect::<Vec<_>>()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_was_let_in_is_known_after_a_restart_for_thirty_days() {
        let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut logins = AcceptedLogins::default();
        logins.note(&"ann".into(), addr("::ffff:203.0.113.5"), now);
        logins.note(&"".into(), addr("203.0.113.6"), now);
        logins.note(&"ben\n".into(), addr("2001:db8::1"), now);
        let kept = logins.unsaved(now).unwrap();
        assert_eq!(logins.unsaved(now), None);
        let again = AcceptedLogins::load(Some(&kept));
        assert_eq!(again.from(addr("203.0.113.5"), now).as_deref(), Some("ann logged in from there on 2027-01-15"));
        assert_eq!(again.from(addr("203.0.113.6"), now), None, "nobody's login buys nothing");
        assert!(again.from(addr("2001:db8::2"), now).unwrap().starts_with("ben\\n logged in"), "its /64, escaped");
        assert_eq!(again.from(addr("203.0.113.5"), now + chrono::TimeDelta::days(31)), None);
        assert_eq!(AcceptedLogins::load(Some("nonsense")).from(addr("203.0.113.5"), now), None);
    }

    #[test]
    fn many_addresses_of_one_account_push_out_its_own_and_nobody_elses() {
        let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut logins = AcceptedLogins::default();
        logins.note(&"owner".into(), addr("203.0.113.5"), now);
        for n in 0..2 * MAX_ADDRESSES as u32 {
            logins.note(&"shared".into(), (0x0A00_0000 + n).to_be_bytes().into(), now + chrono::TimeDelta::seconds(i64::from(n)));
        }
        assert!(logins.by_addr.len() <= MAX_ADDRESSES && logins.from(addr("203.0.113.5"), now).is_some());
    }
}
