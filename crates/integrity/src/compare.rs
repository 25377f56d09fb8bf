//! How two states of one name differ.

use serde::Serialize;

use super::attributes::{self, ACCESS_LIST, CAPABILITY, DEFAULT_LIST, LABEL};
use super::entry::{Attribute, Content, Entry, Kind};
use bartizan_model::HostText;

/// One way in which a file is another than it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "field", rename_all = "snake_case")]
#[allow(missing_docs)] // `before` and `after` are what they say
pub enum Difference {
    /// Another kind of thing has the name.
    Kind { before: &'static str, after: &'static str },
    /// What it holds. Hashes in hex; sizes in bytes.
    Content { before: String, after: String, size_before: u64, size_after: u64 },
    /// It grew, and what was there is as it was.
    Appended { bytes: u64 },
    /// The link leads elsewhere.
    Target { before: HostText, after: HostText },
    /// Permission bits.
    Mode { before: u16, after: u16 },
    /// Owner.
    Owner { before: u32, after: u32 },
    /// Group.
    Group { before: u32, after: u32 },
    /// File capabilities.
    Capabilities { gained: Vec<String>, lost: Vec<String> },
    /// An access control list.
    AccessList { default: bool, before: String, after: String },
    /// The label of SELinux.
    Label { before: HostText, after: HostText },
    /// Any other extended attribute, by name.
    Attribute { name: HostText, change: &'static str },
    /// The same name and content, another inode: it was written anew and put in its place.
    Replaced,
    /// How many names the inode has.
    Links { before: u32, after: u32 },
    /// The time of its content was set, and the content is the same. Nanoseconds since 1970.
    Modified { before: i64, after: i64 },
    /// It could be read before and cannot now, or the other way.
    Readable { before: String, after: String },
    /// Everything is as it was, but something touched it: put back, or linked and unlinked.
    Touched,
}

/// All ways in which `new` is another than `old`; what is empty did not change.
pub fn differences(old: &Entry, new: &Entry) -> Vec<Difference> {
    let mut all = Vec::new();
    if std::mem::discriminant(&old.kind) != std::mem::discriminant(&new.kind) {
        all.push(Difference::Kind { before: old.kind.noun(), after: new.kind.noun() });
    } else if old.kind != new.kind {
        all.push(Difference::Kind { before: "device of another number", after: new.kind.noun() });
    }
    content(old, new, &mut all);
    // A link has no mode of its own: the kernel says 777 of each.
    if old.mode != new.mode && (old.kind == Kind::Link) == (new.kind == Kind::Link) {
        all.push(Difference::Mode { before: old.mode, after: new.mode });
    }
    if old.uid != new.uid {
        all.push(Difference::Owner { before: old.uid, after: new.uid });
    }
    if old.gid != new.gid {
        all.push(Difference::Group { before: old.gid, after: new.gid });
    }
    extended(&old.attributes, &new.attributes, &mut all);
    let is_directory = new.kind == Kind::Directory;
    if old.inode != new.inode && all.is_empty() {
        all.push(Difference::Replaced);
    }
    if old.links != new.links && !is_directory {
        all.push(Difference::Links { before: old.links, after: new.links });
    }
    // A directory's own times tell of its entries, which are told one by one.
    if all.is_empty() && !is_directory {
        if old.modified != new.modified {
            all.push(Difference::Modified { before: old.modified, after: new.modified });
        } else if old.changed != new.changed {
            all.push(Difference::Touched);
        }
    }
    all
}

fn content(old: &Entry, new: &Entry, all: &mut Vec<Difference>) {
    let hex = |hash: &[u8; 32]| blake3::Hash::from_bytes(*hash).to_hex().to_string();
    match (&old.content, &new.content) {
        (one, two) if one == two => {}
        (Content::Target(before), Content::Target(after)) => {
            all.push(Difference::Target { before: before.clone().into(), after: after.clone().into() });
        }
        (Content::Hash(before) | Content::Sparse(before), Content::Hash(after) | Content::Sparse(after)) => {
            all.push(Difference::Content { before: hex(before), after: hex(after), size_before: old.size, size_after: new.size });
        }
        (before, after) if old.kind == new.kind => {
            all.push(Difference::Readable { before: readable(before), after: readable(after) });
        }
        // Another kind of thing: said already.
        _ => {}
    }
}

fn readable(content: &Content) -> String {
    match content {
        Content::None | Content::Target(_) => "not read".to_owned(),
        Content::Hash(_) | Content::Sparse(_) => "readable".to_owned(),
        Content::Changing => "changing while it was read".to_owned(),
        Content::Unreadable(number) => format!("unreadable (error {number})"),
    }
}

fn extended(old: &[Attribute], new: &[Attribute], all: &mut Vec<Difference>) {
    if old == new {
        return;
    }
    let names = old.iter().chain(new.iter().filter(|one| attributes::find(old, &one.name).is_none())).map(|one| one.name.as_slice());
    for name in names {
        let (before, after) = (attributes::find(old, name), attributes::find(new, name));
        if before == after {
            continue;
        }
        let text = |value: Option<&[u8]>| HostText::from(value.unwrap_or(b"none").strip_suffix(b"\0").unwrap_or(value.unwrap_or(b"none")));
        all.push(match name {
            CAPABILITY => {
                let (had, has) = (attributes::capabilities(before), attributes::capabilities(after));
                let only = |one: &[String], other: &[String]| one.iter().filter(|name| !other.contains(name)).cloned().collect();
                Difference::Capabilities { gained: only(&has, &had), lost: only(&had, &has) }
            }
            ACCESS_LIST | DEFAULT_LIST => Difference::AccessList {
                default: name == DEFAULT_LIST,
                before: attributes::access_list(before),
                after: attributes::access_list(after),
            },
            LABEL => Difference::Label { before: text(before), after: text(after) },
            name => {
                let change = match (before, after) {
                    (None, _) => "appeared",
                    (_, None) => "disappeared",
                    _ => "changed",
                };
                Difference::Attribute { name: name.into(), change }
            }
        });
    }
}
