//! Something is done to the guard itself, or by it more than it should: a fact that detectors judge like any other.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ActionId, HostText};

/// What kind of alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// A warrant whose time was over was brought to the responder.
    WarrantRefused,
    /// The guard acts more often, or undoes itself more often, than it should: automatic actions are paused for a while.
    ActionRate,
    /// Somebody emptied, changed or removed our table in the packet filter.
    TableChanged,
    /// Somebody undid an action of ours by other means before its time.
    ActionUndone,
    /// The guard was ended by a signal that it did not expect, and runs again.
    AgentKilled,
    /// Somebody attached to the guard, or sent it a signal that ends or stops it.
    AgentAttacked,
    /// Somebody else wrote to the guard's databases, evidence or copies.
    DataTouched,
    /// Somebody changed the guard's unit, program or settings.
    InstallationTouched,
    /// The process that undoes our actions when we cannot has ended.
    WatchdogGone,
    /// A file that decides who gets in (authorized_keys, sshd_config, sudoers, PAM) was changed or removed.
    AccessTouched,
    /// A health probe of the host got worse and nothing that the guard did explains it.
    SignsWorse,
}

impl AlarmKind {
    /// As people read it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::WarrantRefused => "a warrant that does not hold",
            Self::ActionRate => "too many actions of our own",
            Self::TableChanged => "our table in the packet filter was changed",
            Self::ActionUndone => "an action was undone by somebody else",
            Self::AgentKilled => "the guard was killed",
            Self::AgentAttacked => "the guard was attacked",
            Self::DataTouched => "the guard's records were touched",
            Self::InstallationTouched => "the guard's installation was touched",
            Self::WatchdogGone => "the watchdog ended",
            Self::AccessTouched => "a file that controls who can log in was changed",
            Self::SignsWorse => "a health probe of this host got worse",
        }
    }
}

/// One alarm. Who did it, when known, is the event's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What kind.
    pub what: AlarmKind,
    /// What exactly; bytes may come from the host.
    pub detail: HostText,
    /// About which action of ours, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionId>,
    /// Which file, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HostText>,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what.noun(), self.detail.as_sentence())
    }
}
