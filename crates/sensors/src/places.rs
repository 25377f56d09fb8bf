//! The start-up and access places of a host: where an intruder writes to stay or to come back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bartizan_model::PersistenceKind;
use bartizan_sys::digest::read_bounded;
use bartizan_sys::file_watch::Interest;

/// Most home directories looked at; a host with more has them on a server of its own.
const MAX_HOMES: usize = 4096;
/// Most directories below one place that are looked into (`*.wants`, `*.service.d` ...).
const MAX_BELOW: usize = 4096;
/// Longest account file that is read, in bytes.
const LONGEST_PASSWD: u64 = 8 * 1024 * 1024;

/// Where `systemd-run` writes: a timer starts something again, the scopes and services of every login and job do not.
const TRANSIENT: &str = "run/systemd/transient";

/// Directories in which every file counts; `true` when the directories in it count too.
const DIRECTORIES: &[(&str, bool, PersistenceKind)] = &[
    ("etc/cron.d", false, PersistenceKind::Cron),
    ("etc/cron.hourly", false, PersistenceKind::Cron),
    ("etc/cron.daily", false, PersistenceKind::Cron),
    ("etc/cron.weekly", false, PersistenceKind::Cron),
    ("etc/cron.monthly", false, PersistenceKind::Cron),
    ("etc/cron.yearly", false, PersistenceKind::Cron),
    ("var/spool/cron", true, PersistenceKind::Cron),
    ("var/spool/at", false, PersistenceKind::Cron),
    ("etc/systemd/system", true, PersistenceKind::SystemdUnit),
    ("etc/systemd/user", true, PersistenceKind::SystemdUnit),
    ("etc/systemd/system-generators", false, PersistenceKind::SystemdUnit),
    ("run/systemd/system", true, PersistenceKind::SystemdUnit),
    (TRANSIENT, false, PersistenceKind::SystemdUnit),
    ("usr/lib/systemd/system", true, PersistenceKind::SystemdUnit),
    ("usr/lib/systemd/user", true, PersistenceKind::SystemdUnit),
    ("usr/lib/systemd/system-generators", false, PersistenceKind::SystemdUnit),
    ("lib/systemd/system", true, PersistenceKind::SystemdUnit),
    ("usr/local/lib/systemd/system", true, PersistenceKind::SystemdUnit),
    ("etc/init.d", false, PersistenceKind::RcScript),
    ("etc/rc.d", true, PersistenceKind::RcScript),
    ("etc/rc0.d", false, PersistenceKind::RcScript),
    ("etc/rc1.d", false, PersistenceKind::RcScript),
    ("etc/rc2.d", false, PersistenceKind::RcScript),
    ("etc/rc3.d", false, PersistenceKind::RcScript),
    ("etc/rc4.d", false, PersistenceKind::RcScript),
    ("etc/rc5.d", false, PersistenceKind::RcScript),
    ("etc/rc6.d", false, PersistenceKind::RcScript),
    ("etc/rcS.d", false, PersistenceKind::RcScript),
    ("etc/profile.d", false, PersistenceKind::ShellProfile),
    ("etc/zsh", false, PersistenceKind::ShellProfile),
    ("etc/pam.d", false, PersistenceKind::Pam),
    ("etc/security", false, PersistenceKind::Pam),
    ("usr/lib/security", false, PersistenceKind::Pam),
    ("usr/lib64/security", false, PersistenceKind::Pam),
    ("etc/sudoers.d", false, PersistenceKind::Sudoers),
];

/// Single files of /etc.
const FILES: &[(&str, PersistenceKind)] = &[
    ("crontab", PersistenceKind::Cron),
    ("anacrontab", PersistenceKind::Cron),
    ("rc.local", PersistenceKind::RcScript),
    ("inittab", PersistenceKind::RcScript),
    ("profile", PersistenceKind::ShellProfile),
    ("environment", PersistenceKind::ShellProfile),
    ("bash.bashrc", PersistenceKind::ShellProfile),
    ("bashrc", PersistenceKind::ShellProfile),
    ("ld.so.preload", PersistenceKind::LdPreload),
    ("pam.conf", PersistenceKind::Pam),
    ("sudoers", PersistenceKind::Sudoers),
];

/// Single files of each home directory.
const HOME_FILES: &[&str] =
    &[".profile", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".zshrc", ".zshenv", ".zprofile", ".zlogin"];

/// Single files of each home's `.ssh`.
const SSH_FILES: &[(&str, PersistenceKind)] = &[
    ("authorized_keys", PersistenceKind::AuthorizedKeys),
    ("authorized_keys2", PersistenceKind::AuthorizedKeys),
    ("rc", PersistenceKind::ShellProfile),
];

/// What counts in one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Counts {
    /// Every file.
    All { kind: PersistenceKind, below: bool },
    /// Files of these names.
    Named(BTreeMap<&'static OsStr, PersistenceKind>),
}

/// The places of one host, or of a tree that looks like one.
#[derive(Debug, Clone)]
pub struct Places {
    root: PathBuf,
    memory: Option<PathBuf>,
    wanted: HashMap<PathBuf, Counts>,
}

impl Places {
    /// The places below `root`: `/` for the host itself, a directory for a test or a drill.
    pub fn under(root: &Path) -> Self {
        let mut places = Self { root: root.to_owned(), memory: None, wanted: HashMap::new() };
        places.refresh();
        places
    }

    /// The same, remembering in this (private) directory what was there, so that changes made while nobody watched
    /// are told of at the next start.
    pub fn remembering(mut self, dir: &Path) -> Self {
        self.memory = Some(dir.join("persistence.json"));
        self
    }

    /// The top of the tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Home directories: of every account, and what lies in /home and /root whoever owns it.
    pub(super) fn homes(&self) -> BTreeSet<PathBuf> {
        homes(&self.root)
    }

    pub(super) fn memory(&self) -> Option<&Path> {
        self.memory.as_deref()
    }

    /// Works out anew which directories count: accounts, their homes and library directories may have changed.
    pub(super) fn refresh(&mut self) {
        self.wanted.clear();
        for (path, below, kind) in DIRECTORIES {
            self.wanted.insert(self.root.join(path), Counts::All { kind: *kind, below: *below });
        }
        let named = |names: &[(&'static str, PersistenceKind)]| {
            Counts::Named(names.iter().map(|(name, kind)| (OsStr::new(*name), *kind)).collect())
        };
        self.wanted.insert(self.root.join("etc"), named(FILES));
        // PAM modules: /usr/lib/x86_64-linux-gnu/security and its kin.
        for library in directories_in(&self.root.join("usr/lib")).filter(|path| path.join("security").is_dir()) {
            self.wanted.insert(library.join("security"), Counts::All { kind: PersistenceKind::Pam, below: false });
        }
        let home_files: Vec<_> = HOME_FILES.iter().map(|name| (*name, PersistenceKind::ShellProfile)).collect();
        for home in homes(&self.root) {
            self.wanted.entry(home.join(".ssh")).or_insert_with(|| named(SSH_FILES));
            self.wanted.entry(home.join(".config/systemd/user")).or_insert(Counts::All { kind: PersistenceKind::SystemdUnit, below: true });
            self.wanted.entry(home).or_insert_with(|| named(&home_files));
        }
    }

    /// Which place a file belongs to, if any.
    pub(super) fn classify(&self, path: &Path) -> Option<PersistenceKind> {
        let parent = path.parent()?;
        match self.wanted.get(parent) {
            Some(Counts::All { .. }) if parent.ends_with(TRANSIENT) && path.extension() != Some(OsStr::new("timer")) => return None,
            Some(Counts::All { kind, .. }) => return Some(*kind),
            Some(Counts::Named(names)) => return names.get(path.file_name()?).copied(),
            None => {}
        }
        match self.wanted.get(parent.parent()?) {
            Some(Counts::All { kind, below: true }) => Some(*kind),
            _ => None,
        }
    }

    /// Which directories to watch and for what. Of one that does not exist yet, the nearest that does is watched for
    /// its making. Two names of one directory (`/lib`, `/usr/lib`) count once.
    pub(super) fn to_watch(&self) -> BTreeMap<PathBuf, Interest> {
        let mut found: BTreeMap<PathBuf, Interest> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let all_homes = self.root.join("home");
        if all_homes.is_dir() {
            found.insert(all_homes, Interest::Entries);
        }
        let mut wanted: Vec<_> = self.wanted.iter().collect();
        // The longer name first: /usr/lib/... rather than /lib/...
        wanted.sort_by_key(|(path, _)| (std::cmp::Reverse(path.as_os_str().len()), *path));
        for (path, counts) in wanted {
            let Ok(real) = path.canonicalize() else {
                if let Some(above) = path.ancestors().skip(1).find(|above| above.is_dir() && above.starts_with(&self.root)) {
                    found.entry(above.to_owned()).or_insert(Interest::Entries);
                }
                continue;
            };
            if !real.is_dir() || !seen.insert(real) {
                continue;
            }
            let interest = match counts {
                // A home is busy with things that are none of our business: its files count when they are closed.
                Counts::Named(names) if names.contains_key(OsStr::new(".bashrc")) => Interest::Closed,
                _ => Interest::Content,
            };
            found.insert(path.clone(), interest);
            if let Counts::All { below: true, .. } = counts {
                found.extend(directories_in(path).map(|below| (below, Interest::Content)));
            }
        }
        found
    }

    /// Whether the making or removal of this directory can make a place appear or vanish.
    pub(super) fn concerns(&self, directory: &Path) -> bool {
        let below_place =
            |path: &Path| path.parent().is_some_and(|parent| matches!(self.wanted.get(parent), Some(Counts::All { below: true, .. })));
        below_place(directory)
            || directory.parent() == Some(&self.root.join("home"))
            || self.wanted.keys().any(|wanted| wanted.starts_with(directory))
    }
}

fn homes(root: &Path) -> BTreeSet<PathBuf> {
    let passwd = read_bounded(&root.join("etc/passwd"), LONGEST_PASSWD).unwrap_or_default();
    let named = passwd.split(|byte| *byte == b'\n').filter_map(|line| {
        let home = line.split(|byte| *byte == b':').nth(5)?;
        let home = Path::new(OsStr::from_bytes(home)).strip_prefix("/").ok()?;
        Some(root.join(home))
    });
    let mut homes: BTreeSet<PathBuf> = named.take(MAX_HOMES).collect();
    homes.extend(directories_in(&root.join("home")).take(MAX_HOMES));
    homes.insert(root.join("root"));
    homes.retain(|home| home.is_dir() && home != root);
    homes
}

/// Directories directly in `path`, links not followed, at most [`MAX_BELOW`].
fn directories_in(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).take(MAX_BELOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(dirs: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for dir in dirs {
            std::fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        root
    }

    #[test]
    fn files_are_told_apart_by_place() {
        let root = tree(&["etc", "home/ann/.ssh", "srv/www"]);
        std::fs::write(root.path().join("etc/passwd"), "www:x:33:33::/srv/www:/bin/sh\nbad\nnone:x:1:1::/nowhere:/bin/sh\n").unwrap();
        let places = Places::under(root.path());
        let kind = |path: &str| places.classify(&root.path().join(path));
        assert_eq!(kind("etc/cron.d/job"), Some(PersistenceKind::Cron));
        assert_eq!(kind("var/spool/cron/crontabs/root"), Some(PersistenceKind::Cron));
        assert_eq!(kind("etc/systemd/system/multi-user.target.wants/x.service"), Some(PersistenceKind::SystemdUnit));
        assert_eq!(kind("run/systemd/transient/run-u7.timer"), Some(PersistenceKind::SystemdUnit));
        assert_eq!(kind("run/systemd/transient/session-3.scope"), None, "every login makes one");
        assert_eq!(kind("etc/ld.so.preload"), Some(PersistenceKind::LdPreload));
        assert_eq!(kind("home/ann/.ssh/authorized_keys"), Some(PersistenceKind::AuthorizedKeys));
        assert_eq!(kind("srv/www/.ssh/authorized_keys"), Some(PersistenceKind::AuthorizedKeys), "a home of the account file");
        assert_eq!(kind("home/ann/.bashrc"), Some(PersistenceKind::ShellProfile));
        for other in ["etc/hosts", "home/ann/.ssh/known_hosts", "home/ann/notes", "etc/pam.d/deep/er", "nowhere/.bashrc"] {
            assert_eq!(kind(other), None, "{other}");
        }
    }

    #[test]
    fn what_does_not_exist_is_waited_for_and_two_names_count_once() {
        let root = tree(&["etc/systemd/system/x.service.d", "usr/lib/systemd/system", "home/ann"]);
        std::os::unix::fs::symlink("usr/lib", root.path().join("lib")).unwrap();
        let watch = Places::under(root.path()).to_watch();
        let interest = |path: &str| watch.get(&root.path().join(path)).copied();
        assert_eq!(interest("etc"), Some(Interest::Content));
        assert_eq!(interest("etc/systemd/system/x.service.d"), Some(Interest::Content));
        assert_eq!(interest("home/ann"), Some(Interest::Closed));
        assert_eq!((interest("usr/lib/systemd/system"), interest("lib/systemd/system")), (Some(Interest::Content), None));
        assert_eq!((interest(""), interest("var")), (Some(Interest::Entries), None), "for var, run, usr/local");
    }
}
