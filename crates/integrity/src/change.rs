//! One change of one path between two looks at the files.

use std::collections::HashMap;
use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::compare::{Difference, differences};
use super::entry::{Content, Entry, Kind};
use super::sentences::{SPECIAL, bytes};
use bartizan_model::HostText;

/// What happened to the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is there and was not.
    Added,
    /// It was there and is not.
    Removed,
    /// It was under another name.
    Moved {
        /// That name.
        from: HostText,
    },
    /// It is another than it was.
    Changed,
}

impl What {
    /// As JSON has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Moved { .. } => "moved",
            Self::Changed => "changed",
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which path.
    pub path: HostText,
    /// What happened to it.
    pub what: What,
    /// What it was; `None` when it was not there.
    pub before: Option<Entry>,
    /// What it is; `None` when it is gone.
    pub after: Option<Entry>,
    /// How the two differ.
    pub differences: Vec<Difference>,
}

impl Change {
    /// Between what was and what is; `None` when nothing is another.
    pub fn between(path: HostText, before: Option<Entry>, after: Option<Entry>) -> Option<Self> {
        let what = match (&before, &after) {
            (None, None) => return None,
            (None, Some(_)) => What::Added,
            (Some(_), None) => What::Removed,
            (Some(_), Some(_)) => What::Changed,
        };
        let differences = match (&before, &after) {
            (Some(before), Some(after)) => differences(before, after),
            _ => Vec::new(),
        };
        (what != What::Changed || !differences.is_empty()).then_some(Self { path, what, before, after, differences })
    }

    /// The kind of thing that it is, or was.
    pub fn kind(&self) -> Kind {
        self.after.as_ref().or(self.before.as_ref()).map_or(Kind::File, |entry| entry.kind)
    }

    /// Only its change time is later: everything that a reader could see is as it was.
    pub fn is_touch(&self) -> bool {
        self.differences == [Difference::Touched]
    }

    /// What happened, without the path.
    pub fn sentence(&self) -> String {
        let differ = self.differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        match &self.what {
            What::Changed => differ,
            What::Moved { from } if differ.is_empty() => format!("moved here from {from}"),
            What::Moved { from } => format!("moved here from {from}; {differ}"),
            What::Removed => format!("{} removed", self.kind().noun()),
            What::Added => format!("{} added{}", self.kind().noun(), self.after.as_ref().map(added).unwrap_or_default()),
        }
    }
}

/// What is worth knowing of something new.
fn added(entry: &Entry) -> String {
    let mut said = Vec::new();
    match (&entry.kind, &entry.content) {
        (_, Content::Target(target)) => said.push(format!("to {}", HostText::from(target.as_slice()))),
        (_, Content::Unreadable(number)) => said.push(format!("unreadable, error {number}")),
        (_, Content::Changing) => said.push("changing while it was read".to_owned()),
        (Kind::File, _) => said.push(bytes(entry.size)),
        _ => {}
    }
    if entry.kind != Kind::Link {
        said.push(format!("mode {:o}", entry.mode));
        said.push(format!("owner {}", entry.uid));
        said.extend(SPECIAL.iter().filter(|(bit, _)| entry.mode & bit != 0).map(|(_, name)| (*name).to_owned()));
        // As a difference from nothing: capabilities are said by name.
        let plain = Entry { attributes: Vec::new(), ..entry.clone() };
        said.extend(differences(&plain, entry).iter().map(ToString::to_string));
    }
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.sentence())
    }
}

/// A difference with its sentence.
#[derive(Serialize)]
struct Said<'a> {
    #[serde(flatten)]
    difference: &'a Difference,
    sentence: String,
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let said: Vec<Said<'_>> = self.differences.iter().map(|difference| Said { difference, sentence: difference.to_string() }).collect();
        let mut out = serializer.serialize_struct("Change", 6)?;
        out.serialize_field("path", &self.path)?;
        out.serialize_field("change", self.what.name())?;
        if let What::Moved { from } = &self.what {
            out.serialize_field("from", from)?;
        }
        out.serialize_field("kind", self.kind().noun())?;
        out.serialize_field("differences", &said)?;
        out.serialize_field("sentence", &self.sentence())?;
        out.end()
    }
}

/// What went under one name and came under another is one change: the same inode, the same kind, and content and size as they were.
pub fn pair_moves(changes: Vec<Change>) -> Vec<Change> {
    let gone = |change: &Change| change.what == What::Removed && change.kind() != Kind::Directory;
    let mut removed: HashMap<u64, Change> = HashMap::new();
    let mut rest = Vec::with_capacity(changes.len());
    for change in changes {
        match change.before.as_ref().map(|before| before.inode) {
            Some(inode) if gone(&change) && !removed.contains_key(&inode) => {
                removed.insert(inode, change);
            }
            _ => rest.push(change),
        }
    }
    for change in rest.iter_mut().filter(|change| change.what == What::Added) {
        let Some(after) = &change.after else { continue };
        let same = |one: &Entry| one.kind == after.kind && one.content == after.content && one.size == after.size;
        let from = removed.get(&after.inode).and_then(|old| old.before.as_ref()).is_some_and(same);
        if let Some(old) = from.then(|| removed.remove(&after.inode)).flatten() {
            change.what = What::Moved { from: old.path };
            change.before = old.before;
            change.differences = change.before.as_ref().map(|before| differences(before, after)).unwrap_or_default();
            change.differences.retain(|difference| !matches!(difference, Difference::Touched));
        }
    }
    rest.extend(removed.into_values());
    rest.sort_by(|one, two| one.path.cmp(&two.path));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::file;
    use crate::{Attribute, Content};

    fn said(before: &Entry, after: &Entry) -> String {
        Change::between("/f".into(), Some(before.clone()), Some(after.clone())).map(|change| change.sentence()).unwrap_or_default()
    }

    #[test]
    fn a_change_is_said_in_plain_words() {
        let old = file("f", b"x");
        let changed = |change: &dyn Fn(&mut Entry)| {
            let mut new = Entry { changed: 2_000, ..old.clone() };
            change(&mut new);
            said(&old, &new)
        };
        assert_eq!(said(&old, &old), "");
        assert_eq!(changed(&|new| new.mode = 0o4755), "mode 644 to 4755: set-uid appeared");
        assert_eq!(changed(&|new| new.mode = 0o666), "mode 644 to 666: everybody may write to it");
        assert_eq!(changed(&|new| new.uid = 33), "owner 0 to 33");
        assert_eq!(changed(&|new| new.content = Content::Hash([0; 32])), "content changed (still 1 byte)");
        assert_eq!(changed(&|new| new.inode = 8), "replaced by another file of the same content");
        assert_eq!(changed(&|new| new.modified = 5), "modification time was set, content is the same");
        assert!(changed(&|_| {}).starts_with("touched: "));
        let mut capability = 0x0200_0001_u32.to_le_bytes().to_vec();
        capability.extend((1u32 << 13).to_le_bytes());
        capability.extend([0; 12]);
        let gained = changed(&|new| new.attributes = vec![Attribute::new(b"security.capability", capability.clone())]);
        assert_eq!(gained, "capability cap_net_raw gained");
        let fifo = changed(&|new| (new.kind, new.content) = (Kind::Fifo, Content::None));
        assert_eq!(fifo, "was a file, is a FIFO");
        let link = |to: &str| Entry { kind: Kind::Link, content: Content::Target(to.into()), ..old.clone() };
        assert_eq!(said(&link("/a"), &link("/b\n")), "link leads to /b\\n, not /a");
    }

    #[test]
    fn something_new_with_rights_of_others_says_so() {
        let new = Entry { mode: 0o4755, ..file("f", b"x") };
        let change = Change::between("/f".into(), None, Some(new)).unwrap();
        assert_eq!(change.to_string(), "/f: file added (1 byte, mode 4755, owner 0, set-uid)");
    }

    #[test]
    fn a_rename_is_one_change() {
        let old = file("a", b"x");
        let new = Entry { name: b"b".to_vec(), changed: 9, mode: 0o600, ..old.clone() };
        let changes = vec![
            Change::between("/a".into(), Some(old.clone()), None).unwrap(),
            Change::between("/b".into(), None, Some(new)).unwrap(),
            Change::between("/c".into(), Some(Entry { inode: 9, ..old }), None).unwrap(),
        ];
        let paired = pair_moves(changes);
        let told: Vec<String> = paired.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["/b: moved here from /a; mode 644 to 600", "/c: file removed"]);
    }
}
