//! Catching a tree that does not want to be caught: everybody who is known is stopped at once, then looked for, noted
//! down and moved into the frozen group, until nobody new appears.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::group::{self, Group};
use super::record::Record;
use super::{FreezeError, Freezer, Frozen, Member, Method, Purpose, file};
use crate::host::pidfd::{PidError, PidFd, Stat, everything, grow, key_of};
use crate::model::{HostText, ProcessKey};

/// The most processes that one freeze takes; above it nothing is frozen and the error says so.
const MOST_MEMBERS: usize = 16_384;
/// How long the catching of a tree may take before it is given up and undone.
const CATCHING: Duration = Duration::from_secs(5);

/// What is caught, for what, and who may be.
pub(super) struct Catch<'a> {
    pub(super) purpose: Purpose,
    pub(super) tree: &'a dyn Fn() -> Vec<ProcessKey>,
    pub(super) allowed: &'a dyn Fn(ProcessKey) -> Result<(), String>,
}

impl Freezer {
    /// `caught` are held already. Whoever is known is stopped at once; then everybody who belongs to the tree is looked for,
    /// stopped, and moved into the frozen group: moving waits for the kernel (a grace period of RCU, often 10 ms), and for
    /// so long nobody who is caught may run.
    pub(super) fn catch(
        &self,
        group: &Group,
        record: &mut Record,
        frozen: &mut Frozen,
        catch: &Catch<'_>,
        caught: BTreeSet<ProcessKey>,
    ) -> Result<(), FreezeError> {
        let mut waiting = VecDeque::new();
        let done = self.catch_all(group, record, frozen, catch, caught, &mut waiting);
        // None is left when all went well; else whoever was stopped and is not held runs on.
        waiting.iter().for_each(|stopped| drop(release(&stopped.member, &stopped.hold)));
        done
    }

    fn catch_all(
        &self,
        group: &Group,
        record: &mut Record,
        frozen: &mut Frozen,
        catch: &Catch<'_>,
        mut caught: BTreeSet<ProcessKey>,
        waiting: &mut VecDeque<Stopped>,
    ) -> Result<(), FreezeError> {
        let deadline = Instant::now() + CATCHING;
        let mut stop = |new: Vec<ProcessKey>, frozen: &Frozen, waiting: &mut VecDeque<Stopped>| -> Result<(), FreezeError> {
            for key in new {
                if !caught.insert(key) {
                    continue;
                }
                (catch.allowed)(key).map_err(|why| FreezeError::Forbidden { pid: key.pid, why })?;
                waiting.extend(stop_one(self, record, frozen, catch.purpose, key)?);
                if caught.len() > MOST_MEMBERS || Instant::now() > deadline {
                    return Err(FreezeError::TooMany(caught.len()));
                }
            }
            Ok(())
        };
        stop((catch.tree)(), frozen, waiting)?;
        tracing::debug!(group = frozen.name, processes = waiting.len(), "whoever is known stands still");
        if frozen.method != Method::Stop && !group.exists() {
            group.make().map_err(file("make a cgroup"))?;
        }
        // Pids stay in `known` after their process ended: as long as a process group or session of that number
        // lives, the number is not given to anybody else.
        let mut known = BTreeSet::new();
        // Two looks in a row without anybody new: between them nobody was left who could fork unseen.
        let mut quiet = 0;
        while quiet < 2 {
            let world = everything().map_err(file("read /proc"))?;
            let alive: BTreeMap<u32, Stat> = world.iter().map(|stat| (stat.pid, *stat)).collect();
            known.extend(
                (catch.tree)().into_iter().filter(|key| alive.get(&key.pid).is_some_and(|stat| stat.key() == *key)).map(|key| key.pid),
            );
            grow(&mut known, &world);
            let all = known.iter().filter_map(|pid| alive.get(pid)).map(Stat::key).collect();
            stop(all, frozen, waiting)?;
            quiet = if waiting.is_empty() { quiet + 1 } else { 0 };
            while let Some(stopped) = waiting.pop_front() {
                let held = self.hold_one(group, &stopped);
                if held.is_err() {
                    waiting.push_front(stopped);
                }
                frozen.members.extend(held?);
            }
        }
        if frozen.members.is_empty() { Err(FreezeError::Nothing) } else { Ok(()) }
    }

    /// Moves a stopped process into the frozen group, where it is stopped no more but held; `None` when it ended meanwhile.
    fn hold_one(&self, group: &Group, stopped: &Stopped) -> Result<Option<Member>, FreezeError> {
        let Stopped { member, hold } = stopped;
        let key = member.key;
        if self.place.method == Method::Stop {
            return Ok((key_of(key.pid) == Some(key)).then(|| member.clone()));
        }
        match group.take(key.pid) {
            Ok(()) if key_of(key.pid) == Some(key) => {
                release(member, hold)?;
                Ok(Some(member.clone()))
            }
            // It ended and its pid was given away within microseconds: whoever has it now goes back.
            Ok(()) => group.give_back(key.pid, &member.origin).map(|_| None).map_err(file("move a stranger back")),
            Err(_) if !hold.is_alive() => Ok(None),
            Err(why) => Err(FreezeError::File { what: "move a process into the frozen cgroup", why }),
        }
    }

    /// Where a process belongs; `None` when it has ended.
    fn origin(&self, frozen: &Frozen, purpose: Purpose, stat: &Stat) -> Result<Option<HostText>, FreezeError> {
        if self.place.method == Method::Stop {
            return Ok(Some(HostText::default()));
        }
        let Some(origin) = group::origin_of(self.place.method, stat.pid) else { return Ok(None) };
        if origin.as_bytes() == format!("/{}/{}", group::PARENT, frozen.name).as_bytes() {
            // Born in our group by a fork that was under way when its parent was moved: it belongs where the parent does.
            let parent = frozen.members.iter().find(|member| member.key.pid == stat.ppid).or(frozen.members.first());
            return Ok(Some(parent.map_or_else(|| HostText::from("/"), |member| member.origin.clone())));
        }
        if purpose == Purpose::Hold && origin.starts_with(format!("/{}/", group::PARENT)) {
            return Err(FreezeError::Held { pid: stat.pid, group: origin });
        }
        Ok(Some(origin))
    }
}

/// One who was told to stop and waits to be moved.
#[derive(Debug)]
struct Stopped {
    member: Member,
    hold: PidFd,
}

/// Notes one process down and stops it; `None` when it ended meanwhile.
fn stop_one(
    freezer: &Freezer,
    record: &mut Record,
    frozen: &Frozen,
    purpose: Purpose,
    key: ProcessKey,
) -> Result<Option<Stopped>, FreezeError> {
    let (Ok(hold), Some(stat)) = (PidFd::open(key), Stat::read(key.pid)) else { return Ok(None) };
    let Some(origin) = freezer.origin(frozen, purpose, &stat)? else { return Ok(None) };
    let member = Member { key, origin, was_stopped: stat.state == b'T' };
    record.add(&member).map_err(file("write the note of the freeze"))?;
    match hold.signal(libc::SIGSTOP) {
        Ok(()) => Ok(Some(Stopped { member, hold })),
        Err(PidError::Gone(_)) => Ok(None),
        Err(error) => Err(FreezeError::Unconfirmed(error.to_string())),
    }
}

/// It is held by its group: what stopped it until then is taken back.
fn release(member: &Member, hold: &PidFd) -> Result<(), FreezeError> {
    if member.was_stopped {
        return Ok(());
    }
    match hold.signal(libc::SIGCONT) {
        Ok(()) | Err(PidError::Gone(_)) => Ok(()),
        Err(error) => Err(FreezeError::Unconfirmed(error.to_string())),
    }
}

/// Lets run again whoever was stopped by us.
pub(super) fn continue_stopped(members: &[Member]) -> Result<Vec<ProcessKey>, FreezeError> {
    let mut released = Vec::new();
    for member in members.iter().filter(|member| !member.was_stopped) {
        match PidFd::open(member.key).and_then(|hold| hold.signal(libc::SIGCONT)) {
            Ok(()) => released.push(member.key),
            Err(PidError::Gone(_)) => {}
            Err(error) => return Err(FreezeError::Unconfirmed(error.to_string())),
        }
    }
    Ok(released)
}
