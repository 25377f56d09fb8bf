//! Which incident a process or an address belongs to, and whether an action holds all that belongs to it.

use std::collections::BTreeSet;

use super::Console;
use super::live::Live;
use bartizan_model::{Action, IncidentId, IncidentState, ProcessKey, Target};
use bartizan_sys::process_stat::is_running;

impl Console {
    /// Whether nothing of an incident runs that no action holds. A block of an address holds no process; the service from which a
    /// held tree grew runs on, for nobody is to be without it.
    pub(crate) fn is_held(&self, id: IncidentId) -> bool {
        let (loose, held, isolated) = {
            let rows = self.rows();
            (rows.live.loose(id), rows.live.held_of(id), rows.live.isolated())
        };
        let grown = held.into_iter().filter_map(|key| self.processes.get(key));
        let services: BTreeSet<ProcessKey> = grown
            .flat_map(|process| {
                let above = process.lineage.roots.iter().filter(|root| root.role.is_network_facing() && root.key != process.key);
                above.map(|root| root.key).collect::<Vec<_>>()
            })
            .collect();
        let cut_off = |key| {
            let container = self.processes.get(key).and_then(|process| process.container.clone());
            container.is_some_and(|container| isolated.contains(&container))
        };
        // Its end may not have been reported yet: the kernel knows.
        !loose.into_iter().any(|key| !services.contains(&key) && self.processes.is_alive(key) && is_running(key) && !cut_off(key))
    }

    /// The incident that an action of a person is about: that of the process itself, or the only one that its target belongs to.
    pub(crate) fn incident_of(&self, target: &Target) -> Option<IncidentId> {
        let tree = target.root().map(|root| self.processes.tree(root)).unwrap_or_default();
        self.rows().live.incident_of(target, &tree)
    }
}

impl Live {
    /// Processes of an incident that no action holds; none while one holds the whole host.
    fn loose(&self, id: IncidentId) -> Vec<ProcessKey> {
        let active = |action: &&Action| action.state.is_active() && action.target == Target::Host;
        if self.actions.values().any(|action| active(&action)) {
            return Vec::new();
        }
        self.suspects.iter().filter(|(key, of)| **of == id && !self.held.contains_key(key)).map(|(key, _)| *key).collect()
    }

    /// Processes of an incident that an action holds.
    fn held_of(&self, id: IncidentId) -> Vec<ProcessKey> {
        self.held.keys().filter(|key| self.suspects.get(key) == Some(&id)).copied().collect()
    }

    /// Containers that an action cut off or paused.
    fn isolated(&self) -> Vec<String> {
        let active = self.actions.values().filter(|action| action.state.is_active());
        active.filter_map(|action| if let Target::Container { id, .. } = &action.target { Some(id.clone()) } else { None }).collect()
    }

    fn incident_of(&self, target: &Target, tree: &[ProcessKey]) -> Option<IncidentId> {
        let goes_on =
            |id: &IncidentId| self.incidents.get(id).is_some_and(|row| matches!(row.state, IncidentState::Open | IncidentState::Contained));
        let root = target.root().and_then(|root| self.suspects.get(&root)).copied().filter(goes_on);
        let named = |addr| self.incidents.values().filter(move |row| row.addresses.contains(addr)).map(|row| row.id);
        let mut all: BTreeSet<IncidentId> = tree.iter().filter_map(|key| self.suspects.get(key)).copied().collect();
        if let Target::Address { addr, .. } | Target::Source { addr, .. } = target {
            all.extend(named(addr));
        }
        all.retain(goes_on);
        // With several, nobody knows which of them the person meant.
        root.or_else(|| all.first().copied().filter(|_| all.len() == 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::{ActionId, BootId, Direction, HostText};

    fn key(pid: u32) -> ProcessKey {
        ProcessKey { boot: BootId(1), pid, start: 1 }
    }

    fn incident(id: u64, subject: u32) -> bartizan_model::Incident {
        let at = chrono::DateTime::UNIX_EPOCH;
        bartizan_model::Incident {
            id: IncidentId(id),
            opened: at,
            updated: at,
            state: IncidentState::Open,
            confidence: bartizan_model::Confidence::new(0.9),
            severity: bartizan_model::Severity::High,
            posture: bartizan_model::Posture::Observe,
            stages: vec![],
            entities: vec![],
            signals: vec![],
            signal_count: 0,
            families: vec![],
            subject: Some(key(subject)),
            addresses: vec!["203.0.113.66".parse().unwrap()],
            sentence: String::new(),
            complete: true,
            excepted: 0,
        }
    }

    /// Two shells of one incident: with one held the other is still loose, and none is once both are held.
    #[test]
    fn an_incident_with_two_shells_is_not_held_by_holding_one() {
        let mut live = Live::default();
        live.incident(&incident(7, 10), &[key(10), key(11)]);
        live.incident(&incident(7, 20), &[key(20)]);
        live.held.extend([(key(10), ActionId(1)), (key(11), ActionId(1))]);
        assert_eq!(live.loose(IncidentId(7)), [key(20)]);
        live.held.insert(key(20), ActionId(2));
        assert!(live.loose(IncidentId(7)).is_empty());
    }

    #[test]
    fn what_a_person_does_by_hand_belongs_to_the_incident_of_its_target() {
        let mut live = Live::default();
        live.incident(&incident(7, 10), &[key(10), key(11)]);
        live.incident(&incident(8, 20), &[key(20)]);
        let tree = |pid: u32| Target::ProcessTree { root: key(pid), exe: HostText::from("/bin/sh") };
        assert_eq!(live.incident_of(&tree(11), &[key(11)]), Some(IncidentId(7)));
        assert_eq!(live.incident_of(&tree(5), &[key(5), key(20)]), Some(IncidentId(8)), "a parent of the only one");
        assert_eq!(live.incident_of(&tree(5), &[key(5), key(11), key(20)]), None, "of several none is guessed");
        assert_eq!(live.incident_of(&tree(6), &[key(6)]), None);
        let block = Target::Address { addr: "203.0.113.66".parse().unwrap(), direction: Direction::Out };
        assert_eq!(live.incident_of(&block, &[]), None, "both name it");
        live.incident_gone(IncidentId(8));
        assert_eq!(live.incident_of(&block, &[]), Some(IncidentId(7)));
    }
}
