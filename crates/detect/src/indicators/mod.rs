//! Indicator lists: known bad addresses, networks, domain names and digests, looked up in constant time. No I/O, no clock.

mod header;
mod line;
mod list;
mod value;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use bartizan_model::{Sha256, Timestamp, is_public};
use chrono::TimeDelta;
use ipnet::IpNet;

pub use list::{BadLine, List, MAX_IN_LIST};
use value::{Value, plain};

/// Indicators that are matched altogether; the rest is counted with its list.
const MAX_INDICATORS: usize = 250_000;
/// Bytes of all domain names together.
const MAX_NAME_BYTES: usize = 8 << 20;
/// Most lists.
const MAX_LISTS: usize = 256;

/// A list that holds what was looked up, and what exactly stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Which list; of several the one that is matched longest.
    pub list: &'a List,
    /// The indicator: `203.0.113.0/24`, `evil.example`, a SHA-256.
    pub indicator: String,
}

/// Networks of one address family by the length of their prefix, the longest first.
type Networks<N> = Vec<(u8, HashMap<N, u16>)>;

/// All lists, ready to be matched.
#[derive(Debug, Default)]
pub struct Indicators {
    lists: Vec<List>,
    v4: Networks<u32>,
    v6: Networks<u128>,
    domains: HashMap<Box<str>, u16>,
    name_bytes: usize,
    digests: HashMap<[u8; 32], u16>,
    spared: HashSet<IpAddr>,
}

impl Indicators {
    /// No list; `spared` addresses are this host's own, its resolvers and gateway: whoever writes a list must not raise suspicion
    /// against what everybody here talks to.
    pub fn new(spared: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { spared: spared.into_iter().map(plain).collect(), ..Self::default() }
    }

    /// Takes in a list: its file, its content and when the file was last changed. One that has expired is kept by name only.
    pub fn add(&mut self, file: String, content: &[u8], (modified, now): (Timestamp, Timestamp), max_age: TimeDelta) {
        let (list, values) = List::parse(file, content, (modified, now), max_age);
        let Some(number) = self.keep(list) else { return };
        let in_force = self.lists.get(usize::from(number)).is_some_and(|list| list.is_in_force(now));
        for value in values {
            let kept = !in_force || self.put(&value, number);
            if let Some(list) = self.lists.get_mut(usize::from(number)) {
                match value {
                    _ if !kept => list.left_out += 1,
                    Value::Network(_) => list.networks += 1,
                    Value::Domain(_) => list.domains += 1,
                    Value::Digest(_) => list.digests += 1,
                }
            }
        }
    }

    /// Takes note of a list that cannot be read.
    pub fn refuse(&mut self, file: String, problem: &str, now: Timestamp) {
        self.keep(List::refused(file, problem, now));
    }

    fn keep(&mut self, list: List) -> Option<u16> {
        let number = u16::try_from(self.lists.len()).ok().filter(|number| usize::from(*number) < MAX_LISTS)?;
        self.lists.push(list);
        Some(number)
    }

    /// Puts one indicator in; false when there is no room.
    fn put(&mut self, value: &Value, number: u16) -> bool {
        let expires = |number: u16| self.lists.get(usize::from(number)).map(|list| list.expires);
        let longer = |known: u16| if expires(number) > expires(known) { number } else { known };
        let full = self.len() >= MAX_INDICATORS;
        match value {
            Value::Network(IpNet::V4(network)) => {
                let new = put_network(&self.v4, network.prefix_len(), network.network().to_bits(), (number, full), longer);
                new.is_some_and(|number| insert(&mut self.v4, network.prefix_len(), network.network().to_bits(), number))
            }
            Value::Network(IpNet::V6(network)) => {
                let new = put_network(&self.v6, network.prefix_len(), network.network().to_bits(), (number, full), longer);
                new.is_some_and(|number| insert(&mut self.v6, network.prefix_len(), network.network().to_bits(), number))
            }
            Value::Domain(name) => match self.domains.get(name.as_str()).copied() {
                Some(known) => self.domains.insert(name.as_str().into(), longer(known)).is_some(),
                None if full || self.name_bytes + name.len() > MAX_NAME_BYTES => false,
                None => {
                    self.name_bytes += name.len();
                    self.domains.insert(name.as_str().into(), number).is_none()
                }
            },
            Value::Digest(digest) => match self.digests.get(&digest.0).copied() {
                Some(known) => self.digests.insert(digest.0, longer(known)).is_some(),
                None if full => false,
                None => self.digests.insert(digest.0, number).is_none(),
            },
        }
    }

    /// Different indicators that are matched.
    pub fn len(&self) -> usize {
        let networks: usize = self.v4.iter().map(|(_, of)| of.len()).chain(self.v6.iter().map(|(_, of)| of.len())).sum();
        networks + self.domains.len() + self.digests.len()
    }

    /// Whether nothing is matched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All lists, also those that have expired or cannot be read.
    pub fn lists(&self) -> &[List] {
        &self.lists
    }

    /// Whether anything is known by its digest.
    pub fn has_digests(&self) -> bool {
        !self.digests.is_empty()
    }

    /// The narrowest network in force at this moment that holds the address. Private, loopback, reserved and spared ones are in none.
    pub fn address(&self, addr: IpAddr, at: Timestamp) -> Option<Listed<'_>> {
        let addr = plain(addr);
        if (self.v4.is_empty() && self.v6.is_empty()) || !is_public(addr) || self.spared.contains(&addr) {
            return None;
        }
        let (length, number) = match addr {
            IpAddr::V4(v4) => self.in_force(&self.v4, |length| v4.to_bits() & prefix_v4(length), at)?,
            IpAddr::V6(v6) => self.in_force(&self.v6, |length| v6.to_bits() & prefix_v6(length), at)?,
        };
        let network = IpNet::new(addr, length).ok()?.trunc();
        let indicator = if network.prefix_len() == network.max_prefix_len() { addr.to_string() } else { network.to_string() };
        Some(Listed { list: self.lists.get(usize::from(number))?, indicator })
    }

    fn in_force<N: Eq + std::hash::Hash>(&self, networks: &Networks<N>, masked: impl Fn(u8) -> N, at: Timestamp) -> Option<(u8, u16)> {
        networks.iter().find_map(|(length, of)| {
            let number = of.get(&masked(*length)).copied()?;
            self.is_in_force(number, at).then_some((*length, number))
        })
    }

    /// The longest listed domain in force at this moment that the name is or lies in: `a.evil.example` in `evil.example`, and
    /// `notevil.example` not.
    pub fn domain(&self, name: &str, at: Timestamp) -> Option<Listed<'_>> {
        if self.domains.is_empty() || name.len() > 255 {
            return None;
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let ends = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
        ends.filter_map(|start| name.get(start..)).find_map(|end| {
            let number = self.domains.get(end).copied()?;
            let list = self.lists.get(usize::from(number)).filter(|list| list.is_in_force(at))?;
            Some(Listed { list, indicator: end.to_owned() })
        })
    }

    /// The list in force at this moment that names this content.
    pub fn digest(&self, digest: Sha256, at: Timestamp) -> Option<Listed<'_>> {
        let number = self.digests.get(&digest.0).copied()?;
        let list = self.lists.get(usize::from(number)).filter(|list| list.is_in_force(at))?;
        Some(Listed { list, indicator: digest.to_string() })
    }

    fn is_in_force(&self, number: u16, at: Timestamp) -> bool {
        self.lists.get(usize::from(number)).is_some_and(|list| list.is_in_force(at))
    }
}

/// Which list a network is to stand for, if there is room for it.
fn put_network<N: Eq + std::hash::Hash>(
    networks: &Networks<N>,
    length: u8,
    network: N,
    (number, full): (u16, bool),
    longer: impl Fn(u16) -> u16,
) -> Option<u16> {
    let known = networks.iter().find(|(known, _)| *known == length).and_then(|(_, of)| of.get(&network).copied());
    known.map(longer).or((!full).then_some(number))
}

fn insert<N: Eq + std::hash::Hash>(networks: &mut Networks<N>, length: u8, network: N, number: u16) -> bool {
    let place = networks.partition_point(|(known, _)| *known > length);
    if networks.get(place).is_none_or(|(known, _)| *known != length) {
        networks.insert(place, (length, HashMap::new()));
    }
    networks.get_mut(place).map(|(_, of)| of.insert(network, number)).is_some()
}

fn prefix_v4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or_default()
}

fn prefix_v6(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or_default()
}

#[cfg(test)]
mod tests;
