//! What the console is fed with: one snapshot, then numbered changes.

use serde::{Deserialize, Serialize};

use bartizan_model::{
    Action, ActionId, Alert, Approval, Event, Flow, Health, HostText, Incident, IncidentId, Presence, ProcessKey, ServiceRole, Signal,
    Timestamp,
};

/// One process as the console shows it. Host text is raw; the console escapes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessRow {
    /// Who.
    pub key: ProcessKey,
    /// Its parent, when known.
    pub parent: Option<ProcessKey>,
    /// Path of the executable.
    pub exe: HostText,
    /// Arguments, cut to a few kilobytes.
    pub argv: Vec<HostText>,
    /// Real user id.
    pub uid: u32,
    /// User name.
    pub user: Option<HostText>,
    /// systemd unit.
    pub unit: Option<String>,
    /// Container id.
    pub container: Option<String>,
    /// What kind of service it is itself, if one.
    pub role: Option<ServiceRole>,
    /// When it started or last executed a program.
    pub since: Timestamp,
    /// The incident that it belongs to.
    pub incident: Option<IncidentId>,
    /// The action that holds it.
    pub held_by: Option<ActionId>,
}

/// One listener or connection as the console shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SocketRow {
    /// Its number in this agent's life.
    pub id: u64,
    /// It waits for others.
    pub listening: bool,
    /// Between whom.
    pub net: Flow,
    /// Whose it is.
    pub process: Option<ProcessKey>,
    /// What that one runs.
    pub exe: HostText,
    /// First seen.
    pub since: Timestamp,
    /// Last seen.
    pub last: Timestamp,
    /// How often the same was begun.
    pub count: u64,
    /// Still open, as far as the kernel said last.
    pub open: bool,
    /// The incident that it belongs to.
    pub incident: Option<IncidentId>,
}

/// Everything that the console shows, at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its number; the next delta has the next one.
    pub seq: u64,
    /// How the agent is.
    pub health: Health,
    /// What happened while nobody looked; only in the first snapshot after an absence.
    pub presence: Option<Presence>,
    /// Living processes.
    pub processes: Vec<ProcessRow>,
    /// Listeners and recent connections.
    pub sockets: Vec<SocketRow>,
    /// Recent incidents.
    pub incidents: Vec<Incident>,
    /// Their recent signals, oldest first.
    pub signals: Vec<Signal>,
    /// Alerts.
    pub alerts: Vec<Alert>,
    /// Open questions and recently answered ones.
    pub approvals: Vec<Approval>,
    /// Actions, active and recent.
    pub actions: Vec<Action>,
}

/// One change to what the console shows. Every one names the whole new row, so applying one twice is harmless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// How the agent is.
    Health(Box<Health>),
    /// A process appeared or changed.
    Process(Box<ProcessRow>),
    /// A process ended.
    ProcessGone(ProcessKey),
    /// A listener or connection appeared or changed.
    Socket(Box<SocketRow>),
    /// It is too old to show.
    SocketGone(u64),
    /// An incident opened or changed.
    Incident(Box<Incident>),
    /// It is too old to show.
    IncidentGone(IncidentId),
    /// A new opinion.
    Signal(Box<Signal>),
    /// An alert was raised or changed.
    Alert(Box<Alert>),
    /// A question was asked or answered.
    Approval(Box<Approval>),
    /// An action changed.
    Action(Box<Action>),
}

/// News.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Push {
    /// Everything, anew.
    Snapshot(Box<Snapshot>),
    /// What changed since the number before. A gap in the numbers means: ask for a new snapshot.
    Delta {
        /// Its number.
        seq: u64,
        /// What changed, in order.
        changes: Vec<Change>,
    },
    /// Events, for a client that follows them.
    Events(Vec<Event>),
    /// Events that this client was too slow to take.
    Missed(u64),
    /// The agent ends; what it did stays until its own expiry.
    Goodbye {
        /// Why.
        reason: String,
    },
}
