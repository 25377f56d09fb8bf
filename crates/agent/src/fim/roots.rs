//! What is scanned: files and directories that a person named, or that the baseline covers.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bartizan_model::HostText;

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
}
