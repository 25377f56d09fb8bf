//! Accounts: which are tried from where, and who is known to use sudo or su. Bounded; the least tried and the least recent make room.

use std::collections::HashMap;

use bartizan_model::HostText;

use super::super::tally::{ManyDistinct, Window, is_ahead, mix};

const WAYS: usize = 8;
const SETS: usize = 64;
/// Words of the counter of addresses of one account: good for about 3,000.
const WORDS: usize = 16;
/// People remembered.
const MAX_PEOPLE: usize = 4096;
/// Bytes of a name that are kept.
const NAME: usize = 64;

/// An account that is tried.
#[derive(Debug, Clone)]
pub(super) struct Target {
    hash: u64,
    pub(super) name: HostText,
    since: u32,
    attempts: u32,
    sources: ManyDistinct,
    reported: bool,
    /// A login to it was told in this time.
    login_told: bool,
}

impl Target {
    /// About how many addresses tried it.
    pub(super) fn addresses(&self) -> u32 {
        self.sources.count()
    }

    /// Whether it was tried from about so many.
    pub(super) fn is_tried_from(&self, many: u32) -> bool {
        self.sources.reaches(many)
    }

    /// Failed attempts in this time.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether many addresses tried it, and that was told.
    pub(super) fn was_reported(&self) -> bool {
        self.reported
    }

    /// Whether no login to it was told in this time.
    pub(super) fn is_first_login(&mut self) -> bool {
        !std::mem::replace(&mut self.login_told, true)
    }

    /// Whether it was not yet reported in this time.
    pub(super) fn is_news(&mut self) -> bool {
        !std::mem::replace(&mut self.reported, true)
    }
}

/// The accounts that are tried.
#[derive(Debug)]
pub(super) struct Targets {
    seed: u64,
    places: Vec<Option<Target>>,
    last: Option<usize>,
}

impl Targets {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, places: vec![None; SETS * WAYS], last: None }
    }

    /// A hash of a name.
    pub(super) fn hash(&self, name: &[u8]) -> u64 {
        let mut hash = self.seed;
        for chunk in name.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            hash = mix(self.seed, hash, u64::from_le_bytes(word));
        }
        mix(self.seed, hash, name.len() as u64)
    }

    /// Counts a failed attempt on an account from a source.
    pub(super) fn failed(&mut self, hash: u64, name: &[u8], source: u64, at: u32, within: u32) {
        let set = (hash as usize % SETS) * WAYS;
        let found = (set..set + WAYS).find(|place| matches!(self.places.get(*place), Some(Some(one)) if one.hash == hash));
        let place = found.or_else(|| {
            (set..set + WAYS).min_by_key(|place| self.places.get(*place).and_then(Option::as_ref).map_or(0, |one| one.attempts))
        });
        self.last = place;
        let Some(target) = place.and_then(|place| self.places.get_mut(place)) else { return };
        let is_new = found.is_none() || target.as_ref().is_some_and(|one| at.saturating_sub(one.since) > within || is_ahead(one.since, at));
        match target {
            Some(one) if is_new => {
                if one.hash != hash {
                    one.name = HostText::from(name.get(..NAME).unwrap_or(name));
                }
                (one.hash, one.since, one.attempts, one.reported, one.login_told) = (hash, at, 0, false, false);
                one.sources.clear();
            }
            Some(_) => {}
            None => {
                let name = HostText::from(name.get(..NAME).unwrap_or(name));
                let sources = ManyDistinct::new(WORDS);
                *target = Some(Target { hash, name, since: at, attempts: 0, sources, reported: false, login_told: false });
            }
        }
        if let Some(one) = target {
            one.attempts = one.attempts.saturating_add(1);
            one.sources.add(source);
        }
    }

    /// The account of this name, if it was tried within the last so many seconds.
    pub(super) fn tried(&mut self, name: &[u8], at: u32, within: u32) -> Option<&mut Target> {
        let hash = self.hash(name);
        let set = (hash as usize % SETS) * WAYS;
        let places = self.places.get_mut(set..set + WAYS)?;
        places.iter_mut().flatten().find(|one| one.hash == hash && at.saturating_sub(one.since) <= within)
    }

    /// The account of the last failed attempt.
    pub(super) fn last(&mut self) -> Option<&mut Target> {
        self.places.get_mut(self.last?)?.as_mut()
    }

    pub(super) fn memory(&self) -> usize {
        self.places.len() * (size_of::<Option<Target>>() + WORDS * 8 + NAME)
    }
}

/// What is remembered of somebody who uses sudo or su.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// Refusals.
    pub(super) denied: Window,
    pub(super) reported: u32,
    /// Was let through before.
    pub(super) known: bool,
    last: u32,
}

/// Those who use sudo or su.
#[derive(Debug, Default)]
pub(super) struct People(HashMap<HostText, Person>);

impl People {
    /// These are known.
    pub(super) fn new(known: impl IntoIterator<Item = HostText>) -> Self {
        Self(known.into_iter().take(MAX_PEOPLE).map(|name| (name, Person { known: true, ..Person::default() })).collect())
    }

    /// Those who were let through before.
    pub(super) fn known(&self) -> Vec<HostText> {
        self.0.iter().filter(|(_, person)| person.known).map(|(name, _)| name.clone()).collect()
    }

    /// What is remembered of this one.
    pub(super) fn of(&mut self, name: &[u8], at: u32) -> &mut Person {
        let name = HostText::from(name);
        let oldest = || self.0.iter().min_by_key(|(_, person)| (person.known, person.last)).map(|(name, _)| name.clone());
        if self.0.len() >= MAX_PEOPLE
            && !self.0.contains_key(&name)
            && let Some(oldest) = oldest()
        {
            self.0.remove(&oldest);
        }
        let person = self.0.entry(name).or_default();
        person.last = at;
        person
    }
}
