//! One detector's opinion of what happened.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Act, Entity, EventId, ExceptionId, ProcessKey, SignalId, Stage, Timestamp};

/// How bad, if true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth recording.
    Info,
    /// Worth a look some day.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a look now.
    High,
    /// An intrusion unless explained.
    Critical,
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// How far a detector is trusted. Only stable ones may drive autonomous action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// New; tells, never acts.
    Experimental,
    /// Under observation; tells, never acts.
    Incubating,
    /// Proven; may drive action.
    Stable,
}

/// Kinds of evidence, by the kind of sensor that sees it. Two are independent when they are about different acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// What a process is and whence it comes.
    Lineage,
    /// Where it talks to.
    Outbound,
    /// What changed on disk.
    Files,
    /// Identity, privilege, credentials.
    Auth,
    /// What strangers ask a web server for, by its own log.
    Web,
    /// What the field has written down as rules (Sigma): however many match, they are about the same act.
    Rule,
    /// Departure from what is normal here.
    Anomaly,
    /// Other tools.
    Tools,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 8] = [Self::Lineage, Self::Outbound, Self::Files, Self::Auth, Self::Web, Self::Rule, Self::Anomaly, Self::Tools];

    /// As in JSON and `policy.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lineage => "lineage",
            Self::Outbound => "outbound",
            Self::Files => "files",
            Self::Auth => "auth",
            Self::Web => "web",
            Self::Rule => "rule",
            Self::Anomaly => "anomaly",
            Self::Tools => "tools",
        }
    }
}

/// A probability-like trust in an opinion, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(from = "f64")]
pub struct Confidence(f64);

impl Confidence {
    /// Clamped into 0 to 1; NaN becomes 0.
    pub fn new(value: f64) -> Self {
        Self(if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) })
    }

    /// 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }

    /// In whole percent, cut and not rounded: 0 to 100.
    pub fn percent(self) -> u8 {
        // Between 0 and 100 by construction.
        (self.0 * 100.0 + 1e-9).floor() as u8
    }
}

impl From<f64> for Confidence {
    fn from(value: f64) -> Self {
        Self::new(value)
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Cut, not rounded: 0.849 must not read as the 0.85 that would have allowed an action.
        write!(f, "{:.2}", (self.0 * 100.0 + 1e-9).floor() / 100.0)
    }
}

/// An ATT&CK technique, by its id: `T1059.004`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Technique(pub std::borrow::Cow<'static, str>);

impl Technique {
    /// A technique known at compile time.
    pub const fn new(id: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(id))
    }
}

impl fmt::Display for Technique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One detector's opinion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Its name.
    pub id: SignalId,
    /// When the event that completed it happened.
    pub at: Timestamp,
    /// Which detector.
    pub detector: String,
    /// What an attacker would be doing.
    pub technique: Vec<Technique>,
    /// How bad, if true.
    pub severity: Severity,
    /// How sure the detector is by itself.
    pub confidence: Confidence,
    /// How far the detector is trusted.
    pub tier: Tier,
    /// Which kind of evidence.
    pub family: Family,
    /// Where in a kill chain it stands.
    pub stage: Stage,
    /// The facts it rests on.
    pub events: Vec<EventId>,
    /// What it is about; signals that share one join.
    pub entities: Vec<Entity>,
    /// The process to act on, if one.
    pub subject: Option<ProcessKey>,
    /// The act that it is about; `None` when nobody knows who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
    /// An address that did something here itself, as the kernel recorded: the far end of a shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostile: Option<IpAddr>,
    /// One plain sentence. Safe to show.
    pub sentence: String,
    /// All its facts are complete.
    pub complete: bool,
    /// The exception that keeps it from counting: it is recorded, and leads to no alert and no action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excepted: Option<ExceptionId>,
}

impl Signal {
    /// The address that attacks from outside, if it is about one: a daemon of this host recorded what it did, and nothing of it runs here.
    pub fn outsider(&self) -> Option<IpAddr> {
        self.hostile.filter(|_| self.act.is_none() && self.subject.is_none()).map(|addr| addr.to_canonical())
    }
}
