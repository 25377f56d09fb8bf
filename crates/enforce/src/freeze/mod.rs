//! A process tree stopped where it stands, kept intact, and put back exactly where it was, or ended.

mod error;
mod group;
mod look;
mod place;
mod record;
mod stopping;
mod thaw;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use bartizan_model::{HostText, ProcessKey};
use bartizan_sys::pidfd::{PidError, PidFd, everything, grow, key_of};
use bartizan_sys::process_stat::Stat;
pub use error::FreezeError;
use group::Group;
pub use place::Method;
use place::Place;
use record::Record;
use stopping::{Stopped, release, stop_one};
pub use thaw::Thawed;

/// The most processes that one freeze takes; above it nothing is frozen and the error says so.
const MAX_MEMBERS: usize = 16_384;
/// How long the catching of a tree may take before it is given up and undone.
const CATCHING: Duration = Duration::from_secs(5);
/// How long the kernel may take to say "frozen", or the killed to be gone.
const SETTLING: Duration = Duration::from_secs(3);

fn file(what: &'static str) -> impl FnOnce(io::Error) -> FreezeError {
    move |why| FreezeError::File { what, why }
}

/// One process of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub key: ProcessKey,
    /// Its cgroup before; empty with [`Method::Stop`].
    pub origin: HostText,
    /// It was stopped already, by somebody else, and stays so.
    pub was_stopped: bool,
}

/// Everything needed to undo a freeze.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// How it is held.
    pub method: Method,
    /// Where the hierarchy is mounted.
    pub root: PathBuf,
    /// The group's name.
    pub name: String,
    /// Whom, in the order in which they were caught.
    pub members: Vec<Member>,
}

/// What a tree is caught for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be put back; whoever is held by another freeze is refused.
    Hold,
    /// To be ended; another freeze's processes are taken over.
    End,
}

/// What the kernel says of a freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Members that live and are held.
    pub held: Vec<ProcessKey>,
    /// Members that live and are not held.
    pub loose: Vec<ProcessKey>,
    /// The kernel says that nothing in the group runs.
    pub frozen: bool,
}

/// The door to freezing.
#[derive(Debug, Clone)]
pub struct Freezer {
    place: Place,
    /// Where notes are kept, for root alone.
    notes: PathBuf,
}

struct Catch<'a> {
    purpose: Purpose,
    tree: &'a dyn Fn() -> Vec<ProcessKey>,
    allowed: &'a dyn Fn(ProcessKey) -> Result<(), String>,
}

impl Freezer {
    /// Finds the best method and prepares the directory for notes below `runtime`.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(runtime: &Path) -> Result<Self, FreezeError> {
        use std::os::unix::fs::DirBuilderExt;
        let notes = runtime.join("freeze");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&notes).map_err(file("make the directory for notes"))?;
        Ok(Self { place: Place::find(&runtime.join("cgroup2")), notes })
    }

    /// How processes are held here.
    pub fn method(&self) -> Method {
        self.place.method
    }

    /// The directory that a group of this name is or would be; `None` with [`Method::Stop`].
    pub fn group_dir(&self, name: &str) -> Option<PathBuf> {
        (self.place.method != Method::Stop).then(|| self.place.root.join(group::PARENT).join(name))
    }

    /// The note of a freeze.
    pub fn note(&self, name: &str) -> PathBuf {
        self.notes.join(name)
    }

    /// Stops `tree()` and all below it. `allowed` is asked for every single process before it is touched; one
    /// refusal undoes all. The group is frozen before anybody is moved in, and what is in it cannot fork, so the
    /// catching ends.
    ///
    /// # Errors
    /// [`FreezeError`]; then everything caught so far was put back.
    pub fn freeze(
        &self,
        name: &str,
        purpose: Purpose,
        tree: &dyn Fn() -> Vec<ProcessKey>,
        allowed: &dyn Fn(ProcessKey) -> Result<(), String>,
    ) -> Result<Frozen, FreezeError> {
        let note = self.note(name);
        let mut record = Record::create(&note, self.place.method, &self.place.root, name).map_err(file("write the note of the freeze"))?;
        let group = Group::named(&self.place, name);
        let mut frozen = Frozen { method: self.place.method, root: self.place.root.clone(), name: name.to_owned(), members: Vec::new() };
        let caught = self
            .catch(&group, &mut record, &mut frozen, &Catch { purpose, tree, allowed }, BTreeSet::new())
            .and_then(|()| self.confirm(&group, &frozen));
        match caught {
            Ok(()) => Ok(frozen),
            Err(error) => match self.thaw(&frozen) {
                Ok(_) => Err(error),
                Err(undo) => Err(FreezeError::Unconfirmed(format!("{error}; and putting everything back failed: {undo}"))),
            },
        }
    }

    /// Holds again what somebody let go before its time: members and what they have forked since. What is still held
    /// stays as it is. `tree` and `allowed` as for [`Freezer::freeze`].
    ///
    /// # Errors
    /// [`FreezeError`]; whoever was caught until then stays held, and the note knows it.
    pub fn freeze_again(
        &self,
        frozen: &Frozen,
        tree: &dyn Fn() -> Vec<ProcessKey>,
        allowed: &dyn Fn(ProcessKey) -> Result<(), String>,
    ) -> Result<(), FreezeError> {
        if self.place.method != frozen.method {
            return Err(FreezeError::Unconfirmed(format!("{} is no longer how this host freezes", frozen.method.noun())));
        }
        let mut record = Record::resume(&self.note(&frozen.name), frozen).map_err(file("write the note of the freeze"))?;
        let group = Group::named(&self.place, &frozen.name);
        if frozen.method != Method::Stop && group.exists() {
            group.freeze().map_err(file("freeze the cgroup again"))?;
        }
        let held = self.look(frozen).held.into_iter().collect();
        let mut more = frozen.clone();
        self.catch(&group, &mut record, &mut more, &Catch { purpose: Purpose::Hold, tree, allowed }, held)?;
        self.confirm(&group, frozen)
    }

    /// `caught` are held already. Whoever is known is stopped at once; then everybody who belongs to the tree is looked for,
    /// stopped, and moved into the frozen group: moving waits for the kernel (a grace period of RCU, often 10 ms), and for
    /// so long nobody who is caught may run.
    fn catch(
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
                if caught.len() > MAX_MEMBERS || Instant::now() > deadline {
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
        if purpose == Purpose::Hold && self.is_held_elsewhere(&origin) {
            return Err(FreezeError::Held { pid: stat.pid, group: origin });
        }
        // Before it is touched: what cannot be put back is not taken.
        if group::is_out_of_reach(&origin) {
            return Err(FreezeError::OutOfReach { pid: stat.pid, group: origin });
        }
        Ok(Some(origin))
    }

    /// Whether this is a group of ours that holds its processes: in one that was let go in place they may be frozen again.
    fn is_held_elsewhere(&self, origin: &HostText) -> bool {
        let name = origin.as_bytes().strip_prefix(format!("/{}/", group::PARENT).as_bytes());
        name.is_some_and(|name| Group::named(&self.place, &String::from_utf8_lossy(name)).is_held())
    }

    /// Ends a frozen tree for good and removes the group and the note.
    ///
    /// # Errors
    /// [`FreezeError::Unconfirmed`] when somebody lives on; then the group stays frozen.
    pub fn kill(&self, frozen: &Frozen) -> Result<Vec<ProcessKey>, FreezeError> {
        let members = self.with_note(frozen);
        let group = Group::named(&Place::named(frozen.method, &frozen.root), &frozen.name);
        let holds: Vec<(ProcessKey, PidFd)> =
            members.iter().filter_map(|member| Some((member.key, PidFd::open(member.key).ok()?))).collect();
        if frozen.method == Method::Stop || !group.kill_all() {
            for (_, hold) in &holds {
                match hold.signal(libc::SIGKILL) {
                    Ok(()) | Err(PidError::Gone(_)) => {}
                    Err(error) => return Err(FreezeError::Unconfirmed(error.to_string())),
                }
            }
        }
        if frozen.method == Method::V1 {
            group.thaw_in_place().map_err(file("let the killed die"))?;
        }
        let deadline = Instant::now() + SETTLING;
        for (key, hold) in &holds {
            if !hold.wait_gone(deadline.saturating_duration_since(Instant::now())) {
                return Err(FreezeError::Unconfirmed(format!("pid {} did not end", key.pid)));
            }
        }
        if frozen.method != Method::Stop {
            group.remove().map_err(file("remove the empty cgroup"))?;
        }
        let _ = fs::remove_file(self.note(&frozen.name));
        Ok(holds.into_iter().map(|(key, _)| key).collect())
    }

    /// Whether nobody of the tree runs outside: what was caught half way is not whole.
    pub fn is_whole(&self, frozen: &Frozen, tree: &[ProcessKey]) -> bool {
        let Ok(world) = everything() else { return false };
        let alive: BTreeMap<u32, ProcessKey> = world.iter().map(|stat| (stat.pid, stat.key())).collect();
        let start = tree.iter().chain(frozen.members.iter().map(|member| &member.key));
        let mut pids: BTreeSet<u32> = start.filter(|key| alive.get(&key.pid) == Some(key)).map(|key| key.pid).collect();
        grow(&mut pids, &world);
        let hold = self.look(frozen);
        let held: BTreeSet<u32> = hold.held.iter().map(|key| key.pid).collect();
        hold.frozen && hold.loose.is_empty() && !held.is_empty() && pids.is_subset(&held)
    }

    /// The freezes that notes tell of.
    pub fn noted(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.notes).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| !name.contains('.')).take(4096).collect()
    }

    /// The groups that stand in the hierarchy, of whichever agent.
    pub fn groups(&self) -> BTreeSet<String> {
        if self.place.method == Method::Stop { BTreeSet::new() } else { group::all(&self.place).into_iter().collect() }
    }

    /// Who would be caught now, with what each runs, for people.
    pub fn would_catch(tree: &[ProcessKey]) -> Vec<(ProcessKey, HostText)> {
        let world = everything().unwrap_or_default();
        let alive: BTreeMap<u32, ProcessKey> = world.iter().map(|stat| (stat.pid, stat.key())).collect();
        let mut pids: BTreeSet<u32> = tree.iter().filter(|key| alive.get(&key.pid) == Some(key)).map(|key| key.pid).collect();
        grow(&mut pids, &world);
        let name = |pid| HostText::from(fs::read(format!("/proc/{pid}/comm")).unwrap_or_default().trim_ascii_end());
        pids.into_iter().filter_map(|pid| Some((*alive.get(&pid)?, name(pid)))).collect()
    }

    /// What a note says; without a note, what the group of this name holds with no memory of where it came from. One that
    /// was let go already, and in which somebody still runs, is nobody's freeze.
    pub fn recall(&self, name: &str) -> Option<Frozen> {
        if let Some(frozen) = record::read(&self.note(name)) {
            return Some(frozen);
        }
        let group = Group::named(&self.place, name);
        let is_one = || group.exists() && (group.is_held() || group.pids().is_ok_and(|pids| pids.is_empty()));
        (self.place.method != Method::Stop && is_one()).then(|| Frozen {
            method: self.place.method,
            root: self.place.root.clone(),
            name: name.to_owned(),
            members: Vec::new(),
        })
    }

    fn with_note(&self, frozen: &Frozen) -> Vec<Member> {
        let mut members = frozen.members.clone();
        let noted = record::read(&self.note(&frozen.name)).map(|noted| noted.members).unwrap_or_default();
        let known: BTreeSet<ProcessKey> = members.iter().map(|member| member.key).collect();
        members.extend(noted.into_iter().filter(|member| !known.contains(&member.key)));
        members
    }
}

#[cfg(test)]
mod tests;
