//! The file in the data directory that remembers the last scans: one writer at a time, replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use bartizan_scan::history::{History, HistoryError, MAX_BYTES, MAX_SALVAGED};
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
#[derive(Debug)]
pub struct Stored;

/// The history cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoredError {
    /// What failed, on what, why.
    pub message: String,
    /// What to do about it; may be empty.
    pub mend: String,
}

/// Why there is no history to work with.
enum Unread {
    /// It cannot be opened, or belongs to a newer version: it is left as it is.
    Refused(String),
    /// It is too large or broken; what was accepted in it.
    Broken(String, History),
}

impl Stored {
    /// What is remembered; nothing yet is an empty history.
    ///
    /// # Errors
    /// [`StoredError`] when it cannot be read, is broken, or was written by a newer version.
    pub fn read(data: &Path) -> Result<History, StoredError> {
        read(data).map_err(|unread| match unread {
            Unread::Refused(why) => unreadable(data, &why, ""),
            Unread::Broken(why, _) => {
                unreadable(data, &why, "the next scan puts it aside and keeps what you accepted: run `bartizan scan`")
            }
        })
    }

    /// Changes what is remembered.
    ///
    /// # Errors
    /// [`StoredError`]; then nothing has changed.
    pub fn change<T>(data: &Path, change: impl FnOnce(&mut History) -> T) -> Result<T, StoredError> {
        let _lock = lock(data)?;
        let mut history = Self::read(data)?;
        let changed = change(&mut history);
        write(data, &mut history)?;
        Ok(changed)
    }

    /// Takes in a scan, which must not be lost because what earlier ones left cannot be read: that is put aside, and `notice` hears of it.
    ///
    /// # Errors
    /// [`StoredError`]; then nothing has changed.
    pub fn take_in<T>(data: &Path, take_in: impl FnOnce(&mut History) -> T, notice: &dyn Fn(&str)) -> Result<T, StoredError> {
        let _lock = lock(data)?;
        let mut history = match read(data) {
            Ok(history) => history,
            Err(Unread::Refused(why)) => return Err(unreadable(data, &why, "--forget scans without it")),
            Err(Unread::Broken(why, history)) => {
                put_aside(data, &why, history.salvaged(), notice)?;
                history
            }
        };
        let taken_in = take_in(&mut history);
        write(data, &mut history)?;
        Ok(taken_in)
    }

    /// What is remembered, for somebody who may not be allowed to read it; `None`: nobody knows.
    pub fn peek(data: &Path) -> Option<History> {
        match read(data) {
            Ok(history) | Err(Unread::Broken(_, history)) => Some(history),
            Err(Unread::Refused(_)) => None,
        }
    }

    /// What is known of earlier scans, for one that is not remembered itself; `notice` hears what could not be read.
    pub fn glance(data: &Path, notice: &dyn Fn(&str)) -> History {
        match read(data) {
            Ok(history) => history,
            Err(Unread::Refused(why)) => {
                notice(&format!("{} cannot be read: {why}: what was accepted is not known", data.join(FILE).display()));
                History::default()
            }
            Err(Unread::Broken(why, history)) => {
                notice(&format!("{} cannot be read: {why}", data.join(FILE).display()));
                history
            }
        }
    }
}

fn failed(message: String) -> StoredError {
    StoredError { message, mend: String::new() }
}

fn unreadable(data: &Path, why: &str, mend: &str) -> StoredError {
    StoredError { message: format!("cannot read {}: {why}", data.join(FILE).display()), mend: mend.to_owned() }
}

fn read(data: &Path) -> Result<History, Unread> {
    let file = match plain_file::open(&data.join(FILE)) {
        Ok((file, _)) => file,
        Err(NotOpened::Missing) => return Ok(History::default()),
        Err(why) => return Err(Unread::Refused(why.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(MAX_SALVAGED).read_to_end(&mut bytes).map_err(|why| Unread::Refused(why.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Unread::Broken(format!("it is larger than {} MiB", MAX_BYTES >> 20), History::salvage(&bytes)));
    }
    History::parse(&bytes).map_err(|why| match why {
        HistoryError::Newer(_) => Unread::Refused(why.to_string()),
        _ => Unread::Broken(why.to_string(), History::salvage(&bytes)),
    })
}

/// Nobody's file is deleted: it stays beside the new one.
fn put_aside(data: &Path, why: &str, accepted: usize, notice: &dyn Fn(&str)) -> Result<(), StoredError> {
    let aside = data.join(format!("{FILE}.broken-{}", chrono::Utc::now().format("%Y%m%dT%H%M%S")));
    let refused = |what: std::io::Error| failed(format!("cannot move {} aside: {what}", data.join(FILE).display()));
    fs::rename(data.join(FILE), &aside).map_err(refused)?;
    let kept = if accepted == 1 { "1 accepted finding was".to_owned() } else { format!("{accepted} accepted findings were") };
    notice(&format!("{FILE} could not be read ({why}): it is {} now; {kept} taken over, other findings begin anew", aside.display()));
    Ok(())
}

fn write(data: &Path, history: &mut History) -> Result<(), StoredError> {
    let path = data.join(FILE);
    let bytes = history.to_bytes().map_err(|why| failed(why.to_string()))?;
    let refused = |why: std::io::Error| failed(format!("cannot write {}: {why}", path.display()));
    replace_file::replace(&path, &bytes, 0o600, Outlives::Us).map_err(refused)
}

fn lock(data: &Path) -> Result<File, StoredError> {
    let path = data.join(LOCK);
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.map_err(|why| failed(format!("cannot make {}: {why}", data.display())))?;
    let refused = |why: String| failed(format!("cannot lock {}: {why}", path.display()));
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(|why| refused(why.to_string()))?;
    let until = Instant::now() + PATIENCE;
    while !record_lock::try_take(&file, Holder::OpenFile).map_err(|why| refused(why.to_string()))? {
        if Instant::now() > until {
            return Err(refused("another scan holds it".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(file)
}
