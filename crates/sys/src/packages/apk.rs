//! apk(8): one file of records; `P:` names the package, `F:` a directory, each `R:` after it a file in it (apk-installed(5)).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::index::Index;

/// Longest database that is read, in bytes.
const LONGEST: u64 = 256 << 20;

/// The database.
pub(super) fn place(root: &Path) -> PathBuf {
    root.join("lib/apk/db/installed")
}

/// Adds all paths of all packages.
pub(super) fn read(root: &Path, index: &mut Index) {
    let Ok(file) = File::open(place(root)) else { return };
    let mut lines = BufReader::new(file.take(LONGEST));
    let (mut line, mut package, mut directory) = (Vec::new(), None, Vec::new());
    loop {
        line.clear();
        if !matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
            return;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if let Some(name) = text.strip_prefix(b"P:") {
            package = index.package(name);
            directory = b"/".to_vec();
        } else if let Some(name) = text.strip_prefix(b"F:") {
            directory = if name.is_empty() { b"/".to_vec() } else { [b"/", name, b"/"].concat() };
        } else if let (Some(name), Some(package)) = (text.strip_prefix(b"R:"), package) {
            index.path(&[&directory, name].concat(), package);
        }
    }
}
