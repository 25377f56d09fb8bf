//! Names of users, from /etc/passwd, read again when the file changed.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

use bartizan_model::HostText;

/// A larger file is read up to here; a million accounts belong into a directory service.
const MAX_BYTES: u64 = 4 << 20;
/// How often the file's time is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// User id to name.
#[derive(Debug)]
pub struct UserNames {
    path: PathBuf,
    names: HashMap<u32, HostText>,
    changed: Option<SystemTime>,
    looked: Option<Instant>,
}

impl Default for UserNames {
    fn default() -> Self {
        Self { path: "/etc/passwd".into(), names: HashMap::new(), changed: None, looked: None }
    }
}

impl UserNames {
    /// The first name that the host has for this user id.
    pub fn name(&mut self, uid: u32) -> Option<HostText> {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.looked = Some(Instant::now());
            let changed = fs::metadata(&self.path).and_then(|m| m.modified()).ok();
            if changed != self.changed {
                self.changed = changed;
                // An unreadable file keeps the names we have: they were true a moment ago.
                if let Ok(names) = self.read() {
                    self.names = names;
                }
            }
        }
        self.names.get(&uid).cloned()
    }

    fn read(&self) -> io::Result<HashMap<u32, HostText>> {
        let mut bytes = Vec::new();
        fs::File::open(&self.path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
        let mut names = HashMap::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b':');
            let (Some(name), Some(_), Some(uid)) = (fields.next(), fields.next(), fields.next()) else { continue };
            if let Some(uid) = std::str::from_utf8(uid).ok().and_then(|uid| uid.parse().ok()) {
                names.entry(uid).or_insert_with(|| HostText::from(name));
            }
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_names_wins_and_bytes_stay() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\n\xff\x1b:x:7:7::/:\nbroken\n").unwrap();
        let mut names = UserNames { path: file.path().into(), ..UserNames::default() };
        assert_eq!(names.name(0), Some("root".into()));
        assert_eq!(names.name(7), Some(HostText::from(&b"\xff\x1b"[..])));
        assert_eq!(names.name(8), None);
    }
}
