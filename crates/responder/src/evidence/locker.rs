//! Evidence of processes that stand still: kept in a directory for root alone, bounded in size and in time.

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::process;
use super::shelf::{self, KeptFile, Shelf};
use super::sockets::KnownSockets;
use bartizan_model::ProcessKey;
use bartizan_sys::{disk_space, sock_diag};

/// How long one capture may take in all.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Captures that the kernel holds up (a file of the tree lies on a file system that the tree itself serves) end when the
/// tree runs on or dies; while so many hang, no further one is begun.
const MAX_HANGING: usize = 4;
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// How much is kept, in bytes.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Of one executable.
    executable: u64,
    /// Of one action.
    action: u64,
    /// Of all actions; the oldest goes out.
    all: u64,
}

/// 64 MiB holds nearly every executable; 1 GiB is what a small host can spare.
const LIMITS: Limits = Limits { executable: 64 << 20, action: 256 << 20, all: 1 << 30 };

/// Of the disk, in bytes: the ledger and everybody else on the host need it more.
const SPARED: u64 = 512 << 20;

/// Where evidence is kept.
#[derive(Debug, Clone)]
pub(crate) struct Locker {
    dir: PathBuf,
    limits: Limits,
}

/// What one capture brought. All texts are safe to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Captured {
    /// Where it lies.
    pub(super) directory: PathBuf,
    /// Each file, in the order in which they were kept.
    pub(super) files: Vec<KeptFile>,
    /// BLAKE3 of the file `manifest`, which names all others, in hex.
    pub(super) manifest: Option<String>,
    /// What could not be kept, and why.
    pub(super) missing: Vec<String>,
    /// Older evidence that had to go.
    pub(super) removed: Vec<String>,
}

impl Locker {
    /// The directory `evidence` in the data directory; made when it is first needed.
    pub(crate) fn new(data: &Path) -> Self {
        Self { dir: data.join("evidence"), limits: LIMITS }
    }

    /// Where everything is kept, safe to show.
    pub(super) fn directory(&self) -> String {
        self.dir.to_string_lossy().escape_debug().to_string()
    }

    /// Keeps what can be seen of `members`, first those that come first, in a new directory `name`. They must stand still.
    /// Returns within `patience` and a little, whatever they did to be unreadable; what is missing is told.
    pub(super) fn capture(&self, name: &str, members: &[ProcessKey], patience: Duration) -> Captured {
        let (locker, keys) = (self.clone(), members.to_vec());
        self.bounded(name, patience, move |shelf| locker.fill(shelf, &keys))
    }

    /// Lets `work` fill a new directory on a thread of its own, and waits no longer than `patience`. A thread that hangs
    /// keeps nothing more when it comes back.
    fn bounded(&self, name: &str, patience: Duration, work: impl FnOnce(&Shelf) -> Vec<String> + Send + 'static) -> Captured {
        let directory = self.dir.join(name);
        let nothing = |why: String| Captured { directory: directory.clone(), missing: vec![why], ..Captured::default() };
        if RUNNING.load(Ordering::Acquire) >= MAX_HANGING {
            return nothing(format!("{MAX_HANGING} earlier captures still hang in the kernel: nothing was kept"));
        }
        if let Err(why) = self.make(&directory) {
            return nothing(format!("{} could not be made: {why}", directory.to_string_lossy().escape_debug()));
        }
        let room = disk_space::free(&directory).saturating_sub(SPARED);
        let shelf = Arc::new(Shelf::new(directory.clone(), self.limits.action.min(room)));
        if room < self.limits.action {
            shelf.missing(format!("what needs more than {room} bytes: {SPARED} bytes of the disk stay free"));
        }
        let (shared, (done, ended)) = (Arc::clone(&shelf), mpsc::sync_channel(1));
        RUNNING.fetch_add(1, Ordering::AcqRel);
        let began = std::thread::Builder::new().name("evidence".to_owned()).spawn(move || {
            let removed = work(&shared);
            RUNNING.fetch_sub(1, Ordering::AcqRel);
            let _ = done.send(removed);
        });
        if let Err(why) = began {
            RUNNING.fetch_sub(1, Ordering::AcqRel);
            return nothing(format!("no thread could be started for it: {why}"));
        }
        let removed = ended.recv_timeout(patience).unwrap_or_else(|_| {
            shelf.missing(format!("it was not done within {patience:?}: what comes after the last file is missing"));
            Vec::new()
        });
        shelf.close(removed)
    }

    fn make(&self, directory: &Path) -> std::io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700).recursive(true).create(&self.dir)?;
        // The name is new: nobody's evidence is written over.
        builder.recursive(false).create(directory)
    }

    /// The small facts of everybody first, then the executables: what costs most comes last.
    fn fill(&self, shelf: &Shelf, members: &[ProcessKey]) -> Vec<String> {
        let sockets = sock_diag::dump().map(|dump| dump.sockets).unwrap_or_else(|why| {
            shelf.missing(format!("sockets: {why}"));
            Vec::new()
        });
        let mut known = KnownSockets::new(sockets);
        let mut open = Vec::new();
        for key in members.iter().take_while(|_| !shelf.is_closed()) {
            match process::Open::new(*key) {
                Ok(process) => {
                    process.keep_facts(shelf, &mut known);
                    // Some hundred descriptors of our own at most; the later ones are opened again.
                    open.push((*key, (open.len() < 256).then_some(process)));
                }
                Err(why) => shelf.missing(format!("pid {}: {why}", key.pid)),
            }
        }
        let removed = shelf::make_room(&self.dir, shelf.directory(), self.limits.all.saturating_sub(self.limits.action));
        let mut kept = HashMap::new();
        for (key, process) in open.into_iter().take_while(|_| !shelf.is_closed()) {
            match process.map_or_else(|| process::Open::new(key), Ok) {
                Ok(process) => process.keep_executable(shelf, self.limits.executable, &mut kept),
                Err(why) => shelf.missing(format!("{}/exe: {why}", key.pid)),
            }
        }
        removed
    }
}

#[cfg(test)]
mod tests;
