//! What is remembered of every address or network in a table, whatever is counted of it besides.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::is_ahead;
use super::named::{Culprit, Told};

/// Whoever was quiet for so long (seconds) gives up its place to any other, and is told of anew.
const QUIET: u32 = 60 * 60;

/// Who it is, when it did something last, and what was told of it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(in super::super) struct Presence {
    /// An IPv4 address mapped into IPv6; of an IPv6 address its /64.
    pub(in super::super) key: u128,
    /// First seen, seconds since 1970.
    pub(in super::super) first: u32,
    /// Last seen.
    pub(in super::super) last: u32,
    culprit: Culprit,
    /// Which detectors spoke of it lately, and how often they did, at least the time of a brute force between.
    pub(in super::super) told: Told,
}

impl Presence {
    pub(in super::super) fn new(key: u128, at: u32) -> Self {
        Self { key, first: at, last: at, ..Self::default() }
    }

    /// Whether it was seen so far ahead of this moment that the clock was set back since: then all that was counted of it is void.
    pub(in super::super) fn is_ahead(&self, at: u32) -> bool {
        is_ahead(self.last, at)
    }

    /// So many seconds without anything; `None` where what is remembered is over: long ago, or from a clock that ran ahead.
    pub(in super::super) fn quiet_for(&self, at: u32) -> Option<u32> {
        let quiet = at.saturating_sub(self.last);
        (quiet <= QUIET && !self.is_ahead(at)).then_some(quiet)
    }

    /// It did something from this address of its network.
    pub(in super::super) fn came(&mut self, address: u64, at: u32) {
        if self.quiet_for(at).is_none() {
            self.told.forget();
            self.culprit.forget();
        }
        self.culprit.came(address);
        self.last = self.last.max(at);
    }

    /// Counts what its addresses did: for the one that does the most, against it for any other.
    pub(in super::super) fn weigh(&mut self, address: u64, count: u16) {
        self.culprit.weigh(address, count);
    }

    /// The address that did it itself, often enough to be acted on. `None`: of an IPv6 network no single one did.
    pub(in super::super) fn hostile(&self) -> Option<IpAddr> {
        self.culprit.hostile(self.key)
    }

    /// The same, where so many of its own are enough.
    pub(in super::super) fn hostile_after(&self, failures: u16) -> Option<IpAddr> {
        self.culprit.hostile_after(self.key, failures)
    }

    /// Who it is in a sentence: an address, or the network where no single one did enough.
    pub(in super::super) fn name(&self) -> String {
        self.culprit.name(self.key)
    }

    /// The address; of an IPv6 network, the one that did the most.
    pub(in super::super) fn address(&self) -> IpAddr {
        self.culprit.address(self.key)
    }
}
