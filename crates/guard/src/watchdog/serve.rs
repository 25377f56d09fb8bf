//! The standing watchdog's own life: sleep to the next deadline, run the script, end when nothing is left to do.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::standing::{AGENT, ENDED, MARK, read_key, script_name};
use super::{EXPIRE_SCRIPT, SHELL, deadline};
use bartizan_sys::child;
use bartizan_sys::clock::boot_id;
use bartizan_sys::clock::boot_ns;
use bartizan_sys::detached::detach_for_good;
use bartizan_sys::pidfd::{PidFd, key_of};
use bartizan_sys::record_lock::{self, Holder};

/// Most notes that are read; far more than actions can be active at once. The rest waits until some of them have ended.
const MOST: usize = 8192;
/// Most scripts at work at once.
const MAX_AT_WORK: usize = 16;
/// After a script that could not undo it.
const AGAIN: Duration = Duration::from_secs(10);
/// How long it sleeps at most while a deadline goes by the wall's clock, which may be set.
const WALL_CHECK: Duration = Duration::from_secs(30);
/// How often a script at work is looked after.
const AT_WORK: Duration = Duration::from_millis(20);

/// One directory that is watched; the open file holds the lock.
#[derive(Debug)]
struct Watched {
    dir: PathBuf,
    mark: File,
}

/// Watches these directories until no note is left in them and the agent has ended. At most one process watches a
/// directory: a second one ends at once.
///
/// # Errors
/// When a directory cannot be watched or the kernel has no timer to give.
pub fn serve(dirs: &[PathBuf]) -> io::Result<()> {
    outlive_everybody();
    let wake = inotify(dirs)?;
    let mut watched = Vec::new();
    for dir in dirs {
        match take(dir)? {
            Some(held) => watched.push(held),
            None => return Ok(()),
        }
    }
    let timer = timer()?;
    let mut work = Work::default();
    loop {
        let agent = watched.first().and_then(|first| agent(&first.dir));
        let next = work.round(&watched);
        if work.is_idle() && next.is_none() && agent.is_none() {
            break;
        }
        arm(&timer, next)?;
        wait(&timer, &wake, agent.as_ref(), work.is_idle())?;
    }
    for held in &mut watched {
        let _ = say(&mut held.mark, ENDED);
    }
    Ok(())
}

/// Of nobody's session; last to be killed when memory runs out.
fn outlive_everybody() {
    detach_for_good(c"bartizan-watch");
    let _ = fs::write("/proc/self/oom_score_adj", "-900");
}

/// Takes the directory's lock; `None` when another watches.
fn take(dir: &Path) -> io::Result<Option<Watched>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut mark = options.open(dir.join(MARK))?;
    if !record_lock::try_take(&mark, Holder::Process)? {
        return Ok(None);
    }
    let me = key_of(std::process::id()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    say(&mut mark, &format!("{} {} {} {}", me.pid, me.start, boot_id().0, script_name()))?;
    Ok(Some(Watched { dir: dir.to_owned(), mark }))
}

fn say(mark: &mut File, words: &str) -> io::Result<()> {
    // First written, then cut: a full disk takes what fits the block that is there.
    let line = format!("{words}\n");
    io::Seek::rewind(mark)?;
    mark.write_all(line.as_bytes())?;
    mark.set_len(line.len() as u64)
}

/// The agent, as long as it lives.
fn agent(dir: &Path) -> Option<PidFd> {
    let text = bartizan_sys::digest::read_bounded(&dir.join(AGENT), 256).ok()?;
    PidFd::open(read_key(std::str::from_utf8(&text).ok()?)?).ok()
}

/// Wakes when a deadline or the agent's name is put into a directory by a rename, or when something is removed.
fn inotify(dirs: &[PathBuf]) -> io::Result<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let wanted = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_ONLYDIR;
    dirs.iter().try_for_each(|dir| inotify.add_watch(dir, wanted).map(drop))?;
    Ok(inotify)
}

/// A timer of the boot's clock: it counts suspended time and no change of the wall's clock moves it.
fn timer() -> io::Result<TimerFd> {
    Ok(TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?)
}

/// Sets it to a moment; with none it sleeps.
fn arm(timer: &TimerFd, at: Option<u64>) -> io::Result<()> {
    let Some(at) = at else { return Ok(timer.unset()?) };
    // All zero would switch it off.
    let at = TimeSpec::from_duration(Duration::from_nanos(at.max(1)));
    Ok(timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
}

fn wait(timer: &TimerFd, wake: &Inotify, agent: Option<&PidFd>, idle: bool) -> io::Result<()> {
    let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
    let mut polls = vec![readable(timer.as_fd()), readable(wake.as_fd())];
    polls.extend(agent.map(|agent| readable(agent.as_fd())));
    let patience = if idle { PollTimeout::NONE } else { PollTimeout::try_from(AT_WORK).unwrap_or(PollTimeout::ZERO) };
    match poll(&mut polls, patience) {
        Err(Errno::EINTR) | Ok(_) => {}
        Err(why) => return Err(why.into()),
    }
    let mut bytes = [0u8; 4096];
    for fd in [timer.as_fd(), wake.as_fd()] {
        // Non-blocking: what is read tells only that it woke; the directories are looked through anyway.
        while nix::unistd::read(fd, &mut bytes).is_ok_and(|got| got > 0) {}
    }
    Ok(())
}

/// What is under way.
#[derive(Debug, Default)]
struct Work {
    scripts: BTreeMap<PathBuf, Child>,
    /// Not before this moment of the boot's clock.
    later: BTreeMap<PathBuf, u64>,
}

impl Work {
    fn is_idle(&self) -> bool {
        self.scripts.is_empty()
    }

    /// Begins what is due and looks after what is under way; gives the next moment at which something is due.
    fn round(&mut self, watched: &[Watched]) -> Option<u64> {
        self.scripts.retain(|note, child| match child.try_wait() {
            Ok(None) => true,
            _ => {
                if note.exists() {
                    self.later.insert(note.clone(), boot_ns() + AGAIN.as_nanos() as u64);
                } else {
                    deadline::remove(note);
                }
                false
            }
        });
        let now = boot_ns();
        let mut next = None;
        let mut sooner = |at: u64| next = Some(next.map_or(at, |other: u64| other.min(at)));
        let notes = notes(watched);
        self.later.retain(|note, _| notes.contains(note));
        let waiting: Vec<PathBuf> = notes.into_iter().filter(|note| !self.scripts.contains_key(note)).collect();
        for note in waiting {
            let Some((due, by_wall)) = deadline::read(&note).map(|deadline| deadline.due()) else { continue };
            let at = due.max(self.later.get(&note).copied().unwrap_or(0));
            if at > now {
                sooner(if by_wall { at.min(now + WALL_CHECK.as_nanos() as u64) } else { at });
            } else if !note.exists() {
                deadline::remove(&note);
            } else if self.scripts.len() >= MAX_AT_WORK {
                sooner(now + AT_WORK.as_nanos() as u64);
            } else {
                match run(&note) {
                    Ok(child) => drop(self.scripts.insert(note, child)),
                    Err(_) => {
                        // No memory or no process to be had: again soon, for ever.
                        self.later.insert(note, now + 1_000_000_000);
                        sooner(now + 1_000_000_000);
                    }
                }
            }
        }
        next
    }
}

/// The notes that have a deadline.
fn notes(watched: &[Watched]) -> Vec<PathBuf> {
    let entries = watched.iter().filter_map(|held| fs::read_dir(&held.dir).ok()).flatten().flatten();
    let note =
        |path: PathBuf| Some(PathBuf::from(OsStr::from_bytes(path.as_os_str().as_bytes().strip_suffix(deadline::SUFFIX.as_bytes())?)));
    entries.filter_map(|entry| note(entry.path())).take(MOST).collect()
}

pub(super) fn run(note: &Path) -> io::Result<Child> {
    let words = ["-c", EXPIRE_SCRIPT, "bartizan-expire", "0"].map(OsStr::new);
    child::begin(SHELL.as_ref(), &[&words[..], &[note.as_os_str()]].concat())
}
