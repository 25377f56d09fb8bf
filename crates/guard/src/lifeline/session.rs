//! Which SSH connections are sessions: somebody has logged in over them. A connection alone proves nothing, as anybody can
//! open one.
//!
//! What proves a login is what the server itself does after it and not before: it runs a process as the person's user, starts
//! a shell or command that leads a session of its own, or names the account without a bracketed state in its process title
//! (`sshd: ann@pts/0` as against `sshd: ann [priv]` and `sshd: ann [net]`; setproctitle in OpenSSH's sshd-session.c and
//! session.c). dropbear and tinysshd start no child at all before a login.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use super::accounts::{SEPARATED, uids_of};
use bartizan_sys::clock::boot_ns;
use bartizan_sys::pidfd::everything;
use bartizan_sys::process_stat::Stat;
use bartizan_sys::{proc_files, socket_holders, system_program};

/// dropbear ends a connection over which nobody logged in after this (AUTH_TIMEOUT in its sysoptions.h), with some slack.
const DROPBEAR_PATIENCE: u64 = 310;
/// mosh-server(1).
const ROAMING: &str = "mosh-server";
/// Longest process title that is read.
const MAX_TITLE: usize = 4096;
/// /proc/PID/stat counts in hundredths of a second on every Linux (USER_HZ, include/asm-generic/param.h).
const TICKS_PER_SECOND: u64 = 100;

/// One process of an SSH server that root runs.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) stat: Stat,
    /// Real user id.
    uid: u32,
    program: String,
    title: Vec<u8>,
}

/// A connection over which somebody logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// As whom, where the host shows it.
    pub(super) account: Option<u32>,
    /// The server's processes that hold the connection.
    pub(super) holders: Vec<u32>,
}

/// Programs through which people work on this host.
#[derive(Debug, Default)]
pub(super) struct Programs {
    /// Root's SSH servers and what those started of themselves: one that anybody else runs is no way in of the owner's.
    pub(super) parts: BTreeMap<u32, Part>,
    /// mosh-server(1): it goes on when the SSH session that started it has ended. Pid and user id.
    pub(super) roaming: Vec<(u32, u32)>,
}

/// Whether a process runs one of them.
pub(super) fn is_way_in(pid: u32) -> bool {
    system_program::name(pid).is_some_and(|name| name == ROAMING || system_program::names_ssh_server(&name))
}

pub(super) fn programs(world: &[Stat]) -> Programs {
    let mut all: BTreeMap<u32, Part> = BTreeMap::new();
    let mut roaming = Vec::new();
    for stat in world.iter().filter(|stat| !stat.is_kernel_thread()) {
        let Some(program) = system_program::name(stat.pid) else { continue };
        let is_mosh = program == ROAMING;
        if !is_mosh && !system_program::names_ssh_server(&program) {
            continue;
        }
        let Some(uid) = proc_files::real_uid(stat.pid) else { continue };
        match is_mosh {
            true => roaming.push((stat.pid, uid)),
            false => drop(all.insert(stat.pid, Part { stat: *stat, uid, program, title: title(stat.pid) })),
        }
    }
    let mut ours: BTreeSet<u32> = all.values().filter(|part| part.uid == 0).map(|part| part.stat.pid).collect();
    // sshd, its monitor, its child: three deep.
    for _ in 0..3 {
        let more: Vec<u32> = all.values().filter(|part| ours.contains(&part.stat.ppid)).map(|part| part.stat.pid).collect();
        ours.extend(more);
    }
    all.retain(|pid, _| ours.contains(pid));
    Programs { parts: all, roaming }
}

/// Those over whose connections somebody has logged in.
pub(super) fn logged_in(parts: &BTreeMap<u32, Part>, world: &[Stat], unprivileged: &BTreeSet<u32>) -> Vec<Session> {
    let mut sessions = Vec::new();
    for part in parts.values().filter(|part| part.uid == 0) {
        let own: Vec<&Part> = parts.values().filter(|other| other.stat.ppid == part.stat.pid).collect();
        // As long as the half without rights speaks with the other side, nobody has logged in.
        if own.iter().any(|child| child.is_before_login(unprivileged)) {
            continue;
        }
        let people: Vec<&&Part> = own.iter().filter(|child| child.uid != 0).collect();
        let shown = people.iter().map(|child| (Some(child.uid), vec![part.stat.pid, child.stat.pid]));
        sessions.extend(shown.map(|(account, holders)| Session { account, holders }));
        if people.is_empty() {
            let started: Vec<&Stat> = world.iter().filter(|stat| stat.ppid == part.stat.pid && !parts.contains_key(&stat.pid)).collect();
            let proof = part.proof(&started, own.is_empty());
            sessions.extend(proof.map(|account| Session { account, holders: vec![part.stat.pid] }));
        }
    }
    sessions
}

impl Part {
    /// The half of OpenSSH that speaks with a stranger: by its program, its user, or its title. A process that has just been
    /// started for a connection says `[accepted]`.
    fn is_before_login(&self, unprivileged: &BTreeSet<u32>) -> bool {
        let states: [&[u8]; 3] = [b"[net]", b"[accepted]", b"[preauth]"];
        let named = states.iter().any(|state| self.title.ends_with(state));
        self.program == "sshd-auth" || unprivileged.contains(&self.uid) || self.is_openssh() && named
    }

    fn is_openssh(&self) -> bool {
        self.program.starts_with("sshd")
    }

    /// Of a process of root's that has no process of another user below it: the account that logged in, if one did.
    fn proof(&self, started: &[&Stat], is_alone: bool) -> Option<Option<u32>> {
        let account = |stat: &Stat| proc_files::real_uid(stat.pid);
        if !self.is_openssh() {
            let oldest = || is_alone && uptime() > self.stat.start / TICKS_PER_SECOND + DROPBEAR_PATIENCE;
            return started.first().map(|child| account(child)).or_else(|| oldest().then_some(None));
        }
        // What is asked before a login (AuthorizedKeysCommand) stays in the server's own session.
        if let Some(shell) = started.iter().find(|stat| stat.session == stat.pid) {
            return Some(account(shell));
        }
        let named = self.title.strip_prefix(b"sshd: ").or_else(|| self.title.strip_prefix(b"sshd-session: "))?;
        match named.strip_suffix(b" [priv]") {
            // The login is done and the person's own process not yet begun: PAM may take its time to open a session.
            Some(account) => (is_alone && is_word(account)).then_some(None),
            None => is_word(named).then_some(Some(0)),
        }
    }
}

/// A listener's title goes on with its command line and `[listener]`.
fn is_word(name: &[u8]) -> bool {
    !name.is_empty() && !name.iter().any(|byte| matches!(byte, b' ' | b'[' | b']'))
}

/// What a process shows as its command line; a program that sets its title writes it there.
fn title(pid: u32) -> Vec<u8> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.get(..end.min(MAX_TITLE)).unwrap_or_default().trim_ascii_end().to_vec()
}

/// Seconds since boot, as process start times count.
fn uptime() -> u64 {
    boot_ns() / 1_000_000_000
}

/// Users under whom an SSH server runs its half without rights.
pub(super) fn unprivileged() -> BTreeSet<u32> {
    uids_of(&SEPARATED).into_iter().collect()
}

/// Sockets that these processes hold, by inode number.
///
/// # Errors
/// When the kernel does not show the descriptors of one that lives.
pub(super) fn sockets_of(pids: &[u32]) -> io::Result<BTreeSet<u64>> {
    let mut inodes = BTreeSet::new();
    for pid in pids {
        match socket_holders::sockets(*pid) {
            Ok(held) => inodes.extend(held.map(|(_, inode)| inode)),
            // It ended since.
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
    }
    Ok(inodes)
}

/// Whether one of these sockets is the connection of a session, as of now.
///
/// # Errors
/// When /proc cannot be read.
pub(super) fn hold_any(inodes: &BTreeSet<u64>) -> io::Result<bool> {
    let world = everything()?;
    let sessions = logged_in(&programs(&world).parts, &world, &unprivileged());
    for pid in sessions.iter().flat_map(|session| &session.holders) {
        match socket_holders::sockets(*pid).map(|mut held| held.any(|(_, inode)| inodes.contains(&inode))) {
            Ok(false) => {}
            Ok(true) => return Ok(true),
            // It ended since.
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
    }
    Ok(false)
}
