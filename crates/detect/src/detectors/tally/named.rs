//! Whom a finding names: the address of a network that did it itself, and how often that was told.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// An address of an IPv6 network is acted on for so many failures of its own: a person mistypes twice.
const OWN_FAILURES: u16 = 3;

/// An IPv4 address as it is mapped into IPv6; of an IPv6 address its /64, and the rest.
pub(in super::super) fn key_of(address: IpAddr) -> (u128, u64) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_ipv6_mapped()), 0),
        IpAddr::V6(v6) => (u128::from(v6) & !u128::from(u64::MAX), u128::from(v6) as u64),
    }
}

fn is_v4(key: u128) -> bool {
    Ipv6Addr::from(key).to_ipv4_mapped().is_some()
}

/// The address of a network that does the most, if one does more than all others together (Boyer and Moore, 1981).
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(in super::super) struct Culprit {
    address: u64,
    /// How often it did something, at least.
    count: u16,
}

impl Culprit {
    /// Somebody of the network came; who did nothing yet is replaced by whoever comes.
    pub(in super::super) fn came(&mut self, address: u64) {
        if self.count == 0 {
            self.address = address;
        }
    }

    /// Nobody did anything.
    pub(in super::super) fn forget(&mut self) {
        self.count = 0;
    }

    /// Counts for the address that does the most, against it for any other.
    pub(in super::super) fn weigh(&mut self, address: u64, count: u16) {
        if self.address == address {
            self.count = self.count.saturating_add(count);
        } else if self.count >= count {
            self.count -= count;
        } else {
            (self.address, self.count) = (address, count - self.count);
        }
    }

    /// The address that did it itself, often enough to be acted on. `None`: of an IPv6 network no single one did.
    pub(in super::super) fn hostile(self, key: u128) -> Option<IpAddr> {
        self.hostile_after(key, OWN_FAILURES)
    }

    /// The same, where so many of its own are enough.
    pub(in super::super) fn hostile_after(self, key: u128, failures: u16) -> Option<IpAddr> {
        (is_v4(key) || self.count >= failures).then(|| self.address(key))
    }

    /// Who it is in a sentence: an address, or the network where no single one did enough.
    pub(in super::super) fn name(self, key: u128) -> String {
        match self.hostile(key) {
            Some(address) => address.to_string(),
            None => format!("{}/64", Ipv6Addr::from(key)),
        }
    }

    /// The address; of an IPv6 network, the one that did the most.
    pub(in super::super) fn address(self, key: u128) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from(key | u128::from(self.address))).to_canonical()
    }
}

/// What was told of a source lately, a bit a kind of finding, and how often altogether.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(in super::super) struct Told {
    /// When it was told first since it may be told again.
    since: u32,
    kinds: u8,
    /// How often it was told, at least `within` between.
    pub(in super::super) strikes: u8,
}

impl Told {
    /// Whether this kind of finding is news. Once told, it is none for `within` seconds; the caller begins to count anew, so whoever goes on
    /// is told again for what is new.
    pub(in super::super) fn is_news(&mut self, kind: u8, at: u32, within: u32) -> bool {
        if at.saturating_sub(self.since) > within {
            self.kinds = 0;
        }
        if self.kinds == 0 {
            (self.strikes, self.since) = (self.strikes.saturating_add(1), at);
        }
        let news = self.kinds & 1 << kind == 0;
        self.kinds |= 1 << kind;
        news
    }

    /// All of it is news again; how often it was told is kept.
    pub(in super::super) fn forget(&mut self) {
        self.kinds = 0;
    }
}
