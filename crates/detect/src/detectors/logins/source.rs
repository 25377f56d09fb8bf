//! A source of failed logins: what is remembered of an address, or of an IPv6 network, and which address of it did enough to be acted on.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::Limits;
use super::window::{Distinct, Window};

/// A source that was quiet for so long gives up its place to any other.
const QUIET: u32 = 60 * 60;
/// An address of an IPv6 network is acted on for so many failures of its own: a person mistypes twice.
const OWN_FAILURES: u16 = 3;

/// What is remembered of a source.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Source {
    /// An IPv4 address mapped into IPv6; of an IPv6 address its /64.
    pub(super) key: u128,
    /// The address of the network that fails the most, if one does so more than all others together (Boyer and Moore, 1981).
    worst: u64,
    /// How often it failed, at least.
    worst_failed: u16,
    /// Failed attempts since it has its place.
    pub(super) total: u32,
    /// First seen, seconds since 1970.
    pub(super) first: u32,
    /// Last seen.
    pub(super) last: u32,
    pub(super) fast: Window,
    pub(super) slow: Window,
    pub(super) probes: Window,
    pub(super) accounts: Distinct,
    pub(super) unknown_accounts: Distinct,
    accounts_since: u32,
    /// Failed attempts since its last login.
    pub(super) streak: u16,
    /// Which detectors spoke of it, a bit each, since `told`.
    reported: u8,
    /// When it was reported first since it may be reported again.
    told: u32,
    /// How often it was reported, at least the time of a brute force between.
    pub(super) strikes: u8,
}

impl Source {
    /// One that was first seen now.
    pub(super) fn new(key: u128, at: u32) -> Self {
        Self { key, first: at, last: at, accounts_since: at, ..Self::default() }
    }

    /// It did something from this address of its network.
    pub(super) fn came(&mut self, address: u64, at: u32) {
        if at.saturating_sub(self.last) > QUIET {
            (self.reported, self.worst_failed) = (0, 0);
        }
        if self.worst_failed == 0 {
            self.worst = address;
        }
        self.last = self.last.max(at);
    }

    /// Counts failed attempts.
    pub(super) fn failed(&mut self, limits: &Limits, at: u32, (address, attempts): (IpAddr, u32), account: u64, unknown: bool) {
        let few = u16::try_from(attempts).unwrap_or(u16::MAX);
        self.weigh(key_of(address).1, few);
        self.fast.add(at, limits.brute_force_within, attempts);
        self.slow.add(at, limits.slow_within, attempts);
        let passed = at.saturating_sub(self.accounts_since) / limits.accounts_within.max(1);
        if passed > 0 {
            self.accounts.turn(passed > 1);
            self.unknown_accounts.turn(passed > 1);
            self.accounts_since = at;
        }
        self.accounts.add(account);
        if unknown {
            self.unknown_accounts.add(account);
        }
        self.total = self.total.saturating_add(attempts);
        self.streak = self.streak.saturating_add(few);
    }

    /// Whether this kind of finding is news. Once told, it is none for the time of a brute force; the caller begins to count anew, so whoever
    /// goes on is told again for new failures.
    pub(super) fn is_news(&mut self, kind: u8, at: u32, limits: &Limits) -> bool {
        if at.saturating_sub(self.told) > limits.brute_force_within {
            self.reported = 0;
        }
        if self.reported == 0 {
            (self.strikes, self.told) = (self.strikes.saturating_add(1), at);
        }
        let bit = 1 << kind;
        let news = self.reported & bit == 0;
        self.reported |= bit;
        news
    }

    /// Counts for the address that fails the most, against it for any other.
    fn weigh(&mut self, address: u64, failed: u16) {
        if self.worst == address {
            self.worst_failed = self.worst_failed.saturating_add(failed);
        } else if self.worst_failed >= failed {
            self.worst_failed -= failed;
        } else {
            (self.worst, self.worst_failed) = (address, failed - self.worst_failed);
        }
    }

    /// The address that failed itself, often enough to be acted on. `None`: of an IPv6 network no single one did.
    pub(super) fn hostile(&self) -> Option<IpAddr> {
        (self.is_v4() || self.worst_failed >= OWN_FAILURES).then(|| self.address())
    }

    /// Who it is in a sentence: an address, or the network where no single one did enough.
    pub(super) fn name(&self) -> String {
        match self.hostile() {
            Some(address) => address.to_string(),
            None => format!("{}/64", Ipv6Addr::from(self.key)),
        }
    }

    /// The address; of an IPv6 network, the one that failed the most.
    pub(super) fn address(&self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from(self.key | u128::from(self.worst))).to_canonical()
    }

    fn is_v4(&self) -> bool {
        Ipv6Addr::from(self.key).to_ipv4_mapped().is_some()
    }

    /// How much it is worth a place: nothing once it is quiet.
    pub(super) fn worth(&self, at: u32) -> u32 {
        if at.saturating_sub(self.last) > QUIET { 0 } else { self.total.max(1) }
    }
}

/// An IPv4 address as it is mapped into IPv6; of an IPv6 address its /64, and the rest.
pub(super) fn key_of(address: IpAddr) -> (u128, u64) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_ipv6_mapped()), 0),
        IpAddr::V6(v6) => (u128::from(v6) & !u128::from(u64::MAX), u128::from(v6) as u64),
    }
}
