//! When a note is due: a small file beside it, by the boot's clock and, for after a reboot, by the wall's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_sys::clock::{self, boot_ns};
use bartizan_sys::replace_file::{self, Outlives};

/// What the name of the note is followed by.
pub(super) const SUFFIX: &str = ".until";
/// A deadline is one short line.
const LONGEST: u64 = 256;

/// When.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deadline {
    /// The boot that `boot_ns` belongs to.
    boot: String,
    /// On CLOCK_BOOTTIME, in nanoseconds.
    boot_ns: u64,
    /// On the wall's clock, in seconds since 1970.
    pub(super) wall: i64,
}

impl Deadline {
    fn after(after: Duration) -> Self {
        let boot_ns = boot_ns().saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
        // Up to the next whole second: never before its time.
        let wall = chrono::Utc::now().timestamp().saturating_add(i64::try_from(after.as_secs()).unwrap_or(i64::MAX)).saturating_add(1);
        Self { boot: clock::boot().to_owned(), boot_ns, wall }
    }

    /// The moment on CLOCK_BOOTTIME, nanoseconds. Of an earlier boot: as the wall's clock says now, and whether so.
    pub(super) fn due(&self) -> (u64, bool) {
        if self.boot == clock::boot() {
            return (self.boot_ns, false);
        }
        let left = u64::try_from(self.wall.saturating_sub(chrono::Utc::now().timestamp())).unwrap_or(0);
        (boot_ns().saturating_add(left.saturating_mul(1_000_000_000)), true)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let (boot, ns, wall) = (words.next()?, words.next()?, words.next()?);
        Some(Self { boot: boot.to_owned(), boot_ns: ns.parse().ok()?, wall: wall.parse().ok()? })
    }
}

/// The file beside a note.
pub(super) fn path(note: &Path) -> PathBuf {
    let mut name = note.as_os_str().to_owned();
    name.push(SUFFIX);
    PathBuf::from(name)
}

/// Writes it whole or not at all; through to the disk when it must outlive the power.
pub(super) fn write(note: &Path, after: Duration, lasting: bool) -> io::Result<()> {
    let deadline = Deadline::after(after);
    let text = format!("{} {} {}\n", deadline.boot, deadline.boot_ns, deadline.wall);
    replace_file::replace(&path(note), text.as_bytes(), 0o600, if lasting { Outlives::Power } else { Outlives::Us })
}

/// What stands beside a note; `None` when nothing or nonsense does.
pub(super) fn read(note: &Path) -> Option<Deadline> {
    let bytes = bartizan_sys::digest::read_bounded(&path(note), LONGEST).ok()?;
    Deadline::parse(std::str::from_utf8(&bytes).ok()?)
}

/// Nobody waits for it any more.
pub(super) fn remove(note: &Path) {
    let _ = fs::remove_file(path(note));
    let _ = fs::remove_file(replace_file::unfinished(&path(note)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_of_this_boot_is_moved_by_no_clock_and_one_of_another_goes_by_the_wall() {
        let dir = tempfile::tempdir().unwrap();
        let note = dir.path().join("A1-x");
        let before = boot_ns();
        write(&note, Duration::from_secs(60), true).unwrap();
        let (due, by_wall) = read(&note).unwrap().due();
        assert!(!by_wall && (60_000_000_000..61_000_000_000).contains(&(due - before)), "{due}");
        let wall = chrono::Utc::now().timestamp() + 100;
        let other = Deadline { boot: "another".into(), boot_ns: 5, wall };
        let (due, by_wall) = other.due();
        assert!(by_wall && due > boot_ns() + 90_000_000_000);
        assert!(Deadline { wall: 12, ..other }.due().0 <= boot_ns());
        remove(&note);
        assert_eq!(read(&note), None);
        fs::write(path(&note), "nonsense").unwrap();
        assert_eq!(read(&note), None);
    }
}
