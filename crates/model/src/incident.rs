//! Signals joined into one story.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Confidence, Family, HostText, IncidentId, Posture, ProcessKey, Severity, SignalId, Timestamp};

/// Steps of an attack, in order (after ATT&CK tactics).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Looking around (TA0043, TA0007).
    Recon,
    /// Getting in (TA0001).
    InitialAccess,
    /// Running something (TA0002).
    Execution,
    /// Staying (TA0003).
    Persistence,
    /// Becoming more, reading secrets (TA0004, TA0006).
    Privilege,
    /// Talking home, taking data out (TA0011, TA0010).
    #[serde(alias = "exfiltration")]
    CommandAndControl,
}

impl Stage {
    /// All, in order.
    pub const ALL: [Self; 6] =
        [Self::Recon, Self::InitialAccess, Self::Execution, Self::Persistence, Self::Privilege, Self::CommandAndControl];

    /// As people say it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Recon => "recon",
            Self::InitialAccess => "initial access",
            Self::Execution => "execution",
            Self::Persistence => "persistence",
            Self::Privilege => "privilege",
            Self::CommandAndControl => "command and control",
        }
    }
}

/// What signals can have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entity {
    /// Everything below one process: the root of a family tree.
    Lineage(ProcessKey),
    /// One process.
    Process(ProcessKey),
    /// A user of the host.
    User(HostText),
    /// A remote address.
    Address(IpAddr),
    /// A file.
    File(HostText),
    /// A container.
    Container(String),
    /// Bartizan itself: something done to it by nobody knows whom.
    Guard,
    /// An attack of one or many sources, by when it began, in seconds since 1970. It is one story for as long as it may last.
    Campaign(u64),
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lineage(key) => write!(f, "tree of {}", key.pid),
            Self::Process(key) => write!(f, "process {}", key.pid),
            Self::User(user) => write!(f, "user {user}"),
            Self::Address(addr) => write!(f, "{addr}"),
            Self::File(path) => write!(f, "{path}"),
            Self::Container(id) => write!(f, "container {}", HostText::from(id.as_str())),
            Self::Guard => f.write_str("the guard"),
            Self::Campaign(begun) => {
                let begun = i64::try_from(*begun).ok().and_then(|begun| Timestamp::from_timestamp(begun, 0)).unwrap_or_default();
                write!(f, "the attack that began at {} UTC", begun.format("%Y-%m-%d %H:%M:%S"))
            }
        }
    }
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentState {
    /// Nobody has dealt with it.
    Open,
    /// An action holds it.
    Contained,
    /// A person has seen it.
    Acknowledged,
    /// Quiet for longer than the correlation window.
    Closed,
}

/// Signals joined over what they have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name.
    pub id: IncidentId,
    /// First signal.
    pub opened: Timestamp,
    /// Last signal.
    pub updated: Timestamp,
    /// Where it stands.
    pub state: IncidentState,
    /// Noisy-or over independent pieces of evidence.
    pub confidence: Confidence,
    /// Worst signal.
    pub severity: Severity,
    /// How far the response may go at this confidence.
    pub posture: Posture,
    /// Stages seen, in order.
    pub stages: Vec<Stage>,
    /// What it is about.
    pub entities: Vec<Entity>,
    /// Its signals, oldest first (bounded; see `signal_count`).
    pub signals: Vec<SignalId>,
    /// How many signals joined in all.
    pub signal_count: u64,
    /// Families that contributed.
    pub families: Vec<Family>,
    /// The process tree to act on, if one.
    pub subject: Option<ProcessKey>,
    /// Remote addresses that took part.
    pub addresses: Vec<IpAddr>,
    /// One plain sentence. Safe to show.
    pub sentence: String,
    /// Nothing that it rests on was lost or cut.
    pub complete: bool,
    /// Signals that would have joined and count for nothing, by an exception of a person.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub excepted: u64,
}

/// What the stable detectors alone prove of an incident: only this may drive an action without a person.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Proof {
    /// The incident's confidence if only stable detectors had spoken.
    pub confidence: Confidence,
    /// How many independent pieces of evidence that rests on: different acts, seen by different kinds of sensor.
    pub pieces: usize,
    /// How many stages they cover.
    #[serde(default)]
    pub stages: usize,
    /// Nothing shows that they belong together: nobody types over a socket, and no far end is proven. Two jobs of one service
    /// look the same, so they weigh one less.
    pub apart: bool,
    /// Addresses that did something here themselves, as the kernel or a daemon recorded; the others were merely called.
    pub hostile: Vec<IpAddr>,
    /// Those of them that attack from outside, by what a daemon of this host recorded, in the order of their addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<HostileSource>,
    /// Further ones that there was no room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sources_dropped: u64,
}

/// An address that attacks from outside: a daemon of this host recorded what it did, and nothing of it runs here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostileSource {
    /// Which, in its canonical form.
    pub addr: IpAddr,
    /// By which kind of evidence.
    pub family: Family,
    /// When a detector named it last.
    pub at: Timestamp,
    /// What it did, in one sentence. Safe to show.
    pub sentence: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature that serde asks for
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why an incident scores what it scores, without a model. All texts are safe to show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Which incident.
    pub incident: IncidentId,
    /// What was seen, one sentence a signal.
    pub seen: Vec<String>,
    /// Why the score: what counts, and what was counted as one.
    pub why: Vec<String>,
    /// What would lower it.
    pub lower: Vec<String>,
    /// What was done.
    pub done: Vec<String>,
    /// How to undo it.
    pub undo: Vec<String>,
    /// Whether the evidence is complete, and if not what is missing.
    pub evidence: String,
}
