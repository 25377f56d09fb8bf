//! How a container is reached: its own addresses, read from the network in which its first process lives, or its cgroup.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;

use super::container_api;
use super::home_network;
use bartizan_model::HostText;

/// The most addresses of one container.
const MOST: usize = 64;
/// Longest file of /proc that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// How a container is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Its first process, as this host numbers it.
    pub pid: u32,
    /// Its own addresses, without loopback and link-local ones; empty when it lives in the host's own network.
    pub addresses: Vec<IpAddr>,
    /// Its cgroup (v2), from the root of the hierarchy.
    pub cgroup: HostText,
    /// Whether it lives in our own network.
    pub on_host_network: bool,
}

/// Why it is not known how a container is reached.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// No runtime knows it, or it does not run.
    #[error("no container {0} runs under Docker or Podman on this host")]
    NotRunning(String),
    /// Its process ended, or /proc does not tell.
    #[error("the network of container process {pid} could not be read: {why}")]
    Unread {
        /// Which.
        pid: u32,
        /// Why.
        why: io::Error,
    },
}

/// The container whose id begins so.
///
/// # Errors
/// When it does not run, or its network cannot be read.
pub fn of_container(id: &str) -> Result<Reach, ReachError> {
    // A runtime that is not there knows no container.
    let mut runtimes = container_api::runtimes().into_iter();
    let found = runtimes.find_map(|api| api.inspect(id).ok().flatten().filter(|found| found.running));
    let pid = found.and_then(|found| found.container.pid).ok_or_else(|| ReachError::NotRunning(id.to_owned()))?;
    of_process(pid).map_err(|why| ReachError::Unread { pid, why })
}

/// The network and cgroup in which a process lives.
///
/// # Errors
/// When /proc does not tell.
pub fn of_process(pid: u32) -> io::Result<Reach> {
    let network = |who: &str| fs::metadata(format!("/proc/{who}/ns/net")).map(|net| (net.dev(), net.ino()));
    let on_host_network = network(&pid.to_string())? == network("thread-self")?;
    let mut addresses = Vec::new();
    if !on_host_network {
        addresses.extend(own4(&read(&format!("/proc/{pid}/net/fib_trie"))?).map(IpAddr::from));
        // A kernel without IPv6 has no such file.
        addresses.extend(own6(&read(&format!("/proc/{pid}/net/if_inet6")).unwrap_or_default()).map(IpAddr::from));
        addresses.sort();
        addresses.dedup();
        addresses.truncate(MOST);
    }
    let groups = fs::read(format!("/proc/{pid}/cgroup"))?;
    let path = groups.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"0::")).unwrap_or(b"/");
    Ok(Reach { pid, addresses, cgroup: HostText::from(path), on_host_network })
}

fn read(path: &str) -> io::Result<String> {
    use io::Read;
    let mut text = String::new();
    File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// The local addresses in the kernel's own picture of its routes: a leaf `|-- ADDRESS`, and below it `/32 host LOCAL`.
fn own4(trie: &str) -> impl Iterator<Item = Ipv4Addr> {
    let mut leaf = None;
    trie.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(addr) = line.strip_prefix("|-- ") {
            leaf = addr.parse::<Ipv4Addr>().ok();
        }
        leaf.filter(|addr| line == "/32 host LOCAL" && !addr.is_loopback())
    })
}

/// `/proc/net/if_inet6`: address in hex, index, prefix length, scope (0x20 link, 0x10 host), flags, name.
fn own6(table: &str) -> impl Iterator<Item = Ipv6Addr> {
    table.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let addr = u128::from_str_radix(words.next()?, 16).ok()?;
        (words.nth(2)? == "00").then(|| Ipv6Addr::from(addr))
    })
}

/// Runs `work` in the network of this process, on a thread of its own, so that no other work of ours moves.
///
/// # Errors
/// When that network cannot be entered.
pub fn within<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    home_network::within(&File::open(format!("/proc/{pid}/ns/net"))?, work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_read_from_the_kernels_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 172.17.0.2\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 172.17.255.255\n        /32 link BROADCAST\n";
        assert_eq!(own4(trie).collect::<Vec<_>>(), [Ipv4Addr::new(172, 17, 0, 2)]);
        let table = "fe800000000000000042acfffe110002 05 40 20 80     eth0\n20010db8000000000000000000000002 05 40 00 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\n";
        assert_eq!(own6(table).map(|addr| addr.to_string()).collect::<Vec<_>>(), ["2001:db8::2"]);
        let me = of_process(std::process::id()).unwrap();
        assert!(me.on_host_network && me.addresses.is_empty(), "{me:?}");
    }
}
