//! A login from where, or by what, an account never logged in before: another source, method or key than all earlier ones.
//!
//! An account that was never seen is learnt without a word, and so is a source whose key is known: a key proves who it is, wherever it comes from.

use std::collections::BTreeMap;

use bartizan_logs::{Method, Raw};
use bartizan_model::{Family, HostText, Severity, Stage, Tier};
use serde::{Deserialize, Serialize};

use super::super::Info;
use super::super::tally::{Folds, Said, key_of, shown};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "login_first_seen",
    title: "Login in a new way",
    technique: &["T1078"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Incubating,
    severity: Severity::Low,
    confidence: 0.3,
    meaning: "An account logged in from a network, by a method or with a key that it had not used before.",
    false_positives: "People who travel, new keys, a password where the key was left at home.",
    quiet: "Reported once per network, method and key; raises no alert on its own.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Not, judge };

/// Accounts remembered, and of each networks and keys.
const MAX_ACCOUNTS: usize = 512;
const MAX_OF_EACH: usize = 24;

/// What is new about a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Novelty {
    Source,
    Method,
    Key,
}

/// How one account logged in so far. Networks and keys: the newest last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Habit {
    last: u32,
    sources: Vec<u128>,
    methods: Vec<Method>,
    keys: Vec<HostText>,
}

/// How all did. Bounded: the account that was away the longest makes room.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Habits(BTreeMap<HostText, Habit>);

impl Habits {
    /// Learns a login; what was new about it, of an account that had logged in before.
    pub(super) fn learn(&mut self, record: &Raw<'_>, at: u32) -> Option<Novelty> {
        let user = HostText::from(record.user?);
        if self.0.len() >= MAX_ACCOUNTS && !self.0.contains_key(&user) {
            let longest = self.0.iter().min_by_key(|(_, habit)| habit.last).map(|(name, _)| name.clone());
            longest.map(|name| self.0.remove(&name));
        }
        let is_known = self.0.contains_key(&user);
        let habit = self.0.entry(user).or_default();
        habit.last = at;
        let new_key = record.fingerprint.is_some_and(|key| is_new(&mut habit.keys, HostText::from(key)));
        let new_method = is_new(&mut habit.methods, record.method);
        let new_source = record.address.is_some_and(|address| is_new(&mut habit.sources, network(key_of(address).0)));
        let by_known_key = record.fingerprint.is_some() && !new_key;
        let news = [(new_method, Novelty::Method), (new_key, Novelty::Key), (new_source && !by_known_key, Novelty::Source)];
        news.into_iter().find(|(is_new, _)| *is_new).map(|(_, what)| what).filter(|_| is_known)
    }

    /// Within its bounds, however it comes.
    pub(super) fn bounded(mut self) -> Self {
        while self.0.len() > MAX_ACCOUNTS {
            self.0.pop_last();
        }
        self.0.values_mut().for_each(|habit| {
            habit.sources.truncate(MAX_OF_EACH);
            habit.keys.truncate(MAX_OF_EACH);
            habit.methods.truncate(MAX_OF_EACH);
        });
        self
    }
}

/// The /24 of an IPv4 address: people get another one of their provider's now and then. IPv6 comes as /64.
fn network(key: u128) -> u128 {
    if key >> 32 == 0xffff { key & !0xff } else { key }
}

/// Whether it was not there; now it is, as the newest.
fn is_new<T: PartialEq>(all: &mut Vec<T>, one: T) -> bool {
    let before = all.len();
    all.retain(|known| *known != one);
    let was_there = all.len() < before;
    if all.len() >= MAX_OF_EACH {
        all.remove(0);
    }
    all.push(one);
    !was_there
}

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let record = scene.record;
    let what = match scene.novelty? {
        Novelty::Source => "from this network",
        Novelty::Method => "by this method",
        Novelty::Key => "with this key",
    };
    let from = record.address.map_or_else(|| "the console".to_owned(), |address| address.to_string());
    let how = match record.fingerprint {
        Some(key) => format!("key {}", super::super::kinship::clip(&HostText::from(key).escaped(), 80)),
        None => record.method.noun().to_owned(),
    };
    Some(Said::new(format!("{} logged in from {from} by {how}, for the first time {what}", shown(record.user))))
}
