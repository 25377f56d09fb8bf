//! Taking one container off its networks or stopping it where it stands, and what is needed to put it back.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use bartizan_model::HostText;
use bartizan_sys::container_api::{ApiError, ContainerApi, parse};
use bartizan_sys::{mountinfo, proc_files};

/// Most networks of one container that are taken in; Docker itself has no bound.
const MAX_NETWORKS: usize = 64;
/// Longest description of one network endpoint, in bytes of JSON.
const MAX_ENDPOINT: usize = 16 << 10;
/// What of an endpoint is configuration (Docker Engine API, `EndpointSettings`); the rest is what came of it.
const CONFIGURED: [&str; 5] = ["IPAMConfig", "Links", "Aliases", "DriverOpts", "GwPriority"];

/// Why a container is not cut off or put back. All texts are safe to show.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The runtime.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// No runtime knows it.
    #[error("no runtime of this host knows container {0}: `docker ps` or `podman ps` lists them")]
    Unknown(String),
    /// It is not running.
    #[error("container {0} does not run: there is nothing to cut off")]
    Stopped(HostText),
    /// It is paused by somebody else.
    #[error("container {0} is paused already, by somebody else: nothing was done")]
    PausedAlready(HostText),
    /// It shares the network of the host or of another container, or has none.
    #[error("container {name} has no network of its own (network mode {mode}), so it cannot be disconnected: pause it instead", mode = .mode.escape_debug())]
    NoOwnNetwork {
        /// Its name.
        name: HostText,
        /// What `docker run --network` was told.
        mode: String,
    },
}

/// How a container stands on one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Name of the network.
    pub network: String,
    /// Id of the network.
    pub id: String,
    /// What to say to be connected like this again (`EndpointSettings`).
    pub config: Value,
    /// Its IPv4 address there.
    pub address: Option<IpAddr>,
    /// Its IPv6 address there.
    pub address6: Option<IpAddr>,
    /// Its hardware address there.
    pub mac: String,
}

/// What came of connecting it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// As it was asked for.
    AsItWas,
    /// Connected, with another address.
    Elsewhere,
    /// There is no such network or container any more.
    Gone,
}

/// How a container stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its full id.
    pub id: String,
    /// Its name.
    pub name: HostText,
    /// Whether it runs; a paused one does.
    pub running: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Its first process, while it runs.
    pub pid: Option<u32>,
    /// `bridge`, `host`, `none`, `container:ID` or the name of a network.
    pub mode: String,
    /// Its networks, in the order of its interfaces.
    pub endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    state: State,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(default)]
    network_settings: NetworkSettings,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    running: bool,
    paused: bool,
    pid: u32,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    network_mode: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    networks: Option<BTreeMap<String, Map<String, Value>>>,
}

/// What can be done to one container through the runtime that runs it.
pub trait Isolate {
    /// How the container of this name or id stands; `None` when there is none.
    ///
    /// # Errors
    /// When the runtime is not there or does not answer as it should, or describes more networks than we take in.
    fn standing(&self, id: &str) -> Result<Option<Standing>, ApiError>;

    /// Takes a container off one network. One that is not on it any more is well too.
    ///
    /// # Errors
    /// When the runtime refuses.
    fn disconnect(&self, id: &str, network: &str) -> Result<(), ApiError>;

    /// Puts a container on a network as it was there; when another has its address by now, with another address.
    ///
    /// # Errors
    /// When the runtime refuses both.
    fn connect_again(&self, id: &str, endpoint: &Endpoint) -> Result<Again, ApiError>;

    /// Stops a container where it stands.
    ///
    /// # Errors
    /// When the runtime refuses.
    fn pause(&self, id: &str) -> Result<(), ApiError>;

    /// Lets a paused container run on. One that is gone or not paused any more is well too.
    ///
    /// # Errors
    /// When the runtime refuses and it is paused still.
    fn unpause(&self, id: &str) -> Result<(), ApiError>;
}

impl Isolate for ContainerApi {
    fn standing(&self, id: &str) -> Result<Option<Standing>, ApiError> {
        let path = format!("/containers/{id}/json");
        let inspected: Inspected = match self.get(&path) {
            Ok(body) => parse(&path, &body)?,
            Err(ApiError::Refused(_, 404, _)) => return Ok(None),
            Err(why) => return Err(why),
        };
        let networks = inspected.network_settings.networks.unwrap_or_default();
        let garbled = |why: &str| ApiError::Garbled(path.clone(), why.to_owned());
        if !is_hex(&inspected.id) || inspected.id.len() != 64 {
            return Err(garbled("an id that is not 64 hex digits"));
        }
        if networks.len() > MAX_NETWORKS {
            return Err(garbled("more networks than 64"));
        }
        let pid = Some(inspected.state.pid).filter(|pid| *pid != 0);
        let endpoints: Option<Vec<Endpoint>> =
            networks.into_iter().map(|(name, settings)| endpoint(name, &settings, &inspected.id)).collect();
        let mut endpoints = endpoints.ok_or_else(|| garbled("a network endpoint that cannot be told again"))?;
        let interfaces = pid.map(interfaces_of).unwrap_or_default();
        endpoints.sort_by_key(|endpoint| interface(&interfaces, endpoint));
        let name = inspected.name.strip_prefix('/').unwrap_or(&inspected.name);
        Ok(Some(Standing {
            name: HostText::from(name.as_bytes().get(..256).unwrap_or(name.as_bytes())),
            id: inspected.id,
            running: inspected.state.running,
            paused: inspected.state.paused,
            pid,
            mode: inspected.host_config.network_mode,
            endpoints,
        }))
    }

    fn disconnect(&self, id: &str, network: &str) -> Result<(), ApiError> {
        let body = json!({ "Container": id, "Force": false });
        match self.post(&format!("/networks/{network}/disconnect"), Some(&body)) {
            Ok(_) | Err(ApiError::Refused(_, 404, _)) => Ok(()),
            Err(why) => Err(why),
        }
    }

    fn connect_again(&self, id: &str, endpoint: &Endpoint) -> Result<Again, ApiError> {
        let path = format!("/networks/{}/connect", endpoint.id);
        match self.post(&path, Some(&endpoint.asked_for(id))) {
            Ok(_) => return Ok(Again::AsItWas),
            Err(ApiError::Refused(_, 404, _)) => return Ok(Again::Gone),
            Err(ApiError::Refused(_, _, words)) if words.contains("already exists in network") => return Ok(Again::AsItWas),
            Err(ApiError::Refused(..)) => {}
            Err(why) => return Err(why),
        }
        self.post(&path, Some(&endpoint.asked_anywhere(id))).map(|_| Again::Elsewhere)
    }

    fn pause(&self, id: &str) -> Result<(), ApiError> {
        self.post(&format!("/containers/{id}/pause"), None).map(drop)
    }

    fn unpause(&self, id: &str) -> Result<(), ApiError> {
        match self.post(&format!("/containers/{id}/unpause"), None) {
            Ok(_) | Err(ApiError::Refused(_, 404, _)) => Ok(()),
            Err(why) if self.standing(id)?.is_some_and(|standing| standing.paused) => Err(why),
            Err(_) => Ok(()),
        }
    }
}

impl Endpoint {
    /// The whole question that connects it again.
    pub fn asked_for(&self, container: &str) -> Value {
        json!({ "Container": container, "EndpointConfig": self.config })
    }

    /// The same without any address, for when another has it by now.
    pub fn asked_anywhere(&self, container: &str) -> Value {
        let mut config = self.config.clone();
        if let Some(config) = config.as_object_mut() {
            config.remove("IPAMConfig");
            config.remove("MacAddress");
        }
        json!({ "Container": container, "EndpointConfig": config })
    }

    /// Its line in the note for whoever connects it without us: network, address, IPv6 address and aliases for a command
    /// line, then both questions, a tab before each.
    pub fn note_line(&self, container: &str) -> String {
        let told = |key: &str| {
            let address = self.config.get("IPAMConfig").and_then(|config| config.get(key)).and_then(Value::as_str);
            address.filter(|text| text.parse::<IpAddr>().is_ok()).unwrap_or("-").to_owned()
        };
        let plain = |alias: &&str| !alias.is_empty() && alias.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        let aliases = self.config.get("Aliases").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let aliases: Vec<&str> = aliases.iter().filter_map(Value::as_str).filter(plain).collect();
        let aliases = if aliases.is_empty() { "-".to_owned() } else { aliases.join(",") };
        let (asked, anywhere) = (self.asked_for(container), self.asked_anywhere(container));
        format!("{} {} {} {aliases}\t{asked}\t{anywhere}", self.id, told("IPv4Address"), told("IPv6Address"))
    }
}

impl Standing {
    /// Whether the kernel shows its processes frozen; `None` when it does not run or the kernel does not tell.
    pub fn frozen(&self) -> Option<bool> {
        is_frozen(self.pid?)
    }

    /// What the kernel shows in its network namespace beside loopback: interfaces that carry a network; `None` when it
    /// does not run. Tunnel devices that the kernel makes in every namespace carry none unless somebody sets them up.
    pub fn interfaces(&self) -> Option<Vec<String>> {
        let table = proc_files::text(self.pid?, "net/dev")?;
        let names = table.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
        Some(names.filter(|name| name != "lo" && !FALLBACK_TUNNELS.contains(&name.as_str())).collect())
    }
}

/// Whether the kernel shows the control group of this process frozen: `cgroup.events` of version 2, `freezer.state` of
/// version 1, which both tell of groups above it too. `None` when neither tells.
fn is_frozen(pid: u32) -> Option<bool> {
    let groups = proc_files::text(pid, "cgroup")?;
    let mut told = None;
    for mount in mountinfo::own() {
        let (second, first) = (mount.is_cgroup2(), mount.is_old_freezer());
        let own = |line: &&str| match line.split(':').nth(1) {
            Some(controllers) => second && controllers.is_empty() || first && controllers.split(',').any(|name| name == "freezer"),
            None => false,
        };
        let Some(group) = groups.lines().find(own).and_then(|line| line.splitn(3, ':').nth(2)) else { continue };
        let root = if mount.root == b"/" { Vec::new() } else { mount.root };
        let Some(below) = group.as_bytes().strip_prefix(root.as_slice()) else { continue };
        let dir = Path::new(OsStr::from_bytes(&mount.point)).join(OsStr::from_bytes(below.strip_prefix(b"/").unwrap_or(below)));
        let read = |file: &str| fs::read_to_string(dir.join(file)).ok();
        let frozen = match second {
            true => read("cgroup.events").map(|text| text.lines().any(|line| line == "frozen 1")),
            false => read("freezer.state").map(|text| text.trim() == "FROZEN"),
        };
        // On a host with both, the runtime uses one of them.
        told = told.max(frozen);
    }
    told
}

/// Devices that tunnel modules make in every new network namespace (net.core.fb_tunnels_only_for_init_net).
const FALLBACK_TUNNELS: [&str; 10] = ["tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0", "teql0"];

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `None` when it cannot be told again: no id of a network that fits into a path, or too long.
fn endpoint(network: String, settings: &Map<String, Value>, container: &str) -> Option<Endpoint> {
    let text = |key: &str| settings.get(key).and_then(Value::as_str).unwrap_or_default();
    // Podman names networks where Docker has ids.
    let id = Some(text("NetworkID")).filter(|id| !id.is_empty()).unwrap_or(&network).to_owned();
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if !id.bytes().all(sane) || id.len() > 256 || id.bytes().all(|byte| byte == b'.') {
        return None;
    }
    let mut config: Map<String, Value> = CONFIGURED
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), settings.get(*key).filter(|value| !value.is_null())?.clone())))
        .collect();
    // Docker before 25 adds the short id itself, again and again.
    if let Some(aliases) = config.get_mut("Aliases").and_then(Value::as_array_mut) {
        aliases.retain(|alias| alias.as_str() != container.get(..12));
    }
    if !text("MacAddress").is_empty() {
        config.insert("MacAddress".to_owned(), json!(text("MacAddress")));
    }
    let config = Value::Object(config);
    (config.to_string().len() <= MAX_ENDPOINT).then(|| Endpoint {
        id,
        config,
        address: text("IPAddress").parse().ok(),
        address6: text("GlobalIPv6Address").parse().ok(),
        mac: text("MacAddress").to_owned(),
        network,
    })
}

/// Which interface has which network (IPv4) or address (IPv6), as its network namespace shows it (proc(5)).
#[derive(Default)]
struct Interfaces {
    routes: Vec<(u32, u32, String)>,
    addresses: Vec<(Ipv6Addr, String)>,
}

fn interfaces_of(pid: u32) -> Interfaces {
    let read = |table: &str| proc_files::text(pid, &format!("net/{table}")).unwrap_or_default();
    let number = |hex: &str| u32::from_str_radix(hex, 16).ok().map(|word| u32::from_be_bytes(word.to_ne_bytes()));
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        Some((number(fields.get(1)?)?, number(fields.get(7)?)?, (*fields.first()?).to_owned()))
    };
    let address = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        Some((Ipv6Addr::from(u128::from_str_radix(fields.first()?, 16).ok()?), (*fields.get(5)?).to_owned()))
    };
    Interfaces {
        routes: read("route").lines().skip(1).filter_map(route).filter(|(_, mask, _)| *mask != 0).collect(),
        addresses: read("if_inet6").lines().filter_map(address).collect(),
    }
}

/// The interface of an endpoint, so that `eth0` comes back before `eth1`; without one its name decides.
fn interface(known: &Interfaces, endpoint: &Endpoint) -> (usize, String, String) {
    let within = |v4: Ipv4Addr| known.routes.iter().find(|(network, mask, _)| u32::from(v4) & mask == *network).map(|(.., name)| name);
    let name = match (endpoint.address, endpoint.address6) {
        (Some(IpAddr::V4(v4)), _) => within(v4),
        (_, Some(IpAddr::V6(v6))) => known.addresses.iter().find(|(address, _)| *address == v6).map(|(_, name)| name),
        _ => None,
    };
    // eth9 before eth10.
    name.map_or((usize::MAX, String::new(), endpoint.network.clone()), |name| (name.len(), name.clone(), endpoint.network.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_is_told_again_and_nothing_else() {
        let settings = json!({
            "IPAMConfig": { "IPv4Address": "10.1.0.7" }, "Links": null, "Aliases": ["web", "0123456789ab"], "MacAddress": "02:42:0a:01:00:07",
            "DriverOpts": null, "GwPriority": 3, "NetworkID": "ff00", "EndpointID": "aa", "Gateway": "10.1.0.1", "IPAddress": "10.1.0.7"
        });
        let container = "0123456789abcdef";
        let endpoint = endpoint("blue".to_owned(), settings.as_object().unwrap(), container).unwrap();
        assert_eq!(
            endpoint.asked_for(container),
            json!({ "Container": container, "EndpointConfig": {
                "IPAMConfig": { "IPv4Address": "10.1.0.7" }, "Aliases": ["web"], "GwPriority": 3, "MacAddress": "02:42:0a:01:00:07"
            } })
        );
        assert_eq!((endpoint.id.as_str(), endpoint.address), ("ff00", Some("10.1.0.7".parse().unwrap())));
        let evil = json!({ "NetworkID": "../containers/x/stop?" });
        assert_eq!(super::endpoint("x".to_owned(), evil.as_object().unwrap(), container), None);
        assert_eq!(super::endpoint("..".to_owned(), &Map::new(), container), None);
    }
}
