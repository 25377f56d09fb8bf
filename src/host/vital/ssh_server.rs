//! The SSH server: where it really listens, and whether it greets who connects (RFC 4253, section 4.2).

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::vital;
use crate::host::{sock_diag, system_program};
use crate::model::{Vital, VitalKind, VitalState};

/// The port of SSH (IANA); systemd may listen on it for a server that is started by the first connection.
const SSH: u16 = 22;
/// Addresses of servers that are asked.
const MOST: usize = 8;
/// Descriptors of one process, and processes, that are looked at.
const MOST_DESCRIPTORS: usize = 1024;

/// Which listening sockets belong to SSH servers: looked for in /proc only when the set of listeners has changed.
static KNOWN: Mutex<Option<(BTreeSet<u64>, BTreeSet<u64>)>> = Mutex::new(None);

/// Where SSH servers listen in our network namespace.
pub fn addresses() -> Vec<SocketAddr> {
    let Ok(dump) = sock_diag::listeners() else { return Vec::new() };
    let listening: BTreeSet<u64> = dump.sockets.iter().map(|socket| socket.inode).collect();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let servers = match &*known {
        Some((then, servers)) if *then == listening => servers.clone(),
        _ => {
            let servers: BTreeSet<u64> = held_by_servers().intersection(&listening).copied().collect();
            *known = Some((listening, servers.clone()));
            servers
        }
    };
    drop(known);
    let ours = dump.sockets.iter().filter(|socket| socket.flow.sport == SSH || servers.contains(&socket.inode));
    let mut found: Vec<SocketAddr> = ours.map(|socket| SocketAddr::new(socket.flow.src, socket.flow.sport)).collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(MOST);
    found
}

/// Inodes of the sockets that processes of an SSH server hold.
fn held_by_servers() -> BTreeSet<u64> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| system_program::is_ssh_server(*pid)).flat_map(sockets).collect()
}

fn sockets(pid: u32) -> Vec<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let inode = |link: std::path::PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    entries.take(MOST_DESCRIPTORS).filter_map(|entry| inode(fs::read_link(entry.path()).ok()?)).collect()
}

/// Whether the server there accepts a connection and greets with `SSH-`. Asked over loopback when it listens everywhere.
pub fn greets(address: SocketAddr, within: Duration) -> Vital {
    let to = match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(any) if any.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    };
    let (state, detail) = match greeting(to, within) {
        Ok(()) => (VitalState::Well, "accepts connections and greets".to_owned()),
        Err(why) => (VitalState::Ill, why),
    };
    vital(VitalKind::SshServer, format!("tcp {address}"), state, detail)
}

fn greeting(to: SocketAddr, within: Duration) -> Result<(), String> {
    let deadline = Instant::now() + within;
    let mut stream = TcpStream::connect_timeout(&to, within).map_err(|why| format!("does not accept a connection ({why})"))?;
    let mut said = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("accepts a connection and says nothing within {}", humantime::format_duration(within)));
        }
        let mut bytes = [0; 256];
        stream.set_read_timeout(Some(left)).map_err(|why| why.to_string())?;
        let got = stream.read(&mut bytes).map_err(|why| format!("accepts a connection and does not greet ({why})"))?;
        said.extend_from_slice(bytes.get(..got).unwrap_or_default());
        // Lines may come before the greeting.
        if said.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"SSH-")) {
            return Ok(());
        }
        if got == 0 || said.len() > 8192 {
            return Err("accepts a connection and does not greet as an SSH server".to_owned());
        }
    }
}
