//! What this host knows of addresses that attack it from outside, for the court: the ledger, the logins, and chance.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;

use super::Response;
use bartizan_court::{History, JailTerms, Sources};
use bartizan_enforce::nft::{ForeignBans, Nft};
use bartizan_model::{Timestamp, Unpoisoned as _};
use bartizan_sys::random;

/// Addresses that jails named, of which it is known what they want; and for how long.
const MAX_JAILED: usize = 1024;
const NAMED_WITHIN: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// The court's view of the response, at one moment.
pub(super) struct KnownSources<'a> {
    response: &'a Response,
    now: Timestamp,
    /// What others hold, read when it is asked for first.
    bans: OnceCell<Option<ForeignBans>>,
}

impl<'a> KnownSources<'a> {
    pub(super) fn at(response: &'a Response, now: Timestamp) -> Self {
        Self { response, now, bans: OnceCell::new() }
    }
}

/// A jail names an address now.
pub(super) fn note_jailed(jailed: &Mutex<Jailed>, addr: IpAddr, terms: JailTerms, now: Timestamp) {
    jailed.lock().unpoisoned().note(addr, terms, now);
}

/// The socket over which nftables is asked who else holds an address. It stays open: to close one waits for the kernel.
#[derive(Debug, Default)]
pub(super) struct Foreign(Mutex<Option<Nft>>);

impl Foreign {
    /// What a question over it gives; nothing where there is no nftables. An answer that came late spoils the socket.
    fn ask<T>(&self, question: impl FnOnce(&Nft) -> Option<T>) -> Option<T> {
        let mut socket = self.0.lock().unpoisoned();
        if socket.as_ref().is_none_or(|nft| !nft.is_quiet()) {
            *socket = Nft::open().ok();
        }
        question(socket.as_ref()?)
    }
}

/// Addresses that a jail taken over from fail2ban named: what it wants for each. Bounded; who was named longest ago makes room.
#[derive(Debug, Default)]
pub(super) struct Jailed(BTreeMap<IpAddr, (Timestamp, JailTerms)>);

impl Jailed {
    fn note(&mut self, addr: IpAddr, terms: JailTerms, now: Timestamp) {
        self.0.insert(addr.to_canonical(), (now, terms));
        while self.0.len() > MAX_JAILED {
            let oldest = self.0.iter().min_by_key(|(_, (at, _))| *at).map(|(addr, _)| *addr);
            oldest.map(|addr| self.0.remove(&addr));
        }
    }

    /// What a jail wants for it, if one named it within the hour.
    fn of(&self, addr: IpAddr, now: Timestamp) -> Option<JailTerms> {
        let (at, terms) = self.0.get(&addr.to_canonical())?;
        (now.signed_duration_since(*at) < NAMED_WITHIN).then(|| terms.clone())
    }
}

impl std::fmt::Debug for KnownSources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KnownSources(at {})", self.now)
    }
}

impl Sources for KnownSources<'_> {
    fn history(&self, addr: IpAddr, since: Timestamp) -> History {
        let row = |id| self.response.ledger.action(id);
        self.response.former_holds.lock().unpoisoned().of(addr, since, row)
    }

    fn login(&self, addr: IpAddr) -> Option<String> {
        self.response.owner.login_from(addr, self.now)
    }

    fn held_elsewhere(&self, addr: IpAddr) -> Option<String> {
        let foreign = &self.response.foreign;
        let bans = self.bans.get_or_init(|| foreign.ask(|nft| nft.foreign_bans().ok())).as_ref()?;
        let jail = self.jail(addr).map(|terms| terms.jail);
        foreign.ask(|nft| nft.ban_of(bans, addr, jail.as_deref()))
    }

    fn jail(&self, addr: IpAddr) -> Option<JailTerms> {
        self.response.jailed.lock().unpoisoned().of(addr, self.now)
    }

    /// Without random bytes from the kernel every hold lasts its whole time.
    fn jitter(&self) -> f64 {
        let word = random::key().ok().and_then(|key| key.first_chunk::<4>().copied()).map_or(0, u32::from_ne_bytes);
        f64::from(word) / f64::from(u32::MAX)
    }
}
