//! The operator's sessions, and whether each can still be heard: the far end's kernel is asked for a sign of life, so that
//! one that idles is noticed too, whichever direction was cut, and through whatever it comes.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::login;
use crate::lifeline;
use bartizan_model::{Probe, ProbeKind, ProbeState, ProcessKey};
use bartizan_sys::keep_alive::Asked;
use bartizan_sys::pidfd::key_of;
use bartizan_sys::sock_diag::{self, Connection, Phase};
use bartizan_sys::socket_holders;

/// Sessions that are told one by one.
const MOST: usize = 256;
/// Connections of one program by which a session may come; of more nobody knows which.
const MAX_CARRIERS: usize = 4;
/// Sent again so often without an answer, the other side counts as cut off: about three seconds (RFC 6298 on a LAN).
const SILENT: u8 = 4;
/// How long a sign of life may take: the kernel asks within a second, and a slow way there and back comes on top.
pub const PATIENCE: Duration = Duration::from_secs(3);
const ASKED_WITHIN: Duration = Duration::from_millis(1100);
/// Between two looks for it.
const LOOK: Duration = Duration::from_millis(20);

/// One TCP connection by which the operator comes.
#[derive(Debug, Clone)]
pub struct Session {
    /// As people see it.
    name: String,
    far: IpAddr,
    inode: u64,
    retransmits: u8,
    holders: Vec<ProcessKey>,
    /// The tunnel by which it comes, when what lies under it is not known.
    tunnel: Option<String>,
}

/// The sessions over connections that came in to these ports, each by the far end; and where that is on this host, the
/// connections of the program that hands it on.
pub fn sessions(ports: &[u16]) -> Vec<Session> {
    let Ok(found) = sock_diag::connections() else { return Vec::new() };
    let open: Vec<&Connection> = found.iter().filter(|connection| connection.phase == Phase::Connected).collect();
    let came: Vec<&&Connection> = open.iter().filter(|connection| ports.contains(&connection.flow.sport)).take(MOST).collect();
    let logins = login::holders(&came.iter().map(|connection| connection.inode).collect());
    let mut sessions = Vec::new();
    for connection in came {
        let Some(holders) = logins.get(&connection.inode).cloned() else { continue };
        let Some(far) = far_end(connection) else { continue };
        if far.ip().is_loopback() {
            sessions.extend(carriers(connection, &open));
        }
        sessions.push(session(far.to_string(), far.ip(), connection, holders));
    }
    sessions
}

fn session(name: String, far: IpAddr, connection: &Connection, holders: Vec<ProcessKey>) -> Session {
    let tunnel = lifeline::tunnel_to(connection.flow.src);
    Session { name, far, inode: connection.inode, retransmits: connection.retransmits, holders, tunnel }
}

fn far_end(connection: &Connection) -> Option<SocketAddr> {
    Some(SocketAddr::new(connection.flow.dst?.to_canonical(), connection.flow.dport?))
}

/// By what a session from loopback comes: the connections from elsewhere of the program at its other end, when they are few.
fn carriers(inner: &Connection, open: &[&Connection]) -> Vec<Session> {
    let (flow, mirrored) = (&inner.flow, |other: &&&Connection| other.flow.dport == Some(inner.flow.sport));
    let other = open.iter().filter(mirrored).find(|other| Some(other.flow.sport) == flow.dport && Some(other.flow.src) == flow.dst);
    let Some(other) = other else { return Vec::new() };
    let holders = socket_holders::among(&BTreeSet::from([other.inode]), |_| true);
    let mut carriers = Vec::new();
    for pid in holders.values().flatten() {
        let own: BTreeSet<u64> = socket_holders::of(*pid).into_iter().map(|(_, inode)| inode).collect();
        let outer = open.iter().filter(|connection| own.contains(&connection.inode));
        let outer: Vec<_> = outer.filter_map(|connection| Some((connection, far_end(connection)?))).collect();
        let outer: Vec<_> = outer.into_iter().filter(|(_, far)| !far.ip().is_loopback()).take(MAX_CARRIERS + 1).collect();
        if outer.len() > MAX_CARRIERS {
            continue;
        }
        let Some(key) = key_of(*pid) else { continue };
        carriers.extend(outer.into_iter().map(|(connection, far)| session(format!("{far} by pid {pid}"), far.ip(), connection, vec![key])));
    }
    carriers
}

impl Session {
    /// As people see it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether nobody knows by which address it really comes.
    pub fn is_hidden(&self) -> bool {
        self.tunnel.is_some()
    }

    fn sign(&self, state: ProbeState, detail: impl Into<String>) -> Probe {
        let sign = Probe::new(ProbeKind::OperatorConnection, &self.name, state, detail);
        let sign = sign.over([self.far]).made_of(self.holders.iter().copied());
        Probe { tunnel: self.tunnel.clone(), ..sign }
    }

    /// How it stands, as far as the kernel tells without asking the far end: a host that has something to say and is not
    /// answered notices, one that has nothing to say does not.
    pub fn standing(&self) -> Probe {
        match self.retransmits {
            n if n >= SILENT => self.sign(ProbeState::Ill, format!("the other side has not answered {n} times")),
            _ => self.sign(ProbeState::Well, "open"),
        }
    }

    /// Whether the far end gives a sign of life.
    pub fn answers(&self) -> Probe {
        // Any holder will do: it is one and the same socket.
        let asked = self.holders.iter().find_map(|holder| {
            let descriptor = socket_holders::descriptor(holder.pid, self.inode)?;
            Asked::ask(*holder, descriptor, self.inode).ok()
        });
        let Some(asked) = asked else { return self.standing() };
        let begun = Instant::now();
        let patience = (ASKED_WITHIN + asked.round_trip() * 4).min(PATIENCE);
        loop {
            match asked.heard() {
                Ok((true, _)) => return self.sign(ProbeState::Well, "answers"),
                Ok((false, ago)) if begun.elapsed() >= patience => {
                    let detail = format!("nothing came from it for {:.1} s, although it was asked for a sign of life", ago.as_secs_f64());
                    return self.sign(ProbeState::Ill, detail);
                }
                Ok((false, _)) => std::thread::sleep(LOOK),
                // Closed meanwhile.
                Err(_) => return self.standing(),
            }
        }
    }
}
