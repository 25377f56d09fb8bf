//! Vital signs of the host: what must work as well after an action as it did before (row I2).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What kind of sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VitalKind {
    /// A TCP connection of the owner's own login is open.
    OperatorConnection,
    /// The SSH server accepts a TCP connection.
    SshServer,
    /// A unit that policy.toml names is active.
    Unit,
    /// A listener that policy.toml names is open.
    Listener,
    /// A name server answers.
    Resolver,
    /// A probe over HTTP or TCP that policy.toml names is answered.
    Probe,
}

impl VitalKind {
    /// In a sentence: "the operator's connection".
    pub fn noun(self) -> &'static str {
        match self {
            Self::OperatorConnection => "the operator's connection",
            Self::SshServer => "the SSH server",
            Self::Unit => "unit",
            Self::Listener => "listener",
            Self::Resolver => "name server",
            Self::Probe => "probe",
        }
    }
}

/// How one sign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VitalState {
    /// It works.
    Well,
    /// It does not.
    Ill,
    /// It could not be asked.
    Unknown,
}

/// One sign at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vital {
    /// What kind.
    pub kind: VitalKind,
    /// Which one: `203.0.113.9:50122`, `nginx.service`, `tcp 443`. Safe to show.
    pub name: String,
    /// How it is.
    pub state: VitalState,
    /// What was seen, in a few words. Safe to show.
    pub detail: String,
}

impl fmt::Display for Vital {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind.noun(), self.name, self.detail)
    }
}

/// What became of the vital signs under one action.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VitalCheck {
    /// When they were last compared with before; absent: not yet.
    pub at: Option<Timestamp>,
    /// How many were well before and are well still.
    pub well: u32,
    /// What was not well before already, and so is not blamed on the action.
    pub ill_before: Vec<String>,
    /// What was well before and is not any more: the action is rolled back for it.
    pub harmed: Vec<String>,
}

/// Signs that were well before and are ill now. What was ill, unknown or absent before is not blamed; what cannot be
/// asked now is not blamed either, but for the owner's own way in: there not knowing is harm.
pub fn harmed<'a>(before: &[Vital], after: &'a [Vital]) -> Vec<&'a Vital> {
    let was_well = |now: &Vital| before.iter().any(|then| (then.kind, &then.name, then.state) == (now.kind, &now.name, VitalState::Well));
    let own = |kind| matches!(kind, VitalKind::OperatorConnection | VitalKind::SshServer);
    let is_ill = |now: &Vital| now.state == VitalState::Ill || now.state == VitalState::Unknown && own(now.kind);
    after.iter().filter(|now| is_ill(now) && was_well(now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vital(kind: VitalKind, name: &str, state: VitalState) -> Vital {
        Vital { kind, name: name.to_owned(), state, detail: String::new() }
    }

    #[test]
    fn what_was_broken_before_is_not_blamed() {
        use VitalKind::{Probe, SshServer, Unit};
        use VitalState::{Ill, Unknown, Well};
        let before = [vital(Unit, "a", Well), vital(Unit, "b", Ill), vital(Probe, "c", Well), vital(SshServer, "d", Well)];
        let after = [
            vital(Unit, "a", Ill),
            vital(Unit, "b", Ill),
            vital(Probe, "c", Unknown),
            vital(SshServer, "d", Unknown),
            vital(Unit, "e", Ill),
        ];
        let names: Vec<&str> = harmed(&before, &after).iter().map(|vital| vital.name.as_str()).collect();
        assert_eq!(names, ["a", "d"]);
    }
}
