//! What this host knows of addresses that attack it from outside, for the court: the ledger, the logins, and chance.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Mutex;

use super::Response;
use bartizan_court::{History, Sources};
use bartizan_enforce::nft::{ForeignBans, Nft};
use bartizan_model::{Timestamp, Unpoisoned as _};
use bartizan_sys::random;

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
        foreign.ask(|nft| nft.ban_of(bans, addr))
    }

    /// Without random bytes from the kernel every hold lasts its whole time.
    fn jitter(&self) -> f64 {
        let word = random::key().ok().and_then(|key| key.first_chunk::<4>().copied()).map_or(0, u32::from_ne_bytes);
        f64::from(word) / f64::from(u32::MAX)
    }
}
