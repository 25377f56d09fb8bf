//! Where rules lie on disk, and what lies there: a folder `rules` beside the configuration, and one in the data folder.

use std::io;
use std::path::{Path, PathBuf};

use super::Settings;
use super::folder_files::{Wanted, folder_files};
use super::switches::NameList;

/// Most files that are read.
const MAX_FILES: usize = 20_000;
/// Longest file that is read, in bytes; the rules themselves allow less.
const MAX_BYTES: u64 = 128 << 10;
/// Most files of YARA rules that are read.
const MAX_YARA_FILES: usize = 2_000;
/// Longest one, in bytes: community packs have a hundred rules in one.
const MAX_YARA_BYTES: u64 = 1 << 20;
/// Name of the list of rules that are switched off, in the data folder.
const SWITCHED_OFF: &str = "disabled";

/// One rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What is in it, or why it cannot be read.
    pub text: Result<String, String>,
}

/// The two folders of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFolders {
    /// The owner's own, beside agent.toml.
    pub host: PathBuf,
    /// Imported ones, and the list of those that are switched off.
    pub imported: PathBuf,
}

impl RuleFolders {
    /// Those of these settings.
    pub fn of(settings: &Settings) -> Self {
        let beside = settings.file().parent().unwrap_or(Path::new("/etc/bartizan"));
        Self { host: beside.join("rules"), imported: settings.data.join("rules") }
    }

    /// The list of rules that are switched off on the command line.
    pub fn switched_off_file(&self) -> PathBuf {
        self.imported.join(SWITCHED_OFF)
    }

    /// Names of rules that are switched off on the command line, one a line.
    ///
    /// # Errors
    /// The list is there and cannot be read.
    pub fn switched_off(&self) -> io::Result<Vec<String>> {
        NameList::at(self.switched_off_file()).names()
    }
}

/// All rule files (`.yml`, `.yaml`) in a folder and those below it, by name. A folder that is not there holds none. A symbolic link is
/// followed to a regular file of root, never to a folder; what is not read is in the list with the reason.
pub fn rule_files(folder: &Path) -> Vec<RuleFile> {
    texts(folder, Wanted { endings: &["yml", "yaml"], max_files: MAX_FILES, max_bytes: MAX_BYTES, of_root_alone: false })
}

/// All files of YARA rules (`.yar`, `.yara`) in a folder and those below it, by name: those of root, which nobody else may write.
pub fn yara_files(folder: &Path) -> Vec<RuleFile> {
    texts(folder, Wanted { endings: &["yar", "yara"], max_files: MAX_YARA_FILES, max_bytes: MAX_YARA_BYTES, of_root_alone: true })
}

fn texts(folder: &Path, wanted: Wanted) -> Vec<RuleFile> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| "stream did not contain valid UTF-8".to_owned());
    folder_files(folder, wanted).map(|file| RuleFile { path: file.path, text: file.content.and_then(text) }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panic
mod tests {
    use std::fs;
    use std::os::unix::fs::{chown, symlink};
    use std::os::unix::net::UnixListener;

    use super::super::folder_files::MAX_DEPTH;

    use super::*;

    #[test]
    fn a_rule_file_is_read_or_named_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let rules = dir.path().join("rules");
        let deep = (0..=MAX_DEPTH).fold(rules.clone(), |at, _| at.join("d"));
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        for name in ["rules/own.yml", "rules/own.examples.jsonl", "elsewhere/linked", "elsewhere/theirs"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let root = chown(dir.path().join("elsewhere/theirs"), Some(65_534), None).is_ok();
        let link = |to: &str, name: &str| symlink(dir.path().join(to), rules.join(name)).unwrap();
        link("elsewhere/linked", "linked.yml");
        link("elsewhere/theirs", "theirs.yml");
        link("elsewhere", "folder");
        link("rules", "loop");
        link("rules/self.yml", "self.yml");
        link("nowhere", "nowhere.yml");
        link("nowhere", "no-rule");
        let _socket = UnixListener::bind(rules.join("socket.yml")).unwrap();
        let found: Vec<(String, Result<String, String>)> =
            rule_files(&rules).into_iter().map(|file| (file.path.strip_prefix(&rules).unwrap().display().to_string(), file.text)).collect();
        let told = |name: &str| found.iter().find(|(path, _)| path == name).unwrap().1.clone();
        assert_eq!(found.len(), 9, "{found:?}");
        assert_eq!(told("own.yml"), Ok("rules/own.yml".to_owned()));
        for (name, why) in [
            ("folder", "a symbolic link to a folder"),
            ("loop", "a symbolic link to a folder"),
            ("self.yml", "symbolic links"),
            ("nowhere.yml", "No such file"),
            ("socket.yml", "not a regular file"),
            (&deep.strip_prefix(&rules).unwrap().display().to_string(), "more than 8 deep"),
        ] {
            let problem = told(name).unwrap_err();
            assert!(problem.contains(why), "{name}: {problem}");
        }
        if root {
            assert_eq!(told("linked.yml"), Ok("elsewhere/linked".to_owned()));
            assert!(told("theirs.yml").unwrap_err().contains("not owned by root"));
        }
    }
}
