//! Where rules lie on disk, and what lies there: a folder `rules` beside the configuration, and one in the data folder.

use std::fs::{self, File};
use std::io::{self, Read};
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

/// All rule files (`.yml`, `.yaml`) in a folder and those below it, by name; links to folders are not followed. A folder that is not there
/// holds none.
pub fn rule_files(folder: &Path) -> Vec<RuleFile> {
    let mut out = Vec::new();
    walk(folder, 0, &mut out);
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}

fn walk(folder: &Path, depth: usize, out: &mut Vec<RuleFile>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return out.push(RuleFile { path: folder.to_owned(), text: Err(error.to_string()) }),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth < MAX_DEPTH {
            walk(&path, depth + 1, out);
        } else if kind.is_file() && out.len() < MAX_FILES && path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml") {
            let text = read(&path).map_err(|error| error.to_string());
            out.push(RuleFile { path, text });
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}
