//! On which ports new SSH logins arrive: where a live server listens or serves, what systemd holds open for one, and what
//! the servers' configuration names. Read anew at every question: a listener may appear at any time.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use super::administrators;
use bartizan_model::Protocol;
use bartizan_sys::sock_diag::{self, Phase, Socket, first_chosen_port};
use bartizan_sys::{proc_files, socket_holders, socket_units, system_program};

/// The port of SSH (IANA).
const SSH: u16 = 22;
/// Ports of a configuration that are looked at.
const MAX_PORTS: usize = 64;

/// Where SSH is served now: 22 always, then every port on which a server or a socket unit of one listens, or on which a
/// server without a listener of its own (inetd) serves. Some milliseconds.
pub fn open() -> BTreeSet<u16> {
    let sockets = sock_diag::dump().map(|dump| dump.sockets).unwrap_or_default();
    let held: BTreeSet<u64> = servers().flat_map(socket_holders::of).map(|(_, inode)| inode).collect();
    let chosen = first_chosen_port();
    let serves = |socket: &&Socket| match socket.phase {
        Phase::Listening => true,
        // What a person forwards belongs to them.
        Phase::Connected => socket.uid == 0 && socket.flow.sport < chosen,
        _ => false,
    };
    let tcp = || sockets.iter().filter(|socket| socket.flow.proto == Protocol::Tcp);
    let mut ports: BTreeSet<u16> =
        tcp().filter(|socket| held.contains(&socket.inode)).filter(serves).map(|socket| socket.flow.sport).collect();
    let units = socket_units::all(Path::new("/"));
    let planned: BTreeSet<u16> =
        units.iter().filter(|unit| unit.serves_ssh()).flat_map(|unit| &unit.listens).map(|(_, port)| *port).collect();
    ports.extend(tcp().filter(|s| s.phase == Phase::Listening && s.uid == 0).map(|s| s.flow.sport).filter(|port| planned.contains(port)));
    ports.insert(SSH);
    ports
}

/// The far ends of connections to those ports.
pub fn far_ends() -> Vec<IpAddr> {
    let (ports, sockets) = (open(), sock_diag::dump().map(|dump| dump.sockets).unwrap_or_default());
    let accepted = sockets.iter().filter(|s| s.flow.proto == Protocol::Tcp && s.phase == Phase::Connected && ports.contains(&s.flow.sport));
    let found: BTreeSet<IpAddr> = accepted.filter_map(|socket| socket.flow.dst).map(|addr| addr.to_canonical()).collect();
    found.into_iter().collect()
}

/// The open ports, and those that the servers' configuration names (`sshd -T`): they may be opened by the next reload. Takes some
/// ten milliseconds for each server.
pub fn open_or_configured() -> BTreeSet<u16> {
    let mut ports = open();
    for said in administrators::servers().iter().filter_map(|server| server.general().ok()) {
        let named = said.all("port").chain(said.all("listenaddress")).filter_map(|value| value.rsplit(':').next()?.parse::<u16>().ok());
        ports.extend(named.take(MAX_PORTS));
    }
    ports
}

/// Processes of SSH servers.
fn servers() -> impl Iterator<Item = u32> {
    proc_files::pids().unwrap_or_default().into_iter().filter(|pid| system_program::is_ssh_server(*pid))
}
