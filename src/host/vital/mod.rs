//! How the host is: each sign read from the kernel, or asked of the service itself; nothing is changed.

mod resolver;
mod ssh_server;
mod unit;

use std::net::IpAddr;
use std::time::Duration;

pub use resolver::{ask as ask_resolver, servers as resolvers};
pub use ssh_server::{addresses as ssh_servers, greets};
pub use unit::is_active;

use super::sock_diag::{self, Connection, Phase};
use crate::config::signs::Listener;
use crate::model::{Protocol, Vital, VitalKind, VitalState};

/// Operator connections that are told one by one.
const MOST_CONNECTIONS: usize = 256;
/// Sent again so often without an answer, the other side counts as cut off: about three seconds (RFC 6298 on a LAN).
const SILENT: u8 = 4;

/// How long one thing may take at most, whatever the policy says.
pub const LONGEST: Duration = Duration::from_secs(10);

pub(super) fn vital(kind: VitalKind, name: impl ToString, state: VitalState, detail: impl Into<String>) -> Vital {
    Vital { kind, name: name.to_string(), state, detail: detail.into() }
}

/// The TCP connections of the operator: those that came in to a port of the SSH server, each by the far end. One that is
/// being closed by either side in good order is left out: somebody logged out.
pub fn operator_connections(ssh_ports: &[u16]) -> Vec<Vital> {
    let found = match sock_diag::connections() {
        Ok(found) => found,
        Err(why) => return vec![vital(VitalKind::OperatorConnection, "all", VitalState::Unknown, why.to_string())],
    };
    let own = |connection: &&Connection| connection.phase == Phase::Connected && ssh_ports.contains(&connection.flow.sport);
    found.iter().filter(own).take(MOST_CONNECTIONS).filter_map(operator_connection).collect()
}

fn operator_connection(connection: &Connection) -> Option<Vital> {
    let far = std::net::SocketAddr::new(connection.flow.dst?, connection.flow.dport?);
    let (state, detail) = match connection.retransmits {
        n if n >= SILENT => (VitalState::Ill, format!("the other side has not answered {n} times")),
        _ => (VitalState::Well, "open".to_owned()),
    };
    Some(vital(VitalKind::OperatorConnection, far, state, detail))
}

/// The far end of an operator's connection, from its name.
pub fn far_end(vital: &Vital) -> Option<IpAddr> {
    vital.name.parse::<std::net::SocketAddr>().ok().map(|far| far.ip().to_canonical())
}

/// Whether each declared listener is open.
pub fn listeners(declared: &[Listener]) -> Vec<Vital> {
    if declared.is_empty() {
        return Vec::new();
    }
    let open = sock_diag::waiting();
    let one = |listener: &Listener| match &open {
        Err(why) => vital(VitalKind::Listener, listener, VitalState::Unknown, why.to_string()),
        Ok(dump) => {
            let phase = if listener.proto == Protocol::Tcp { Phase::Listening } else { Phase::Bound };
            let there = dump.sockets.iter().any(|s| (s.flow.proto, s.phase, s.flow.sport) == (listener.proto, phase, listener.port));
            match there {
                true => vital(VitalKind::Listener, listener, VitalState::Well, "open"),
                false if dump.cut => vital(VitalKind::Listener, listener, VitalState::Unknown, "too many sockets to tell"),
                false => vital(VitalKind::Listener, listener, VitalState::Ill, "nobody listens"),
            }
        }
    };
    declared.iter().map(one).collect()
}

#[cfg(test)]
mod tests;
