//! Copies of the files that decide who gets in: taken when the agent starts and whenever one changes, never overwritten.

mod check;
mod held;
mod places;
mod present;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};

use bartizan_model::{FileBackup, HostText, Timestamp};
use bartizan_sys::digest::read_bounded;
use bartizan_sys::replace_file::{self, Outlives};
use held::add_to;
use places::Place;
use present::Trace;
pub use present::{LONGEST, Present, Undone};
use versions::{Origin, Version, fits, prune};

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
    /// All that is kept for restorations is needed.
    #[error(
        "no room to keep what it replaces: the 128 MiB or 1,024 versions for restorations are held by those that are planned or not \
         confirmed; `bartizan actions` lists them: confirm or roll back some, or restore fewer files at once"
    )]
    NoRoom,
    /// Nothing to do.
    #[error("{0} is as this copy already")]
    Same(HostText),
    /// Never by itself.
    #[error("only a person may restore {0}")]
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
            Self::NoCopy { .. } | Self::NoRoom | Self::Same(_) | Self::OnlyByPerson(_) => false,
        }
    }
}

fn text(path: &Path) -> HostText {
    HostText::from(path.as_os_str().as_bytes())
}

fn on(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AccessError {
    move |why| AccessError::File { what, path: text(path), why }
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
        let origin = if place.vouched.is_some() { Origin::Replaced } else { Origin::Watched };
        self.add(&path, &present, origin, now).map(|added| added.is_some())
    }

    /// One more version, unless the newest is the same: its name.
    fn add(&self, path: &Path, present: &Present, origin: Origin, now: Timestamp) -> Result<Option<String>, AccessError> {
        let store = || on("keep a copy of", path);
        let _alone = self.lock().map_err(store())?;
        let mut versions = self.versions().map_err(store())?;
        let name = text(path);
        if versions.iter().rev().find(|version| version.path == name).is_some_and(|newest| newest.is_of(present)) {
            return Ok(None);
        }
        let copy = add_to(&mut versions, &name, present, origin, now);
        let needed = self.needed();
        prune(&mut versions, &|version| version.copy == copy && version.path == name || needed.has(version, now));
        if origin != Origin::Watched {
            fits(&versions)?;
        }
        replace_file::replace(&self.dir.join(&present.hash), &present.content, 0o600, Outlives::Power).map_err(store())?;
        self.write_index(&versions).map_err(store())?;
        self.remove_unnamed(&versions);
        Ok(Some(copy))
    }

    /// Keeps what the baseline of files knows of a file, so that it can be restored like any other version, and what the file is now: the former
    /// version's name. Both are held for an hour, in which the restoration begins or is given up ([`Self::release`]). From then on
    /// the file has a place here, if every directory on the way to it belongs to root or to the owner that the baseline knows.
    ///
    /// # Errors
    /// [`AccessError::Same`] when the file is so already; [`AccessError::NoRoom`]; when somebody else could lead us elsewhere, when what is
    /// there now cannot be kept. Nothing is kept then.
    pub fn keep_baseline(&self, path: &HostText, was: &Present, now: Timestamp) -> Result<String, AccessError> {
        let way = Path::new(OsStr::from_bytes(path.as_bytes()));
        let place = places::of(&self.etc, way).or_else(|| Place::covered(way, (was.uid, was.gid)));
        let place = place.ok_or_else(|| AccessError::NoPlace(path.clone()))?;
        let present = present::read(&place).map_err(on("read", &place.path()))?;
        // A file that is gone says nothing of its directory.
        place.directory().map_err(on("open the directory of", &place.path()))?;
        if present.as_ref().is_some_and(|present| present.is_like(was)) {
            return Err(AccessError::Same(path.clone()));
        }
        let replaced = present.map(|present| (present, if place.vouched.is_some() { Origin::Replaced } else { Origin::Watched }));
        self.plan(&place.path(), was, replaced, now)
    }

    /// Whether the file controls who gets in: every change of it is kept.
    pub fn controls_access(&self, path: &HostText) -> bool {
        places::of(&self.etc, Path::new(OsStr::from_bytes(path.as_bytes()))).is_some()
    }

    /// What is kept, newest first; of one file only when named.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn list(&self, path: Option<&HostText>) -> Result<Vec<FileBackup>, AccessError> {
        let versions = self.versions().map_err(on("read the index of copies in", &self.dir))?;
        let mut present: BTreeMap<Vec<u8>, Option<Present>> = BTreeMap::new();
        let wanted = versions.into_iter().rev().filter(|version| path.is_none_or(|path| *path == version.path));
        Ok(wanted
            .map(|version| {
                let now = present.entry(version.path.as_bytes().to_vec()).or_insert_with(|| self.present(&version.path).ok().flatten());
                let differs = now.as_ref().is_none_or(|now| !version.is_of(now));
                let Version { path, copy, at, mode, uid, gid, bytes, .. } = version;
                FileBackup { path, copy, at, mode, uid, gid, bytes, differs }
            })
            .collect())
    }

    /// What the file is now; `None`: there is none.
    ///
    /// # Errors
    /// When it is none of ours or cannot be read.
    pub fn present(&self, path: &HostText) -> Result<Option<Present>, AccessError> {
        let place = self.place(path)?;
        present::read(&place).map_err(on("read", &place.path()))
    }

    /// What the newest version of this name was.
    ///
    /// # Errors
    /// When there is no such copy, or it does not hold what its name says.
    pub fn version(&self, path: &HostText, copy: &str) -> Result<Present, AccessError> {
        self.place(path)?;
        let version = self.named(path, copy)?;
        let file = self.dir.join(version.hash());
        let content = read_bounded(&file, LONGEST).map_err(on("read the copy", &file))?;
        if blake3::hash(&content).to_hex().as_str() != version.hash() {
            return Err(on("trust the copy", &file)(io::Error::other("somebody changed it: it does not hold what its name says")));
        }
        let hash = version.hash().to_owned();
        let Version { mode, uid, gid, attributes, modified, .. } = version;
        Ok(Present { content, hash, mode, uid, gid, attributes, modified })
    }

    fn named(&self, path: &HostText, copy: &str) -> Result<Version, AccessError> {
        let versions = self.versions().map_err(on("read the index of copies in", &self.dir))?;
        let none = || AccessError::NoCopy { path: path.clone(), copy: copy.get(..64).unwrap_or(copy).escape_debug().to_string() };
        versions.into_iter().rev().find(|version| version.path == *path && version.copy == copy).ok_or_else(none)
    }

    /// BLAKE3 of the content of a copy; of one that is not known any more, what its name would say.
    fn hash_of(&self, path: &HostText, copy: &str) -> String {
        self.named(path, copy).map_or_else(|_| copy.to_owned(), |version| version.hash().to_owned())
    }

    /// The file in which a copy's content lies.
    pub fn file_of(&self, path: &HostText, copy: &str) -> PathBuf {
        self.dir.join(self.hash_of(path, copy))
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
        present::undo(&place, former, &self.hash_of(path, copy)).map_err(on("put back the former", &place.path()))
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
        let way = Path::new(OsStr::from_bytes(path.as_bytes()));
        let none = || AccessError::NoPlace(path.clone());
        if let Some(place) = places::of(&self.etc, way) {
            return Ok(place);
        }
        // Whose it was when a person accepted it, not whose somebody made it.
        let versions = self.versions().map_err(on("read the index of copies in", &self.dir))?;
        let known = versions.into_iter().rev().find(|version| version.origin == Origin::Baseline && version.path == *path);
        known.and_then(|version| Place::covered(way, (version.uid, version.gid))).ok_or_else(none)
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
        let lines = bytes.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<Version>(line).ok());
        Ok(lines.filter(Version::is_sound).collect())
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
        let named: BTreeSet<&str> = versions.iter().map(Version::hash).collect();
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

#[cfg(test)]
mod tests;
