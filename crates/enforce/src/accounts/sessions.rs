//! Login sessions of one account: which processes belong to them, and ending those. Services that only run under the
//! account's id are none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use bartizan_model::{Lifeline, LifelineReason, ProcessKey};
use bartizan_sys::pidfd::{PidFd, everything};
use bartizan_sys::process_stat::Stat;
use bartizan_sys::{proc_files, system_program};

/// How long they may take to end by themselves.
const GRACE: Duration = Duration::from_secs(1);
/// How often new ones are looked for while they fork.
const ROUNDS: usize = 8;
/// Programs that open sessions, by the name of their file, below directories that are root's.
const OPENERS: [&str; 6] = ["sshd", "sshd-session", "sshd-auth", "dropbear", "login", "su"];

/// The processes of an account's sessions at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sessions {
    /// May be ended.
    pub open: Vec<ProcessKey>,
    /// Belong to them too, but the owner's own path runs through them.
    pub spared: Vec<ProcessKey>,
}

/// What ending them came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Processes that ended.
    pub ended: usize,
    /// Processes that did not, even by SIGKILL.
    pub left: usize,
    /// Processes on the owner's own path.
    pub spared: usize,
}

impl Sessions {
    /// Who belongs to a login session of this user now.
    ///
    /// An SSH server's process and shell are on the lifeline whoever logged in. Of an account that is not on it itself
    /// they may be ended, as long as nothing on the lifeline that is not this account's runs below them: the owner may
    /// have become root from there.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn of(uid: u32, lifeline: &Lifeline) -> io::Result<Self> {
        let world: BTreeMap<u32, Stat> = everything()?.into_iter().map(|stat| (stat.pid, stat)).collect();
        let openers: BTreeSet<u32> = world.keys().copied().filter(|pid| opens_sessions(*pid)).collect();
        let home = Namespaces::of_this_host();
        let own = world.values().filter(|stat| stat.pid > 1 && !stat.is_kernel_thread() && proc_files::real_uid(stat.pid) == Some(uid));
        let own = own.filter(|stat| home.holds(stat.pid));
        let members: BTreeSet<u32> = own.filter(|stat| in_session(stat, uid, &world, &openers)).map(|stat| stat.pid).collect();
        let above = |pid: u32| ancestors(pid, &world);
        let mut spared = BTreeSet::new();
        for (key, _) in lifeline.processes.iter().filter(|(key, _)| !members.contains(&key.pid)) {
            spared.extend(above(key.pid).filter(|pid| members.contains(pid)));
        }
        let mut sessions = Self::default();
        for stat in members.iter().filter_map(|pid| world.get(pid)) {
            let held = lifeline.holds_process(stat.key()).is_some_and(|why| why != LifelineReason::LoginPath);
            let place = if held || spared.contains(&stat.pid) { &mut sessions.spared } else { &mut sessions.open };
            place.push(stat.key());
        }
        Ok(sessions)
    }

    /// Ends them: SIGHUP and SIGTERM, after one second SIGKILL; then looks again for those that were forked meanwhile.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn end(uid: u32, lifeline: &Lifeline) -> io::Result<Ended> {
        let mut gone = BTreeSet::new();
        let mut last = Self::default();
        for round in 0..ROUNDS {
            last = Self::of(uid, lifeline)?;
            let holds: Vec<(ProcessKey, PidFd)> = last.open.iter().filter_map(|key| Some((*key, PidFd::open(*key).ok()?))).collect();
            if holds.is_empty() {
                last.open.clear();
                break;
            }
            // Those that came after the first round fork faster than they are asked.
            let signals: &[i32] = if round == 0 { &[libc::SIGHUP, libc::SIGTERM, libc::SIGCONT] } else { &[libc::SIGKILL] };
            gone.extend(finish(holds, signals));
        }
        let left = last.open.iter().filter(|key| !gone.contains(*key)).count();
        Ok(Ended { ended: gone.len(), left, spared: last.spared.len() })
    }
}

/// Which mount and user namespaces are this host's: those of init and our own (a unit of systemd may have a mount
/// namespace of its own).
struct Namespaces {
    mounts: Vec<u64>,
    users: Vec<u64>,
}

impl Namespaces {
    fn of_this_host() -> Self {
        let both = |what| ["1", "thread-self"].into_iter().filter_map(|pid| namespace(pid, what)).collect();
        Self { mounts: both("mnt"), users: both("user") }
    }

    /// Whether a number means the same account there as here. With other mounts in the same user namespace root made
    /// another system (a container), which has accounts of its own; with a user namespace of its own anybody may have
    /// made it, to slip away. What cannot be read is this host's.
    fn holds(&self, pid: u32) -> bool {
        let pid = pid.to_string();
        let known = |what, ours: &[u64]| namespace(&pid, what).is_none_or(|found| ours.contains(&found));
        known("mnt", &self.mounts) || !known("user", &self.users)
    }
}

fn namespace(pid: &str, what: &str) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/{what}")).map(|found| found.ino()).ok()
}

fn finish(holds: Vec<(ProcessKey, PidFd)>, signals: &[i32]) -> Vec<ProcessKey> {
    for (_, hold) in &holds {
        for signal in signals {
            let _ended_already = hold.signal(*signal);
        }
    }
    let until = Instant::now() + GRACE;
    let (mut gone, mut stubborn) = (Vec::new(), Vec::new());
    for (key, hold) in holds {
        if hold.wait_gone(until.saturating_duration_since(Instant::now())) { gone.push(key) } else { stubborn.push((key, hold)) }
    }
    for (_, hold) in &stubborn {
        let _ended_already = hold.signal(libc::SIGKILL);
    }
    let until = Instant::now() + GRACE;
    gone.extend(
        stubborn.into_iter().filter(|(_, hold)| hold.wait_gone(until.saturating_duration_since(Instant::now()))).map(|(key, _)| key),
    );
    gone
}

/// Everything above it, itself left out.
fn ancestors(pid: u32, world: &BTreeMap<u32, Stat>) -> impl Iterator<Item = u32> {
    let up = |pid: &u32| world.get(pid).map(|stat| stat.ppid).filter(|parent| *parent != 0);
    // A family tree is never deeper than there are processes.
    std::iter::successors(up(&pid), up).take(world.len())
}

fn in_session(stat: &Stat, uid: u32, world: &BTreeMap<u32, Stat>, openers: &BTreeSet<u32>) -> bool {
    let groups = proc_files::text(stat.pid, "cgroup").unwrap_or_default();
    let logged_in = proc_files::login_uid(stat.pid) == Some(uid) || groups.contains(&format!("/user.slice/user-{uid}.slice/"));
    if logged_in {
        return true;
    }
    let opener = ancestors(stat.pid, world).chain([stat.pid]).find(|pid| openers.contains(pid));
    // What a unit of the system starts by su is a service.
    let by_su = opener.is_some_and(|pid| system_program::name(pid).as_deref() == Some("su"));
    opener.is_some() && !(by_su && groups.contains("/system.slice/"))
}

/// By the file it executes, root's own, in our own process namespace: a name can be chosen by anybody, and what is called
/// su in a container opens no session of this host.
fn opens_sessions(pid: u32) -> bool {
    system_program::name(pid).is_some_and(|name| OPENERS.contains(&name.as_str()))
        && namespace(&pid.to_string(), "pid") == namespace("self", "pid")
}
