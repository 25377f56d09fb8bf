//! One name in one directory becomes an entry: metadata first, content only when that is another than the baseline knows.

use std::ffi::CStr;
use std::io;
use std::time::Instant;

use bartizan_integrity::{Attribute, Content, Entry, Kind, LONGEST_JUDGED};
use bartizan_sys::tree::{Facts, Folder, Unread, Wanted};

/// A file that changed less than this before it was read may change again without a later ctime: the clock that the kernel stamps with has a
/// granularity of up to 10 ms, and pages mapped for writing get a new stamp only after they were written back (vm.dirty_expire_centisecs
/// and vm.dirty_writeback_centisecs: 35 s as they are set by default). Nanoseconds.
const SETTLES: i64 = 40_000_000_000;
/// Longest file of which the content is kept, in bytes.
const KEPT: usize = 256 << 10;
/// File types of stat(2) (linux/stat.h).
const TYPES: [(u32, Kind); 5] =
    [(0o100_000, Kind::File), (0o040_000, Kind::Directory), (0o120_000, Kind::Link), (0o010_000, Kind::Fifo), (0o140_000, Kind::Socket)];
const CHARACTER: u32 = 0o020_000;

/// What is wanted of a look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depth {
    /// Read content although the metadata is what the baseline knows.
    pub(super) full: bool,
    /// Read small files again although they did not change: their contents are to be stored.
    pub(super) contents: bool,
    /// A file longer than so many bytes is not read whole if it must be: only its ends are, and it is said to be long.
    pub(super) longest: Option<u64>,
    /// A file that is not read to its end by then is said to be long too.
    pub(super) until: Option<Instant>,
    /// Now, nanoseconds since 1970.
    pub(super) now: i64,
}

/// What a look showed.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) entry: Entry,
    /// It grew by so many bytes, and its beginning is what the baseline knows.
    pub(super) appended: Option<u64>,
    /// The content, of a file that is not too long to be judged; of a longer one, its two ends.
    pub(super) content: Option<Vec<u8>>,
    /// That is all of it.
    pub(super) is_whole: bool,
    /// Its content was read.
    pub(super) read: bool,
    /// It is longer than what was to be read: of its content nothing is known but the two ends.
    pub(super) is_long: bool,
}

/// Looks at a name; `None` when it is gone by now, also when it went while it was looked at.
pub(super) fn look(folder: &Folder, name: &CStr, old: Option<&Entry>, depth: Depth) -> io::Result<Option<Looked>> {
    let looked = look_once(folder, name, old, depth)?;
    Ok(looked.filter(|looked| !matches!(looked.entry.content, Content::Unreadable(_)) || !is_gone(folder, name)))
}

fn look_once(folder: &Folder, name: &CStr, old: Option<&Entry>, depth: Depth) -> io::Result<Option<Looked>> {
    let facts = match folder.facts(name) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        facts => facts?,
    };
    let mut looked =
        Looked { entry: entry(name, facts, depth.now), appended: None, content: None, is_whole: false, read: false, is_long: false };
    let known = old.filter(|old| !depth.full && old.is_untouched(&looked.entry));
    if let Some(old) = known.filter(|_| !(depth.contents && looked.entry.kind == Kind::File && looked.entry.size <= KEPT as u64)) {
        looked.entry = old.clone();
        return Ok(Some(looked));
    }
    if looked.entry.kind == Kind::File && depth.longest.is_some_and(|longest| looked.entry.size > longest) {
        looked.is_long = true;
        // What is dangerous does not become less so by padding: its ends are judged now, like those of every file longer than a MiB.
        match folder.ends(name, LONGEST_JUDGED) {
            Ok(ends) => looked.content = Some(ends),
            Err(Unread::Refused(why)) => looked.entry.content = unreadable(&why),
            // Something else has the name since: the next look tells what.
            Err(Unread::NotAFile | Unread::Changing | Unread::Late) => looked.entry.content = Content::Changing,
        }
        return Ok(Some(looked));
    }
    looked.entry.attributes = match folder.attributes(name) {
        Ok(attributes) => attributes.into_iter().map(|(name, value)| Attribute::new(name.to_bytes(), value)).collect(),
        Err(why) if why.kind() == io::ErrorKind::NotFound && is_gone(folder, name) => return Ok(None),
        // No attributes is another thing than attributes that nobody can read. What the baseline knows of them stays.
        Err(why) => {
            looked.entry.attributes = old.map(|old| old.attributes.clone()).unwrap_or_default();
            looked.entry.content = unreadable(&why);
            return Ok(Some(looked));
        }
    };
    match looked.entry.kind {
        Kind::File => read(folder, name, old, depth, &mut looked),
        Kind::Link => {
            let target = folder.target(name);
            looked.entry.content = target.map_or_else(|why| unreadable(&why), Content::Target);
        }
        Kind::Directory | Kind::Fifo | Kind::Socket | Kind::Character(_) | Kind::Block(_) => {}
    }
    Ok(Some(looked))
}

/// Attributes are read by a path through /proc: where that is not mounted, everything would seem gone.
fn is_gone(folder: &Folder, name: &CStr) -> bool {
    folder.facts(name).is_err_and(|why| why.kind() == io::ErrorKind::NotFound)
}

fn unreadable(why: &io::Error) -> Content {
    Content::Unreadable(why.raw_os_error().unwrap_or(0))
}

fn read(folder: &Folder, name: &CStr, old: Option<&Entry>, depth: Depth, looked: &mut Looked) {
    let grown = old.filter(|old| old.kind == Kind::File && old.size < looked.entry.size);
    let wanted = Wanted { beginning: grown.map(|old| old.size), bytes: LONGEST_JUDGED, ends: LONGEST_JUDGED, until: depth.until };
    looked.read = true;
    match folder.read(name, wanted) {
        Ok(read) => {
            let attributes = std::mem::take(&mut looked.entry.attributes);
            looked.entry = Entry { attributes, ..entry(name, read.facts, depth.now) };
            looked.entry.content = if read.sparse { Content::Sparse(read.hash) } else { Content::Hash(read.hash) };
            let same = |old: &&Entry| read.beginning.is_some_and(|beginning| old.content == Content::Hash(beginning));
            looked.appended = grown.filter(same).map(|old| read.facts.size - old.size);
            looked.is_whole = read.bytes.is_some();
            looked.content = read.bytes.or(read.ends);
        }
        // Something else has the name since: the next look tells what.
        Err(Unread::NotAFile) => looked.entry.content = Content::Changing,
        // Who writes to it all the time does not escape judgement: what it holds just now is judged.
        Err(Unread::Changing) => {
            looked.entry.content = Content::Changing;
            looked.content = folder.ends(name, LONGEST_JUDGED).ok();
        }
        Err(Unread::Late) => looked.is_long = true,
        Err(Unread::Refused(why)) => looked.entry.content = unreadable(&why),
    }
}

/// Text, and no private key: contents are kept so that changes can be shown and put back, and nobody needs to see those.
pub(super) fn is_kept(bytes: &[u8]) -> bool {
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    bytes.len() <= KEPT && !bytes.contains(&0) && !holds(b"PRIVATE KEY-----")
}

fn entry(name: &CStr, facts: Facts, now: i64) -> Entry {
    let Facts { mode, uid, gid, size, modified, changed, inode, links, .. } = facts;
    let known = TYPES.iter().find(|(number, _)| *number == facts.kind()).map(|(_, kind)| *kind);
    let device = if facts.kind() == CHARACTER { Kind::Character(facts.is) } else { Kind::Block(facts.is) };
    Entry {
        name: name.to_bytes().to_vec(),
        kind: known.unwrap_or(device),
        mode: (mode & 0o7777) as u16,
        uid,
        gid,
        size,
        modified,
        changed,
        inode,
        links,
        content: Content::None,
        attributes: Vec::new(),
        // A time of the future is no proof either.
        settled: now.saturating_sub(changed) > SETTLES,
    }
}
