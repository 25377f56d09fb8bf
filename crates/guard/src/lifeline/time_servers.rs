//! Time servers of this host: as chrony, ntpd and systemd-timesyncd are told, and with whom NTP is spoken now. A host
//! whose clock runs away loses its logins (Kerberos, one-time codes) and its certificates.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::{IpAddr, ToSocketAddrs};

use bartizan_model::Protocol;
use bartizan_sys::sock_diag::{Phase, Socket};

/// RFC 5905.
const NTP: u16 = 123;
/// Servers by address, names, and addresses of one name, at most.
const MOST: usize = 64;
const MAX_NAMES: usize = 16;
const MAX_OF_ONE: usize = 8;
/// A file is read up to here.
const MAX_BYTES: u64 = 1 << 20;
/// Files of a directory at most.
const MAX_FILES: usize = 64;

/// Files that name servers, and directories of such files (by the ending of their names).
const FILES: [&str; 7] = [
    "/etc/chrony/chrony.conf", "/etc/chrony.conf", "/etc/ntp.conf", "/etc/ntpsec/ntp.conf", "/etc/openntpd/ntpd.conf",
    "/etc/systemd/timesyncd.conf", "/usr/lib/systemd/timesyncd.conf",
];
const DIRECTORIES: [(&str, &str); 7] = [
    ("/etc/chrony/conf.d", ".conf"),
    ("/etc/chrony/sources.d", ".sources"),
    ("/run/chrony-dhcp", ".sources"),
    ("/etc/systemd/timesyncd.conf.d", ".conf"),
    ("/usr/lib/systemd/timesyncd.conf.d", ".conf"),
    ("/run/systemd/timesyncd.conf.d", ".conf"),
    ("/run/systemd/netif/leases", ""),
];

/// What the configuration names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TimeServers {
    /// By address.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// By name; [`resolve`] asks for them.
    pub(super) names: BTreeSet<String>,
}

/// Reads the configuration of every time service that may be here. Files that are not there name nobody.
pub(super) fn configured() -> TimeServers {
    let mut servers = TimeServers::default();
    let in_directories = DIRECTORIES.iter().flat_map(|(dir, ending)| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten().take(MAX_FILES);
        entries.map(|entry| entry.path()).filter(move |path| path.to_string_lossy().ends_with(ending))
    });
    for path in FILES.iter().map(|file| (*file).into()).chain(in_directories) {
        let mut bytes = Vec::new();
        if fs::File::open(path).is_ok_and(|file| file.take(MAX_BYTES).read_to_end(&mut bytes).is_ok()) {
            name_servers(&String::from_utf8_lossy(&bytes), &mut servers);
        }
    }
    servers
}

/// `server NAME`, `pool NAME`, `peer NAME`, `servers NAME` (chrony.conf(5), ntp.conf(5), ntpd.conf(5)); `NTP=NAME NAME` and
/// `FallbackNTP=` (timesyncd.conf(5), and leases of systemd-networkd).
fn name_servers(text: &str, servers: &mut TimeServers) {
    for line in text.lines().take(10_000) {
        let line = line.trim();
        let listed = line.strip_prefix("NTP=").or_else(|| line.strip_prefix("FallbackNTP="));
        let mut words = listed.unwrap_or(line).split_ascii_whitespace();
        let is_one = listed.is_none() && matches!(words.next(), Some("server" | "pool" | "peer" | "servers"));
        let named: Vec<&str> = if listed.is_some() { words.collect() } else { words.take(usize::from(is_one)).collect() };
        for name in named {
            match name.parse::<IpAddr>() {
                Ok(addr) if servers.addresses.len() < MOST => drop(servers.addresses.insert(addr.to_canonical())),
                // A reference clock is a device of this machine (127.127.x.y), "*" is any.
                Err(_) if servers.names.len() < MAX_NAMES && name.contains(|c: char| c.is_ascii_alphanumeric()) => {
                    servers.names.insert(name.to_owned());
                }
                _ => {}
            }
        }
    }
}

/// With whom NTP is spoken now, over sockets that have a far end.
pub(super) fn spoken_with(open: &[Socket]) -> impl Iterator<Item = IpAddr> {
    let speaks =
        |socket: &&Socket| socket.flow.proto == Protocol::Udp && socket.phase == Phase::Connected && socket.flow.dport == Some(NTP);
    open.iter().filter(speaks).filter_map(|socket| socket.flow.dst).take(MOST)
}

/// Asks the resolver of this host for the names; may take seconds for each that nobody answers. What does not resolve is
/// left out: no host is cut off from its owner by that.
pub fn resolve(names: &BTreeSet<String>) -> BTreeSet<IpAddr> {
    let ask = |name: &String| (name.as_str(), NTP).to_socket_addrs().into_iter().flatten().take(MAX_OF_ONE);
    names.iter().take(MAX_NAMES).flat_map(ask).map(|socket| socket.ip().to_canonical()).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_configuration_is_read_as_its_service_means_it() {
        let mut servers = TimeServers::default();
        name_servers(
            "# server 9.9.9.9\npool 2.debian.pool.ntp.org iburst\nserver 192.0.2.1 iburst minpoll 4\npeer 2001:db8::7\nserverx 1.1.1.1\n",
            &mut servers,
        );
        name_servers("[Time]\n#NTP=8.8.8.8\nNTP=192.0.2.2 time.example.org\nFallbackNTP=\n", &mut servers);
        name_servers("servers ntp.example.net\nsensor *\nlisten on *\n", &mut servers);
        let addresses: Vec<String> = servers.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["192.0.2.1", "192.0.2.2", "2001:db8::7"]);
        assert_eq!(servers.names.iter().collect::<Vec<_>>(), ["2.debian.pool.ntp.org", "ntp.example.net", "time.example.org"]);
    }

    #[test]
    fn an_endless_configuration_names_a_bounded_number() {
        let mut servers = TimeServers::default();
        let text: String = (0..9000).map(|n| format!("server 10.0.{}.{}\nserver n{n}.example\n", n / 250, n % 250)).collect();
        name_servers(&text, &mut servers);
        assert_eq!((servers.addresses.len(), servers.names.len()), (MOST, MAX_NAMES));
    }

    #[test]
    fn a_name_of_this_host_resolves_and_nonsense_does_not() {
        let resolved = resolve(&["localhost".to_owned()].into());
        assert!(resolved.iter().all(IpAddr::is_loopback) && !resolved.is_empty(), "{resolved:?}");
        assert!(resolve(&["no such name".to_owned()].into()).is_empty());
    }
}
