//! A container as its runtime tells of it.

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
}
