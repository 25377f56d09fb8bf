//! The standing watchdog's own life: sleep to the next deadline, run the script, end when nothing is left to do.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::standing::{AGENT, ENDED, MARK, read_key, script_name, whole};
use super::{EXPIRE_SCRIPT, SHELL, deadline};
use crate::clock::boot_ns;
use crate::pidfd::{PidFd, key_of, this_boot};

/// Most notes that are read; far more than actions can be active at once. The rest waits until some of them have ended.
const MOST: usize = 8192;
/// Most scripts at work at once.
const MOST_AT_WORK: usize = 16;
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
    detach_for_good();
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

/// No terminal, no directory, no signal of a login session; last to be killed when memory runs out.
fn detach_for_good() {
    // SAFETY: calls with numbers and one string that lives for the program.
    unsafe {
        libc::setsid();
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        libc::signal(libc::SIGINT, libc::SIG_IGN);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::prctl(libc::PR_SET_NAME, c"bartizan-watch".as_ptr());
    }
    let _ = std::env::set_current_dir("/");
    let _ = fs::write("/proc/self/oom_score_adj", "-900");
}

/// Takes the directory's lock; `None` when another watches.
fn take(dir: &Path) -> io::Result<Option<Watched>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut mark = options.open(dir.join(MARK))?;
    let lock = whole(libc::F_WRLCK);
    // SAFETY: the descriptor is open and the structure lives for the call.
    if unsafe { libc::fcntl(mark.as_raw_fd(), libc::F_SETLK, &raw const lock) } != 0 {
        let why = io::Error::last_os_error();
        return match why.raw_os_error() {
            Some(libc::EACCES | libc::EAGAIN) => Ok(None),
            _ => Err(why),
        };
    }
    let me = key_of(std::process::id()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    say(&mut mark, &format!("{} {} {} {}", me.pid, me.start, this_boot().0, script_name()))?;
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
    let text = crate::digest::read_bounded(&dir.join(AGENT), 256).ok()?;
    PidFd::open(read_key(std::str::from_utf8(&text).ok()?)?).ok()
}

/// Wakes when a deadline or the agent's name is put into a directory by a rename, or when something is removed.
fn inotify(dirs: &[PathBuf]) -> io::Result<OwnedFd> {
    // SAFETY: takes flags only.
    let raw = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    for dir in dirs {
        let path = CString::new(dir.as_os_str().as_bytes())?;
        // SAFETY: the string ends with a zero and lives for the call.
        if unsafe { libc::inotify_add_watch(raw, path.as_ptr(), libc::IN_MOVED_TO | libc::IN_DELETE | libc::IN_ONLYDIR) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(fd)
}

/// A timer of the boot's clock: it counts suspended time and no change of the wall's clock moves it.
fn timer() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let raw = unsafe { libc::timerfd_create(libc::CLOCK_BOOTTIME, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Sets it to a moment; with none it sleeps.
fn arm(timer: &OwnedFd, at: Option<u64>) -> io::Result<()> {
    // All zero would switch it off.
    let at = at.map_or(0, |at| at.max(1));
    let value = libc::timespec {
        tv_sec: i64::try_from(at / 1_000_000_000).unwrap_or(i64::MAX) as _,
        tv_nsec: i64::try_from(at % 1_000_000_000).unwrap_or(0) as libc::c_long,
    };
    let spec = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
    // SAFETY: the descriptor is open, the structure lives for the call, the old value is not asked for.
    let set = unsafe { libc::timerfd_settime(timer.as_raw_fd(), libc::TFD_TIMER_ABSTIME, &raw const spec, std::ptr::null_mut()) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn wait(timer: &OwnedFd, wake: &OwnedFd, agent: Option<&PidFd>, idle: bool) -> io::Result<()> {
    let mut polls = vec![timer.as_raw_fd(), wake.as_raw_fd()];
    polls.extend(agent.map(AsRawFd::as_raw_fd));
    let mut polls: Vec<libc::pollfd> = polls.into_iter().map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    let patience = if idle { -1 } else { i32::try_from(AT_WORK.as_millis()).unwrap_or(20) };
    // SAFETY: the list lives for the call and is as long as said.
    let said = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, patience) };
    match said {
        -1 if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted => return Err(io::Error::last_os_error()),
        _ => {}
    }
    let mut bytes = [0u8; 4096];
    for fd in [timer, wake] {
        // Non-blocking: what is read tells only that it woke; the directories are looked through anyway.
        while File::from(fd.try_clone()?).read(&mut bytes).is_ok_and(|got| got > 0) {}
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
            } else if self.scripts.len() >= MOST_AT_WORK {
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
    let note = |path: PathBuf| {
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(path.as_os_str().as_bytes().strip_suffix(deadline::SUFFIX.as_bytes())?)))
    };
    entries.filter_map(|entry| note(entry.path())).take(MOST).collect()
}

pub(super) fn run(note: &Path) -> io::Result<Child> {
    let mut command = Command::new(SHELL);
    command.args(["-c", EXPIRE_SCRIPT, "bartizan-expire", "0"]).arg(note).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}
