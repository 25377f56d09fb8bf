//! The client's copy of what the agent shows: a snapshot with the deltas applied.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{Change, ProcessRow, Push, Snapshot, SocketRow};
use bartizan_model::{Action, ActionId, Alert, AlertId, Approval, ApprovalId, Health, Incident, IncidentId, Presence, ProcessKey, Signal};

/// What a push did to the mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is up to date.
    Yes,
    /// A number is missing: ask for a new snapshot.
    Gap,
    /// It is not for the mirror.
    No,
}

/// Signals kept for the timeline; older ones stay in the store.
const SIGNALS_KEPT: usize = 2_000;

/// The client's copy. Ordered collections, so that rows never jump.
#[derive(Debug, Clone, Default)]
pub struct Mirror {
    seq: u64,
    /// How the agent is; absent until the first snapshot.
    pub health: Option<Health>,
    /// What happened while nobody looked.
    pub presence: Option<Presence>,
    /// Living processes.
    pub processes: HashMap<ProcessKey, ProcessRow>,
    /// Listeners and recent connections, oldest first.
    pub sockets: BTreeMap<u64, SocketRow>,
    /// Incidents, oldest first.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// Signals, oldest first.
    pub signals: VecDeque<Signal>,
    /// Alerts, oldest first.
    pub alerts: BTreeMap<AlertId, Alert>,
    /// Questions, oldest first.
    pub approvals: BTreeMap<ApprovalId, Approval>,
    /// Actions, oldest first.
    pub actions: BTreeMap<ActionId, Action>,
}

impl Mirror {
    /// Takes one push in.
    pub fn apply(&mut self, push: Push) -> Applied {
        match push {
            Push::Snapshot(snapshot) => {
                self.replace(*snapshot);
                Applied::Yes
            }
            Push::Delta { seq, .. } if self.health.is_none() || seq > self.seq + 1 => Applied::Gap,
            Push::Delta { seq, .. } if seq <= self.seq => Applied::No,
            Push::Delta { seq, changes } => {
                self.seq = seq;
                changes.into_iter().for_each(|change| self.change(change));
                Applied::Yes
            }
            Push::Events(_) | Push::Missed(_) | Push::Goodbye { .. } => Applied::No,
        }
    }

    fn replace(&mut self, snapshot: Snapshot) {
        // A later snapshot (after a gap) carries no absence; what the person has not dismissed stays.
        let presence = snapshot.presence.or_else(|| self.presence.take());
        *self = Self {
            seq: snapshot.seq,
            health: Some(snapshot.health),
            presence,
            processes: snapshot.processes.into_iter().map(|row| (row.key, row)).collect(),
            sockets: snapshot.sockets.into_iter().map(|row| (row.id, row)).collect(),
            incidents: snapshot.incidents.into_iter().map(|row| (row.id, row)).collect(),
            signals: snapshot.signals.into(),
            alerts: snapshot.alerts.into_iter().map(|row| (row.id, row)).collect(),
            approvals: snapshot.approvals.into_iter().map(|row| (row.id, row)).collect(),
            actions: snapshot.actions.into_iter().map(|row| (row.id, row)).collect(),
        };
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Health(health) => self.health = Some(*health),
            Change::Process(row) => drop(self.processes.insert(row.key, *row)),
            Change::ProcessGone(key) => drop(self.processes.remove(&key)),
            Change::Socket(row) => drop(self.sockets.insert(row.id, *row)),
            Change::SocketGone(id) => drop(self.sockets.remove(&id)),
            Change::Incident(row) => drop(self.incidents.insert(row.id, *row)),
            Change::IncidentGone(id) => drop(self.incidents.remove(&id)),
            Change::Alert(row) => drop(self.alerts.insert(row.id, *row)),
            Change::Approval(row) => drop(self.approvals.insert(row.id, *row)),
            Change::Action(row) => drop(self.actions.insert(row.id, *row)),
            Change::Signal(signal) => self.signal(*signal),
        }
    }

    fn signal(&mut self, signal: Signal) {
        if self.signals.iter().rev().any(|known| known.id == signal.id) {
            return;
        }
        if self.signals.len() >= SIGNALS_KEPT {
            self.signals.pop_front();
        }
        self.signals.push_back(signal);
    }
}
