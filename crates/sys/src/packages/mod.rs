//! Which package owns a path, asked of the package databases that this host has.
//!
//! It tells who put a file at that path, not that the content is still the package's.

mod apk;
mod dpkg;
mod index;
mod pacman;
mod rpm;

use std::path::{Path, PathBuf};

use index::{Index, Stamp};

use bartizan_model::HostText;

/// The databases of one host. Small ones are kept as an index of at most 4 MiB, read again when they changed.
#[derive(Debug)]
pub struct Packages {
    root: PathBuf,
    /// `/bin` is only a name for `/usr/bin`: lists may use either.
    merged: bool,
    kept: Option<(Stamp, Index)>,
}

impl Packages {
    /// Those of the tree that begins at `root`: `/` for the host.
    pub fn under(root: &Path) -> Self {
        let merged = root.join("bin").symlink_metadata().is_ok_and(|found| found.is_symlink());
        Self { root: root.to_owned(), merged, kept: None }
    }

    /// The package that owns this path; `None` when no package does. Takes milliseconds, and some tens of them when a
    /// database changed.
    pub fn owner(&mut self, path: &HostText) -> Option<HostText> {
        let stamp = self.stamp();
        if stamp.is_some() && self.kept.as_ref().map(|(known, _)| known) != stamp.as_ref() {
            self.kept = stamp.map(|stamp| (stamp, self.read()));
        }
        let names = names(path.as_bytes(), self.merged);
        let kept = self.kept.as_ref().and_then(|(_, index)| names.iter().find_map(|name| index.owner(name)));
        kept.or_else(|| rpm::owner(&self.root, path))
    }

    /// Entries that did not fit into the index: paths whose owner is not known though there is one.
    pub fn left_out(&self) -> u64 {
        self.kept.as_ref().map_or(0, |(_, index)| index.left_out())
    }

    fn stamp(&self) -> Option<Stamp> {
        let databases = [dpkg::place(&self.root), apk::place(&self.root), pacman::place(&self.root)];
        Stamp::of(&databases)
    }

    fn read(&self) -> Index {
        let mut index = Index::default();
        dpkg::read(&self.root, &mut index);
        apk::read(&self.root, &mut index);
        pacman::read(&self.root, &mut index);
        index.sort();
        index
    }
}

/// The names under which lists may have a path. A kernel tells `/usr/bin/x` where a list from before the merge says `/bin/x`.
fn names(path: &[u8], merged: bool) -> Vec<Vec<u8>> {
    let mut names = vec![path.to_vec()];
    let top = |path: &[u8]| [&b"/bin/"[..], b"/sbin/", b"/lib"].iter().any(|top| path.starts_with(top));
    match path.strip_prefix(b"/usr") {
        Some(below) if merged && top(below) => names.push(below.to_vec()),
        None if merged && top(path) => names.push([b"/usr", path].concat()),
        _ => {}
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn this_host_knows_its_own_packages() {
        if !Path::new("/var/lib/dpkg/info").is_dir() {
            return eprintln!("skipped: no dpkg database");
        }
        let mut packages = Packages::under(Path::new("/"));
        let dpkg = |path: &str| {
            let out = std::process::Command::new("dpkg").args(["-S", path]).output().unwrap();
            String::from_utf8(out.stdout).unwrap().split([':', ',']).next().map(str::to_owned)
        };
        for (path, listed) in [("/usr/bin/env", "/usr/bin/env"), ("/usr/bin/dpkg", "/usr/bin/dpkg"), ("/usr/bin/sleep", "/bin/sleep")] {
            let asked = std::time::Instant::now();
            let owner = packages.owner(&path.into()).map(|owner| owner.escaped());
            eprintln!("{path}: {owner:?} after {:?}", asked.elapsed());
            assert_eq!(owner, dpkg(listed), "{path}");
        }
        assert_eq!(packages.owner(&"/usr/bin/no-such-program".into()), None);
        let (_, index) = packages.kept.as_ref().unwrap();
        assert!(index.bytes() <= index::BYTES && packages.left_out() == 0, "{} bytes", index.bytes());
        eprintln!("{} bytes of index", index.bytes());
    }

    #[test]
    fn a_database_that_changes_is_read_again() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("usr/bin")).unwrap();
        std::os::unix::fs::symlink("usr/bin", at("bin")).unwrap();
        fs::create_dir_all(at("var/lib/dpkg/info")).unwrap();
        fs::write(at("var/lib/dpkg/info/coreutils.list"), "/.\n/bin\n/bin/ls\n").unwrap();
        let mut packages = Packages::under(root.path());
        assert_eq!(packages.owner(&"/usr/bin/ls".into()), Some("coreutils".into()));
        assert_eq!(packages.owner(&"/usr/bin/jq".into()), None);
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(at("var/lib/dpkg/info/jq:amd64.list"), "/usr/bin/jq\n/usr/share/doc/jq/x\n").unwrap();
        assert_eq!(packages.owner(&"/bin/jq".into()), Some("jq".into()));
        assert_eq!(packages.owner(&"/usr/share/doc/jq/x".into()), None, "no program lies there: not kept");
    }

    #[test]
    fn apk_and_pacman_are_read() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("lib/apk/db")).unwrap();
        fs::write(
            at("lib/apk/db/installed"),
            "C:Q1x=\nP:busybox\nV:1.36\nF:bin\nR:busybox\na:0:0:755\nF:etc\nR:x\n\nP:musl\nF:lib\nR:ld.so\n",
        )
        .unwrap();
        fs::create_dir_all(at("var/lib/pacman/local/bash-completion-2.11-3")).unwrap();
        let files = at("var/lib/pacman/local/bash-completion-2.11-3/files");
        fs::write(files, "%FILES%\nusr/\nusr/bin/\nusr/bin/bc x\n\n%BACKUP%\netc/x\tabc\n").unwrap();
        let mut packages = Packages::under(root.path());
        assert_eq!(packages.owner(&"/bin/busybox".into()), Some("busybox".into()));
        assert_eq!(packages.owner(&"/lib/ld.so".into()), Some("musl".into()));
        assert_eq!(packages.owner(&"/usr/bin/bc x".into()), Some("bash-completion".into()));
        assert_eq!(packages.owner(&"/etc/x\tabc".into()), None);
        assert_eq!(packages.owner(&"/usr/bin/busybox".into()), None, "not merged there");
    }
}
