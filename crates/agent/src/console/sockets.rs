//! Which of the sockets on screen are still open.

use std::collections::HashSet;

use super::Console;
use bartizan_model::Protocol;
use bartizan_sys::sock_diag::{self, Phase};

impl Console {
    /// Asks the kernel. It lists the sockets of our own network namespace only; for others the process's life decides.
    pub(super) fn look_at_sockets(&self) {
        let Ok(dump) = sock_diag::dump() else { return };
        let listening: HashSet<(Protocol, u16)> =
            dump.sockets.iter().filter(|s| s.phase == Phase::Listening).map(|s| (s.flow.proto, s.flow.sport)).collect();
        let talking: HashSet<_> =
            dump.sockets.iter().filter(|s| s.phase != Phase::Listening).map(|s| (s.flow.proto, s.flow.dst, s.flow.dport)).collect();
        let processes = &self.processes;
        let own = processes.by_pid(std::process::id()).map(|process| process.netns);
        self.rows().live.open_sockets(|row| {
            let elsewhere = row.process.and_then(|key| processes.get(key)).is_some_and(|process| Some(process.netns) != own);
            match row.listening {
                _ if elsewhere => row.process.is_some_and(|key| processes.is_alive(key)),
                true => listening.contains(&(row.net.proto, row.net.sport)),
                // The process must live too: the same place may be talked to by another.
                false => {
                    row.process.is_none_or(|key| processes.is_alive(key)) && talking.contains(&(row.net.proto, row.net.dst, row.net.dport))
                }
            }
        });
    }
}
