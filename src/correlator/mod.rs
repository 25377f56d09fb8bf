//! The correlator: signals that share a process tree, a user, an address, a file or a container become one incident.

mod explain;
mod record;
mod score;
mod story;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use crate::config::Policy;
use crate::model::{Action, Entity, Explanation, Incident, IncidentId, IncidentState, Proof, Signal, Timestamp};
use record::Record;
use score::Scales;

/// Incidents under observation at most. At the bound the one that scores least goes, and is counted.
pub const MOST_INCIDENTS: usize = 1024;
/// Losses remembered, to mark incidents that begin soon after.
const MOST_LOSSES: usize = 64;
/// A loss this close to a signal may have hidden a part of the same story.
const LOSS_TOUCHES: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

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
    next: IncidentId,
    records: BTreeMap<IncidentId, Record>,
    by_entity: HashMap<Entity, IncidentId>,
    losses: VecDeque<(Timestamp, String, u64)>,
    now: Timestamp,
    evicted: u64,
}

impl Correlator {
    /// An empty one; `next` is the first incident's name.
    pub fn new(policy: &Policy, next: IncidentId) -> Self {
        let window = chrono::TimeDelta::from_std(policy.score.window.max(Duration::from_secs(1))).unwrap_or(chrono::TimeDelta::hours(1));
        let (records, by_entity, losses) = (BTreeMap::new(), HashMap::new(), VecDeque::new());
        Self { scales: Scales::new(policy), window, next, records, by_entity, losses, now: Timestamp::UNIX_EPOCH, evicted: 0 }
    }

    /// Takes a changed policy over; scores follow at the next signal or tick.
    pub fn set_policy(&mut self, policy: &Policy) {
        let fresh = Self::new(policy, self.next);
        (self.scales, self.window) = (fresh.scales, fresh.window);
    }

    /// Takes a signal into the incident that shares something with it, or opens one. Where it ties several
    /// together they become one, under the oldest name.
    pub fn join(&mut self, signal: Signal) -> IncidentUpdate {
        self.now = self.now.max(signal.at);
        let mut kin: Vec<IncidentId> = signal.entities.iter().filter_map(|entity| self.by_entity.get(&joint(entity)?).copied()).collect();
        kin.sort();
        kin.dedup();
        kin.retain(|id| self.records.get(id).is_some_and(|record| within(&record.incident, signal.at, self.window)));
        let at = signal.at;
        let (id, opened, merged) = match kin.split_first() {
            Some((oldest, others)) => (*oldest, false, self.merge(*oldest, others)),
            None => (self.make_room_and_name(), true, Vec::new()),
        };
        match self.records.get_mut(&id) {
            Some(record) => record.add(signal, &self.scales),
            None => drop(self.records.insert(id, Record::open(id, signal, &self.scales))),
        }
        self.touch_losses(id, at);
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
            if now.signed_duration_since(record.incident.updated) > self.window {
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

    /// Events were lost: incidents alive around that moment no longer rest on complete evidence. Gives those that
    /// changed.
    pub fn loss(&mut self, hop: &str, count: u64, at: Timestamp) -> Vec<Incident> {
        let hop: String = crate::model::HostText::from(hop).escaped().chars().take(64).collect();
        if self.losses.len() >= MOST_LOSSES {
            self.losses.pop_front();
        }
        self.losses.push_back((at, hop.clone(), count));
        let mut changed = Vec::new();
        for record in self.records.values_mut() {
            if at >= record.incident.opened - LOSS_TOUCHES && at <= record.incident.updated + LOSS_TOUCHES {
                record.mark_lost(&hop, count);
                changed.push(record.incident.clone());
            }
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

    fn touch_losses(&mut self, id: IncidentId, at: Timestamp) {
        let near = self.losses.iter().filter(|(when, _, _)| at.signed_duration_since(*when).abs() <= LOSS_TOUCHES);
        if let Some(record) = self.records.get_mut(&id) {
            near.for_each(|(_, hop, _)| record.mark_lost(hop, 0));
        }
    }

    fn make_room_and_name(&mut self) -> IncidentId {
        self.make_room();
        let id = self.next;
        self.next = IncidentId(id.0.saturating_add(1));
        id
    }

    fn make_room(&mut self) {
        while self.records.len() >= MOST_INCIDENTS {
            let by_score = |a: &&Record, b: &&Record| a.incident.confidence.get().total_cmp(&b.incident.confidence.get()).then(a.incident.updated.cmp(&b.incident.updated));
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
        other => Some(other.clone()),
    }
}

/// Whether a signal at `at` is close enough in time, on either side.
fn within(incident: &Incident, at: Timestamp, window: chrono::TimeDelta) -> bool {
    at >= incident.opened - window && at <= incident.updated + window
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::*;
    use proptest::prelude::*;

    fn policy() -> Policy {
        Policy::built_in().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn key(pid: u32) -> ProcessKey {
        ProcessKey { boot: BootId(7), pid, start: 1 }
    }

    fn signal(n: u64, second: i64, family: Family, stage: Stage, confidence: f64, entities: &[Entity]) -> Signal {
        Signal {
            id: SignalId { event: EventId(n), ordinal: 0 }, at: at(second), detector: format!("d{}", family.name()), technique: vec![], severity: Severity::High,
            confidence: Confidence::new(confidence), tier: Tier::Stable, family, stage, events: vec![EventId(n)], entities: entities.to_vec(), subject: Some(key(900)),
            sentence: format!("sentence {n}"), complete: true,
        }
    }

    fn tree() -> Vec<Entity> {
        vec![Entity::Lineage(key(812))]
    }

    #[test]
    fn a_web_intrusion_reaches_the_threshold_and_one_signal_does_not() {
        let mut correlator = Correlator::new(&policy(), IncidentId(1));
        let first = correlator.join(signal(1, 0, Family::Lineage, Stage::InitialAccess, 0.9, &tree()));
        assert!(first.opened && first.incident.confidence.get() < 0.75 && first.incident.posture == Posture::Contain);
        let second = correlator.join(signal(2, 1, Family::Outbound, Stage::Exfiltration, 0.95, &tree()));
        assert!(!second.opened && second.incident.id == first.incident.id);
        assert!(second.incident.confidence.get() >= 0.85, "{}", second.incident.confidence);
        assert_eq!(second.incident.stages, [Stage::InitialAccess, Stage::Exfiltration]);
        for (family, confidence) in [(Family::Anomaly, 0.9), (Family::Lineage, 0.5), (Family::Auth, 0.75), (Family::Outbound, 0.9)] {
            let alone = Correlator::new(&policy(), IncidentId(1)).join(signal(1, 0, family, Stage::Execution, confidence, &tree()));
            assert!(alone.incident.confidence.get() < policy().posture.contain, "{}", family.name());
        }
    }

    #[test]
    fn what_is_shared_joins_and_what_everybody_shares_does_not() {
        let mut correlator = Correlator::new(&policy(), IncidentId(1));
        let mut id = |n, entity: Entity| correlator.join(signal(n, 0, Family::Lineage, Stage::Execution, 0.5, &[entity])).incident.id.0;
        assert_eq!((id(1, Entity::Address("203.0.113.9".parse().unwrap())), id(2, Entity::Address("::ffff:203.0.113.9".parse().unwrap()))), (1, 1));
        assert_eq!((id(3, Entity::Process(key(5))), id(4, Entity::Lineage(key(5)))), (2, 2));
        assert_eq!((id(5, Entity::User("root".into())), id(6, Entity::User("root".into()))), (3, 4));
        assert_eq!((id(7, Entity::Address("127.0.0.1".parse().unwrap())), id(8, Entity::Address("127.0.0.1".parse().unwrap()))), (5, 6));
        assert_eq!((id(9, Entity::User("eve".into())), id(10, Entity::User("eve".into()))), (7, 7));
    }

    #[test]
    fn a_signal_that_ties_incidents_makes_them_one_under_the_oldest_name() {
        let mut correlator = Correlator::new(&policy(), IncidentId(5));
        let (a, b) = (Entity::Process(key(1)), Entity::Address("203.0.113.9".parse().unwrap()));
        correlator.join(signal(1, 0, Family::Lineage, Stage::Execution, 0.9, std::slice::from_ref(&a)));
        correlator.join(signal(2, 1, Family::Outbound, Stage::Exfiltration, 0.9, std::slice::from_ref(&b)));
        let update = correlator.join(signal(3, 2, Family::Anomaly, Stage::Persistence, 0.5, &[b.clone(), a]));
        assert_eq!((update.incident.id, update.opened, update.merged), (IncidentId(5), false, vec![IncidentId(6)]));
        assert_eq!((update.incident.signal_count, update.incident.families.len(), correlator.incidents().count()), (3, 3, 1));
        assert_eq!(correlator.join(signal(4, 3, Family::Files, Stage::Persistence, 0.1, &[b])).incident.id, IncidentId(5));
        assert!(correlator.get(IncidentId(6)).is_none());
    }

    #[test]
    fn time_fades_and_closes() {
        let mut correlator = Correlator::new(&policy(), IncidentId(1));
        correlator.join(signal(1, 0, Family::Lineage, Stage::Execution, 0.9, &tree()));
        let full = correlator.join(signal(2, 0, Family::Outbound, Stage::Exfiltration, 0.9, &tree())).incident.confidence.get();
        let faded = correlator.tick(at(1800));
        let half = faded.first().unwrap().confidence.get();
        let expected = 1.0 - ((1.0 - 0.7 * 0.45) * (1.0 - 0.6 * 0.45f64)).powf(1.15);
        assert!((half - expected).abs() < 1e-9 && half < full);
        assert_eq!(correlator.tick(at(1800)), [], "nothing visible changed");
        assert_eq!(correlator.tick(at(3601)).first().unwrap().state, IncidentState::Closed);
        assert_eq!(correlator.incidents().count(), 0);
        let again = correlator.join(signal(3, 3700, Family::Lineage, Stage::Execution, 0.9, &tree()));
        assert_eq!((again.opened, again.incident.id), (true, IncidentId(2)));
    }

    #[test]
    fn loss_marks_what_it_may_have_hidden() {
        let mut correlator = Correlator::new(&policy(), IncidentId(1));
        correlator.join(signal(1, 0, Family::Lineage, Stage::Execution, 0.9, &tree()));
        correlator.join(signal(2, 600, Family::Lineage, Stage::Execution, 0.9, &[Entity::Process(key(77))]));
        let changed = correlator.loss("kernel-ring", 12, at(30));
        assert_eq!(changed.iter().map(|i| (i.id, i.complete)).collect::<Vec<_>>(), [(IncidentId(1), false)]);
        assert!(correlator.explain(IncidentId(1), &[]).unwrap().evidence.contains("12 events at kernel-ring"));
        assert!(correlator.get(IncidentId(2)).unwrap().complete);
        correlator.loss("lane", 1, at(700));
        assert!(!correlator.join(signal(3, 710, Family::Lineage, Stage::Execution, 0.9, &[Entity::Process(key(78))])).incident.complete, "loss just before it began");
    }

    #[test]
    fn everything_is_bounded() {
        let mut correlator = Correlator::new(&policy(), IncidentId(1));
        for n in 0..400 {
            let addr = std::net::Ipv4Addr::from(0xcb00_7100 + n);
            correlator.join(signal(u64::from(n), 0, Family::Outbound, Stage::Execution, 0.2 + f64::from(n) / 1000.0, &[tree().remove(0), Entity::Address(addr.into())]));
        }
        let incident = correlator.get(IncidentId(1)).unwrap();
        assert_eq!((incident.signals.len(), incident.signal_count), (record::MOST_SIGNALS, 400));
        assert!(incident.entities.len() <= record::MOST_ENTITIES && incident.addresses.len() <= record::MOST_ADDRESSES && incident.sentence.contains("399 more"));
        for n in 0..1200 {
            correlator.join(signal(10_000 + u64::from(n), 1, Family::Outbound, Stage::Execution, 0.1, &[Entity::Process(key(10_000 + n))]));
        }
        assert_eq!((correlator.incidents().count(), correlator.evicted()), (MOST_INCIDENTS, 177));
        assert!(correlator.get(IncidentId(1)).is_some(), "the one that scores least goes");
        for second in 0..1000 {
            correlator.loss(&format!("hop{second}"), 1, at(second % 2));
        }
        assert!(correlator.losses.len() <= MOST_LOSSES);
    }

    #[test]
    fn a_restart_changes_nothing() {
        let mut before = Correlator::new(&policy(), IncidentId(3));
        before.join(signal(1, 0, Family::Lineage, Stage::InitialAccess, 0.9, &tree()));
        let was = before.join(signal(2, 1, Family::Outbound, Stage::Exfiltration, 0.9, &tree())).incident;
        let mut after = Correlator::new(&policy(), IncidentId(1));
        after.restore(was.clone(), before.signals(was.id).to_vec());
        assert_eq!(after.get(was.id), Some(&was));
        assert_eq!(after.proof(was.id), before.proof(was.id));
        let next = after.join(signal(3, 2, Family::Files, Stage::Execution, 0.9, &[Entity::Process(key(1))]));
        assert_eq!(next.incident.id, IncidentId(4), "no name is given twice");
        assert!(!after.join(signal(4, 3, Family::Files, Stage::Execution, 0.9, &tree())).opened);
    }

    #[test]
    fn only_stable_detectors_count_as_proof() {
        let mut correlator = Correlator::new(&policy(), IncidentId(1));
        correlator.join(signal(1, 0, Family::Lineage, Stage::InitialAccess, 0.9, &tree()));
        let mut young = signal(2, 1, Family::Outbound, Stage::Exfiltration, 0.95, &tree());
        young.tier = Tier::Incubating;
        let incident = correlator.join(young).incident;
        let proof = correlator.proof(incident.id);
        assert!(incident.confidence.get() > 0.85 && proof.confidence.get() < 0.75);
        assert_eq!(proof.families, [Family::Lineage]);
    }

    #[test]
    fn the_story_is_one_sentence() {
        let mut correlator = Correlator::new(&policy(), IncidentId(1));
        let mut first = signal(1, 0, Family::Lineage, Stage::InitialAccess, 0.9, &tree());
        first.sentence = "nginx (pid 812) ran \"sh -i\" as sh (pid 900)".to_owned();
        let mut second = signal(2, 1, Family::Outbound, Stage::Exfiltration, 0.9, &tree());
        second.sentence = "sh (pid 900) connected to 203.0.113.9:4444".to_owned();
        correlator.join(second);
        let incident = correlator.join(first).incident;
        assert_eq!(incident.sentence, "nginx (pid 812) ran \"sh -i\" as sh (pid 900), which connected to 203.0.113.9:4444");
    }

    #[test]
    fn the_explanation_adds_up() {
        let mut correlator = Correlator::new(&policy(), IncidentId(1));
        correlator.join(signal(1, 0, Family::Lineage, Stage::InitialAccess, 0.9, &tree()));
        correlator.join(signal(2, 0, Family::Outbound, Stage::Exfiltration, 0.9, &tree()));
        let action = Action {
            id: ActionId(12), kind: ActionKind::FreezeTree, target: Target::ProcessTree { root: key(900), exe: "/bin/sh".into() }, incident: Some(IncidentId(1)), warrant: WarrantId(1),
            state: ActionState::Live, planned_at: at(1), applied_at: Some(at(1)), verified_at: Some(at(1)), expires_at: at(600), ended_at: None, by: "root via uid 0".into(), reason: String::new(),
            preview: vec![], undo: vec![], note: String::new(),
        };
        let said = correlator.explain(IncidentId(1), &[action]).unwrap();
        assert!(said.why.contains(&"lineage: weight 0.70 x confidence 0.90 = 0.63 (dlineage)".to_owned()), "{:?}", said.why);
        assert!(said.why.contains(&"together: 1 - (0.37 x 0.46)^1.15 over 2 stage(s): initial access, exfiltration".to_owned()), "{:?}", said.why);
        assert!(said.why.contains(&"score 0.86, posture aggressive-contain".to_owned()), "{:?}", said.why);
        assert!(said.undo.first().unwrap().contains("bartizan rollback A12") && said.done.first().unwrap().contains("root via uid 0"));
        assert_eq!((said.seen.len(), said.lower.len()), (2, 3));
        assert!(said.evidence.starts_with("complete"));
        assert!(correlator.explain(IncidentId(9), &[]).is_none());
    }

    fn any_signal() -> impl Strategy<Value = (usize, usize, f64, i64)> {
        (0..Family::ALL.len(), 0..Stage::ALL.len(), 0.0..=1.0f64, 0..3600i64)
    }

    fn score_of(signals: &[(usize, usize, f64, i64)]) -> f64 {
        let mut correlator = Correlator::new(&policy(), IncidentId(1));
        for (n, (family, stage, confidence, second)) in signals.iter().enumerate() {
            correlator.join(signal(n as u64, *second, Family::ALL[*family], Stage::ALL[*stage], *confidence, &tree()));
        }
        correlator.tick(at(3600));
        correlator.get(IncidentId(1)).unwrap().confidence.get()
    }

    proptest! {
        #[test]
        fn more_evidence_never_lowers_the_score(signals in prop::collection::vec(any_signal(), 1..12), more in any_signal()) {
            let before = score_of(&signals);
            let mut all = signals;
            all.push(more);
            prop_assert!(score_of(&all) >= before - 1e-12);
            prop_assert!((0.0..=1.0).contains(&before));
        }

        #[test]
        fn the_order_of_arrival_changes_nothing(signals in prop::collection::vec(any_signal(), 1..12)) {
            let mut reversed = signals.clone();
            reversed.reverse();
            prop_assert!((score_of(&signals) - score_of(&reversed)).abs() < 1e-12);
        }

        #[test]
        fn one_family_alone_never_reaches_acting(signals in prop::collection::vec(any_signal(), 1..20), family in 0..Family::ALL.len()) {
            let alone: Vec<_> = signals.into_iter().map(|(_, stage, confidence, second)| (family, stage, confidence, second)).collect();
            prop_assert!(score_of(&alone) < policy().mode.aggressive_at);
        }

        #[test]
        fn no_weight_in_the_policy_lets_one_family_act(weight in 0.0..=1.0f64, confidence in 0.0..=1.0f64) {
            let mut policy = policy();
            policy.weights.lineage = weight;
            let alone = Correlator::new(&policy, IncidentId(1)).join(signal(1, 0, Family::Lineage, Stage::Execution, confidence, &tree()));
            prop_assert!(alone.incident.confidence.get() < policy.mode.aggressive_at);
        }
    }
}
