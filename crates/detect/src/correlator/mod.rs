//! The correlator: signals that share a process tree, a user, an address, a file or a container become one incident.

mod aside;
mod campaign;
mod evidence;
mod explain;
mod losses;
mod pieces;
mod record;
mod score;
mod sources;
mod story;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use bartizan_config::Policy;
use bartizan_model::{Action, Entity, Explanation, Family, Incident, IncidentId, IncidentState, Loss, Proof, Signal, Tier, Timestamp};
use losses::Losses;
use record::Record;
use score::Scales;

/// Incidents under observation at most. At the bound the one that scores least goes, and is counted.
pub const MAX_INCIDENTS: usize = 1024;

/// What became of a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentUpdate {
    /// The incident that it belongs to, as it is now.
    pub incident: Incident,
    /// It is a new one.
    pub opened: bool,
    /// Incidents that turned out to be the same and went into this one.
    pub merged: Vec<IncidentId>,
}

/// Joins signals into incidents.
#[derive(Debug)]
pub struct Correlator {
    scales: Scales,
    window: chrono::TimeDelta,
    /// How long attacks of many sources are one story.
    lives: campaign::Lives,
    next: IncidentId,
    records: BTreeMap<IncidentId, Record>,
    by_entity: HashMap<Entity, IncidentId>,
    losses: Losses,
    /// Excepted signals without an incident, in case one begins.
    aside: aside::Aside,
    now: Timestamp,
    evicted: u64,
}

impl Correlator {
    /// An empty one; `next` is the first incident's name.
    pub fn new(policy: &Policy, next: IncidentId) -> Self {
        let window = chrono::TimeDelta::from_std(policy.score.window.max(Duration::from_secs(1))).unwrap_or(chrono::TimeDelta::hours(1));
        let lives = campaign::Lives::of(policy);
        Self {
            scales: Scales::new(policy),
            window,
            lives,
            next,
            records: BTreeMap::new(),
            by_entity: HashMap::new(),
            losses: Losses::default(),
            aside: aside::Aside::default(),
            now: Timestamp::UNIX_EPOCH,
            evicted: 0,
        }
    }

    /// Takes a changed policy over; scores follow at the next signal or tick.
    pub fn set_policy(&mut self, policy: &Policy) {
        let fresh = Self::new(policy, self.next);
        (self.scales, self.window, self.lives) = (fresh.scales, fresh.window, fresh.lives);
    }

    /// Takes a signal into the incident that shares something with it, or opens one. Where it ties several
    /// together they become one, under the oldest name.
    pub fn join(&mut self, signal: Signal) -> IncidentUpdate {
        self.now = self.now.max(signal.at);
        let kin = self.kin(&signal);
        let (id, opened, merged) = match kin.split_first() {
            // Anybody can make a rule match, an experimental detector speak or a list name an address: such a signal joins one incident and
            // ties none together.
            Some((oldest, _)) if signal.tier == Tier::Experimental || matches!(signal.family, Family::Rule | Family::Tools) => {
                (*oldest, false, Vec::new())
            }
            Some((oldest, others)) => (*oldest, false, self.merge(*oldest, others)),
            None => (self.make_room_and_name(), true, Vec::new()),
        };
        match self.records.get_mut(&id) {
            Some(record) => record.add(signal, &self.scales),
            None => {
                let mut record = Record::open(id, signal, &self.scales);
                self.aside.join(&mut record, self.window);
                self.records.insert(id, record);
            }
        }
        self.touch_losses(id);
        let incident = self.refresh(id);
        IncidentUpdate { incident, opened, merged }
    }

    /// Lets time pass: scores fade, and incidents quiet for longer than the window close. Gives those that changed
    /// visibly; a closed one is given once more and then forgotten here.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Incident> {
        self.now = self.now.max(now);
        let now = self.now;
        let mut changed = Vec::new();
        let mut closed = Vec::new();
        for (id, record) in &mut self.records {
            let visible = record.weigh(&self.scales, now);
            let lasts = campaign::lasts_until(&record.incident, self.lives).is_some_and(|end| end > now);
            if now.signed_duration_since(record.incident.updated) > self.window && !lasts {
                record.incident.state = IncidentState::Closed;
                closed.push(*id);
                changed.push(record.incident.clone());
            } else if visible {
                changed.push(record.incident.clone());
            }
        }
        for id in closed {
            self.forget(id);
        }
        changed
    }

    /// Events were lost, or nobody watched (a count of 0): incidents whose time that touches, now or when they grow,
    /// no longer rest on complete evidence. `at` stands in for moments that the loss does not name. Gives those that
    /// changed.
    pub fn loss(&mut self, loss: &Loss, at: Timestamp) -> Vec<Incident> {
        let id = self.losses.add(loss, at);
        let Some(lost) = self.losses.get(id) else { return Vec::new() };
        let mut changed = Vec::new();
        for record in self.records.values_mut().filter(|record| lost.touches(&record.incident)) {
            record.mark_lost(id, &lost.hop, loss.count);
            changed.push(record.incident.clone());
        }
        changed
    }

    /// An incident under observation.
    pub fn get(&self, id: IncidentId) -> Option<&Incident> {
        self.records.get(&id).map(|record| &record.incident)
    }

    /// Its signals that are still kept, oldest first.
    pub fn signals(&self, id: IncidentId) -> &[Signal] {
        self.records.get(&id).map(|record| record.signals.as_slice()).unwrap_or_default()
    }

    /// What stable detectors alone prove of it now: the court's measure for acting without a person.
    pub fn proof(&self, id: IncidentId) -> Proof {
        self.records.get(&id).map(|record| record.proof(&self.scales, self.now)).unwrap_or_default()
    }

    /// Whether somebody attacks it from outside, as a daemon recorded: that may lead to an action at any score.
    pub fn has_sources(&self, id: IncidentId) -> bool {
        self.records.get(&id).is_some_and(Record::has_sources)
    }

    /// All under observation, oldest first.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.records.values().map(|record| &record.incident)
    }

    /// Incidents given up because too many were under observation.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Takes an incident over from an earlier start, with its signals.
    pub fn restore(&mut self, incident: Incident, signals: Vec<Signal>) {
        let id = incident.id;
        self.next = IncidentId(self.next.0.max(id.0.saturating_add(1)));
        if incident.state == IncidentState::Closed {
            return;
        }
        self.now = self.now.max(incident.updated);
        self.make_room();
        self.records.insert(id, Record::restored(incident, signals, &self.scales));
        self.refresh(id);
    }

    /// An action or a person dealt with it. Gives it as it is now.
    pub fn set_state(&mut self, id: IncidentId, state: IncidentState) -> Option<Incident> {
        let record = self.records.get_mut(&id)?;
        record.incident.state = state;
        let incident = record.incident.clone();
        if state == IncidentState::Closed {
            self.forget(id);
        }
        Some(incident)
    }

    /// Why it scores what it scores; `actions` are those taken for it (others are passed over).
    pub fn explain(&self, id: IncidentId, actions: &[Action]) -> Option<Explanation> {
        self.records.get(&id).map(|record| explain::explain(record, &self.scales, self.now, actions))
    }

    /// Whether this attack has an incident.
    pub fn has_campaign(&self, campaign: u64) -> bool {
        self.by_entity.contains_key(&Entity::Campaign(campaign))
    }

    /// The attack of many sources that an incident is.
    pub fn campaign_of(&self, id: IncidentId) -> Option<u64> {
        self.records.get(&id).and_then(|record| campaign::of(&record.incident.entities))
    }

    /// What an attack of many sources comes to by now, told in place of the signals that belong to it; its worst sources first.
    /// Gives the incident when a reader can see the change.
    pub fn summarize(&mut self, campaign: u64, sentence: &str, worst: &[IpAddr]) -> Option<Incident> {
        let id = *self.by_entity.get(&Entity::Campaign(campaign))?;
        let record = self.records.get_mut(&id)?;
        record.summarize(sentence, worst).then(|| record.incident.clone())
    }

    /// The incidents that share something with a signal, the oldest first.
    fn kin(&self, signal: &Signal) -> Vec<IncidentId> {
        let mut kin: Vec<IncidentId> = signal.entities.iter().filter_map(|entity| self.by_entity.get(&joint(entity)?).copied()).collect();
        kin.sort();
        kin.dedup();
        kin.retain(|id| self.records.get(id).is_some_and(|record| self.is_near(&record.incident, signal)));
        kin
    }

    /// Whether a signal is close enough in time, and not part of another attack.
    fn is_near(&self, incident: &Incident, signal: &Signal) -> bool {
        let lasts = campaign::lasts_until(incident, self.lives).is_some_and(|end| signal.at < end);
        campaign::goes_with(incident, signal) && (within(incident, signal.at, self.window) || (lasts && signal.at >= incident.opened))
    }

    fn merge(&mut self, into: IncidentId, others: &[IncidentId]) -> Vec<IncidentId> {
        let mut merged = Vec::new();
        for id in others {
            if let (Some(other), Some(record)) = (self.forget(*id), self.records.get_mut(&into)) {
                record.absorb(other, &self.scales);
                merged.push(*id);
            }
        }
        merged
    }

    fn refresh(&mut self, id: IncidentId) -> Incident {
        let Some(record) = self.records.get_mut(&id) else {
            return Record::vanished(id, self.now);
        };
        record.weigh(&self.scales, self.now);
        for entity in record.joinable().filter_map(joint) {
            self.by_entity.insert(entity, id);
        }
        record.incident.clone()
    }

    /// An incident that began or grew may now overlap losses of before.
    fn touch_losses(&mut self, id: IncidentId) {
        let Some(record) = self.records.get_mut(&id) else { return };
        for (loss, lost) in self.losses.iter() {
            if lost.touches(&record.incident) && !record.knows_loss(loss) {
                record.mark_lost(loss, &lost.hop, lost.count);
            }
        }
    }

    fn make_room_and_name(&mut self) -> IncidentId {
        self.make_room();
        let id = self.next;
        self.next = IncidentId(id.0.saturating_add(1));
        id
    }

    fn make_room(&mut self) {
        while self.records.len() >= MAX_INCIDENTS {
            let by_score = |a: &&Record, b: &&Record| {
                a.incident.confidence.get().total_cmp(&b.incident.confidence.get()).then(a.incident.updated.cmp(&b.incident.updated))
            };
            let Some(least) = self.records.values().min_by(by_score).map(|record| record.incident.id) else { break };
            self.forget(least);
            self.evicted += 1;
        }
    }

    fn forget(&mut self, id: IncidentId) -> Option<Record> {
        let record = self.records.remove(&id)?;
        for entity in record.joinable().filter_map(joint) {
            if self.by_entity.get(&entity) == Some(&id) {
                self.by_entity.remove(&entity);
            }
        }
        Some(record)
    }
}

/// Under which key an entity joins; `None` when it says nothing: everything on the host shares root and loopback.
fn joint(entity: &Entity) -> Option<Entity> {
    match entity {
        // A process and the tree below it are one story.
        Entity::Lineage(key) => Some(Entity::Process(*key)),
        Entity::Address(addr) => {
            let addr = addr.to_canonical();
            (!addr.is_loopback() && !addr.is_unspecified()).then_some(Entity::Address(addr))
        }
        Entity::User(user) if *user == *"root" => None,
        // Everybody's files: two who read /etc/shadow have nothing else in common.
        Entity::File(path) if path.starts_with("/etc/") => None,
        other => Some(other.clone()),
    }
}

/// Whether a signal at `at` is close enough in time, on either side.
fn within(incident: &Incident, at: Timestamp, window: chrono::TimeDelta) -> bool {
    at >= incident.opened - window && at <= incident.updated + window
}

#[cfg(test)]
mod independence_tests;
#[cfg(test)]
mod tests;
