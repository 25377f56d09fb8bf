//! This host, as the checks of `bartizan_scan::host` ask for it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use clap::Args;

use super::{Scanned, set_ids};
use crate::cli::args::duration;
use bartizan_guard::administrators;
use bartizan_model::{HostText, Protocol, Timestamp};
use bartizan_scan::host::{self, Facts, HostView, Listener, Reading, SetIds};
use bartizan_sys::packages::Packages;
use bartizan_sys::plain_file::{self, NotOpened};
use bartizan_sys::sock_diag::{self, Phase};
use bartizan_sys::{child, proc_files, socket_holders, umask};

/// Bytes of one file that are read.
const MAX_BYTES: u64 = 1 << 20;
/// Names of one directory that are listed.
const MAX_NAMES: usize = 8192;
/// How long a program may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Package databases, as far as `Packages` reads them.
const DATABASES: [&str; 5] =
    ["/var/lib/dpkg/info", "/lib/apk/db/installed", "/var/lib/pacman/local", "/var/lib/rpm", "/usr/lib/sysimage/rpm"];

/// How the host is checked.
#[derive(Debug, Clone, Args)]
pub(super) struct HostArgs {
    /// How long to look for set-uid files at most; most hosts take a second.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    patience: Duration,
}

/// Makes every check.
pub(super) fn scan(args: &HostArgs) -> Scanned {
    Scanned::new(host::SOURCE, "this host".into(), |at, run| {
        let view = ThisHost { patience: args.patience, packages: RefCell::new(Packages::under(Path::new("/"))), at };
        if umask::own_uid() != 0 {
            run.leave_out("what only root may read".into(), "run it as root to check everything", 1, true);
        }
        host::examine(&view, at, run)
    })
}

struct ThisHost {
    patience: Duration,
    packages: RefCell<Packages>,
    at: Timestamp,
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl HostView for ThisHost {
    fn read(&self, name: &[u8]) -> Reading {
        let file = match plain_file::open(path(name)) {
            Ok((file, _)) => file,
            Err(NotOpened::Missing | NotOpened::NotAFile("directory")) => return Reading::Missing,
            Err(why) => return Reading::Refused(why.to_string()),
        };
        let mut bytes = Vec::new();
        match file.take(MAX_BYTES).read_to_end(&mut bytes) {
            Ok(_) => Reading::Bytes(bytes),
            Err(why) => Reading::Refused(why.to_string()),
        }
    }

    fn list(&self, directory: &[u8]) -> Vec<Vec<u8>> {
        let entries = fs::read_dir(path(directory)).into_iter().flatten().flatten().take(MAX_NAMES);
        let mut names: Vec<Vec<u8>> = entries.map(|entry| entry.file_name().into_vec()).collect();
        names.sort();
        names
    }

    fn facts(&self, name: &[u8]) -> Option<Facts> {
        let found = fs::metadata(path(name)).ok()?;
        let is_device = found.file_type().is_char_device() || found.file_type().is_block_device();
        Some(Facts { mode: found.mode() & 0o7777, uid: found.uid(), gid: found.gid(), is_directory: found.is_dir(), is_device })
    }

    fn link(&self, name: &[u8]) -> Option<Vec<u8>> {
        fs::read_link(path(name)).ok().map(|target| target.into_os_string().into_vec())
    }

    fn ssh_settings(&self) -> Result<Option<Vec<(String, String)>>, String> {
        administrators::ssh_settings()
    }

    fn listeners(&self) -> Result<Vec<Listener>, String> {
        let dump = sock_diag::dump().map_err(|why| why.to_string())?;
        let waits = |phase: Phase| matches!(phase, Phase::Listening | Phase::Bound);
        let sockets: Vec<_> = dump.sockets.into_iter().filter(|socket| waits(socket.phase) && socket.flow.sport != 0).collect();
        let inodes: BTreeSet<u64> = sockets.iter().map(|socket| socket.inode).collect();
        let holders = socket_holders::among(&inodes, |_| true);
        // A UDP socket on a high port is one that asks, not one that serves.
        let chosen = sock_diag::first_chosen_port();
        let serves = |protocol: Protocol, port: u16| protocol == Protocol::Tcp || port < chosen;
        let listener = |socket: &sock_diag::Socket| {
            let pid = holders.get(&socket.inode).and_then(|pids| pids.first());
            let program = pid.map(|pid| proc_files::image(*pid).exe).filter(|exe| !exe.is_empty());
            Listener { protocol: socket.flow.proto, address: socket.flow.src.to_canonical(), port: socket.flow.sport, program }
        };
        Ok(sockets.iter().filter(|socket| serves(socket.flow.proto, socket.flow.sport)).map(listener).collect())
    }

    fn packet_filter(&self) -> Result<Option<String>, String> {
        // Without the elements of sets: they may be many, and do not decide.
        match child::ask(OsStr::new("nft"), &["--terse", "list", "ruleset"], PATIENCE) {
            Ok(said) if said.success => Ok(Some(String::from_utf8_lossy(&said.out).into_owned())),
            Ok(said) => Err(format!("`nft list ruleset`: {}", HostText::from(said.err).escaped())),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(format!("`nft list ruleset`: {why}")),
        }
    }

    fn set_ids(&self) -> SetIds {
        set_ids::find(self.patience)
    }

    fn package_of(&self, name: &HostText) -> Result<Option<HostText>, String> {
        if !DATABASES.iter().any(|place| Path::new(place).exists()) {
            return Err("there is no package database that can be read".to_owned());
        }
        Ok(self.packages.borrow_mut().owner(name))
    }

    fn now(&self) -> Timestamp {
        Utc::now().max(self.at)
    }
}
