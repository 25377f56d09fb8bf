//! How the host is: each sign read from the kernel, or asked of the service itself; nothing is changed.

mod greeting;
mod local;
mod login;
mod resolver;
mod session;
mod ssh_server;
mod unit;

use std::time::Duration;

pub use greeting::greets;
pub use local::holders_of_port;
pub use resolver::{ask as ask_resolver, servers as resolvers};
pub use session::{PATIENCE as SESSION_PATIENCE, Session, sessions};
pub use ssh_server::{SSH, Server as SshServer, servers as ssh_servers};
pub use unit::is_active;

use bartizan_config::signs::Listener;
use bartizan_model::{Probe, ProbeKind, ProbeState, Protocol};
use bartizan_sys::sock_diag::{self, Phase};

/// How long one thing may take at most, whatever the policy says.
pub const LONGEST: Duration = Duration::from_secs(10);

/// Whether each declared listener is open.
pub fn listeners(declared: &[Listener]) -> Vec<Probe> {
    if declared.is_empty() {
        return Vec::new();
    }
    let open = sock_diag::waiting();
    let one = |listener: &Listener| match &open {
        Err(why) => Probe::new(ProbeKind::Listener, listener, ProbeState::Unknown, why.to_string()),
        Ok(dump) => {
            let phase = if listener.proto == Protocol::Tcp { Phase::Listening } else { Phase::Bound };
            let there = dump.sockets.iter().any(|s| (s.flow.proto, s.phase, s.flow.sport) == (listener.proto, phase, listener.port));
            match there {
                true => Probe::new(ProbeKind::Listener, listener, ProbeState::Well, "open"),
                false if dump.cut => Probe::new(ProbeKind::Listener, listener, ProbeState::Unknown, "too many sockets to tell"),
                false => Probe::new(ProbeKind::Listener, listener, ProbeState::Ill, "nobody listens"),
            }
        }
    };
    declared.iter().map(one).collect()
}

#[cfg(test)]
mod tests;
