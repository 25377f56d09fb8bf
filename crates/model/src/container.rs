//! A container as its runtime tells of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::HostText;

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// First 12 hex digits of its id, as in a process's `container`.
    pub id: String,
    /// Its name.
    pub name: HostText,
    /// The image it was made from.
    pub image: HostText,
    /// Which runtime told: `docker`, `podman`.
    pub runtime: String,
    /// Pid of its first process on the host, when it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What of the host its processes reach, as it was started; empty also when the runtime did not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reach: Vec<HostReach>,
}

/// What of the host a container reaches that a container usually does not: each is a way out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostReach {
    /// Started as privileged: all capabilities, all devices.
    Privileged,
    /// A capability that opens the host: CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_BOOT, CAP_DAC_READ_SEARCH,
    /// CAP_BPF, ALL.
    Capabilities,
    /// The socket of a container runtime, by which it can start containers that reach everything.
    RuntimeSocket,
    /// Directories of the system, or what lies in them (/, /etc, /root, /proc, /var/log ...); volumes are a container's own.
    SystemFiles,
    /// The host's processes: its pid namespace.
    Processes,
    /// The host's network: its network namespace.
    Network,
}

impl HostReach {
    /// In a sentence: `the host's network`.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Privileged => "full privileges",
            Self::Capabilities => "strong capabilities",
            Self::RuntimeSocket => "the container runtime's socket",
            Self::SystemFiles => "the host's system files",
            Self::Processes => "the host's processes",
            Self::Network => "the host's network",
        }
    }
}

impl fmt::Display for HostReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}
