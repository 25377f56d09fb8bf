//! Requests behind which the server's own process tree changed: the log names who asked, the sensors what then ran. No log alone shows that.
//!
//! A request counts when an attack was found in it, or when it is the first one to a script that nobody asked for before; the change is an exec
//! below a web server about which a detector spoke. Both stay for a while, because either may be told first: nginx writes its line when the
//! answer is out, Apache with the time of the question. The finding belongs to the act of the change, so nothing counts twice, and it names
//! nobody for an action: that both happened within seconds does not prove that one made the other.

use std::collections::VecDeque;
use std::net::IpAddr;

use bartizan_logs::Origin;
use bartizan_logs::web::{Family as Kind, is_script};
use bartizan_model::{Act, Entity, Event, EventKind, Family, ServiceRole, Severity, Signal, Stage, Tier, Timestamp};

use super::super::Info;
use super::super::kinship::grown_from;
use super::super::tally::{About, Finding, Fold, Said, mix};
use super::{Visit, shown};

pub(super) static INFO: &Info = &Info {
    name: "web_request_ran",
    title: "Request that made the web server run something",
    technique: &["T1190", "T1505.003"],
    family: Family::Web,
    stage: Stage::Execution,
    tier: Tier::Incubating,
    severity: Severity::High,
    confidence: 0.7,
    meaning: "Within seconds of an attack request, or of the first request to a script, the web server started something that it does not start otherwise.",
    false_positives: "A script that is new and calls a program on purpose; another request at the same moment.",
    quiet: "Acknowledge it when the script is yours: what it runs is judged by `web_server_shell`, which says how to quiet that.",
};

/// Bytes that it takes at most.
pub(super) const MEMORY: usize = 2 * WORDS * 8 + MAX_ASKED * 512 + MAX_CHANGES * 2048;

/// Requests and changes remembered; the oldest go.
const MAX_ASKED: usize = 64;
const MAX_CHANGES: usize = 32;
/// What a finding names of a change at most.
const MAX_ENTITIES: usize = 16;
/// How far apart request and change may be, in seconds: a shell may go on for as long as a server waits for its answer.
const LONG: u32 = 120;
const SHORT: u32 = 10;
/// The same where nothing but the moment speaks for it.
const FIRST: u32 = 3;
/// Words of a set of scripts, and how many bits of it may be set before a new one begins.
const WORDS: usize = 1024;
const FULL: u32 = 16 * 1024;
/// Which scripts are there is learned for so long before the first request to one is news, in seconds.
const LEARNING: u32 = 10 * 60;

/// Scripts that were asked for: two sets of bits, the older forgotten as a whole.
#[derive(Debug)]
struct Scripts {
    seed: u64,
    sets: [Vec<u64>; 2],
    set_bits: u32,
    since: Option<u32>,
}

/// Why a request counts, the weaker first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    First,
    Attack(Kind),
}

#[derive(Debug)]
struct Asked {
    at: u32,
    address: IpAddr,
    path: String,
    why: Why,
}

#[derive(Debug)]
struct Change {
    at: u32,
    act: Option<Act>,
    entities: Vec<Entity>,
    said: String,
    told: Option<Why>,
}

/// What is remembered of requests and of changes.
#[derive(Debug)]
pub(super) struct Tree {
    scripts: Scripts,
    asked: VecDeque<Asked>,
    changes: VecDeque<Change>,
}

/// A request and the change behind it.
#[derive(Debug)]
pub(super) struct Joined {
    sentence: String,
    address: IpAddr,
    why: Why,
    act: Option<Act>,
    entities: Vec<Entity>,
}

impl Tree {
    pub(super) fn new(seed: u64) -> Self {
        let scripts = Scripts { seed, sets: [vec![0; WORDS], vec![0; WORDS]], set_bits: 0, since: None };
        Self { scripts, asked: VecDeque::new(), changes: VecDeque::new() }
    }

    /// A request was logged.
    pub(super) fn asked(&mut self, visit: &Visit<'_>, address: IpAddr) -> Option<Joined> {
        let why = self.why(visit)?;
        let asked = Asked { at: visit.at, address, path: shown(visit.path), why };
        let fits = |change: &&mut Change| change.told < Some(why) && asked.fits(change);
        let found = self.changes.iter_mut().rev().find(fits).map(|change| asked.join(change));
        if found.is_none() {
            push(&mut self.asked, asked, MAX_ASKED);
        }
        found
    }

    /// A process executed something, and detectors said this of it.
    pub(super) fn changed(&mut self, event: &Event, signals: &[Signal]) -> Option<Joined> {
        let process = event.process.as_deref().filter(|_| matches!(event.kind, EventKind::Exec))?;
        let first = signals.first()?;
        grown_from(process).filter(|root| root.role == ServiceRole::WebServer)?;
        let at = u32::try_from(event.at.timestamp()).unwrap_or(0);
        let entities = signals.iter().flat_map(|signal| &signal.entities).take(MAX_ENTITIES).cloned().collect();
        let mut change = Change { at, act: first.act, entities, said: first.sentence.clone(), told: None };
        let found = self.only_candidate(&change).map(|asked| asked.join(&mut change));
        push(&mut self.changes, change, MAX_CHANGES);
        found
    }

    /// The request that fits best, where no other client has one that fits as well.
    fn only_candidate(&self, change: &Change) -> Option<&Asked> {
        let fitting = || self.asked.iter().filter(|asked| asked.fits(change));
        let best = fitting().max_by_key(|asked| (matches!(asked.why, Why::Attack(_)), asked.at))?;
        let as_good = |asked: &&Asked| matches!(asked.why, Why::Attack(_)) == matches!(best.why, Why::Attack(_));
        fitting().filter(as_good).all(|asked| asked.address == best.address).then_some(best)
    }

    fn why(&mut self, visit: &Visit<'_>) -> Option<Why> {
        let attack = visit.found().map(|attack| attack.family).find(|kind| *kind != Kind::Scanner);
        // What is not there was not run.
        let is_there = visit.status.is_none_or(|status| !(300..500).contains(&status));
        let is_first = visit.access.is_some() && is_there && is_script(visit.path) && self.scripts.is_first(visit);
        attack.map(Why::Attack).or(is_first.then_some(Why::First))
    }
}

impl Asked {
    fn fits(&self, change: &Change) -> bool {
        let (before, behind) = match self.why {
            Why::Attack(_) => (LONG, SHORT),
            Why::First => (FIRST, FIRST),
        };
        (self.at.saturating_sub(before)..=self.at.saturating_add(behind)).contains(&change.at)
    }

    fn join(&self, change: &mut Change) -> Joined {
        change.told = Some(self.why);
        let what = match self.why {
            Why::Attack(kind) => format!("an attack ({})", kind.title()),
            Why::First => "the first request ever".to_owned(),
        };
        let sentence = format!("{} sent {what} to {}; within seconds {}", self.address, self.path, change.said);
        Joined { sentence, address: self.address, why: self.why, act: change.act, entities: change.entities.clone() }
    }
}

impl Joined {
    pub(super) fn finding(self, at: Option<Timestamp>) -> Finding {
        let said = match self.why {
            Why::Attack(_) => Said::new(self.sentence),
            Why::First => Said::new(self.sentence).rated(Severity::Medium),
        };
        let about = About { at, user: None, address: Some(self.address), origin: Origin::Unproven, attempts: 1, strikes: 0 };
        Finding { entities: self.entities, act: self.act, ..Finding::new(INFO, said, about, Fold::Alone) }
    }
}

impl Scripts {
    /// Whether nobody asked for this script before, as far as is remembered; never while it is being learned which there are.
    fn is_first(&mut self, visit: &Visit<'_>) -> bool {
        let since = *self.since.get_or_insert(visit.at);
        let hash = visit.path.iter().fold(self.seed, |hash, byte| mix(self.seed, hash, u64::from(*byte)));
        let places = [hash, hash >> 32].map(|part| (part as usize) % (WORDS * 64));
        let has = |set: &Vec<u64>| places.iter().all(|place| set.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1));
        let known = self.sets.iter().any(has);
        let [now, before] = &mut self.sets;
        for place in places {
            if let Some(word) = now.get_mut(place / 64) {
                self.set_bits += u32::from(*word >> (place % 64) & 1 == 0);
                *word |= 1 << (place % 64);
            }
        }
        if self.set_bits > FULL {
            std::mem::swap(now, before);
            now.fill(0);
            self.set_bits = 0;
        }
        !known && visit.at.saturating_sub(since) >= LEARNING
    }
}

fn push<T>(queue: &mut VecDeque<T>, one: T, most: usize) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(one);
}
