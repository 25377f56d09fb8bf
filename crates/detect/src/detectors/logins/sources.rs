//! Sources of failed logins, bounded: the worst are remembered exactly, the crowd in a count-min sketch (Cormode and Muthukrishnan, 2005).
//!
//! A sketch only ever says too much, so nothing is judged by it: it decides who is worth a place. 65,536 places in sets of eight, 9 MiB with
//! the sketch, however many addresses come. IPv6 counts by /64: whoever has one address there has all of them (RFC 6177). An address in it is
//! named for an action only for failures of its own, and others may live there.

use std::net::IpAddr;

use bartizan_model::{Attacker, Timestamp};

use super::source::{Source, key_of};

const WAYS: usize = 8;
const SETS: usize = 8192;
const ROWS: usize = 4;
const COLUMNS: usize = 1 << 18;
/// After so many additions all counters are halved: what was long ago weighs less, and the sketch never fills up.
const AGE: u32 = 1 << 19;

/// The table.
#[derive(Debug)]
pub(super) struct Sources {
    seed: u64,
    /// Part of the hash of each place, so that a set is looked through in one cache line; 0 is a free place.
    tags: Vec<u32>,
    places: Vec<Source>,
    sketch: Vec<u8>,
    additions: u32,
    crowded_out: u64,
}

impl Sources {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            tags: vec![0; SETS * WAYS],
            places: vec![Source::default(); SETS * WAYS],
            sketch: vec![0; ROWS * COLUMNS],
            additions: 0,
            crowded_out: 0,
        }
    }

    /// A hash that nobody outside can choose collisions for.
    pub(super) fn hash(&self, address: IpAddr) -> u64 {
        let (key, _) = key_of(address);
        mix(self.seed, (key >> 64) as u64, key as u64)
    }

    /// The place of a source that has one.
    pub(super) fn find(&self, address: IpAddr) -> Option<usize> {
        let (key, _) = key_of(address);
        self.place(self.hash(address), key)
    }

    /// The source in a place.
    pub(super) fn get(&mut self, place: usize) -> Option<&mut Source> {
        self.places.get_mut(place)
    }

    /// The place of a source that did something now; it may get one. `None`: all are taken by worse ones, and it is counted in the sketch.
    pub(super) fn touch(&mut self, address: IpAddr, at: u32, attempts: u32) -> Option<usize> {
        let (key, low) = key_of(address);
        let hash = self.hash(address);
        let place = match self.place(hash, key) {
            Some(place) => place,
            None => self.admit(hash, key, at, attempts)?,
        };
        let source = self.places.get_mut(place)?;
        source.came(low, at);
        Some(place)
    }

    fn place(&self, hash: u64, key: u128) -> Option<usize> {
        let (set, tag) = set_and_tag(hash);
        let tags = self.tags.get(set..set + WAYS)?;
        (0..WAYS)
            .filter(|way| tags.get(*way) == Some(&tag))
            .map(|way| set + way)
            .find(|place| self.places.get(*place).is_some_and(|one| one.key == key))
    }

    /// Gives a newcomer the place of the least in its set, if it is worth more.
    fn admit(&mut self, hash: u64, key: u128, at: u32, attempts: u32) -> Option<usize> {
        let (set, tag) = set_and_tag(hash);
        // A free place first, then the least of those who are quiet.
        let least = (set..set + WAYS).min_by_key(|place| match self.tags.get(*place) {
            Some(0) | None => (0, 0),
            Some(_) => self.places.get(*place).map_or((0, 0), |one| (one.worth(at), one.total.saturating_add(1))),
        })?;
        let worth = if self.tags.get(least) == Some(&0) { 0 } else { self.places.get(least)?.worth(at) };
        if worth > 0 && self.add_to_sketch(hash, attempts.max(1)) <= worth {
            self.crowded_out += 1;
            return None;
        }
        *self.tags.get_mut(least)? = tag;
        *self.places.get_mut(least)? = Source::new(key, at);
        Some(least)
    }

    /// Counts it, and says how often it was counted at most.
    fn add_to_sketch(&mut self, hash: u64, count: u32) -> u32 {
        self.additions += 1;
        if self.additions >= AGE {
            self.additions = 0;
            self.sketch.iter_mut().for_each(|cell| *cell /= 2);
        }
        let columns = [hash, hash >> 15, hash >> 30, hash >> 46].map(|part| (part as usize) % COLUMNS);
        let at = |row: usize, column: usize| row * COLUMNS + column;
        let least = columns.iter().enumerate().filter_map(|(row, column)| self.sketch.get(at(row, *column)).copied()).min().unwrap_or(0);
        let now = least.saturating_add(u8::try_from(count).unwrap_or(u8::MAX));
        // Conservative update (Estan and Varghese, 2002): no counter grows beyond what this source can have.
        for (row, column) in columns.into_iter().enumerate() {
            if let Some(cell) = self.sketch.get_mut(at(row, column)) {
                *cell = (*cell).max(now);
            }
        }
        u32::from(now)
    }

    /// How often a source failed since it has its place, if it has one.
    pub(super) fn total(&self, address: IpAddr) -> Option<u32> {
        self.find(address).and_then(|place| self.places.get(place)).map(|one| one.total)
    }

    /// The worst by attempts.
    pub(super) fn worst(&self, most: usize) -> Vec<Attacker> {
        let mut places: Vec<&Source> = self.places.iter().filter(|one| one.last > 0 && one.total > 0).collect();
        places.sort_by_key(|one| std::cmp::Reverse(one.total));
        places.truncate(most);
        let shown = |one: &Source| Attacker {
            address: one.address(),
            attempts: one.total,
            accounts: one.accounts.count(),
            first: Timestamp::from_timestamp(i64::from(one.first), 0),
            last: Timestamp::from_timestamp(i64::from(one.last), 0),
            strikes: one.strikes,
            held: None,
            asked: None,
        };
        places.into_iter().map(shown).collect()
    }

    /// The worst, as they are handed to the next run.
    pub(super) fn remember(&self, most: usize) -> Vec<Source> {
        let mut places: Vec<Source> = self.places.iter().filter(|one| one.last > 0).copied().collect();
        places.sort_by_key(|one| std::cmp::Reverse((one.total, one.last)));
        places.truncate(most);
        places
    }

    /// Those of an earlier run have their places again.
    pub(super) fn recall(&mut self, remembered: Vec<Source>) {
        for source in remembered {
            let hash = mix(self.seed, (source.key >> 64) as u64, source.key as u64);
            if let Some(place) = self.admit(hash, source.key, source.last, source.total)
                && let Some(free) = self.places.get_mut(place)
            {
                *free = source;
            }
        }
    }

    pub(super) fn crowded_out(&self) -> u64 {
        self.crowded_out
    }

    pub(super) fn memory(&self) -> usize {
        self.tags.len() * 4 + self.places.len() * size_of::<Source>() + self.sketch.len()
    }
}

/// The first place of the set, and a tag that is never 0.
fn set_and_tag(hash: u64) -> (usize, u32) {
    ((hash as usize % SETS) * WAYS, (hash >> 32) as u32 | 1)
}

/// Two folded multiplications (as in wyhash): enough where the seed is secret.
pub(super) fn mix(seed: u64, a: u64, b: u64) -> u64 {
    let fold = |x: u64, y: u64| {
        let product = u128::from(x) * u128::from(y);
        (product as u64) ^ ((product >> 64) as u64)
    };
    fold(fold(a ^ seed ^ 0xa076_1d64_78bd_642f, b ^ seed.rotate_left(32) ^ 0xe703_7ed1_a0b4_28db), (seed | 1) ^ 0x8ebc_6af0_9c88_c6e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_addresses_take_no_more_room_than_one_and_the_worst_keep_their_place() {
        let mut sources = Sources::new(7);
        let before = sources.memory();
        let worst: IpAddr = "203.0.113.9".parse().unwrap();
        for n in 0..1_000_000_u32 {
            sources.touch(IpAddr::V4(std::net::Ipv4Addr::from(0x0b00_0000 + n)), 1000 + n / 1000, 1);
            if n % 1000 == 0 {
                let place = sources.touch(worst, 1000 + n / 1000, 1).unwrap();
                sources.get(place).unwrap().total += 1;
            }
        }
        assert_eq!(sources.memory(), before);
        assert!(before <= 12 << 20, "{before} bytes");
        assert_eq!(sources.worst(1)[0].address, worst);
        assert_eq!(sources.worst(1)[0].attempts, 1000);
        assert!(sources.crowded_out() > 0);
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_an_ipv4_address_is_one_however_it_is_written() {
        let mut sources = Sources::new(7);
        let place = sources.touch("2001:db8:1:2::5".parse().unwrap(), 1000, 1);
        assert_eq!(sources.touch("2001:db8:1:2:ffff::9".parse().unwrap(), 1001, 1), place);
        assert_ne!(sources.touch("2001:db8:1:3::5".parse().unwrap(), 1000, 1), place);
        let v4 = sources.touch("::ffff:192.0.2.1".parse().unwrap(), 1000, 1).unwrap();
        assert_eq!(sources.get(v4).unwrap().address(), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
