//! Where rules lie on disk, and what lies there: a folder `rules` beside the configuration, and one in the data folder.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Settings;

/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 8;
/// Most files that are read.
const MAX_FILES: usize = 20_000;
/// Longest file that is read, in bytes; the rules themselves allow less.
const MAX_BYTES: u64 = 128 << 10;
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
        let path = self.switched_off_file();
        match read(&path) {
            Ok(text) => {
                Ok(text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// All rule files (`.yml`, `.yaml`) in a folder and those below it, by name. A folder that is not there holds none. A symbolic link is
/// followed to a regular file of root, never to a folder; what is not read is in the list with the reason.
pub fn rule_files(folder: &Path) -> Vec<RuleFile> {
    let mut out = Vec::new();
    walk(folder, 0, &mut out);
    if out.len() > MAX_FILES {
        out.truncate(MAX_FILES);
        out.push(refused(folder, format!("more than {MAX_FILES} files: the rest is not read")));
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}

fn refused(path: &Path, problem: impl ToString) -> RuleFile {
    RuleFile { path: path.to_owned(), text: Err(problem.to_string()) }
}

/// Takes in one more than [`MAX_FILES`] at most.
fn walk(folder: &Path, depth: usize, out: &mut Vec<RuleFile>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return out.push(refused(folder, error)),
    };
    for entry in entries {
        if out.len() > MAX_FILES {
            return;
        }
        let found = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)));
        let (path, kind) = match found {
            Ok(found) => found,
            Err(error) => {
                out.push(refused(folder, error));
                continue;
            }
        };
        if kind.is_dir() && depth < MAX_DEPTH {
            walk(&path, depth + 1, out);
        } else if kind.is_dir() {
            out.push(refused(&path, format!("a folder more than {MAX_DEPTH} deep: not read")));
        } else if kind.is_symlink() && path.is_dir() {
            out.push(refused(&path, "a symbolic link to a folder: not followed; put the files here, or a link to each"));
        } else if path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml") {
            let text = if kind.is_file() { read(&path) } else { read_linked(&path) };
            out.push(RuleFile { text: text.map_err(|error| error.to_string()), path });
        }
    }
}

/// What a symbolic link leads to: whoever could change it could change the rules, so it is root's.
fn read_linked(path: &Path) -> io::Result<String> {
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if found.uid() != 0 {
        return Err(io::Error::other("a symbolic link to a file that is not owned by root"));
    }
    read(path)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panic
mod tests {
    use std::os::unix::fs::{chown, symlink};
    use std::os::unix::net::UnixListener;

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
