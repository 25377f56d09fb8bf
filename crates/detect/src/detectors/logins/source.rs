//! A source of failed logins: what is remembered of an address, or of an IPv6 network, and which address of it did enough to be acted on.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::super::tally::{Distinct, Presence, Remembered, Window, key_of};
use super::Limits;

/// What is remembered of a source.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) presence: Presence,
    /// Failed attempts since it has its place.
    pub(super) total: u32,
    pub(super) fast: Window,
    pub(super) slow: Window,
    pub(super) probes: Window,
    pub(super) accounts: Distinct,
    pub(super) unknown_accounts: Distinct,
    accounts_since: u32,
    /// Failed attempts since its last login.
    pub(super) streak: u16,
}

impl Remembered for Source {
    fn new(key: u128, at: u32) -> Self {
        Self { presence: Presence::new(key, at), accounts_since: at, ..Self::default() }
    }

    fn presence(&self) -> &Presence {
        &self.presence
    }

    fn presence_mut(&mut self) -> &mut Presence {
        &mut self.presence
    }

    fn worth(&self, at: u32) -> u32 {
        self.presence.quiet_for(at).map_or(0, |_| self.total.max(1))
    }

    fn did(&self) -> u32 {
        self.total
    }
}

impl Source {
    /// Counts failed attempts.
    pub(super) fn failed(&mut self, limits: &Limits, at: u32, (address, attempts): (IpAddr, u32), account: u64, unknown: bool) {
        let few = u16::try_from(attempts).unwrap_or(u16::MAX);
        self.presence.weigh(key_of(address).1, few);
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

    /// Whether this kind of finding is news; once told, it is none for the time of a brute force.
    pub(super) fn is_news(&mut self, kind: u8, at: u32, limits: &Limits) -> bool {
        self.presence.told.is_news(kind, at, limits.brute_force_within)
    }

    /// The address that failed itself, often enough to be acted on. `None`: of an IPv6 network no single one did.
    pub(super) fn hostile(&self) -> Option<IpAddr> {
        self.presence.hostile()
    }

    /// Who it is in a sentence: an address, or the network where no single one did enough.
    pub(super) fn name(&self) -> String {
        self.presence.name()
    }

    /// The address; of an IPv6 network, the one that failed the most.
    pub(super) fn address(&self) -> IpAddr {
        self.presence.address()
    }
}
