//! What containers there are and what each of them is.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{ApiError, ContainerApi, parse};
use bartizan_model::{Container, HostReach, HostText};

/// Longest name and image kept, in bytes.
const MAX_NAME: usize = 256;
/// Hex digits of an id that are kept, as in cgroup names.
const SHORT_ID: usize = 12;
/// Hex digits of a whole id.
const FULL_ID: usize = 64;

/// One container as the runtime knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub container: Container,
    /// Whether it runs.
    pub running: bool,
    /// When it was started last.
    pub started: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    config: Config,
    #[serde(default)]
    state: State,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(default)]
    mounts: Option<Vec<Mounted>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    privileged: bool,
    network_mode: String,
    pid_mode: String,
    cap_add: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Mounted {
    source: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    image: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    running: bool,
    pid: u32,
    started_at: String,
}

impl ContainerApi {
    /// Ids of the containers that run now, at most `most`.
    ///
    /// # Errors
    /// When the runtime is not there or does not answer as it should.
    pub fn running(&self, most: usize) -> Result<Vec<String>, ApiError> {
        let path = "/containers/json";
        let listed: Vec<Listed> = parse(path, &self.get(path)?)?;
        Ok(listed.into_iter().take(most).map(|container| container.id).collect())
    }

    /// One container by its id or the first digits of it; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the runtime is not there or does not answer as it should.
    pub fn inspect(&self, id: &str) -> Result<Option<Found>, ApiError> {
        let Some(inspected) = self.inspected(id)? else { return Ok(None) };
        let state = inspected.state;
        let pid = Some(state.pid).filter(|pid| *pid != 0);
        let reach = reach(&inspected.host_config, inspected.mounts.as_deref().unwrap_or_default());
        let container = self.container(&inspected.id, &inspected.name, &inspected.config.image, pid);
        let container = container.map(|container| Container { reach, ..container });
        let started = DateTime::parse_from_rfc3339(&state.started_at).ok().map(|at| at.to_utc());
        Ok(container.map(|container| Found { container, running: state.running, started }))
    }

    /// Full id and name of the container that is meant by a name, a full id or the first digits of one; `None` when there
    /// is none, or when it cannot be a name: letters, digits, `_`, `.` and `-`, at most 128 of them.
    ///
    /// # Errors
    /// When the runtime is not there or does not answer as it should.
    pub fn named(&self, name: &HostText) -> Result<Option<(String, HostText)>, ApiError> {
        let sane = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        let bytes = name.as_bytes();
        let Some(word) = std::str::from_utf8(bytes).ok().filter(|_| (1..=128).contains(&bytes.len()) && bytes.iter().all(sane)) else {
            return Ok(None);
        };
        // A name of dots alone would be another path.
        if word.bytes().all(|byte| byte == b'.') {
            return Ok(None);
        }
        let Some(Inspected { id, name, .. }) = self.inspected(word)? else { return Ok(None) };
        if id.len() != FULL_ID || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ApiError::Garbled(path_of(word), "an id that is not 64 hex digits".to_owned()));
        }
        Ok(Some((id, bounded(&name))))
    }

    fn inspected(&self, id: &str) -> Result<Option<Inspected>, ApiError> {
        let path = path_of(id);
        match self.get(&path) {
            Ok(body) => parse(&path, &body).map(Some),
            Err(ApiError::Refused(_, 404, _)) => Ok(None),
            Err(why) => Err(why),
        }
    }

    pub(super) fn container(&self, id: &str, name: &str, image: &str, pid: Option<u32>) -> Option<Container> {
        let short = id.get(..SHORT_ID).filter(|short| short.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        Some(Container {
            id: short.to_owned(),
            name: bounded(name),
            image: bounded(image),
            runtime: self.runtime.to_owned(),
            pid,
            reach: Vec::new(),
        })
    }
}

/// Capabilities with which a process leaves its container (capabilities(7)).
const STRONG: [&str; 8] = ["ALL", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF", "SYS_BOOT"];
/// Whoever writes here decides what the host runs and whom it lets in; who reads here finds its secrets.
const SYSTEM: [&str; 17] = [
    "/bin", "/lib64", "/boot", "/dev", "/etc", "/home", "/lib", "/proc", "/root", "/run/systemd", "/sbin", "/sys", "/usr",
    "/var/lib/containers", "/var/lib/docker", "/var/log", "/var/spool/cron",
];

/// What of the host it was given.
fn reach(host: &HostConfig, mounts: &[Mounted]) -> Vec<HostReach> {
    let strong = |name: &String| STRONG.contains(&name.strip_prefix("CAP_").unwrap_or(name));
    // A volume lies in the runtime's directory and is the container's own.
    let own = |source: &str| ["/var/lib/docker/volumes/", "/var/lib/containers/storage/volumes/"].iter().any(|dir| source.starts_with(dir));
    let below = |source: &str, dir: &&str| source.strip_prefix(*dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    // What every host hands to containers that should tell its time.
    let harmless = |source: &str| ["/etc/localtime", "/etc/timezone", "/dev/null", "/dev/shm"].contains(&source);
    let above = |source: &str, dir: &&str| !source.is_empty() && dir.strip_prefix(source).is_some_and(|rest| rest.starts_with('/'));
    let named = |source: &str| SYSTEM.iter().any(|dir| below(source, dir) || above(source, dir));
    let system = |source: &str| !own(source) && !harmless(source) && (source == "/" || named(source));
    let socket = |source: &str| ["docker.sock", "podman.sock", "containerd.sock", "crio.sock"].iter().any(|name| source.ends_with(name));
    let mounted = |is: &dyn Fn(&str) -> bool| mounts.iter().any(|mount| is(&mount.source));
    let all = [
        (HostReach::Privileged, host.privileged),
        (HostReach::Capabilities, host.cap_add.iter().flatten().any(strong)),
        // Whoever has the directory of the socket, or all, has the socket.
        (HostReach::RuntimeSocket, mounted(&|source| socket(source) || ["/", "/run", "/var/run"].contains(&source))),
        (HostReach::SystemFiles, mounted(&system)),
        (HostReach::Processes, host.pid_mode == "host"),
        (HostReach::Network, host.network_mode == "host"),
    ];
    all.into_iter().filter_map(|(reach, has)| has.then_some(reach)).collect()
}

pub(super) fn path_of(id: &str) -> String {
    format!("/containers/{id}/json")
}

/// A name as people know it: the runtime puts a slash before it.
pub(super) fn bounded(name: &str) -> HostText {
    let name = name.strip_prefix('/').unwrap_or(name).as_bytes();
    HostText::from(name.get(..MAX_NAME).unwrap_or(name))
}
