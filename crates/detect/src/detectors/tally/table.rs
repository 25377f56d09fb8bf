//! Addresses, bounded: the worst are remembered exactly, the crowd in a count-min sketch (Cormode and Muthukrishnan, 2005).
//!
//! A sketch only ever says too much, so nothing is judged by it: it decides who is worth a place. Places lie in sets of eight; in a full set
//! the least makes room for one that is worth more, however many addresses come and whichever somebody chooses: the hash has a secret seed.
//! IPv6 counts by /64: whoever has one address there has all of them (RFC 6177). Room is taken when the first address comes.

use std::net::IpAddr;

use super::{Presence, key_of};

const WAYS: usize = 8;
const ROWS: usize = 4;
const COLUMNS: usize = 1 << 18;
/// After so many additions all counters are halved: what was long ago weighs less, and the sketch never fills up.
const AGE: u32 = 1 << 19;

/// What is remembered in a place.
pub(in super::super) trait Remembered: Copy + Default {
    /// One that was first seen now. `key`: an IPv4 address mapped into IPv6; of an IPv6 address its /64.
    fn new(key: u128, at: u32) -> Self;
    /// Who it is, and when it was there.
    fn presence(&self) -> &Presence;
    fn presence_mut(&mut self) -> &mut Presence;
    /// Its key.
    fn key(&self) -> u128 {
        self.presence().key
    }
    /// It did something from this address of its network. What was counted by a clock that ran ahead is void.
    fn came(&mut self, address: u64, at: u32) {
        if self.presence().is_ahead(at) {
            *self = Self::new(self.key(), at);
        }
        self.presence_mut().came(address, at);
    }
    /// How much it is worth a place: 0 where anybody may have it.
    fn worth(&self, at: u32) -> u32;
    /// Of those that are worth as much, the one that did least goes first.
    fn did(&self) -> u32;
}

/// The table: `SETS` times eight places.
#[derive(Debug)]
pub(in super::super) struct Table<P, const SETS: usize> {
    seed: u64,
    /// Part of the hash of each place, so that a set is looked through in one cache line; 0 is a free place.
    tags: Vec<u32>,
    places: Vec<P>,
    sketch: Vec<u8>,
    additions: u32,
    crowded_out: u64,
}

impl<P: Remembered, const SETS: usize> Table<P, SETS> {
    pub(in super::super) fn new(seed: u64) -> Self {
        Self { seed, tags: Vec::new(), places: Vec::new(), sketch: Vec::new(), additions: 0, crowded_out: 0 }
    }

    fn take_room(&mut self) {
        self.tags = vec![0; SETS * WAYS];
        self.places = vec![P::default(); SETS * WAYS];
        self.sketch = vec![0; ROWS * COLUMNS];
    }

    /// A hash that nobody outside can choose collisions for.
    pub(in super::super) fn hash(&self, address: IpAddr) -> u64 {
        let (key, _) = key_of(address);
        mix(self.seed, (key >> 64) as u64, key as u64)
    }

    /// The place of a source that has one.
    pub(in super::super) fn find(&self, address: IpAddr) -> Option<usize> {
        let (key, _) = key_of(address);
        self.place(self.hash(address), key)
    }

    /// The source in a place.
    pub(in super::super) fn get(&mut self, place: usize) -> Option<&mut P> {
        self.places.get_mut(place)
    }

    /// The place of a source that did something now; it may get one. `weight`: how much what it did is worth; with 0 it takes a place only where
    /// one is free. `None`: all are taken by worse ones, and it is counted in the sketch.
    pub(in super::super) fn touch(&mut self, address: IpAddr, at: u32, weight: u32) -> Option<usize> {
        if self.tags.is_empty() {
            self.take_room();
        }
        let (key, low) = key_of(address);
        let hash = self.hash(address);
        let place = match self.place(hash, key) {
            Some(place) => place,
            None => self.admit(hash, key, at, weight)?,
        };
        let source = self.places.get_mut(place)?;
        source.came(low, at);
        Some(place)
    }

    fn place(&self, hash: u64, key: u128) -> Option<usize> {
        let (set, tag) = self.set_and_tag(hash);
        let tags = self.tags.get(set..set + WAYS)?;
        (0..WAYS)
            .filter(|way| tags.get(*way) == Some(&tag))
            .map(|way| set + way)
            .find(|place| self.places.get(*place).is_some_and(|one| one.key() == key))
    }

    /// Gives a newcomer the place of the least in its set, if it is worth more.
    fn admit(&mut self, hash: u64, key: u128, at: u32, weight: u32) -> Option<usize> {
        let (set, tag) = self.set_and_tag(hash);
        // A free place first, then the least of those who are quiet.
        let least = (set..set + WAYS).min_by_key(|place| match self.tags.get(*place) {
            Some(0) | None => (0, 0),
            Some(_) => self.places.get(*place).map_or((0, 0), |one| (one.worth(at), one.did().saturating_add(1))),
        })?;
        let worth = if self.tags.get(least) == Some(&0) { 0 } else { self.places.get(least)?.worth(at) };
        if worth > 0 && (weight == 0 || self.add_to_sketch(hash, weight) <= worth) {
            self.crowded_out += 1;
            return None;
        }
        *self.tags.get_mut(least)? = tag;
        *self.places.get_mut(least)? = P::new(key, at);
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

    /// What is remembered of an address, if it has a place.
    pub(in super::super) fn peek(&self, address: IpAddr) -> Option<&P> {
        self.places.get(self.find(address)?)
    }

    /// One of an earlier run has its place again, as of then.
    pub(in super::super) fn put_back(&mut self, one: P, at: u32) {
        if self.tags.is_empty() {
            self.take_room();
        }
        let key = one.key();
        let hash = mix(self.seed, (key >> 64) as u64, key as u64);
        if let Some(place) = self.admit(hash, key, at, one.did().max(1))
            && let Some(free) = self.places.get_mut(place)
        {
            *free = one;
        }
    }

    /// All that have a place.
    pub(in super::super) fn all(&self) -> impl Iterator<Item = &P> {
        self.tags.iter().zip(&self.places).filter(|(tag, _)| **tag != 0).map(|(_, place)| place)
    }

    pub(in super::super) fn crowded_out(&self) -> u64 {
        self.crowded_out
    }

    /// Bytes that it takes once somebody came; it never grows beyond.
    pub(in super::super) fn memory(&self) -> usize {
        SETS * WAYS * (size_of::<u32>() + size_of::<P>()) + ROWS * COLUMNS
    }

    /// The first place of the set, and a tag that is never 0.
    fn set_and_tag(&self, hash: u64) -> (usize, u32) {
        ((hash as usize % SETS) * WAYS, (hash >> 32) as u32 | 1)
    }
}

/// Two folded multiplications (as in wyhash): enough where the seed is secret.
pub(in super::super) fn mix(seed: u64, a: u64, b: u64) -> u64 {
    let fold = |x: u64, y: u64| {
        let product = u128::from(x) * u128::from(y);
        (product as u64) ^ ((product >> 64) as u64)
    };
    fold(fold(a ^ seed ^ 0xa076_1d64_78bd_642f, b ^ seed.rotate_left(32) ^ 0xe703_7ed1_a0b4_28db), (seed | 1) ^ 0x8ebc_6af0_9c88_c6e3)
}
