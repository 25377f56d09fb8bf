//! The standing watchdog as the agent sees it: started with it, outside of it, looked after by it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::fallback;
use super::{EXPIRE_SCRIPT, WatchdogError, fail};
use bartizan_model::{BootId, ProcessKey};
use bartizan_sys::clock::boot_id;
use bartizan_sys::detached::Detached;
use bartizan_sys::digest::{open_plain, read_bounded};
use bartizan_sys::pidfd::{PidFd, key_of};
use bartizan_sys::process_stat::Stat;
use bartizan_sys::replace_file::{self, Outlives};
use bartizan_sys::{child, clock, record_lock};

/// In every watched directory: locked by the watchdog as long as it lives. Holds "PID START BOOT SCRIPT", or "ended".
pub(super) const MARK: &str = ".watchdog";
/// In the first watched directory: "PID START" of the agent whose end lets the watchdog end.
pub(super) const AGENT: &str = ".agent";
/// What [`MARK`] holds when it ended because nothing was left to do.
pub(super) const ENDED: &str = "ended";
/// Every agent of this host notes its two directories here, a line each, for the emergency script.
const HOMES: &str = "/run/bartizan-homes";
/// In the runtime directory, for the emergency script: where the data directory is.
const DATA: &str = "data";
/// Most of such a file that is read: one short line.
const LONGEST: u64 = 256;
/// How long a new one may take until it watches.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a look at the standing watchdog showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It watches.
    Watches,
    /// There was none, or one of another version; now there is.
    Started,
    /// It was ended or stopped by somebody; now there is a new one. What was seen.
    StartedAnew(String),
    /// There is none and none can be started: each action gets a shell or timer of its own. Why.
    Missing(String),
}

/// The standing watchdog of one agent.
#[derive(Debug)]
pub struct Standing {
    dirs: Vec<PathBuf>,
    /// Where the emergency script learns of this agent's directories.
    home: PathBuf,
}

impl Drop for Standing {
    /// Who ends and leaves nothing that would have to be undone need not be known.
    fn drop(&mut self) {
        let is_note = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().contains('.');
        let notes = self.dirs.iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten());
        if !notes.into_iter().any(|entry| is_note(&entry)) {
            let _ = fs::remove_file(&self.home);
            // With the last one.
            let _ = fs::remove_dir(HOMES);
        }
    }
}

impl Standing {
    /// The one that watches the notes of freezes below `runtime` and of lasting actions below `data`. Starts nothing
    /// yet.
    ///
    /// # Errors
    /// When the directories cannot be made or written to.
    pub fn of(runtime: &Path, data: &Path) -> Result<Self, WatchdogError> {
        let dirs = vec![runtime.join("freeze"), data.join("expiry")];
        for dir in &dirs {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail("make the directory for notes"))?;
        }
        let mut pointer = data.as_os_str().as_bytes().to_vec();
        pointer.push(b'\n');
        replace(&runtime.join(DATA), &pointer).map_err(fail("note the data directory down for the emergency script"))?;
        let both = [runtime.as_os_str().as_bytes(), b"\n", &pointer].concat();
        let home = Path::new(HOMES).join(blake3::hash(&both).to_hex().get(..16).unwrap_or_default());
        // Who may not write there (not root) can disable and freeze nobody either.
        let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(HOMES).and_then(|()| replace(&home, &both));
        Ok(Self { dirs, home })
    }

    /// Makes sure that it watches: starts it when there is none, or when the one there is was stopped or has an older
    /// script. To be called again and again; cheap while it lives.
    pub fn look(&self) -> Seen {
        let mark = self.dirs.first().map(|dir| Mark::read(dir)).unwrap_or_default();
        let watches = self.dirs.iter().all(|dir| watches(dir));
        if watches && mark.script == script_name() && self.registered() {
            return Seen::Watches;
        }
        if let Err(error) = self.register() {
            return Seen::Missing(error.to_string());
        }
        if watches && mark.script == script_name() {
            return Seen::Watches;
        }
        let was = self.dirs.first().and_then(|dir| keeper_of(dir));
        let found = match (was, mark.key) {
            (Some(key), _) if watches => {
                end(key);
                None
            }
            (Some(key), _) => {
                end(key);
                Some(format!("pid {} was stopped", key.pid))
            }
            (None, Some(key)) if key.boot == boot_id() => Some(format!("pid {} has ended", key.pid)),
            (None, _) => None,
        };
        match (self.start(), found) {
            (Err(error), _) => Seen::Missing(error.to_string()),
            (Ok(()), Some(found)) => Seen::StartedAnew(found),
            (Ok(()), None) => Seen::Started,
        }
    }

    /// Who it is, while it lives.
    pub fn key(&self) -> Option<ProcessKey> {
        self.dirs.first().and_then(|dir| keeper_of(dir))
    }

    fn agent_file(&self) -> PathBuf {
        self.dirs.first().map(|dir| dir.join(AGENT)).unwrap_or_default()
    }

    fn registered(&self) -> bool {
        let told = read_bounded(&self.agent_file(), LONGEST).unwrap_or_default();
        read_key(&String::from_utf8_lossy(&told)).is_some_and(|key| key.pid == std::process::id())
    }

    /// So that it knows for whom it stays.
    fn register(&self) -> Result<(), WatchdogError> {
        let me = key_of(std::process::id()).ok_or_else(|| fail("find this process")(io::Error::from(io::ErrorKind::NotFound)))?;
        replace(&self.agent_file(), format!("{} {}\n", me.pid, me.start).as_bytes()).map_err(fail("tell the watchdog who the agent is"))
    }

    fn start(&self) -> Result<(), WatchdogError> {
        if Path::new("/run/systemd/system").is_dir() && self.as_a_service() && self.wait() {
            return Ok(());
        }
        let arguments = itself(&self.dirs);
        let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
        Detached::new("/proc/self/exe", "bartizan", &arguments).start().map_err(fail("start the watchdog"))?;
        if self.wait() { Ok(()) } else { Err(fail("hear from the watchdog")(io::Error::from(io::ErrorKind::TimedOut))) }
    }

    /// A transient service of its own: what stops or kills ours does not take it along.
    fn as_a_service(&self) -> bool {
        let Some(program) = bartizan_sys::reexec::own_path().ok().filter(|path| path.exists()) else { return false };
        let unit = format!("--unit=bartizan-watchdog-{}", clock::boot_ns() / 1_000_000);
        let as_unit = ["--quiet", "--collect", "--property=OOMScoreAdjust=-900", "--property=KillMode=process", &unit];
        let mut arguments: Vec<OsString> = as_unit.into_iter().map(OsString::from).collect();
        arguments.push("--description=Ends actions of Bartizan at their time".into());
        arguments.push(program.into());
        arguments.extend(itself(&self.dirs));
        child::begin("systemd-run".as_ref(), &arguments).is_ok_and(|child| child::finish(child, fallback::PATIENCE) == Some(true))
    }

    fn wait(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while !self.dirs.iter().all(|dir| watches(dir)) {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

/// What [`DATA`] says.
pub(super) fn data_of(runtime: &Path) -> Option<PathBuf> {
    let bytes = bartizan_sys::digest::read_bounded(&runtime.join(DATA), 4096).ok()?;
    let line = bytes.split(|b| *b == b'\n').next().filter(|line| line.starts_with(b"/"))?;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(line)))
}

/// The words after the program's name that make it the watchdog of these directories.
#[cfg(not(test))]
fn itself(dirs: &[PathBuf]) -> Vec<OsString> {
    std::iter::once("watchdog".into()).chain(dirs.iter().map(OsString::from)).collect()
}

/// The test program plays the watchdog by one of its tests.
#[cfg(test)]
fn itself(dirs: &[PathBuf]) -> Vec<OsString> {
    let words = ["--exact", "watchdog::tests::the_watchdog_itself", "--ignored", "--nocapture", "--test-threads=1"];
    words.into_iter().map(OsString::from).chain(dirs.iter().map(OsString::from)).collect()
}

/// Which script a watchdog runs, so that an upgraded agent replaces it.
pub(super) fn script_name() -> &'static str {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| blake3::hash(EXPIRE_SCRIPT.as_bytes()).to_hex().chars().take(16).collect())
}

#[derive(Debug, Default)]
struct Mark {
    key: Option<ProcessKey>,
    script: String,
}

impl Mark {
    fn read(dir: &Path) -> Self {
        let bytes = bartizan_sys::digest::read_bounded(&dir.join(MARK), 256).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut words = text.split_ascii_whitespace().skip(2);
        let (boot, script) = (words.next().and_then(|word| word.parse().ok()), words.next().unwrap_or_default());
        let key = read_key(&text).zip(boot).map(|(key, boot)| ProcessKey { boot: BootId(boot), ..key });
        Self { key, script: script.to_owned() }
    }
}

/// "PID START ...".
pub(super) fn read_key(text: &str) -> Option<ProcessKey> {
    let mut words = text.split_ascii_whitespace();
    Some(ProcessKey { boot: boot_id(), pid: words.next()?.parse().ok()?, start: words.next()?.parse().ok()? })
}

/// The whole file or none; a rename, which wakes the watchdog. A disk without room for a second file gets it in place: one
/// short line, into a block that is there.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let replaced = replace_file::replace(path, bytes, 0o600, Outlives::Us);
    let full = |why: &io::Error| matches!(why.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    match replaced {
        Err(why) if full(&why) && path.exists() => {
            let mut file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
            file.write_all(bytes)?;
            file.set_len(bytes.len() as u64)
        }
        replaced => replaced,
    }
}

fn end(key: ProcessKey) {
    if let Ok(hold) = PidFd::open(key) {
        let _ = hold.signal(libc::SIGKILL);
        hold.wait_gone(Duration::from_secs(1));
    }
}

/// Whether somebody holds the directory's lock and is not stopped. Two opens and two reads: some 20 µs.
pub(super) fn watches(dir: &Path) -> bool {
    match lock_holder(dir) {
        // In another pid namespace: it lives, more cannot be seen.
        Some(0) => true,
        Some(pid) => Stat::read(pid).is_some_and(|stat| !stat.is_dead() && !matches!(stat.state, b'T' | b't')),
        None => false,
    }
}

fn keeper_of(dir: &Path) -> Option<ProcessKey> {
    lock_holder(dir).and_then(key_of)
}

/// Whoever holds the lock, as the kernel says (fcntl(2), F_GETLK).
fn lock_holder(dir: &Path) -> Option<u32> {
    record_lock::held_by(&open_plain(&dir.join(MARK)).ok()?)
}
