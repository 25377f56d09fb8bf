//! Unit files of systemd (systemd.unit(5)): where a unit's file lies, what it and its drop-ins say, and whether a package or
//! an administrator put it in force.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where unit files lie, the first wins.
const PLACES: [&str; 11] = [
    "etc/systemd/system.control", "run/systemd/system.control", "run/systemd/transient", "run/systemd/generator.early",
    "etc/systemd/system", "run/systemd/system", "run/systemd/generator", "usr/local/lib/systemd/system", "usr/lib/systemd/system",
    "lib/systemd/system", "run/systemd/generator.late",
];
/// Those that packages fill; the last one stands for scripts in /etc/init.d.
const OF_PACKAGES: [&str; 3] = ["usr/lib/systemd/system", "lib/systemd/system", "run/systemd/generator.late"];
/// Files of one directory, and bytes of one file.
const MAX_FILES: usize = 8192;
const MAX_BYTES: u64 = 64 << 10;

/// Names of all units that have a file here.
pub fn all_names(root: &Path) -> BTreeSet<String> {
    let is_unit = |name: &String| name.contains('.') && !name.ends_with(".d") && !name.ends_with(".wants") && !name.ends_with(".requires");
    PLACES.iter().flat_map(|place| names(&root.join(place))).filter(is_unit).collect()
}

/// Whether there is a file of this unit, or of its template.
pub fn exists(root: &Path, name: &str) -> bool {
    file_of(root, name).is_some()
}

/// Whether the unit came with a package, or an administrator enabled it so that it starts with the host.
pub fn is_installed(root: &Path, name: &str) -> bool {
    let Some(file) = file_of(root, name) else { return false };
    if OF_PACKAGES.iter().any(|place| file.starts_with(root.join(place))) {
        return true;
    }
    let lasting = root.join("etc/systemd/system");
    let enabled = |place: &String| fs::symlink_metadata(lasting.join(place).join(name)).is_ok();
    file.starts_with(&lasting)
        && names(&lasting).filter(|place| place.ends_with(".wants") || place.ends_with(".requires")).any(|p| enabled(&p))
}

/// The programs that a service starts (ExecStart=), as its file writes them, without systemd's signs before them.
pub fn programs(root: &Path, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (_, value) in settings(root, name, "Service").unwrap_or_default().into_iter().filter(|(key, _)| key == "ExecStart") {
        match value.split_ascii_whitespace().next() {
            // An empty one takes back what was said before.
            None => found.clear(),
            Some(first) => found.push(first.trim_start_matches(['-', '@', ':', '+', '!']).to_owned()),
        }
    }
    found
}

/// The file of a unit, or of the template that it is an instance of; the first place wins.
fn file_of(root: &Path, name: &str) -> Option<PathBuf> {
    let files = |name: &str| PLACES.iter().map(|place| root.join(place).join(name)).find(|file| file.symlink_metadata().is_ok());
    files(name).or_else(|| files(&template(name)?))
}

/// `getty@.service` of `getty@tty1.service`.
fn template(name: &str) -> Option<String> {
    let (before, after) = name.split_once('@')?;
    Some(format!("{before}@.{}", after.rsplit_once('.')?.1))
}

/// Keys and values of one section: the unit's own file and then its drop-ins; `None` when there is none or it is masked.
pub(super) fn settings(root: &Path, name: &str, section: &str) -> Option<Vec<(String, String)>> {
    let own = file_of(root, name)?;
    if fs::read_link(&own).is_ok_and(|target| target == Path::new("/dev/null")) {
        return None;
    }
    let mut found = Vec::new();
    read(&own, section, &mut found);
    // Of two drop-ins of one name the first place wins; their order is that of their names.
    let mut dropins: BTreeMap<String, PathBuf> = BTreeMap::new();
    let of_template = template(name);
    let dropped: Vec<&str> = [Some(name), of_template.as_deref()].into_iter().flatten().collect();
    for place in PLACES.iter().flat_map(|place| dropped.iter().map(move |name| root.join(place).join(format!("{name}.d")))) {
        for file in names(&place).filter(|file| file.ends_with(".conf")) {
            dropins.entry(file.clone()).or_insert_with(|| place.join(file));
        }
    }
    dropins.values().for_each(|file| read(file, section, &mut found));
    Some(found)
}

fn read(file: &Path, section: &str, found: &mut Vec<(String, String)>) {
    let mut bytes = Vec::new();
    if fs::File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes)).is_err() {
        return;
    }
    let text = String::from_utf8_lossy(&bytes).replace("\\\n", " ");
    let mut within = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => name.clone_into(&mut within),
            None if within == section => {
                found.extend(line.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())));
            }
            None => {}
        }
    }
}

pub(super) fn names(place: &Path) -> impl Iterator<Item = String> + use<> {
    fs::read_dir(place).into_iter().flatten().flatten().take(MAX_FILES).map(|entry| entry.file_name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_installed_by_a_package_or_enabled() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "[Service]\nExecStart=/usr/sbin/x\n").unwrap();
        };
        for path in [
            "usr/lib/systemd/system/nginx.service",
            "usr/lib/systemd/system/getty@.service",
            "etc/systemd/system/own.service",
            "etc/systemd/system/idle.service",
            "run/systemd/transient/run-r1.service",
            "etc/systemd/system/nginx.service.d/x.conf",
        ] {
            write(path);
        }
        fs::create_dir_all(dir.path().join("etc/systemd/system/multi-user.target.wants")).unwrap();
        std::os::unix::fs::symlink("../own.service", dir.path().join("etc/systemd/system/multi-user.target.wants/own.service")).unwrap();
        let installed = |name: &str| is_installed(dir.path(), name);
        assert!(installed("nginx.service") && installed("getty@tty1.service") && installed("own.service"));
        assert!(!installed("idle.service") && !installed("run-r1.service") && !installed("none.service"));
        let names: Vec<String> = all_names(dir.path()).into_iter().collect();
        assert_eq!(names, ["getty@.service", "idle.service", "nginx.service", "own.service", "run-r1.service"]);
    }
}
