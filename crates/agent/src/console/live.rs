//! What the console shows, kept as rows; every change is also noted down for the next delta.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bartizan_model::{
    Action, ActionId, ActionState, Alert, AlertId, AlertState, Approval, ApprovalId, ApprovalState, Event, EventKind, Flow, HostText,
    Incident, IncidentId, IncidentState, Process, ProcessKey, Signal, Target, Timestamp,
};
use bartizan_protocol::{Change, ProcessRow, SocketRow};

/// Rows kept of each kind; the store has the rest.
const INCIDENTS: usize = 500;
const SIGNALS: usize = 2_000;
const ALERTS: usize = 500;
const APPROVALS: usize = 200;
const ACTIONS: usize = 500;
const SOCKETS: usize = 1_000;
/// Bytes of arguments that a row carries; the event has all of them.
const ARGUMENTS: usize = 2_048;
/// Changes noted between two deltas; past that the consoles get a new snapshot instead.
const NOTED: usize = 20_000;

/// The rows.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) incidents: BTreeMap<IncidentId, Incident>,
    pub(super) signals: VecDeque<Signal>,
    pub(super) alerts: BTreeMap<AlertId, Alert>,
    pub(super) approvals: BTreeMap<ApprovalId, Approval>,
    pub(super) actions: BTreeMap<ActionId, Action>,
    pub(super) sockets: BTreeMap<u64, SocketRow>,
    socket_ids: HashMap<(Option<ProcessKey>, bool, Flow), u64>,
    next_socket: u64,
    /// Living processes of an incident.
    pub(super) suspects: HashMap<ProcessKey, IncidentId>,
    /// Living processes that an action holds.
    pub(super) held: HashMap<ProcessKey, ActionId>,
    noted: Noted,
    /// Somebody is looking; otherwise nothing is noted down.
    watched: bool,
}

/// Changes since the last delta: the last one per row, in order of first mention.
#[derive(Debug, Default)]
struct Noted {
    changes: Vec<Option<Change>>,
    processes: HashMap<ProcessKey, usize>,
    overflow: bool,
}

impl Live {
    /// Tells whether anybody looks.
    pub(super) fn watch(&mut self, watched: bool) {
        self.watched = watched;
        if !watched {
            self.noted = Noted::default();
        }
    }

    /// The changes since the last call; `None` means that there were too many: send a snapshot.
    pub(super) fn drain(&mut self) -> Option<Vec<Change>> {
        let noted = std::mem::take(&mut self.noted);
        (!noted.overflow).then(|| noted.changes.into_iter().flatten().collect())
    }

    fn note(&mut self, change: Change) {
        if !self.watched {
            return;
        }
        if self.noted.changes.len() >= NOTED {
            self.noted = Noted { overflow: true, ..Noted::default() };
        }
        if self.noted.overflow {
            return;
        }
        self.noted.add(change);
    }

    /// Takes one event into the rows.
    pub(super) fn event(&mut self, event: &Event) {
        let Some(process) = &event.process else { return };
        match &event.kind {
            EventKind::Exec | EventKind::Fork => self.process(process),
            EventKind::Exit { .. } => {
                self.suspects.remove(&process.key);
                self.held.remove(&process.key);
                self.note(Change::ProcessGone(process.key));
            }
            EventKind::Connect { net } => self.socket(net, false, Some(process), event.at),
            EventKind::Listen { net, .. } => self.socket(net, true, Some(process), event.at),
            EventKind::Accept { .. }
            | EventKind::Close { .. }
            | EventKind::FileChange { .. }
            | EventKind::FileOpen { .. }
            | EventKind::PersistenceChange { .. }
            | EventKind::UserChange { .. }
            | EventKind::PrivilegeUse { .. }
            | EventKind::ContainerStart { .. }
            | EventKind::ContainerStop { .. }
            | EventKind::LoginAccepted { .. }
            | EventKind::LoginFailed { .. }
            | EventKind::WebAttack { .. }
            | EventKind::Budget { .. }
            | EventKind::Loss { .. }
            | EventKind::Alarm { .. } => {}
        }
    }

    /// A process appeared or changed.
    pub(super) fn process(&mut self, process: &Process) {
        if self.watched {
            let row = self.process_row(process);
            self.note(Change::Process(Box::new(row)));
        }
    }

    /// The row of a process as it is now.
    pub(super) fn process_row(&self, process: &Process) -> ProcessRow {
        let own_role = process.lineage.roots.iter().find(|root| root.key == process.key).map(|root| root.role);
        ProcessRow {
            key: process.key,
            parent: process.parent,
            exe: process.exe.clone(),
            argv: cut(&process.argv),
            uid: process.uid,
            user: process.user.clone(),
            unit: process.unit.clone(),
            container: process.container.clone(),
            role: own_role,
            since: process.since,
            incident: self.suspects.get(&process.key).copied(),
            held_by: self.held.get(&process.key).copied(),
        }
    }

    /// A listener or connection was seen.
    pub(super) fn socket(&mut self, net: &Flow, listening: bool, process: Option<&Process>, at: Timestamp) {
        // The local port of an outgoing connection differs each time; the same talk counts as one row.
        let talk = if listening { net.clone() } else { Flow { sport: 0, name: None, ..net.clone() } };
        let owner = process.map(|p| p.key);
        let key = (owner, listening, talk);
        if let Some(row) = self.socket_ids.get(&key).and_then(|id| self.sockets.get_mut(id)) {
            row.last = at;
            row.count += 1;
            row.open = true;
            let row = row.clone();
            self.note(Change::Socket(Box::new(row)));
            return;
        }
        self.next_socket += 1;
        let row = SocketRow {
            id: self.next_socket,
            listening,
            net: net.clone(),
            process: owner,
            exe: process.map(|p| p.exe.clone()).unwrap_or_default(),
            since: at,
            last: at,
            count: 1,
            open: true,
            incident: owner.and_then(|key| self.suspects.get(&key).copied()),
        };
        self.socket_ids.insert(key, row.id);
        self.sockets.insert(row.id, row.clone());
        self.note(Change::Socket(Box::new(row)));
        self.forget_old_sockets();
    }

    /// What the kernel lists as open now; rows that it does not list are closed. A closed connection stays for a while,
    /// for it was made to somewhere; a listener that is gone listens no more, and that it did is in the events.
    pub(super) fn open_sockets(&mut self, is_open: impl Fn(&SocketRow) -> bool) {
        let (mut changed, mut gone) = (Vec::new(), HashSet::new());
        for row in self.sockets.values_mut() {
            let open = is_open(row);
            if row.listening && !open {
                gone.insert(row.id);
            } else if row.open != open {
                row.open = open;
                changed.push(row.clone());
            }
        }
        changed.into_iter().for_each(|row| self.note(Change::Socket(Box::new(row))));
        if !gone.is_empty() {
            self.socket_ids.retain(|_, id| !gone.contains(id));
        }
        for id in gone {
            self.sockets.remove(&id);
            self.note(Change::SocketGone(id));
        }
    }

    fn forget_old_sockets(&mut self) {
        while self.sockets.len() > SOCKETS {
            let oldest_closed = self.sockets.values().find(|row| !row.open).or_else(|| self.sockets.values().next());
            let Some(id) = oldest_closed.map(|row| row.id) else { return };
            self.sockets.remove(&id);
            self.socket_ids.retain(|_, known| *known != id);
            self.note(Change::SocketGone(id));
        }
    }

    /// An opinion.
    pub(super) fn signal(&mut self, signal: &Signal) {
        if self.signals.len() >= SIGNALS {
            self.signals.pop_front();
        }
        self.signals.push_back(signal.clone());
        self.note(Change::Signal(Box::new(signal.clone())));
    }

    /// An incident opened or changed; `tree` are the processes it is about.
    pub(super) fn incident(&mut self, incident: &Incident, tree: &[ProcessKey]) -> Vec<ProcessKey> {
        self.incidents.insert(incident.id, incident.clone());
        self.note(Change::Incident(Box::new(incident.clone())));
        if self.incidents.len() > INCIDENTS
            && let Some((id, _)) = self.incidents.pop_first()
        {
            self.note(Change::IncidentGone(id));
        }
        tree.iter().copied().filter(|key| self.suspects.insert(*key, incident.id) != Some(incident.id)).collect()
    }

    /// Another incident took this one in.
    pub(super) fn incident_gone(&mut self, id: IncidentId) {
        if self.incidents.remove(&id).is_some() {
            self.note(Change::IncidentGone(id));
        }
    }

    /// An alert was raised or changed.
    pub(super) fn alert(&mut self, alert: &Alert) {
        self.alerts.insert(alert.id, alert.clone());
        if self.alerts.len() > ALERTS {
            self.alerts.pop_first();
        }
        self.note(Change::Alert(Box::new(alert.clone())));
    }

    /// A question was asked or answered.
    pub(super) fn approval(&mut self, approval: &Approval) {
        self.approvals.insert(approval.id, approval.clone());
        let answered = self.approvals.values().find(|a| a.state != ApprovalState::Pending).map(|a| a.id);
        if self.approvals.len() > APPROVALS
            && let Some(id) = answered
        {
            self.approvals.remove(&id);
        }
        self.note(Change::Approval(Box::new(approval.clone())));
    }

    /// An action changed; `tree` are the processes that it holds. Returns processes whose row changed.
    pub(super) fn action(&mut self, action: &Action, tree: &[ProcessKey]) -> Vec<ProcessKey> {
        // Whoever tells of it does so after its turn: what another has told meanwhile is newer, and the end is the last word.
        if action.state.is_active() && self.actions.get(&action.id).is_some_and(|known| !known.state.is_active()) {
            return Vec::new();
        }
        self.actions.insert(action.id, action.clone());
        let ended = self.actions.values().find(|a| !a.state.is_active()).map(|a| a.id);
        if self.actions.len() > ACTIONS
            && let Some(id) = ended
        {
            self.actions.remove(&id);
        }
        self.note(Change::Action(Box::new(action.clone())));
        let holds = matches!(action.target, Target::ProcessTree { .. }) && matches!(action.state, ActionState::Live | ActionState::Drifted);
        if holds {
            return tree.iter().copied().filter(|key| self.held.insert(*key, action.id) != Some(action.id)).collect();
        }
        let released: Vec<ProcessKey> = self.held.iter().filter(|(_, by)| **by == action.id).map(|(key, _)| *key).collect();
        self.held.retain(|_, by| *by != action.id);
        released
    }

    /// Open incidents, new alerts, waiting questions.
    pub(super) fn open(&self) -> (u64, u64, u64) {
        let incidents = self.incidents.values().filter(|incident| incident.state == IncidentState::Open).count();
        let alerts = self.alerts.values().filter(|alert| alert.state == AlertState::New).count();
        let approvals = self.approvals.values().filter(|approval| approval.state == ApprovalState::Pending).count();
        (incidents as u64, alerts as u64, approvals as u64)
    }

    /// Health as the last change of a delta.
    pub(super) fn health(&mut self, health: bartizan_model::Health) {
        self.note(Change::Health(Box::new(health)));
    }
}

/// Arguments for a row: whole while there is room, then cut with a mark, so that padding hides nothing unnoticed.
fn cut(arguments: &[HostText]) -> Vec<HostText> {
    let mut room = ARGUMENTS;
    let mut kept = Vec::new();
    for argument in arguments {
        let bytes = argument.as_bytes();
        if bytes.len() < room {
            room -= bytes.len() + 1;
            kept.push(argument.clone());
            continue;
        }
        let head = bytes.get(..room).unwrap_or_default();
        kept.push(HostText::from([head, b" ... (cut)"].concat()));
        break;
    }
    kept
}

impl Noted {
    fn add(&mut self, change: Change) {
        let key = match &change {
            Change::Process(row) => Some((row.key, false)),
            Change::ProcessGone(key) => Some((*key, true)),
            _ => None,
        };
        let Some((key, gone)) = key else {
            self.changes.push(Some(change));
            return;
        };
        // A process that came and went between two deltas was never on any screen.
        if let Some(slot) = self.processes.remove(&key).and_then(|at| self.changes.get_mut(at)) {
            *slot = None;
        }
        if !gone {
            self.processes.insert(key, self.changes.len());
        }
        self.changes.push(Some(change));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> Process {
        Process {
            ppid: 1,
            exe: HostText::from("/bin/true"),
            argv: vec![HostText::from("a".repeat(5_000))],
            ..Process::unknown(ProcessKey { boot: bartizan_model::BootId(1), pid, start: 1 }, chrono::DateTime::UNIX_EPOCH)
        }
    }

    #[test]
    fn a_storm_of_processes_leaves_one_change_each_and_no_long_arguments() {
        let mut live = Live::default();
        live.watch(true);
        for _ in 0..5 {
            live.process(&process(7));
        }
        let changes = live.drain().unwrap();
        assert!(
            matches!(changes.as_slice(), [Change::Process(row)] if row.argv.len() == 1 && row.argv.iter().all(|arg| arg.as_bytes().ends_with(b"(cut)"))),
            "{changes:?}"
        );
    }

    #[test]
    fn too_many_changes_ask_for_a_snapshot() {
        let mut live = Live::default();
        live.watch(true);
        (0..30_000).for_each(|pid| live.process(&process(pid)));
        assert_eq!(live.drain(), None);
        assert_eq!(live.drain().map(|c| c.len()), Some(0));
    }

    #[test]
    fn nothing_is_noted_while_nobody_looks() {
        let mut live = Live::default();
        live.process(&process(1));
        assert_eq!(live.drain().map(|c| c.len()), Some(0));
    }
}
