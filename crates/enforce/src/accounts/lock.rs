//! The two locks of the account files, as the host's own tools take them: of lckpwdf(3), which pam_unix and the shadow tools
//! hold, and the lock file of the shadow tools, which a shell can hold too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use super::AccountError;
use bartizan_sys::record_lock::{self, Holder};

const LOCK: &str = "/etc/.pwd.lock";
/// Holds the pid of who holds it; made by link(2), so that it is whole from the first moment.
const SHADOW_LOCK: &str = "/etc/shadow.lock";
/// lckpwdf(3) itself waits 15 seconds; nobody holds the lock that long.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(20);
/// A pid and a zero, or what somebody else wrote.
const LONGEST: u64 = 64;

/// Both, held until dropped. The first of the open file, not of the process: no other close of the file gives it away
/// (fcntl(2)).
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held")] File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the first one is given away: in the order in which the shadow tools give theirs.
        let _ = fs::remove_file(SHADOW_LOCK);
    }
}

/// Takes both, in the order in which the shadow tools do.
pub(super) fn take() -> Result<Lock, AccountError> {
    let until = Instant::now() + PATIENCE;
    let file = of_the_library(until)?;
    while !of_the_shadow_tools().map_err(super::rewrite::fail("lock", SHADOW_LOCK))? {
        if Instant::now() > until {
            return Err(AccountError::Busy);
        }
        std::thread::sleep(AGAIN);
    }
    Ok(Lock(file))
}

fn of_the_library(until: Instant) -> Result<File, AccountError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW);
    let file = options.open(LOCK).map_err(super::rewrite::fail("open", LOCK))?;
    while !record_lock::try_take(&file, Holder::OpenFile).map_err(super::rewrite::fail("lock", LOCK))? {
        if Instant::now() >= until {
            return Err(AccountError::Busy);
        }
        std::thread::sleep(AGAIN);
    }
    Ok(file)
}

/// `false` when another holds it. One whose holder has ended, or that names nobody, counts for nothing.
fn of_the_shadow_tools() -> io::Result<bool> {
    let own = format!("{SHADOW_LOCK}.bartizan");
    let _ = fs::remove_file(&own);
    let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(&own)?;
    let linked = file.write_all(format!("{}\0", std::process::id()).as_bytes()).and_then(|()| fs::hard_link(&own, SHADOW_LOCK));
    let _ = fs::remove_file(&own);
    match linked {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
        linked => return linked.map(|()| true),
    }
    if !holder_lives() {
        let _ = fs::remove_file(SHADOW_LOCK);
    }
    Ok(false)
}

fn holder_lives() -> bool {
    let bytes = match bartizan_sys::digest::read_bounded(std::path::Path::new(SHADOW_LOCK), LONGEST) {
        Ok(bytes) => bytes,
        // Given away meanwhile, or not ours to judge.
        Err(_) => return true,
    };
    let pid = String::from_utf8_lossy(&bytes).trim_matches(['\0', '\n', ' ']).parse::<u32>();
    pid.is_ok_and(|pid| fs::exists(format!("/proc/{pid}")).unwrap_or(true))
}
