//! Where indicator lists lie on disk: a folder `indicators` beside the configuration, and one in the data folder for what is downloaded.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Settings;
use super::folder_files::{FolderFile, Wanted, folder_files};
use super::policy::duration;
use super::policy_check::{Objection, within_times};

/// Most lists in one folder.
const MAX_LISTS: usize = 64;
/// Longest list, in bytes.
const MAX_BYTES: u64 = 8 << 20;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// `[indicators]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndicatorPolicy {
    /// How long after its date a list is matched that does not say when it expires: one hour to 366 days.
    #[serde(with = "duration")]
    pub max_age: Duration,
}

/// The first value that makes no sense.
pub(super) fn check(indicators: &IndicatorPolicy) -> Result<(), Objection> {
    within_times("indicators", &[("max_age", indicators.max_age, Duration::from_secs(3600), 366 * DAY)])
}

/// The two folders of indicator lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndicatorFolders {
    /// The owner's own, beside agent.toml.
    pub host: PathBuf,
    /// Downloaded ones.
    pub data: PathBuf,
}

impl IndicatorFolders {
    /// Those of these settings.
    pub fn of(settings: &Settings) -> Self {
        let beside = settings.file().parent().unwrap_or(Path::new("/etc/bartizan"));
        Self { host: beside.join("indicators"), data: settings.data.join("indicators") }
    }

    /// The lists (`.txt`, `.csv`), the owner's own first, each read when it is asked for. Only files that root owns and nobody else may
    /// write are read; the others are there with the reason.
    pub fn files(&self) -> impl Iterator<Item = FolderFile> {
        let wanted = Wanted { endings: &["txt", "csv"], max_files: MAX_LISTS, max_bytes: MAX_BYTES, of_root_alone: true };
        folder_files(&self.host, wanted).chain(folder_files(&self.data, wanted))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panic
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;
    use crate::Policy;

    #[test]
    fn only_lists_that_root_alone_can_change_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let folders = IndicatorFolders { host: dir.path().join("own"), data: dir.path().join("data") };
        let write = |folder: &Path, name: &str, mode: u32| {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(name), name).unwrap();
            fs::set_permissions(folder.join(name), Permissions::from_mode(mode)).unwrap();
        };
        write(&folders.data, "a.txt", 0o644);
        write(&folders.host, "b.csv", 0o600);
        write(&folders.host, "open.txt", 0o666);
        write(&folders.host, "notes.md", 0o644);
        write(&folders.host, "theirs.txt", 0o644);
        fs::write(folders.host.join("long.txt"), vec![b'1'; (8 << 20) + 1]).unwrap();
        let root = chown(folders.host.join("theirs.txt"), Some(65_534), None).is_ok();
        let found: Vec<(String, Result<Vec<u8>, String>)> =
            folders.files().map(|file| (file.path.file_name().unwrap().to_str().unwrap().to_owned(), file.content)).collect();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b.csv", "long.txt", "open.txt", "theirs.txt", "a.txt"], "the owner's own first");
        assert_eq!(found[1].1, Err("longer than 8192 KiB".to_owned()));
        if root {
            assert_eq!((&found[0].1, &found[4].1), (&Ok(b"b.csv".to_vec()), &Ok(b"a.txt".to_vec())));
            assert!(found[2].1.as_ref().unwrap_err().contains("others than root may write it"), "{found:?}");
            assert_eq!(found[3].1, Err("not owned by root".to_owned()));
        }
    }

    #[test]
    fn an_age_that_makes_no_sense_is_refused_by_name() {
        let problem = Policy::parse("[indicators]\nmax_age = \"10y\"\n", "p.toml").unwrap_err().to_string();
        assert!(problem.starts_with("p.toml: line 2: indicators.max_age: "), "{problem}");
    }
}
