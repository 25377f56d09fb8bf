//! What keeps an action from being applied or undone on a guarded host for a while: held locks, read-only mounts, somebody
//! who owns our table, a full disk. Each is there while its value lives.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};

use super::ends::Program;
use super::guarded::Guarded;
use super::wait_until;

/// The lock of lckpwdf(3) on the host's account files, as `vipw -s` holds it.
pub struct AccountsLocked {
    _file: File,
}

impl AccountsLocked {
    pub fn on(host: &Guarded) -> Self {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(host.path("/etc/.pwd.lock")).unwrap();
        let kind = nix::libc::F_WRLCK as nix::libc::c_short;
        let whole = nix::libc::flock { l_type: kind, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)).unwrap();
        Self { _file: file }
    }
}

/// A directory of the host that takes no change.
pub struct ReadOnly<'a> {
    host: &'a Guarded,
    place: String,
}

impl<'a> ReadOnly<'a> {
    /// `place` is a mount point of the host.
    pub fn on(host: &'a Guarded, place: &str) -> Self {
        host.shell(&format!("mount -o remount,ro '{place}'"));
        Self { host, place: place.to_owned() }
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        self.host.shell(&format!("mount -o remount,rw '{}'", self.place));
    }
}

/// A program that made `table inet bartizan` its own (`flags owner`): the kernel takes changes from it alone, and the table
/// goes with it.
pub struct OwnedTable(Program);

impl OwnedTable {
    /// In one transaction with the end of the table that is there; `more` follows in a second one.
    pub fn on(host: &Guarded, more: &str) -> Self {
        let there = host.try_shell("nft list table inet bartizan").status.success();
        let first = if there { "delete table inet bartizan; " } else { "" };
        let mut child = Program::start(host.command("nft", &["-i"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()));
        let line = format!("{first}add table inet bartizan {{ flags owner; }}\n{more}\n");
        child.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        wait_until("somebody to own the table", Duration::from_secs(5), || {
            host.try_shell("nft list table inet bartizan | grep -q owner").status.success()
        });
        Self(child)
    }
}

/// A file that takes all the room that is left where it lies.
pub struct FullDisk<'a> {
    host: &'a Guarded,
    ballast: String,
}

impl<'a> FullDisk<'a> {
    pub fn on(host: &'a Guarded, place: &str) -> Self {
        let ballast = format!("{place}/ballast");
        // Once with large blocks, then byte by byte.
        host.try_shell(&format!("dd if=/dev/zero of='{ballast}' bs=64k; dd if=/dev/zero bs=512 >>'{ballast}'"));
        Self { host, ballast }
    }
}

impl Drop for FullDisk<'_> {
    fn drop(&mut self) {
        self.host.shell(&format!("rm -f '{}'", self.ballast));
    }
}
