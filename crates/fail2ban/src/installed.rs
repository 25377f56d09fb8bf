//! The texts of fail2ban's folder, read once and within bounds.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

use super::problem::Problem;

/// Files that are read, and bytes of one. Debian installs 150 files; the longest has 37 KiB.
const MAX_FILES: usize = 4000;
const MAX_BYTES: u64 = 1 << 20;

/// Why a folder could not be read.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// The folder itself.
    #[error("cannot read {0}: {1}: name the folder in which jail.conf lies")]
    Folder(PathBuf, std::io::Error),
    /// There is no jail.conf and no jail.local in it.
    #[error("{0} has no jail.conf and no jail.local: name fail2ban's folder (usually /etc/fail2ban)")]
    NoJails(PathBuf),
}

/// The configuration files of an installed fail2ban, by their path below its folder.
#[derive(Debug, Clone, Default)]
pub struct Installed {
    texts: BTreeMap<String, String>,
    /// Files that could not be read, and why.
    pub problems: Vec<Problem>,
}

impl Installed {
    /// Reads `*.conf` and `*.local` in the folder, `jail.d`, `filter.d` and folders in those.
    ///
    /// # Errors
    /// When the folder cannot be listed, or has no jails. A single file that cannot be read is a problem and no error.
    pub fn read(folder: &Path) -> Result<Self, Unreadable> {
        let mut installed = Self::default();
        let listed = installed.read_folder(folder, "").map_err(|error| Unreadable::Folder(folder.to_owned(), error));
        listed?;
        for below in ["jail.d", "filter.d"] {
            // One that is missing holds nothing.
            let _ = installed.read_folder(&folder.join(below), below);
        }
        if !installed.has("jail.conf") && !installed.has("jail.local") {
            return Err(Unreadable::NoJails(folder.to_owned()));
        }
        Ok(installed)
    }

    /// The same out of texts at hand: path below the folder, and text.
    pub fn of<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let texts = texts.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        Self { texts, problems: Vec::new() }
    }

    fn read_folder(&mut self, folder: &Path, below: &str) -> std::io::Result<()> {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)?.take(MAX_FILES).flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let inner = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            if path.is_dir() {
                // `filter.d/sshd.d/*.conf`, and no deeper.
                if inner.matches('/').count() == 1 && name.ends_with(".d") {
                    self.read_folder(&path, &inner)?;
                }
                continue;
            }
            if !(name.ends_with(".conf") || name.ends_with(".local")) {
                continue;
            }
            match read_file(&path) {
                _ if self.texts.len() >= MAX_FILES => {
                    self.problems.push(Problem::new(inner, "", "", format!("not read: more than {MAX_FILES} files")));
                }
                Ok(text) => {
                    self.texts.insert(inner, text);
                }
                Err(why) => self.problems.push(Problem::new(inner, "", "", format!("cannot be read: {why}"))),
            }
        }
        Ok(())
    }

    /// The text of this file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.texts.contains_key(path)
    }

    /// The files of this folder that end so, in alphabetical order.
    pub(crate) fn inside<'a>(&'a self, folder: &'a str, ending: &'a str) -> impl Iterator<Item = &'a str> {
        let within = move |path: &&str| {
            let name = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
            name.is_some_and(|name| !name.contains('/') && name.ends_with(ending))
        };
        self.texts.keys().map(String::as_str).filter(within)
    }
}

/// Joins the name of an included file to the folder of the file that includes it; `None` when it leads out of fail2ban's folder.
pub(crate) fn beside(includer: &str, name: &str) -> Option<String> {
    let joined = Path::new(includer).parent().unwrap_or(Path::new("")).join(name);
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

fn read_file(path: &Path) -> Result<String, String> {
    // What is no plain file (a pipe, a device) might never end, or never begin.
    let told = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !told.is_file() {
        return Err("it is no plain file".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err("it is longer than 1 MiB".to_owned());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
