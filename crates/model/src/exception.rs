//! Exceptions: what a person says is harmless here, on whom that is bound, why and until when.
//!
//! An exception keeps a signal from raising an alert or an action; the signal is recorded all the same. It is bound to what an
//! attacker does not choose alone: never to arguments, and never to the name of a process.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Entity, ExceptionId, HostText, Process, ServiceRole, Sha256, Signal, Timestamp, parse_network};

/// Inode of the initial user namespace (`PROC_USER_INIT_INO`, include/linux/proc_ns.h): in any other one, whoever made it may
/// mount a file of their own over any path.
pub(super) const INITIAL_USER_NAMESPACE: u32 = 0xEFFF_FFFD;
/// Widest networks that one exception may name: a /16 of IPv4, a /48 of IPv6.
const WIDEST: (u8, u8) = (16, 48);
/// Longest name of a detector, unit, package or user, in bytes.
const MAX_NAME: usize = 256;
/// Detectors that report attacks on the agent itself: they have no exceptions and cannot be switched off.
pub const ALWAYS_REPORTED: [&str; 2] = ["guard_attacked", "guard_alarm"];

/// What an exception is bound to: everything that it names must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExceptionScope {
    /// Name of the detector, or `rule:KEY`; without it, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Path of the executable on the host itself, not in a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<HostText>,
    /// SHA-256 of the executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// The package that owns the executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<HostText>,
    /// A service of this kind stands above, or is the process itself. It only narrows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<ServiceRole>,
    /// The unit of the system's own systemd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The user that the process runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<HostText>,
    /// All remote addresses of the signal lie in this network.
    #[serde(skip_serializing_if = "Option::is_none", with = "network")]
    pub address: Option<IpNet>,
}

/// An exception as a person made it. Rows are never rewritten but for their end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// Its name.
    pub id: ExceptionId,
    /// What it is bound to.
    pub scope: ExceptionScope,
    /// Why it is harmless.
    pub reason: String,
    /// Who says so.
    pub author: String,
    /// When it was added.
    pub added: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// Its end before that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<ExceptionEnd>,
}

/// Who removed an exception, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionEnd {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What an exception would have hidden, from the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExceptionPreview {
    /// Days looked back.
    pub days: u32,
    /// Signals of that time that were compared.
    pub compared: u64,
    /// Those that it would have hidden.
    pub hidden: u64,
    /// Those of them whose incident led to an action.
    pub acted_on: u64,
    /// Those of them by another detector, program or stage than most.
    pub other_kind: u64,
    /// Signals that could not be compared because their event is no longer archived, or because there were too many.
    pub unknown: u64,
    /// The newest of the hidden ones, those of another kind and those acted on first.
    pub examples: Vec<Signal>,
}

impl ExceptionScope {
    /// Why no exception can be bound like this; `None` when one can.
    pub fn objection(&self) -> Option<String> {
        self.malformed().or_else(|| self.too_wide())
    }

    fn malformed(&self) -> Option<String> {
        let names = [self.source.as_ref().map(|name| name.as_bytes()), self.unit.as_ref().map(|name| name.as_bytes())];
        let texts = [&self.package, &self.user].map(|text| text.as_ref().map(HostText::as_bytes));
        if names.into_iter().chain(texts).flatten().any(|name| name.is_empty() || name.len() > MAX_NAME || name.contains(&b'*')) {
            return Some(format!("a name has 1 to {MAX_NAME} bytes and no wildcard"));
        }
        let exe = self.exe.as_ref()?;
        let plain = exe.starts_with("/") && exe.as_bytes().len() <= 4096 && !exe.as_bytes().contains(&b'*');
        let straight = !exe.as_bytes().split(|byte| *byte == b'/').skip(1).any(|part| matches!(part, b"" | b"." | b".."));
        (!plain || !straight).then(|| format!("{exe} is not the full path of one file"))
    }

    fn too_wide(&self) -> Option<String> {
        let source = self.source.as_deref();
        if let Some(ours) = source.filter(|name| ALWAYS_REPORTED.contains(name)) {
            return Some(format!("{ours} reports attacks on Bartizan itself: it has no exceptions"));
        }
        if let Some(network) = self.address.filter(|network| network.prefix_len() < widest(network)) {
            return Some(format!("{network} is too wide: a network has at least /{} here", widest(&network)));
        }
        match (source, self.anchors()) {
            (Some(name), 0) => Some(format!(
                "it would hide everything that {name} reports: bind it to an executable, digest, package, unit, user or network too \
                 (root and a kind of service only narrow)"
            )),
            (None, 0) => Some("it would hide everything: name a detector or rule, and on whom it is bound".to_owned()),
            (None, 1) => Some("it would hide all detectors and rules: name one, or bind it to one thing more".to_owned()),
            (None | Some(_), _) => None,
        }
    }

    /// How many bindings narrow it enough: whatever an intruder becomes (root, something below a service) is none.
    fn anchors(&self) -> usize {
        let user = self.user.as_ref().is_some_and(|user| *user != *"root");
        let each = [self.exe.is_some(), self.sha256.is_some(), self.package.is_some(), self.unit.is_some(), user, self.address.is_some()];
        each.into_iter().filter(|held| *held).count()
    }

    /// Whether nothing but the executable narrows it: not enough for a program that does whatever it is told.
    pub fn is_by_program_alone(&self) -> bool {
        let user = self.user.as_ref().is_some_and(|user| *user != *"root");
        let program = self.exe.is_some() || self.sha256.is_some() || self.package.is_some();
        program && self.unit.is_none() && !user && self.address.is_none()
    }

    /// Whether a signal is of this kind. What is not known of the process never fits.
    pub fn covers(&self, signal: &Signal, process: Option<&Process>) -> bool {
        !ALWAYS_REPORTED.contains(&signal.detector.as_str())
            && self.source.as_ref().is_none_or(|name| *name == signal.detector)
            && self.address.is_none_or(|network| lies_in(signal, network))
            && (!self.asks_for_process() || process.is_some_and(|process| self.fits(process)))
    }

    fn asks_for_process(&self) -> bool {
        let program = self.exe.is_some() || self.sha256.is_some() || self.package.is_some();
        program || self.below.is_some() || self.unit.is_some() || self.user.is_some()
    }

    fn fits(&self, process: &Process) -> bool {
        let own = process.container.is_none() && process.namespaces.user == INITIAL_USER_NAMESPACE;
        // The kernel says in which tree it runs; without audit nobody notes who logged in.
        let daemon = process.loginuid.is_none() && !process.cgroup.starts_with("/user.slice/");
        let file = process.exe_file;
        // A variable that makes it load something else makes it somebody else's program.
        let itself = !file.memfd && !file.deleted && process.environment.is_empty();
        let digest = |wanted: Sha256| itself && file.sha256 == Some(wanted);
        self.exe.as_ref().is_none_or(|exe| own && itself && process.exe == *exe)
            && self.sha256.is_none_or(digest)
            && self.package.as_ref().is_none_or(|package| own && itself && process.package.as_ref() == Some(package))
            && self.below.is_none_or(|role| process.lineage.root(role).is_some())
            // Users name units of their own; what runs there has logged in.
            && self.unit.as_ref().is_none_or(|unit| own && daemon && process.unit.as_ref() == Some(unit))
            && self.user.as_ref().is_none_or(|user| own && process.user.as_ref() == Some(user))
    }
}

fn widest(network: &IpNet) -> u8 {
    if network.addr().is_ipv4() { WIDEST.0 } else { WIDEST.1 }
}

fn lies_in(signal: &Signal, network: IpNet) -> bool {
    let named = signal.entities.iter().filter_map(|entity| if let Entity::Address(addr) = entity { Some(*addr) } else { None });
    let all: Vec<IpAddr> = named.chain(signal.hostile).map(|addr| addr.to_canonical()).collect();
    !all.is_empty() && all.iter().all(|addr| network.contains(addr))
}

impl fmt::Display for ExceptionScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| HostText::from(text).escaped();
        let parts = [
            self.source.as_deref().map(quoted),
            self.exe.as_ref().map(|exe| format!("by {exe}")),
            self.sha256.map(|digest| format!("by the file with SHA-256 {digest}")),
            self.package.as_ref().map(|package| format!("by package {package}")),
            self.below.map(|role| format!("below a {}", role.noun())),
            self.unit.as_deref().map(|unit| format!("in {}", quoted(unit))),
            self.user.as_ref().map(|user| format!("as {user}")),
            self.address.map(|network| format!("with {network}")),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

impl Exception {
    /// Whether it holds at this moment.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.removed.is_none() && self.added <= now && now < self.until
    }

    /// Where it stands, for people.
    pub fn standing(&self, now: Timestamp) -> &'static str {
        match &self.removed {
            Some(_) => "removed",
            None if now < self.until => "in force",
            None => "expired",
        }
    }
}

/// A network as people write it; a single address is one, too.
mod network {
    use super::{Deserialize, Deserializer, IpNet, Serializer, parse_network};

    #[allow(clippy::ref_option)] // the signature that serde asks for
    pub(super) fn serialize<S: Serializer>(network: &Option<IpNet>, serializer: S) -> Result<S::Ok, S::Error> {
        match network {
            Some(network) => serializer.collect_str(network),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpNet>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        parse_network(&text).map(Some).ok_or_else(|| serde::de::Error::custom("no address or network"))
    }
}
