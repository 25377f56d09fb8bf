//! The SHA-256 of what a process executes, taken so that it is surely that file: never a link, a pipe, a successor
//! under the same name, or a file that was written to meanwhile.

use crate::process_stat::Stat;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use sha2::Digest;

use super::mounts;
use bartizan_model::{ExeFile, HostText, Sha256};

/// Longer files are not read, in bytes.
pub const LONGEST: u64 = 512 << 20;
/// Read at once; between two reads the reader looks whether it shall stop.
const CHUNK: usize = 128 << 10;
/// Kernels before 6.13 note changes by the clock tick (up to 10 ms): two changes within one look like one. A file that
/// was changed this short a time ago is read a little later.
const SETTLED: Duration = Duration::from_millis(20);

/// One content of one file: as long as all three are the same, so is the content, because nobody can set the moment
/// of change (ctime) back without the kernel's help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    /// Device number as the kernel counts it (`major << 20 | minor`), as the sensor told it.
    pub device: u32,
    /// Inode number.
    pub inode: u64,
    /// Moment of the last change (ctime), nanoseconds since 1970; 0 when the sensor could not tell.
    pub changed: i64,
}

impl From<&ExeFile> for Content {
    fn from(file: &ExeFile) -> Self {
        Self { device: file.device, inode: file.inode, changed: file.changed }
    }
}

/// Why there is no digest.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The process ended and nothing lies at its path.
    #[error("the file cannot be opened any more: {0}; a program that lives longer is read while it runs")]
    Gone(io::Error),
    /// Something else lies at its path, or it was written to while it was read.
    #[error("another file is there now, or it was changed while it was read")]
    Replaced,
    /// It lies where reading may never end: the kind of file system.
    #[error("it lies on {0}, where a process or another host answers and need not; it is not read")]
    Foreign(String),
    /// Its size.
    #[error("it is {0} bytes long, more than {LONGEST}; it is not read")]
    TooLong(u64),
    /// The reader was told to stop.
    #[error("told to stop")]
    Stopped,
    /// Reading failed.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
}

/// A process and the file that it executed.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its pid.
    pub pid: u32,
    /// When it started, in clock ticks since boot: the pid may be another's by now.
    pub start: u64,
    /// Where the file lay, as the process saw it.
    pub path: HostText,
    /// Which file.
    pub content: Content,
}

impl Wanted {
    fn is_running(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.start == self.start && !stat.is_dead())
    }
}

/// An executable, open and proven to be the one that was asked for.
#[derive(Debug)]
pub struct Executable {
    file: File,
    /// Exactly which content, the moment of change included.
    pub content: Content,
    found: Found,
    /// The process runs it now.
    running: bool,
}

/// What fstat(2) tells of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    content: Content,
    /// Last change of the content (mtime), nanoseconds since 1970. Its owner can set it, the moment of change not.
    written: i64,
    size: u64,
}

impl Executable {
    /// Opens what the process executes; when it ended, what lies at the path now. Only a file with the device and inode
    /// asked for is taken and, unless that is 0, with the moment of change asked for. While the process runs it, nobody
    /// can write to it (ETXTBSY, execve(2)), so there it may have been renamed, removed or given other rights since.
    ///
    /// # Errors
    /// When there is no such file any more, or it may not be read.
    pub fn open(wanted: &Wanted) -> Result<Self, HashError> {
        let running = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_CLOEXEC)
            .open(format!("/proc/{}/exe", wanted.pid))
            .map_err(HashError::Gone)
            .and_then(|file| Self::proven(file.into(), wanted.pid, wanted.content, wanted.is_running()));
        match running {
            // The pid has ended, or is another's, or runs another program by now.
            Err(HashError::Gone(_) | HashError::Replaced) => Self::proven(handle(&wanted.path)?, std::process::id(), wanted.content, false),
            outcome => outcome,
        }
    }

    /// Opens a handle for reading if it is the file asked for. Nothing is asked of its file system before it is known to
    /// answer: `witness` is a process that sees its mount.
    fn proven(handle: OwnedFd, witness: u32, asked: Content, running: bool) -> Result<Self, HashError> {
        let all = mounts::seen_by(witness);
        let mount = mounts::id_of(handle.as_fd()).and_then(|id| mounts::find(&all, id));
        match mount {
            Some(mount) if mount.is_foreign() => return Err(HashError::Foreign(HostText::from(mount.kind.as_slice()).escaped())),
            // Files in memory lie on a mount that the kernel keeps for itself (mm/shmem.c), on a device without a major number.
            None if asked.device >> 20 != 0 => return Err(HashError::Foreign("a mount that is not there any more".to_owned())),
            _ => {}
        }
        let name = format!("/proc/self/fd/{}", handle.as_raw_fd());
        let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
        let open = |flags| OpenOptions::new().read(true).custom_flags(flags).open(&name);
        // Without a trace in the time of last access; only the owner and root may.
        let file = open(flags | libc::O_NOATIME).or_else(|_| open(flags)).map_err(HashError::Unreadable)?;
        let found = identity(&file)?;
        let device = mount.map_or(found.content.device, |mount| mount.device);
        let same_file = found.content.inode == asked.inode && (found.content.device == asked.device || device == asked.device);
        let same_content = asked.changed == 0 || found.content.changed == asked.changed || (running && found.written <= asked.changed);
        if !(same_file && same_content) {
            return Err(HashError::Replaced);
        }
        let changed = if asked.changed == 0 { found.content.changed } else { asked.changed };
        Ok(Self { file, content: Content { changed, ..asked }, found, running })
    }

    /// Reads it all, in small steps; `go_on` is asked before each.
    ///
    /// # Errors
    /// When it is too long, cannot be read, was changed meanwhile, or the reader was told to stop.
    pub fn sha256(&mut self, wanted: &Wanted, go_on: &dyn Fn() -> bool) -> Result<Sha256, HashError> {
        if self.found.size > LONGEST {
            return Err(HashError::TooLong(self.found.size));
        }
        self.settle();
        let (mut hasher, mut chunk, mut length) = (sha2::Sha256::new(), vec![0; CHUNK], 0_u64);
        loop {
            if !go_on() {
                return Err(HashError::Stopped);
            }
            let read = match self.file.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                Err(why) => return Err(HashError::Unreadable(why)),
            };
            length += read as u64;
            if length > LONGEST {
                return Err(HashError::TooLong(length));
            }
            hasher.update(chunk.get(..read).unwrap_or_default());
        }
        let after = identity(&self.file)?;
        let untouched = after.content == self.found.content;
        let held = self.running && after.written == self.found.written && wanted.is_running();
        let whole = after.size == length && (untouched || held);
        if whole { Ok(Sha256(hasher.finalize().into())) } else { Err(HashError::Replaced) }
    }

    /// Waits until a change that happens from now on would be noticed.
    fn settle(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed = Duration::from_nanos(u64::try_from(self.found.content.changed).unwrap_or_default());
        // A moment in the future (a clock that was set back) makes nobody wait.
        if let Some(age) = now.checked_sub(changed).filter(|age| *age < SETTLED) {
            std::thread::sleep(SETTLED.saturating_sub(age));
        }
    }

    /// Whether the host itself has this very file at this path, whatever the process that runs it sees there: a container's
    /// `/bin/sh` is not the host's.
    pub fn is_the_hosts(&self, path: &HostText) -> bool {
        let now = Content { changed: self.found.content.changed, ..self.content };
        handle(path).and_then(|found| Self::proven(found, std::process::id(), now, false)).is_ok()
    }
}

/// What lies at a path now, without following a link and without asking a file system that may never answer.
fn handle(path: &HostText) -> Result<OwnedFd, HashError> {
    let bytes = path.as_bytes();
    if !bytes.starts_with(b"/") {
        return Err(HashError::Gone(io::ErrorKind::NotFound.into()));
    }
    if let Some(mount) = mounts::seen_by(std::process::id()).iter().find(|mount| mount.is_foreign() && mount.holds(bytes)) {
        return Err(HashError::Foreign(HostText::from(mount.kind.as_slice()).escaped()));
    }
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(AT_FDCWD, Path::new(std::ffi::OsStr::from_bytes(bytes)), how).map_err(|errno| HashError::Gone(errno.into()))
}

fn identity(file: &File) -> Result<Found, HashError> {
    let meta = file.metadata().map_err(HashError::Unreadable)?;
    if !meta.is_file() {
        return Err(HashError::Replaced);
    }
    let device = libc::major(meta.dev()) << 20 | libc::minor(meta.dev());
    let moment = |seconds: i64, nanoseconds: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds);
    let content = Content { device, inode: meta.ino(), changed: moment(meta.ctime(), meta.ctime_nsec()) };
    Ok(Found { content, written: moment(meta.mtime(), meta.mtime_nsec()), size: meta.size() })
}

#[cfg(test)]
mod mount_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    /// A program of the test's own, running.
    struct Sleeper(Child);

    impl Sleeper {
        fn start(program: &Path) -> Self {
            loop {
                match Command::new(program).arg("60").spawn() {
                    // A child that another test forked meanwhile still holds the descriptor that wrote the file.
                    Err(why) if why.kind() == io::ErrorKind::ExecutableFileBusy => std::thread::sleep(Duration::from_millis(5)),
                    child => return Self(child.unwrap()),
                }
            }
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    fn text(path: &Path) -> HostText {
        HostText::from(path.as_os_str().as_bytes())
    }

    fn content(path: &Path) -> Content {
        identity(&File::open(path).unwrap()).unwrap().content
    }

    fn sha256_of(path: &Path) -> Sha256 {
        Sha256(sha2::Sha256::digest(std::fs::read(path).unwrap()).into())
    }

    fn wanted(pid: u32, path: &Path, content: Content) -> Wanted {
        Wanted { pid, start: Stat::read(pid).map_or(0, |stat| stat.start), path: text(path), content }
    }

    fn hash(pid: u32, path: &Path, asked: Content) -> Result<Sha256, HashError> {
        let wanted = wanted(pid, path, asked);
        Executable::open(&wanted)?.sha256(&wanted, &|| true)
    }

    fn own_program(dir: &tempfile::TempDir) -> std::path::PathBuf {
        let program = dir.path().join("program");
        std::fs::copy("/bin/sleep", &program).unwrap();
        program
    }

    #[test]
    fn the_digest_is_that_of_sha256sum() {
        let out = Command::new("sha256sum").arg("/usr/bin/env").output().unwrap().stdout;
        let ours = hash(0, Path::new("/usr/bin/env"), content(Path::new("/usr/bin/env"))).unwrap();
        assert!(String::from_utf8(out).unwrap().starts_with(&ours.to_string()));
    }

    #[test]
    fn a_running_file_is_read_though_its_name_is_anothers_by_now() {
        let dir = tempfile::tempdir().unwrap();
        let program = own_program(&dir);
        let (before, wanted) = (content(&program), sha256_of(&program));
        let sleeper = Sleeper::start(&program);
        std::fs::write(dir.path().join("other"), "#!/bin/true").unwrap();
        std::fs::rename(dir.path().join("other"), &program).unwrap();
        let unknown = Content { changed: 0, ..before };
        for asked in [before, unknown] {
            assert_eq!(hash(sleeper.0.id(), &program, asked).unwrap(), wanted, "{asked:?}");
        }
        // Once it ended, nothing is left of it, and its successor is not taken for it.
        drop(sleeper);
        for asked in [before, unknown] {
            assert!(matches!(hash(0, &program, asked), Err(HashError::Replaced)), "{asked:?}");
        }
    }

    #[test]
    fn a_successor_is_not_taken_for_the_file_that_was_executed() {
        let dir = tempfile::tempdir().unwrap();
        let program = own_program(&dir);
        let asked = content(&program);
        std::thread::sleep(Duration::from_millis(30));
        std::fs::write(&program, "same inode, another content").unwrap();
        assert!(matches!(hash(0, &program, asked), Err(HashError::Replaced)), "written to in place");
        std::fs::remove_file(&program).unwrap();
        assert!(matches!(hash(0, &program, asked), Err(HashError::Gone(_))));
        std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
        assert!(matches!(hash(0, &program, content(Path::new("/bin/sleep"))), Err(HashError::Gone(_))), "a link is not followed");
        std::fs::remove_file(&program).unwrap();
        nix::unistd::mkfifo(&program, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(hash(0, &program, asked).is_err(), "a pipe is not waited for");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_has_no_digest() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("large");
        std::fs::write(&program, vec![7; 3 * CHUNK]).unwrap();
        let large = wanted(0, &program, content(&program));
        let mut open = Executable::open(&large).unwrap();
        let written = std::cell::Cell::new(false);
        let outcome = open.sha256(&large, &|| {
            if !written.replace(true) {
                std::fs::write(&program, vec![8; 3 * CHUNK]).unwrap();
            }
            true
        });
        assert!(matches!(outcome, Err(HashError::Replaced)));
        let large = wanted(0, &program, content(&program));
        assert!(matches!(Executable::open(&large).unwrap().sha256(&large, &|| false), Err(HashError::Stopped)));
        File::create(&program).unwrap().set_len(LONGEST + 1).unwrap();
        assert!(matches!(hash(0, &program, content(&program)), Err(HashError::TooLong(_))));
    }

    #[test]
    fn a_program_in_memory_is_read() {
        let fd = nix::sys::memfd::memfd_create(c"bartizan-test", nix::sys::memfd::MFdFlags::empty()).unwrap();
        let bytes = std::fs::read("/bin/sleep").unwrap();
        assert_eq!(nix::unistd::write(&fd, &bytes).unwrap(), bytes.len());
        let sleeper = Sleeper::start(Path::new(&format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd())));
        let file = super::super::proc_files::exe_file(sleeper.0.id()).unwrap();
        assert!(file.memfd, "{file:?}");
        let found = hash(sleeper.0.id(), Path::new("memfd:bartizan-test"), Content::from(&file)).unwrap();
        assert_eq!(found, sha256_of(Path::new("/bin/sleep")));
    }

    #[test]
    fn only_what_the_host_has_there_is_the_hosts() {
        let dir = tempfile::tempdir().unwrap();
        let program = own_program(&dir);
        let open = Executable::open(&wanted(0, &program, content(&program))).unwrap();
        assert!(open.is_the_hosts(&text(&program)));
        assert!(!open.is_the_hosts(&"/bin/sleep".into()) && !open.is_the_hosts(&"/usr/bin/sleep".into()));
    }
}
