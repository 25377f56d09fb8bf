//! The file in the data directory that remembers the last scans: one writer at a time, replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cli::outcome::Failure;
use bartizan_scan::history::{History, MAX_BYTES};
use bartizan_sys::plain_file::{self, NotOpened};
use bartizan_sys::record_lock::{self, Holder};
use bartizan_sys::replace_file::{self, Outlives};

/// Its name.
const FILE: &str = "scans.json";
/// What is locked while it changes.
const LOCK: &str = "scans.lock";
/// How long another scan may take to write.
const PATIENCE: Duration = Duration::from_secs(10);

/// The door to it.
pub(in crate::cli) struct Stored;

impl Stored {
    /// What is remembered; nothing yet is an empty history.
    pub(in crate::cli) fn read(data: &Path) -> Result<History, Failure> {
        let path = data.join(FILE);
        let broken = |why: String| {
            Failure::new(1, format!("cannot read {}: {why}", path.display()), "move the file away: the next scan begins a new one")
        };
        let file = match plain_file::open(&path) {
            Ok((file, _)) => file,
            Err(NotOpened::Missing) => return Ok(History::default()),
            Err(why) => return Err(broken(why.to_string())),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|why| broken(why.to_string()))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(broken("it is too large".to_owned()));
        }
        History::parse(&bytes).map_err(|why| broken(why.to_string()))
    }

    /// Changes what is remembered.
    pub(in crate::cli) fn change<T>(data: &Path, change: impl FnOnce(&mut History) -> T) -> Result<T, Failure> {
        let path = data.join(FILE);
        let refused = |why: std::io::Error| Failure::failed(format!("cannot write {}: {why}", path.display()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(refused)?;
        let _lock = lock(&data.join(LOCK))?;
        let mut history = Self::read(data)?;
        let changed = change(&mut history);
        let bytes = history.to_bytes().map_err(Failure::failed)?;
        replace_file::replace(&path, &bytes, 0o600, Outlives::Us).map_err(refused)?;
        Ok(changed)
    }
}

fn lock(path: &PathBuf) -> Result<File, Failure> {
    let refused = |why: String| Failure::failed(format!("cannot lock {}: {why}", path.display()));
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path).map_err(|why| refused(why.to_string()))?;
    let until = Instant::now() + PATIENCE;
    while !record_lock::try_take(&file, Holder::OpenFile).map_err(|why| refused(why.to_string()))? {
        if Instant::now() > until {
            return Err(refused("another scan holds it".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(file)
}
