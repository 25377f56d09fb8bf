//! What this host knows of addresses that attack it from outside, for the court: the ledger, the logins, and chance.

use std::net::IpAddr;

use super::Response;
use bartizan_court::{History, Sources};
use bartizan_model::{Timestamp, Unpoisoned as _};
use bartizan_sys::random;

/// The court's view of the response, at one moment.
pub(super) struct KnownSources<'a> {
    pub(super) response: &'a Response,
    pub(super) now: Timestamp,
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

    fn held_elsewhere(&self, _addr: IpAddr) -> Option<String> {
        None
    }

    /// Without random bytes from the kernel every hold lasts its whole time.
    fn jitter(&self) -> f64 {
        let word = random::key().ok().and_then(|key| key.first_chunk::<4>().copied()).map_or(0, u32::from_ne_bytes);
        f64::from(word) / f64::from(u32::MAX)
    }
}
