//! Who asks, as the kernel says it (SO_PEERCRED, unix(7)), and what they may do.

use std::fmt;
use std::os::fd::AsFd;

use tokio::net::UnixStream;

use bartizan_model::Role;
use bartizan_sys::{peer_groups, process_start};

/// Who may do what on the control socket. Root and the agent's own user are always admin; anyone else who can
/// open the socket at all may look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The lists of agent.toml.
    pub listed: bartizan_config::Access,
    /// The agent's own user id.
    pub own: u32,
}

impl Access {
    /// What a user in these groups may do.
    pub fn role_of(&self, uid: u32, groups: &[u32]) -> Role {
        let listed = |uids: &[u32], gids: &[u32]| uids.contains(&uid) || groups.iter().any(|gid| gids.contains(gid));
        if uid == 0 || uid == self.own || listed(&self.listed.admins, &self.listed.admin_groups) {
            Role::Admin
        } else if listed(&self.listed.operators, &self.listed.operator_groups) {
            Role::Operator
        } else {
            Role::Viewer
        }
    }
}

/// One peer of the control socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Number of its connection, unique for this start of the agent.
    pub connection: u64,
    /// User id at connect time.
    pub uid: u32,
    /// Group id at connect time.
    pub gid: u32,
    /// Supplementary groups at connect time.
    pub groups: Vec<u32>,
    /// Process id at connect time, when the kernel told.
    pub pid: Option<u32>,
    /// When that process started, in ticks since boot, when it can be seen.
    pub start: Option<u64>,
    /// What it may do.
    pub role: Role,
}

impl Peer {
    /// Asks the kernel who is at the other end of connection number `connection`.
    ///
    /// # Errors
    /// When the kernel does not say; the connection must then be refused.
    pub fn of(stream: &UnixStream, connection: u64, access: &Access) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let groups = peer_groups(stream.as_fd())?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
        let start = pid.and_then(process_start::just_now);
        let (uid, gid) = (credentials.uid(), credentials.gid());
        let mut peer = Self { connection, uid, gid, groups, pid, start, role: Role::Viewer };
        peer.role = peer.role_under(access);
        Ok(peer)
    }

    /// What it may do under these lists.
    pub(super) fn role_under(&self, access: &Access) -> Role {
        let groups: Vec<u32> = self.groups.iter().copied().chain([self.gid]).collect();
        access.role_of(self.uid, &groups)
    }

    /// Root, or the user that the agent itself runs as: whoever is either can end it anyway.
    pub(super) fn is_trusted(&self) -> bool {
        self.uid == 0 || self.uid == bartizan_sys::umask::own_uid()
    }

    /// Whether the process that connected is gone: whoever speaks now is another. What the kernel does not tell counts
    /// for nothing.
    pub(super) fn is_gone(&self) -> bool {
        match (self.pid, self.start) {
            (Some(pid), Some(start)) => process_start::just_now(pid) != Some(start),
            _ => false,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "uid {} (pid {pid})", self.uid),
            None => write!(f, "uid {}", self.uid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_may_look_and_no_more() {
        let listed = bartizan_config::Access {
            operators: vec![1000],
            operator_groups: vec![27],
            admins: vec![1001],
            ..bartizan_config::Access::default()
        };
        let access = Access { listed, own: 990 };
        let roles = [0, 990, 1001, 1000, 65534].map(|uid| access.role_of(uid, &[100]));
        assert_eq!(roles, [Role::Admin, Role::Admin, Role::Admin, Role::Operator, Role::Viewer]);
        assert_eq!(access.role_of(65534, &[100, 27]), Role::Operator);
    }
}
