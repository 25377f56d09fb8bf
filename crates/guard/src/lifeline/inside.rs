//! The other networks of this host: in which of them the far end of a connection lies, and the sockets there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use bartizan_model::Flow;
use bartizan_sys::container_addresses::within;
use bartizan_sys::proc_files;
use bartizan_sys::sock_diag::{self, Socket};

/// Networks that are looked into; a host with more is told that it was not found.
const MAX_NETWORKS: usize = 128;

/// The sockets of the network in which a process of this host holds the other end of a connection; `None` when none does:
/// a virtual machine, or an address that was translated on the way.
pub(super) fn other_end(flow: &Flow) -> Option<Vec<Socket>> {
    let own = number(&fs::metadata("/proc/thread-self/ns/net").ok()?);
    let mut seen = BTreeSet::from([own]);
    for pid in proc_files::pids().ok()? {
        let path = format!("/proc/{pid}/ns/net");
        let is_new = fs::metadata(path).is_ok_and(|network| seen.insert(number(&network)));
        if seen.len() > MAX_NETWORKS {
            return None;
        }
        let dump = if is_new { within(pid, sock_diag::dump).ok().and_then(Result::ok) } else { None };
        if let Some(sockets) = dump.map(|dump| dump.sockets).filter(|sockets| sockets.iter().any(|socket| is_other_end(&socket.flow, flow)))
        {
            return Some(sockets);
        }
    }
    None
}

/// Whether two sockets are the two ends of one connection.
pub(super) fn is_other_end(one: &Flow, other: &Flow) -> bool {
    one.proto == other.proto
        && (Some(one.src), Some(one.sport)) == (other.dst, other.dport)
        && (one.dst, one.dport) == (Some(other.src), Some(other.sport))
}

fn number(network: &fs::Metadata) -> (u64, u64) {
    (network.dev(), network.ino())
}
