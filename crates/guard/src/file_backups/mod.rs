//! Copies of the files that decide who gets in: taken when the agent starts and whenever one changes, never overwritten.

mod check;
mod places;
mod present;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};
use serde::{Deserialize, Serialize};

use bartizan_model::{FileBackup, HostText, Timestamp};
use bartizan_sys::digest::read_bounded;
use bartizan_sys::replace_file::{self, Outlives};
use places::Place;
use present::{Attributes, Trace};
pub use present::{Present, Undone};

/// Versions kept of one file.
const MAX_VERSIONS: usize = 64;
/// Bytes kept of all files together.
const MAX_BYTES: u64 = 256 << 20;
/// Most of the index that is read.
const LONGEST_INDEX: u64 = 64 << 20;
const INDEX: &str = "index.jsonl";

/// Why a file could not be kept, shown or put back. All texts are safe to show.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It is none of ours.
    #[error("{0} is not backed up: `bartizan copies` lists the backups")]
    NoPlace(HostText),
    /// There is no such copy.
    #[error("there is no copy {copy} of {path}: `bartizan copies` lists them")]
    NoCopy {
        /// Of what.
        path: HostText,
        /// Which.
        copy: String,
    },
    /// Nothing to do.
    #[error("{0} is as this copy already")]
    Same(HostText),
    /// Never by itself.
    #[error("{0} controls who can log in: only a person may restore it")]
    OnlyByPerson(HostText),
    /// The kernel or the disk.
    #[error("could not {what} {path}: {why}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On which.
        path: HostText,
        /// Why not.
        why: io::Error,
    },
}

impl AccessError {
    /// Whether there is nowhere to look any more: the account or the directory of the file is gone.
    pub fn is_without_place(&self) -> bool {
        match self {
            Self::NoPlace(_) => true,
            Self::File { why, .. } => matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
            Self::NoCopy { .. } | Self::Same(_) | Self::OnlyByPerson(_) => false,
        }
    }
}

fn text(path: &Path) -> HostText {
    HostText::from(path.as_os_str().as_bytes())
}

fn on(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AccessError {
    move |why| AccessError::File { what, path: text(path), why }
}

/// One version of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    path: HostText,
    copy: String,
    at: Timestamp,
    mode: u32,
    uid: u32,
    gid: u32,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attributes: Attributes,
}

impl Version {
    fn is_of(&self, present: &Present) -> bool {
        (&self.copy, self.mode, self.uid, self.gid, &self.attributes)
            == (&present.hash, present.mode, present.uid, present.gid, &present.attributes)
    }
}

/// What a look at all files showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Files of which a new version was kept.
    pub kept: Vec<HostText>,
    /// What could not be kept, one sentence each, at most sixteen.
    pub troubles: Vec<String>,
}

/// The copies below one data directory.
#[derive(Debug)]
pub struct AccessCopies {
    dir: PathBuf,
    etc: PathBuf,
    /// Each file as it was at the last look.
    seen: BTreeMap<PathBuf, Option<Trace>>,
}

impl AccessCopies {
    /// Those in `data`/copies, of this host's files.
    pub fn of(data: &Path) -> Self {
        Self { dir: data.join("copies"), etc: PathBuf::from("/etc"), seen: BTreeMap::new() }
    }

    /// Keeps a version of every file that changed since the last look; all at the first. A file that is as its newest
    /// version is not kept again. Costs three system calls for a file that did not change.
    pub fn look(&mut self, now: Timestamp) -> Taken {
        let mut taken = Taken::default();
        let places = places::all(&self.etc);
        let known: BTreeSet<PathBuf> = places.iter().map(Place::path).collect();
        self.seen.retain(|path, _| known.contains(path));
        let changed: Vec<Place> = places.into_iter().filter(|place| self.changed(place, &mut taken)).collect();
        for place in changed {
            match self.keep_place(&place, now) {
                Ok(true) => taken.kept.push(text(&place.path())),
                Ok(false) => {}
                Err(error) => trouble(&mut taken, error.to_string()),
            }
        }
        taken
    }

    fn changed(&mut self, place: &Place, taken: &mut Taken) -> bool {
        let path = place.path();
        match present::trace(place) {
            Ok(now) => {
                let before = self.seen.insert(path, now);
                now.is_some() && before != Some(now)
            }
            Err(why) => {
                trouble(taken, on("look at", &path)(why).to_string());
                false
            }
        }
    }

    /// Keeps the present content of one file as a version, if it is not the newest already.
    ///
    /// # Errors
    /// When it cannot be read or kept.
    pub fn keep(&self, path: &HostText, now: Timestamp) -> Result<bool, AccessError> {
        self.keep_place(&self.place(path)?, now)
    }

    fn keep_place(&self, place: &Place, now: Timestamp) -> Result<bool, AccessError> {
        let path = place.path();
        let Some(present) = present::read(place).map_err(on("read", &path))? else { return Ok(false) };
        let store = || on("keep a copy of", &path);
        let _alone = self.lock().map_err(store())?;
        let mut versions = self.versions().map_err(store())?;
        let name = text(&path);
        if versions.iter().rev().find(|version| version.path == name).is_some_and(|newest| newest.is_of(&present)) {
            return Ok(false);
        }
        replace_file::replace(&self.dir.join(&present.hash), &present.content, 0o600, Outlives::Power).map_err(store())?;
        let Present { hash, mode, uid, gid, attributes, content } = present;
        versions.push(Version { path: name, copy: hash, at: now, mode, uid, gid, bytes: content.len() as u64, attributes });
        prune(&mut versions);
        self.write_index(&versions).map_err(store())?;
        self.remove_unnamed(&versions);
        Ok(true)
    }

    /// What is kept, newest first; of one file only when named.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn list(&self, path: Option<&HostText>) -> Result<Vec<FileBackup>, AccessError> {
        let versions = self.versions().map_err(on("read the index of copies in", &self.dir))?;
        let mut present: BTreeMap<Vec<u8>, Option<String>> = BTreeMap::new();
        let wanted = versions.into_iter().rev().filter(|version| path.is_none_or(|path| *path == version.path));
        Ok(wanted
            .map(|version| {
                let now = present.entry(version.path.as_bytes().to_vec()).or_insert_with(|| self.hash_now(&version.path));
                let differs = now.as_ref() != Some(&version.copy);
                let Version { path, copy, at, mode, uid, gid, bytes, .. } = version;
                FileBackup { path, copy, at, mode, uid, gid, bytes, differs }
            })
            .collect())
    }

    fn hash_now(&self, path: &HostText) -> Option<String> {
        present::read(&self.place(path).ok()?).ok().flatten().map(|present| present.hash)
    }

    /// What the file is now; `None`: there is none.
    ///
    /// # Errors
    /// When it is none of ours or cannot be read.
    pub fn present(&self, path: &HostText) -> Result<Option<Present>, AccessError> {
        let place = self.place(path)?;
        present::read(&place).map_err(on("read", &place.path()))
    }

    /// What the newest version with this content was.
    ///
    /// # Errors
    /// When there is no such copy, or it does not hold what its name says.
    pub fn version(&self, path: &HostText, copy: &str) -> Result<Present, AccessError> {
        self.place(path)?;
        let versions = self.versions().map_err(on("read the index of copies in", &self.dir))?;
        let none = || AccessError::NoCopy { path: path.clone(), copy: copy.get(..64).unwrap_or(copy).escape_debug().to_string() };
        let version = versions.into_iter().rev().find(|version| version.path == *path && version.copy == copy).ok_or_else(none)?;
        let file = self.dir.join(&version.copy);
        let content = read_bounded(&file, present::LONGEST).map_err(on("read the copy", &file))?;
        if blake3::hash(&content).to_hex().as_str() != version.copy {
            return Err(on("trust the copy", &file)(io::Error::other("somebody changed it: it does not hold what its name says")));
        }
        let Version { copy: hash, mode, uid, gid, attributes, .. } = version;
        Ok(Present { content, hash, mode, uid, gid, attributes })
    }

    /// The file in which a copy's content lies.
    pub fn file_of(&self, copy: &str) -> PathBuf {
        self.dir.join(copy)
    }

    /// The real directory of a file, its name, and the name beside it under which the former one would be kept.
    ///
    /// # Errors
    /// When it is none of ours or its directory is gone.
    pub fn where_is(&self, path: &HostText, tag: &str) -> Result<(PathBuf, OsString, OsString), AccessError> {
        let place = self.place(path)?;
        let (_, real) = place.directory().map_err(on("open the directory of", &place.path()))?;
        Ok((real, place.name().to_owned(), present::beside(&place, tag)))
    }

    /// Puts a version in the place of the file, whole or not at all, with owner, mode and attributes; keeps what was
    /// there under `former`. sshd and visudo are asked before.
    ///
    /// # Errors
    /// Then the file is as it was.
    pub fn put(&self, path: &HostText, new: &Present, former: Option<&OsStr>) -> Result<(), AccessError> {
        let place = self.place(path)?;
        let at = place.path();
        present::prepare(&place, new, &|file| check::check(&at, file)).map_err(on("prepare the new", &at))?;
        present::put(&place, former).map_err(on("put the copy in the place of", &at))
    }

    /// Puts the former file, or its absence, back.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn undo(&self, path: &HostText, former: Option<&OsStr>, copy: &str) -> Result<Undone, AccessError> {
        let place = self.place(path)?;
        present::undo(&place, former, copy).map_err(on("put back the former", &place.path()))
    }

    /// It stays: what was kept beside it goes.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn settle(&self, path: &HostText, former: Option<&OsStr>) -> Result<(), AccessError> {
        let place = self.place(path)?;
        present::keep(&place, former).map_err(on("remove what was kept beside", &place.path()))
    }

    fn place(&self, path: &HostText) -> Result<Place, AccessError> {
        places::of(&self.etc, Path::new(OsStr::from_bytes(path.as_bytes()))).ok_or_else(|| AccessError::NoPlace(path.clone()))
    }

    fn lock(&self) -> io::Result<Flock<File>> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        // Never open for writing: its closing, by a child that was started meanwhile, would look like somebody's hand on the copies.
        let file = OpenOptions::new().read(true).custom_flags(OFlag::O_CREAT.bits()).mode(0o600).open(self.dir.join("lock"))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, why)| why.into())
    }

    /// Oldest first. A line that was torn or cannot be read is passed over.
    fn versions(&self) -> io::Result<Vec<Version>> {
        let bytes = match read_bounded(&self.dir.join(INDEX), LONGEST_INDEX) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read?,
        };
        let is_hash = |copy: &str| copy.len() == 64 && copy.bytes().all(|b| b.is_ascii_hexdigit());
        let lines = bytes.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<Version>(line).ok());
        Ok(lines.filter(|version| is_hash(&version.copy)).collect())
    }

    fn write_index(&self, versions: &[Version]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for version in versions {
            serde_json::to_writer(&mut bytes, version)?;
            bytes.push(b'\n');
        }
        replace_file::replace(&self.dir.join(INDEX), &bytes, 0o600, Outlives::Power)
    }

    /// Contents that no version names any more.
    fn remove_unnamed(&self, versions: &[Version]) {
        let named: BTreeSet<&str> = versions.iter().map(|version| version.copy.as_str()).collect();
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.len() == 64 && !named.contains(name)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn trouble(taken: &mut Taken, words: String) {
    if taken.troubles.len() < 16 {
        taken.troubles.push(words);
    }
}

/// Drops the oldest beyond the bounds, never the first known version of a file nor the newest.
fn prune(versions: &mut Vec<Version>) {
    let mut count: BTreeMap<HostText, usize> = BTreeMap::new();
    versions.iter().for_each(|version| *count.entry(version.path.clone()).or_default() += 1);
    let mut total: u64 = versions.iter().map(|version| version.bytes).sum();
    let mut met: BTreeMap<HostText, usize> = BTreeMap::new();
    versions.retain(|version| {
        let met = met.entry(version.path.clone()).or_default();
        *met += 1;
        let left = count.entry(version.path.clone()).or_default();
        // `left` counts this one and all that remain; with two left, one is the first and the other the newest.
        let spare = *met > 1 && *left > 2;
        let drop = spare && (*left > MAX_VERSIONS || total > MAX_BYTES);
        if drop {
            *left -= 1;
            total -= version.bytes;
        }
        !drop
    });
}

#[cfg(test)]
mod tests;
