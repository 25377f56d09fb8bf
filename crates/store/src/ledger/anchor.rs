//! The anchor of the audit log: how many lines it had and the hash of the last, kept outside the database, so that a
//! cut tail or an older copy shows.
//!
//! A thread writes it at most once a second, after the log itself is on disk: nobody who acts waits for it, and after
//! a power cut it never says more than the log. It is sealed with a key in a file of its own. Who can read both can
//! forge both: the head also goes to the system's log, where the host may send it elsewhere.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use bartizan_model::{Timestamp, Unpoisoned as _};
use bartizan_sys::digest::open_plain;
use bartizan_sys::random;
use bartizan_sys::replace_file::{self, Outlives};

/// The anchor, beside `ledger.db`.
pub(super) const FILE: &str = "audit.anchor";
/// The key that seals it.
pub(super) const KEY: &str = "anchor.key";
/// The key until the first anchor stands: one without the other would look as if somebody had removed it.
const NEW_KEY: &str = "anchor.key.new";
/// Between two writings.
const EVERY: Duration = Duration::from_secs(1);
/// Longest anchor that is read, in bytes; ours take about 250.
const LONGEST: u64 = 4096;

/// How far the log went at some moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of its last line; 0 when it was empty.
    pub lines: u64,
    /// Hash of that line, in hex.
    pub hash: String,
    /// When that line was written.
    pub at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct ValidatedBatch {
    #[serde(flatten)]
    head: Head,
    mac: String,
}

/// What the files beside the database say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: a new directory, or one of a version without anchors.
    Nothing,
    /// The log went at least this far.
    Head(Head),
    /// They were tampered with, in words.
    Broken(String),
}

/// What is anchored in this directory; nothing is changed.
pub(super) fn look(dir: &Path) -> Found {
    let (key, text) = (read_key(dir), read(&dir.join(FILE)));
    match (key, text) {
        (Ok(None), Ok(None)) => Found::Nothing,
        // Begun, and ended before the first anchor stood.
        (Ok(Some(_)), Ok(None)) if !dir.join(KEY).exists() => Found::Nothing,
        (Ok(Some(key)), Ok(Some(text))) => match (<[u8; 32]>::try_from(key), serde_json::from_slice::<ValidatedBatch>(&text)) {
            (Ok(key), Ok(sealed)) if sealed.mac == seal(&key, &sealed.head) => Found::Head(sealed.head),
            (Ok(_), _) => Found::Broken(format!("{FILE} was changed: its seal does not fit")),
            (Err(_), _) => Found::Broken(format!("{KEY} was changed: it is no key")),
        },
        (Ok(Some(_)), Ok(None)) => Found::Broken(format!("{FILE} is gone: the original length of the log is unknown")),
        (Ok(None), Ok(Some(_))) => Found::Broken(format!("{KEY} is gone: {FILE} cannot be checked")),
        (Err(why), _) | (_, Err(why)) => Found::Broken(format!("{KEY} or {FILE} cannot be read: {why}")),
    }
}

/// The key, or the one that was being made when we ended.
fn read_key(dir: &Path) -> io::Result<Option<Vec<u8>>> {
    match read(&dir.join(KEY))? {
        Some(key) => Ok(Some(key)),
        None => read(&dir.join(NEW_KEY)),
    }
}

fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match open_plain(file) {
        Ok(file) => {
            let mut text = Vec::new();
            file.take(LONGEST).read_to_end(&mut text)?;
            Ok(Some(text))
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why),
    }
}

fn seal(key: &[u8; 32], head: &Head) -> String {
    let said = format!("bartizan audit anchor\n{}\n{}\n{}", head.lines, head.hash, head.at.to_rfc3339());
    blake3::keyed_hash(key, said.as_bytes()).to_hex().to_string()
}

/// Puts the anchor aside with a damaged log.
pub(super) fn put_aside(dir: &Path, suffix: &str) {
    // Best effort: the new chain's first line tells of the damage whatever becomes of this file.
    // With its key: a key without an anchor would look as if somebody had removed the anchor.
    for name in [FILE, KEY] {
        let _ = std::fs::rename(dir.join(name), dir.join(format!("{name}{suffix}")));
    }
}

/// Writes anchors for one ledger; its thread ends with it.
#[derive(Debug)]
pub(super) struct Anchor {
    desk: Arc<Desk>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Desk {
    dir: PathBuf,
    key: [u8; 32],
    state: Mutex<State>,
    moved: Condvar,
    /// One writes at a time.
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Not written yet.
    pending: Option<Head>,
    ended: bool,
    trouble: Option<String>,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unpoisoned()
    }

    /// Writes what is pending, if anything.
    fn settle(&self) {
        let _writing = self.writing.lock().unpoisoned();
        let Some(head) = self.lock().pending.take() else { return };
        let trouble = self.write(&head).err();
        let mut state = self.lock();
        state.trouble = trouble.map(|why| format!("cannot write {}: {why}", self.dir.join(FILE).display()));
        if state.trouble.is_some() && state.pending.is_none() {
            // Tried again with the next line, or at the end.
            state.pending = Some(head);
        }
    }

    /// First the log itself, so that the anchor never outlives what it speaks of; then a whole file by a rename.
    fn write(&self, head: &Head) -> io::Result<()> {
        // Only the write-ahead log, which has the newest lines; what left it was synced by the checkpoint. The database
        // itself must never be opened here: closing any descriptor of it drops SQLite's own locks (fcntl(2)), and the next
        // reader that ends would delete the log under us.
        match open_plain(&self.dir.join("ledger.db-wal")) {
            Ok(file) => file.sync_data()?,
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
        let sealed = ValidatedBatch { head: head.clone(), mac: seal(&self.key, head) };
        let sealed = serde_json::to_vec(&sealed).map_err(io::Error::other)?;
        replace_file::replace(&self.dir.join(FILE), &sealed, 0o600, Outlives::Power)
    }
}

impl Anchor {
    /// Begins to anchor the log in this directory, which goes as far as `head` now. Makes the key when there is none.
    pub(super) fn begin(dir: &Path, head: Head) -> io::Result<Self> {
        let key = match read_key(dir)?.map(<[u8; 32]>::try_from) {
            Some(Ok(key)) => key,
            _ => new_key(dir)?,
        };
        let state = Mutex::new(State { pending: Some(head), ..State::default() });
        let desk = Arc::new(Desk { dir: dir.to_owned(), key, state, moved: Condvar::new(), writing: Mutex::default() });
        desk.settle();
        if dir.join(FILE).exists() && !dir.join(KEY).exists() {
            std::fs::rename(dir.join(NEW_KEY), dir.join(KEY))?;
        }
        let writing = Arc::clone(&desk);
        let writer = std::thread::Builder::new().name("anchor".to_owned()).spawn(move || keep(&writing))?;
        Ok(Self { desk, writer: Some(writer) })
    }

    /// The log went on.
    pub(super) fn moved(&self, head: Head) {
        self.desk.lock().pending = Some(head);
        self.desk.moved.notify_one();
    }

    /// Writes now what would be written within the second.
    pub(super) fn settle(&self) {
        self.desk.settle();
    }

    /// Why it cannot be written, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        self.desk.lock().trouble.clone()
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.desk.lock().ended = true;
        self.desk.moved.notify_one();
        if let Some(writer) = self.writer.take() {
            // One that panicked has ended too.
            let _ = writer.join();
        }
    }
}

/// Writes whenever the log went on, with a pause in between, until the end. Asleep while nothing happens.
fn keep(desk: &Desk) {
    loop {
        let state = desk.lock();
        let idle = |state: &mut State| !state.ended && (state.pending.is_none() || state.trouble.is_some());
        let state = match state.trouble {
            // A full disk is asked again now and then.
            Some(_) => desk.moved.wait_timeout(state, 30 * EVERY).unpoisoned().0,
            None => desk.moved.wait_while(state, idle).unpoisoned(),
        };
        let ended = state.ended;
        drop(state);
        desk.settle();
        if ended {
            return;
        }
        let resting = desk.lock();
        drop(desk.moved.wait_timeout_while(resting, EVERY, |state| !state.ended).unpoisoned());
    }
}

/// 256 bits of the kernel's, for the agent alone.
fn new_key(dir: &Path) -> io::Result<[u8; 32]> {
    let key = random::key()?;
    replace_file::replace(&dir.join(NEW_KEY), &key, 0o600, Outlives::Power)?;
    Ok(key)
}
