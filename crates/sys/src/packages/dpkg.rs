//! dpkg(1): one list of paths a package, named `PACKAGE.list` or `PACKAGE:ARCHITECTURE.list`.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::index::Index;

/// Longest list that is read, in bytes; the largest known (kernel sources) have 6 MB.
const LONGEST: u64 = 32 << 20;

/// Where the lists lie; dpkg renames each new one into place, so this directory changes whenever one does.
pub(super) fn place(root: &Path) -> PathBuf {
    root.join("var/lib/dpkg/info")
}

/// Adds all paths of all packages.
pub(super) fn read(root: &Path, index: &mut Index) {
    let Ok(lists) = fs::read_dir(place(root)) else { return };
    let mut bytes = Vec::new();
    for list in lists.flatten() {
        let name = list.file_name();
        let Some(package) = name.as_bytes().strip_suffix(b".list") else { continue };
        let package = package.split(|byte| *byte == b':').next().unwrap_or_default();
        bytes.clear();
        let read = File::open(list.path()).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
        let Some(number) = read.ok().and_then(|_| index.package(package)) else { continue };
        for path in bytes.split(|byte| *byte == b'\n').filter(|path| path.starts_with(b"/")) {
            index.path(path, number);
        }
    }
}
