//! What is scanned: files and directories that a person named, or that the baseline covers.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bartizan_model::HostText;
use bartizan_sys::plain_file::{self, NotOpened};

/// One file or directory, by its real path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    /// What it is; a link is a file. `None`: nothing has this name now.
    pub(super) directory: Option<bool>,
}

impl Root {
    /// What a person named: links on the way are followed, a last one only to a directory.
    pub(super) fn named(path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Ok(Self { path: path.canonicalize()?, directory: Some(true) });
        }
        let absolute = std::path::absolute(path)?;
        let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let path = real(parent)?.join(name);
        let directory = path.symlink_metadata().ok().map(|_| false);
        Ok(Self { path, directory })
    }

    /// A place of our own choice, or one whose changes are approved. Others own what lies in a home or a web root, so a link on the way is
    /// followed only as logs are: if root or the owner of what it leads to made it. Another one is looked at as the link that it is.
    pub(super) fn placed(path: &Path) -> io::Result<Self> {
        let is_foreign = |path: &Path| {
            matches!(
                plain_file::locate(path),
                Err(NotOpened::ForeignLink { .. } | NotOpened::LooseLink { .. } | NotOpened::HardLink { .. })
            )
        };
        let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_symlink());
        // The outermost one: what it leads to is not asked for.
        match path.ancestors().filter(|above| is_link(above) && is_foreign(above)).last() {
            Some(link) => match (link.parent(), link.file_name()) {
                (Some(parent), Some(name)) => Ok(Self { path: real(parent)?.join(name), directory: Some(false) }),
                _ => Err(io::ErrorKind::InvalidInput.into()),
            },
            None => Self::named(path),
        }
    }

    /// What the baseline covers; it may be gone.
    pub(super) fn known(path: &HostText) -> Self {
        let path = PathBuf::from(OsStr::from_bytes(path.as_bytes()));
        let directory = path.symlink_metadata().ok().map(|found| found.is_dir());
        Self { path, directory }
    }

    pub(super) fn text(&self) -> HostText {
        HostText::from(self.path.as_os_str().as_bytes())
    }
}

/// The real path of a directory; of one that is not there, as far as it is.
fn real(path: &Path) -> io::Result<PathBuf> {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Err(why), Some(parent), Some(name)) if why.kind() == io::ErrorKind::NotFound => Ok(real(parent)?.join(name)),
        (found, ..) => found,
    }
}

/// Whether one path is another or lies below it.
pub(super) fn covers(root: &HostText, path: &HostText) -> bool {
    let below = path.as_bytes().strip_prefix(root.as_bytes());
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || root.as_bytes().ends_with(b"/"))
}

/// Both together, without what another covers, by path.
pub(super) fn joined(one: &[HostText], two: &[HostText]) -> Vec<HostText> {
    let mut all: Vec<HostText> = one.iter().chain(two).cloned().collect();
    all.sort();
    all.dedup();
    let covered = |path: &HostText| all.iter().any(|root| root != path && covers(root, path));
    all.iter().filter(|path| !covered(path)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_covers_what_is_below_and_no_neighbour() {
        let all = |paths: &[&str]| paths.iter().map(|path| HostText::from(*path)).collect::<Vec<_>>();
        assert!(covers(&"/".into(), &"/etc".into()));
        assert!(covers(&"/etc".into(), &"/etc/ssh".into()));
        assert!(!covers(&"/etc".into(), &"/etc-old".into()));
        assert_eq!(joined(&all(&["/etc/ssh", "/srv"]), &all(&["/etc", "/srv", "/etc-old"])), all(&["/etc", "/etc-old", "/srv"]));
    }

    #[test]
    fn a_link_of_somebody_else_is_a_link_and_leads_nowhere() {
        if !is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        for name in ["etc", "home/eve", "home/ann/real"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        let link = |to: &str, name: &str, owner: u32| {
            std::os::unix::fs::symlink(at(to), at(name)).unwrap();
            std::os::unix::fs::lchown(at(name), Some(owner), Some(owner)).unwrap();
        };
        link("etc", "home/eve/.ssh", 54321);
        link("etc", "home/eve/.config", 54321);
        link("home/ann/real", "home/ann/.ssh", 0);
        let placed = |name: &str| Root::placed(&at(name)).unwrap();
        assert_eq!(placed("home/eve/.ssh"), Root { path: at("home/eve/.ssh"), directory: Some(false) });
        assert_eq!(placed("home/eve/.config/systemd/user"), Root { path: at("home/eve/.config"), directory: Some(false) });
        assert_eq!(placed("home/ann/.ssh"), Root { path: at("home/ann/real"), directory: Some(true) });
        assert_eq!(placed("home/eve/.bashrc"), Root { path: at("home/eve/.bashrc"), directory: None });
    }

    fn is_root() -> bool {
        std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
    }
}
