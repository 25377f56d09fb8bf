//! Health probes of the host: what must work as well after an action as it did before.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ProcessKey, Timestamp};

/// What kind of sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeKind {
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

impl ProbeKind {
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
pub enum ProbeState {
    /// It works.
    Well,
    /// It is there and turns people away because there are too many of them: nobody's harm.
    Busy,
    /// It does not work.
    Ill,
    /// It could not be asked.
    Unknown,
}

/// One sign at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What kind.
    pub kind: ProbeKind,
    /// Which one: `203.0.113.9:50122`, `nginx.service`, `tcp 443`. Safe to show.
    pub name: String,
    /// How it is.
    pub state: ProbeState,
    /// What was seen, in a few words. Safe to show.
    pub detail: String,
    /// The addresses over which it is reached: only what stops packets of one of them can harm it that way.
    pub ways: Vec<IpAddr>,
    /// The processes that it is made of: only what stops one of them can harm it that way.
    pub servers: Vec<ProcessKey>,
    /// How long its answer took, where one was asked for.
    pub took: Option<Duration>,
    /// The tunnel by which it comes, whose own way nobody tells.
    pub tunnel: Option<String>,
}

impl Probe {
    /// A sign that neither an address nor a process leads to.
    pub fn new(kind: ProbeKind, name: impl ToString, state: ProbeState, detail: impl Into<String>) -> Self {
        Self { kind, name: name.to_string(), state, detail: detail.into(), ways: Vec::new(), servers: Vec::new(), took: None, tunnel: None }
    }

    /// The same, reached over these addresses.
    #[must_use]
    pub fn over(mut self, ways: impl IntoIterator<Item = IpAddr>) -> Self {
        self.ways.extend(ways.into_iter().map(|way| way.to_canonical()));
        self
    }

    /// The same, made of these processes.
    #[must_use]
    pub fn made_of(mut self, servers: impl IntoIterator<Item = ProcessKey>) -> Self {
        self.servers.extend(servers);
        self
    }

    /// Whether it is the same sign, perhaps at another moment.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.kind, &self.name) == (other.kind, &other.name)
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind.noun(), self.name, self.detail)
    }
}

/// What became of the health probes under one action.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProbeCheck {
    /// When they were last compared with before; absent: not yet.
    pub at: Option<Timestamp>,
    /// How many were well before and are well still.
    pub well: u32,
    /// What was not well before already, and so is not blamed on the action.
    pub ill_before: Vec<String>,
    /// What was well before, is not any more, and can have been harmed by the action: it is rolled back for it.
    pub harmed: Vec<String>,
    /// What was well before and is not any more although the action cannot reach it: told, and nothing is undone.
    #[serde(default)]
    pub unexplained: Vec<String>,
}

/// Signs that were well before and are ill now, each as it was and as it is. What was ill, unknown or absent before is not
/// blamed on anybody; neither is what is only busy, or cannot be asked: strangers can bring that about.
pub fn worse<'a>(before: &'a [Probe], after: &'a [Probe]) -> impl Iterator<Item = (&'a Probe, &'a Probe)> {
    let ill = after.iter().filter(|now| now.state == ProbeState::Ill);
    ill.filter_map(|now| Some((before.iter().find(|then| then.is_same(now) && then.state == ProbeState::Well)?, now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_broken_before_is_not_blamed_and_neither_is_what_strangers_can_bring_about() {
        use ProbeKind::{SshServer, Unit};
        use ProbeState::{Busy, Ill, Unknown, Well};
        let sign = |kind, name: &str, state| Probe::new(kind, name, state, "");
        let before = [
            sign(Unit, "a", Well),
            sign(Unit, "b", Ill),
            sign(ProbeKind::Probe, "c", Well),
            sign(SshServer, "d", Well),
            sign(Unit, "f", Busy),
        ];
        let after = [
            sign(Unit, "a", Ill),
            sign(Unit, "b", Ill),
            sign(ProbeKind::Probe, "c", Unknown),
            sign(SshServer, "d", Busy),
            sign(Unit, "e", Ill),
            sign(Unit, "f", Ill),
        ];
        let names: Vec<&str> = worse(&before, &after).map(|(_, now)| now.name.as_str()).collect();
        assert_eq!(names, ["a"]);
    }
}
