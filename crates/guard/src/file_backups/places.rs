//! Which files decide who gets in, and the way to each that nobody else can bend.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use bartizan_model::HostText;
use bartizan_sys::digest::read_bounded;

/// Single files below /etc.
const FILES: [&str; 7] = ["ssh/sshd_config", "sudoers", "pam.conf", "nsswitch.conf", "hosts.allow", "hosts.deny", "security/access.conf"];
/// Directories below /etc of which every plain file counts.
const DIRECTORIES: [&str; 5] = ["ssh/sshd_config.d", "sudoers.d", "pam.d", "security", "ssh/authorized_keys.d"];
/// Files in `.ssh` of an account's home.
const OF_ACCOUNTS: [&str; 3] = ["authorized_keys", "authorized_keys2", "rc"];
/// Most files that are backups of.
const MOST: usize = 4096;
/// Most of /etc/passwd that is read.
const MAX_BYTES: u64 = 4 << 20;

/// One such file: a directory that root vouches for, and the way from there, on which no link is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    base: PathBuf,
    below: PathBuf,
    /// Whose file it is; `None`: root's.
    pub(super) owner: Option<u32>,
    /// A file of the baseline, with the owner and the group that it knows: every directory on the way is root's or that owner's.
    pub(super) vouched: Option<(u32, u32)>,
}

impl Place {
    /// A file that the baseline knows; its path has no link in it. `None`: no such path is a file's.
    pub(super) fn covered(path: &Path, vouched: (u32, u32)) -> Option<Self> {
        let below = path.strip_prefix("/").ok()?;
        let is_plain = below.components().all(|part| matches!(part, Component::Normal(_))) && path == Path::new("/").join(below);
        let name = below.file_name()?;
        (is_plain && !is_ours(name)).then(|| Self {
            base: PathBuf::from("/"),
            below: below.to_owned(),
            owner: None,
            vouched: Some(vouched),
        })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.base.join(&self.below)
    }

    pub(super) fn name(&self) -> &OsStr {
        self.below.file_name().unwrap_or_default()
    }

    /// The directory that holds it, and its real path.
    pub(super) fn directory(&self) -> io::Result<(File, PathBuf)> {
        let base =
            File::from(nix::fcntl::open(&self.base, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())?);
        let below = self.below.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let dir = match self.vouched {
            Some(vouched) => walked(base, below, vouched)?,
            None => unbent(&base, below, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?,
        };
        let real = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&dir)))?;
        Ok((dir, real))
    }
}

/// Opens without following any link and without leaving the directory (openat2(2), Linux 5.6).
pub(super) fn unbent(dir: &File, below: &Path, flags: OFlag) -> io::Result<File> {
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).resolve(resolve);
    Ok(File::from(openat2(dir, below, how)?))
}

/// Opens one directory after the other, and each must be one in which nobody but root and this owner may swap names.
fn walked(base: File, below: &Path, (owner, group): (u32, u32)) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let mut dir = unbent(&base, Path::new("."), flags)?;
    let mut way = PathBuf::from("/");
    is_vouched(&dir, &way, (owner, group))?;
    for part in below.components().filter(|part| matches!(part, Component::Normal(_))) {
        way.push(part);
        dir = unbent(&dir, Path::new(&part), flags).map_err(|why| match why.raw_os_error() {
            Some(libc::ELOOP | libc::ENOTDIR) => {
                io::Error::other(format!("{} is a symbolic link or no directory: not followed", shown(&way)))
            }
            _ => why,
        })?;
        is_vouched(&dir, &way, (owner, group))?;
    }
    Ok(dir)
}

fn is_vouched(dir: &File, way: &Path, (owner, group): (u32, u32)) -> io::Result<()> {
    let found = dir.metadata()?;
    let (mode, is_sticky) = (found.mode(), found.mode() & 0o1000 != 0);
    let others = mode & 0o002 != 0 || (owner == 0 && mode & 0o020 != 0 && found.gid() != 0 && found.gid() != group);
    match () {
        () if found.uid() != 0 && found.uid() != owner => {
            Err(io::Error::other(format!("{} belongs to uid {}, who could lead us elsewhere", shown(way), found.uid())))
        }
        () if others && !is_sticky => Err(io::Error::other(format!("others may write to {} and could lead us elsewhere", shown(way)))),
        () => Ok(()),
    }
}

fn shown(path: &Path) -> HostText {
    HostText::from(path.as_os_str().as_bytes())
}

/// One account that has a home and a shell.
struct Account {
    uid: u32,
    home: PathBuf,
}

fn accounts(etc: &Path) -> Vec<Account> {
    let text = read_bounded(&etc.join("passwd"), MAX_BYTES).unwrap_or_default();
    text.split(|b| *b == b'\n').filter_map(account).take(MOST).collect()
}

fn account(line: &[u8]) -> Option<Account> {
    let mut fields = line.split(|b| *b == b':').skip(2);
    let uid = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let (home, shell) = (fields.nth(2)?, fields.next()?);
    let home = PathBuf::from(OsStr::from_bytes(home));
    let enters = !shell.ends_with(b"/nologin") && !shell.ends_with(b"/false");
    (enters && home.is_absolute() && home != Path::new("/")).then_some(Account { uid, home })
}

/// All places on this host, whether or not there is a file now.
pub(super) fn all(etc: &Path) -> Vec<Place> {
    let of_root = |below: PathBuf| Place { base: etc.to_owned(), below, owner: None, vouched: None };
    let mut places: Vec<Place> = FILES.iter().map(|file| of_root(PathBuf::from(file))).collect();
    for dir in DIRECTORIES {
        // Root's own directories: a link or a directory among the files is no sign of anything.
        let plain = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
        let names = fs::read_dir(etc.join(dir)).into_iter().flatten().flatten().filter(plain).map(|entry| entry.file_name());
        places.extend(names.filter(|name| !is_ours(name)).take(MOST).map(|name| of_root(Path::new(dir).join(name))));
    }
    for account in accounts(etc) {
        places.extend(OF_ACCOUNTS.map(|file| Place {
            base: account.home.clone(),
            below: Path::new(".ssh").join(file),
            owner: Some(account.uid),
            vouched: None,
        }));
    }
    let mut seen = std::collections::BTreeSet::new();
    places.retain(|place| seen.insert(place.path()));
    places.truncate(MOST);
    places
}

/// What we put beside a file while it is restored is no such file.
fn is_ours(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".") && name.windows(10).any(|part| part == b".bartizan-")
}

/// The place of this path, if it is one; whether or not there is a file now.
pub(super) fn of(etc: &Path, path: &Path) -> Option<Place> {
    if path.components().any(|part| matches!(part, Component::ParentDir | Component::CurDir)) {
        return None;
    }
    if let Ok(below) = path.strip_prefix(etc) {
        let known =
            FILES.iter().any(|file| below == Path::new(file)) || DIRECTORIES.iter().any(|dir| below.parent() == Some(Path::new(dir)));
        return known.then(|| Place { base: etc.to_owned(), below: below.to_owned(), owner: None, vouched: None });
    }
    accounts(etc).into_iter().find_map(|account| {
        let below = path.strip_prefix(&account.home).ok()?;
        let known = OF_ACCOUNTS.iter().any(|file| below == Path::new(".ssh").join(file));
        known.then(|| Place { base: account.home.clone(), below: below.to_owned(), owner: Some(account.uid), vouched: None })
    })
}
