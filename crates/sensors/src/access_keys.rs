//! How many keys let somebody in, file by file: a file that loses some is told of.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bartizan_model::{Alarm, AlarmKind, EventKind, HostText};
use bartizan_sys::digest::read_bounded;

/// Longest file that is counted, in bytes.
const LONGEST: u64 = 1024 * 1024;
/// Most files counted: two for each of as many homes as are looked at.
const MOST: usize = 8192;

/// The counts.
#[derive(Debug, Default)]
pub(super) struct AccessKeys(HashMap<PathBuf, usize>);

impl AccessKeys {
    /// Takes what is there as what was there.
    pub(super) fn learn(&mut self, path: &Path) {
        if let Some(count) = count(path)
            && (self.0.len() < MOST || self.0.contains_key(path))
        {
            self.0.insert(path.to_owned(), count);
        }
    }

    /// The alarm when the file has fewer keys than before, or is gone. `known` tells that it was there before, also when
    /// nobody counted.
    pub(super) fn compare(&mut self, path: &Path, known: bool) -> Option<EventKind> {
        let (had, has) = (self.0.get(path).copied(), count(path));
        self.0.remove(path);
        self.learn(path);
        let shown = HostText::from(path.as_os_str().as_encoded_bytes());
        let did = match (had, has) {
            (Some(0), _) => return None,
            (Some(had), None) => format!("removed {} with {}", shown.escaped(), keys(had)),
            (None, None) if known => format!("removed {}", shown.escaped()),
            (Some(had), Some(has)) if has < had => format!("took {} of {} out of {}", had - has, keys(had), shown.escaped()),
            _ => return None,
        };
        Some(EventKind::Alarm { alarm: Alarm { what: AlarmKind::AccessTouched, detail: did.into(), action: None, path: Some(shown) } })
    }
}

fn keys(count: usize) -> String {
    if count == 1 { "1 key".to_owned() } else { format!("{count} keys") }
}

/// Lines that are neither empty nor comments (sshd(8), AUTHORIZED_KEYS FILE FORMAT); `None` when there is no such file.
fn count(path: &Path) -> Option<usize> {
    let text = match read_bounded(path, LONGEST) {
        Ok(text) => text,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return None,
        // Something else has the name, or it is too long to be one: no key in it counts.
        Err(_) => return Some(0),
    };
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    Some(lines.filter(|line| !line.is_empty() && line.first() != Some(&b'#')).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_keys_and_no_file_are_told_and_more_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("authorized_keys");
        let mut keys = AccessKeys::default();
        let mut after = |text: Option<&str>| {
            match text {
                Some(text) => std::fs::write(&file, text).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            keys.compare(&file, true).map(|kind| match kind {
                EventKind::Alarm { alarm } => alarm.detail.escaped().to_string().replace(&format!("{}", file.display()), "F"),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(after(Some("# mine\nssh-ed25519 A a\n\nssh-ed25519 B b\nssh-rsa C c\n")), None);
        assert_eq!(after(Some("ssh-ed25519 A a\nssh-rsa C c")), Some("took 1 of 3 keys out of F".to_owned()));
        assert_eq!(after(Some("ssh-ed25519 A a\nssh-rsa C c\nssh-rsa D d")), None);
        assert_eq!(after(Some("")), Some("took 3 of 3 keys out of F".to_owned()));
        assert_eq!(after(None), None, "there was nothing in it");
        assert_eq!(after(Some("ssh-rsa D d")), None);
        assert_eq!(after(None), Some("removed F with 1 key".to_owned()));
    }
}
