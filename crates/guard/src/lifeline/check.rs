//! The second look: is exactly this target the owner's? Asked of the kernel about the one target, by other questions than
//! those from which the lifeline is derived, so that a mistake in one of the two cuts nobody off.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::accounts;
use super::{connected, place, route_question, session};
use crate::administrators::{self, Meaning};
use bartizan_model::{HostText, Lifeline, LifelineReason, ProcessKey, Target, Whose, embedded};
use bartizan_sys::process_stat::Stat;
use bartizan_sys::{proc_files, system_program};

/// A line of resolv.conf(5) files is looked for in so many bytes.
const MAX_BYTES: usize = 1 << 16;
/// How long what was found out serves again for the same question, at least.
const AGAIN: Duration = Duration::from_millis(5);
/// ... and at most, where asking itself takes long: a login takes longer than that.
const MAX_AGAIN: Duration = Duration::from_millis(25);
/// Ancestors of ours at most.
const DEEPEST: usize = 64;

/// What the target is to the owner, if anything. Some hundred microseconds for an address, some ten for a process.
///
/// # Errors
/// What the kernel did not tell: then nobody knows, and only a person may decide.
pub fn touches_owner(target: &Target) -> Result<Option<LifelineReason>, String> {
    // The shape of addresses, init and root need no knowledge.
    if let Some(why) = Lifeline::default().holds(target) {
        return Ok(Some(why));
    }
    match target {
        Target::Address { addr, .. } | Target::Source { addr, .. } => address_again(*addr),
        Target::Addresses { addrs } => {
            for addr in addrs {
                if let Some(why) = address_again(*addr)? {
                    return Ok(Some(why));
                }
            }
            Ok(None)
        }
        Target::Destination { addr, whose } => {
            let own = match whose {
                Whose::Container { id } => container(id),
                Whose::User { .. } | Whose::Cgroup { .. } => None,
            };
            own.map_or_else(|| address_again(*addr), |why| Ok(Some(why)))
        }
        Target::ProcessTree { root, .. } => Ok(Processes::new().look(*root)),
        Target::User { name, uid } => account(name, *uid),
        Target::Container { id, .. } => Ok(container(id)),
        Target::Host | Target::File { .. } => Ok(None),
    }
}

/// An address, and the IPv4 one that it may embed.
///
/// # Errors
/// What the kernel did not tell.
pub fn address(addr: IpAddr) -> Result<Option<LifelineReason>, String> {
    let addr = addr.to_canonical();
    for addr in [Some(addr), embedded(addr).map(IpAddr::from)].into_iter().flatten() {
        if let Some(why) = one_address(addr).map_err(|why| format!("{addr} could not be looked up: {why}"))? {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// The same for a question that one action asks again and again, as for every connection with the address: a "no" of the
/// last few milliseconds, given on this thread, serves again. Where the kernel takes milliseconds to answer (it walks over
/// a table that grows with the host's memory), so much longer.
///
/// # Errors
/// As [`address`].
pub fn address_again(addr: IpAddr) -> Result<Option<LifelineReason>, String> {
    thread_local! {
        static FREE: std::cell::Cell<Option<(IpAddr, Instant)>> = const { std::cell::Cell::new(None) };
    }
    let addr = addr.to_canonical();
    if FREE.get().is_some_and(|(free, until)| free == addr && Instant::now() < until) {
        return Ok(None);
    }
    let asked = Instant::now();
    let said = address(addr)?;
    let serves = (asked.elapsed() * 4).clamp(AGAIN, MAX_AGAIN);
    FREE.set(said.is_none().then_some((addr, asked + serves)));
    Ok(said)
}

fn one_address(addr: IpAddr) -> io::Result<Option<LifelineReason>> {
    match route_question::kind(addr)? {
        route_question::Kind::Own => return Ok(Some(LifelineReason::OwnAddress)),
        route_question::Kind::NoSingleHost => return Ok(Some(LifelineReason::NotAStranger)),
        route_question::Kind::Other => {}
    }
    if is_name_server(addr)? {
        return Ok(Some(LifelineReason::Resolver));
    }
    // What root accepted is looked at: a session of the SSH server, whichever port it came to, a moment ago too.
    let accepted: BTreeSet<u64> = connected::with_far_end(addr)?.iter().filter(|one| one.uid == 0).map(|one| one.inode).collect();
    if !accepted.is_empty() && session::hold_any(&accepted)? {
        return Ok(Some(LifelineReason::SshSession));
    }
    Ok(route_question::is_gateway(addr)?.then_some(LifelineReason::Gateway))
}

fn is_name_server(addr: IpAddr) -> io::Result<bool> {
    for file in ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"] {
        let text = match fs::read(file) {
            Ok(bytes) => String::from_utf8_lossy(bytes.get(..MAX_BYTES).unwrap_or(&bytes)).into_owned(),
            Err(why) if why.kind() == io::ErrorKind::NotFound => continue,
            Err(why) => return Err(why),
        };
        let servers = text.split(['\n', '\r']).filter_map(|line| line.trim_start().strip_prefix("nameserver"));
        let mut servers = servers.filter_map(|rest| rest.trim().split(['%', ' ', '\t']).next()?.parse::<IpAddr>().ok());
        if servers.any(|server| server.to_canonical() == addr) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// For looking at one process after the other.
#[derive(Debug, Clone)]
pub struct Processes {
    /// This process and what it runs under.
    above_us: Vec<u32>,
    /// The file that we run: device and inode.
    ours: Option<(u64, u64)>,
}

impl Processes {
    /// Begins with who we are, as found within the last few milliseconds on this thread: one action asks several times.
    pub fn new() -> Self {
        thread_local! {
            static LATELY: std::cell::RefCell<Option<(Processes, Instant)>> = const { std::cell::RefCell::new(None) };
        }
        LATELY.with_borrow_mut(|lately| match lately {
            Some((processes, at)) if at.elapsed() < AGAIN => processes.clone(),
            _ => lately.insert((Self::read(), Instant::now())).0.clone(),
        })
    }

    fn read() -> Self {
        let mut above_us = vec![std::process::id()];
        while above_us.len() < DEEPEST
            && let Some(parent) = above_us.last().and_then(|pid| Stat::read(*pid)).map(|stat| stat.ppid).filter(|parent| *parent > 0)
        {
            above_us.push(parent);
        }
        Self { above_us, ours: exe_file("self") }
    }

    /// What a living process is to the owner, by its own entry in /proc alone; of one that has ended nothing is left to
    /// hold.
    pub fn look(&self, key: ProcessKey) -> Option<LifelineReason> {
        if key.pid <= 1 {
            return Some(LifelineReason::Init);
        }
        let stat = Stat::read(key.pid).filter(|stat| stat.key() == key)?;
        if stat.is_kernel_thread() {
            return Some(LifelineReason::Init);
        }
        // Consoles and watchdogs of ours run the same file.
        if self.above_us.contains(&key.pid) || self.ours.is_some_and(|ours| exe_file(&key.pid.to_string()) == Some(ours)) {
            return Some(LifelineReason::Agent);
        }
        // The shell of a session leads a session of its own, directly below the server.
        let is_login = is_roots_ssh(key.pid) || stat.session == stat.pid && is_roots_ssh(stat.ppid);
        is_login.then_some(LifelineReason::LoginPath)
    }
}

impl Default for Processes {
    fn default() -> Self {
        Self::new()
    }
}

/// Root's SSH server, or what such a one started of itself for a session.
fn is_roots_ssh(pid: u32) -> bool {
    let below_one = || Stat::read(pid).is_some_and(|stat| system_program::is_ssh_server(stat.ppid));
    system_program::is_ssh_server(pid) && (proc_files::real_uid(pid) == Some(0) || below_one())
}

fn exe_file(pid: &str) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(format!("/proc/{pid}/exe")).ok().map(|exe| (exe.dev(), exe.ino()))
}

/// Of an account whether it is one's own, or the last one that can become root.
///
/// # Errors
/// What cannot be told about others who may become root.
pub fn account(name: &HostText, uid: u32) -> Result<Option<LifelineReason>, String> {
    if accounts::whose(std::process::id()).any(|own| own == uid) {
        return Ok(Some(LifelineReason::OwnAccount));
    }
    match administrators::without(name).map_err(|why| format!("who can become root: {why}"))? {
        Meaning::TheLast => Ok(Some(LifelineReason::LastAdministrator)),
        Meaning::NotTheLast => Ok(None),
        Meaning::CannotTell(why) => Err(format!("cannot tell who else can become root ({why})")),
    }
}

fn container(id: &str) -> Option<LifelineReason> {
    let text = proc_files::text("self", "cgroup").unwrap_or_default();
    place::containers(&text).any(|own| own.starts_with(id)).then_some(LifelineReason::OwnContainer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifeline::test_sshd::{Login, Sshd, reach};
    use bartizan_isolation::own_netns::{connected_from, in_own_network, ip, plug_in};
    use bartizan_model::Direction;
    use bartizan_sys::pidfd::key_of;
    use std::process::Command;

    #[test]
    fn one_address_is_looked_up_by_itself_in_every_spelling() {
        in_own_network(|| {
            plug_in();
            ip("route add default via 198.51.100.1");
            let said = |addr: &str| touches_owner(&Target::Address { addr: addr.parse().unwrap(), direction: Direction::In }).unwrap();
            for own in ["198.51.100.2", "::ffff:198.51.100.2", "::198.51.100.2", "64:ff9b::198.51.100.2"] {
                assert_eq!(said(own), Some(LifelineReason::OwnAddress), "{own}");
            }
            assert_eq!(said("198.51.100.1"), Some(LifelineReason::Gateway));
            assert_eq!(said("2002:c633:6401::1"), Some(LifelineReason::Gateway));
            assert_eq!(said("127.0.0.1"), Some(LifelineReason::NotAStranger));
            assert_eq!(said("203.0.113.9"), None);
            let begun = Instant::now();
            (0..50).for_each(|_| assert!(address("203.0.113.9".parse().unwrap()).unwrap().is_none()));
            let each = begun.elapsed() / 50;
            eprintln!("second look at one address: {each:?}");
            assert!(each < Duration::from_millis(20), "{each:?}");
        });
    }

    #[test]
    fn a_session_of_a_moment_ago_is_found_on_any_port_and_a_knock_is_none() {
        in_own_network(|| {
            // Both ends are ours here, so the route would answer first: the connections are asked by themselves.
            reach(&["198.51.100.1/32", "198.51.100.7/32", "198.51.100.8/32"]);
            let Some(server) = Sshd::start("openssh", 2299) else { return };
            let knock = connected_from("198.51.100.8", "198.51.100.1", 2299);
            let login = Login::with(&server, "root", "198.51.100.7", &[]);
            let holds = |addr: &str| {
                let all = connected::with_far_end(addr.parse().unwrap()).unwrap();
                session::hold_any(&all.iter().filter(|one| one.uid == 0).map(|one| one.inode).collect()).unwrap()
            };
            assert_eq!((holds("198.51.100.7"), holds("198.51.100.8")), (true, false));
            drop((login, knock));
        });
    }

    #[test]
    fn one_process_is_looked_up_by_its_own_entry() {
        let processes = Processes::new();
        let of = |pid: u32| processes.look(key_of(pid).unwrap());
        assert_eq!(of(1), Some(LifelineReason::Init));
        assert_eq!(of(std::process::id()), Some(LifelineReason::Agent));
        assert_eq!(of(std::os::unix::process::parent_id()), Some(LifelineReason::Agent));
        let mut child = Command::new("sleep").arg("20").spawn().unwrap();
        let key = key_of(child.id()).unwrap();
        assert_eq!(processes.look(key), None);
        assert_eq!(processes.look(ProcessKey { start: key.start + 1, ..key }), None, "another process that had the pid");
        let begun = Instant::now();
        (0..200).for_each(|_| assert!(processes.look(key).is_none()));
        eprintln!("second look at one process: {:?}", begun.elapsed() / 200);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn root_and_everything_are_never_targets() {
        let addr = "203.0.113.9".parse().unwrap();
        for target in [
            Target::User { name: "root".into(), uid: 0 },
            Target::Destination { addr, whose: Whose::User { uid: 0 } },
            Target::Destination { addr, whose: Whose::Cgroup { path: "/".into() } },
        ] {
            assert!(touches_owner(&target).unwrap().is_some(), "{target}");
        }
    }
}
