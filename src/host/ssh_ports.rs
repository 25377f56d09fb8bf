//! The ports on which the SSH server of this host really listens, in our own network namespace.

use std::collections::BTreeSet;
use std::fs;

use super::pidfd::everything;
use super::sock_diag;

/// The port of SSH (RFC 4253, section 4): counts always, as systemd may hold it for a server that is not running.
const USUAL: u16 = 22;
/// Programs that are SSH servers.
const SERVERS: [&[u8]; 2] = [b"sshd", b"dropbear"];

/// The usual port, and every port that a process running an SSH server's program listens on.
pub fn listening() -> BTreeSet<u16> {
    let mut ports = BTreeSet::from([USUAL]);
    let held: BTreeSet<u64> = everything().unwrap_or_default().iter().filter(|stat| is_server(stat.pid)).flat_map(|stat| sockets(stat.pid)).collect();
    let listeners = sock_diag::listeners().map(|dump| dump.sockets).unwrap_or_default();
    ports.extend(listeners.iter().filter(|socket| held.contains(&socket.inode)).map(|socket| socket.flow.sport));
    ports
}

fn is_server(pid: u32) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    exe.file_name().is_some_and(|name| SERVERS.contains(&name.as_bytes()))
}

fn sockets(pid: u32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let number = |link: std::path::PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    entries.flatten().take(4096).filter_map(|entry| number(fs::read_link(entry.path()).ok()?)).collect()
}
