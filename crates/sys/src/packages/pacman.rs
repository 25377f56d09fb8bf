//! pacman(8): one directory a package, `NAME-VERSION-RELEASE`, with its paths in `files` below the line `%FILES%`.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::index::Index;

/// Longest list that is read, in bytes.
const LONGEST: u64 = 32 << 20;

/// The directory of packages.
pub(super) fn place(root: &Path) -> PathBuf {
    root.join("var/lib/pacman/local")
}

/// Adds all paths of all packages.
pub(super) fn read(root: &Path, index: &mut Index) {
    let Ok(packages) = fs::read_dir(place(root)) else { return };
    let mut bytes = Vec::new();
    for package in packages.flatten() {
        let directory = package.file_name();
        // Neither version nor release can hold a hyphen (PKGBUILD(5)).
        let Some(name) = directory.as_bytes().rsplitn(3, |byte| *byte == b'-').nth(2) else { continue };
        bytes.clear();
        let read = File::open(package.path().join("files")).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
        let Some(number) = read.ok().and_then(|_| index.package(name)) else { continue };
        let lines = bytes.split(|byte| *byte == b'\n');
        let paths = lines.skip_while(|line| *line != b"%FILES%").skip(1).take_while(|line| !line.is_empty());
        for path in paths.filter(|path| !path.ends_with(b"/")) {
            index.path(&[b"/", path].concat(), number);
        }
    }
}
