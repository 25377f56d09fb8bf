//! The text of `/proc/PID/mountinfo` (proc(5)), read in one place for everybody who asks what is mounted where.
//!
//! As bytes: the `procfs` crate gives up the whole table at the first byte that is not UTF-8, and any user who may mount by
//! fusermount(1) can put one there.

/// One line: `36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Number of the mount.
    pub id: u64,
    /// Device number of its file system, `major << 20 | minor`.
    pub device: u32,
    /// Which part of the file system is mounted: `/` is all of it.
    pub root: Vec<u8>,
    /// Where it is mounted.
    pub point: Vec<u8>,
    /// Kind of file system.
    pub kind: Vec<u8>,
    /// What was mounted.
    pub source: Vec<u8>,
    /// Options of the file system: for cgroup v1 its controllers.
    pub options: Vec<u8>,
}

/// What this process sees; nothing where /proc does not tell.
pub fn own() -> Vec<Line> {
    lines(&std::fs::read("/proc/thread-self/mountinfo").unwrap_or_default()).collect()
}

impl Line {
    /// A hierarchy of cgroups, version 2.
    pub fn is_cgroup2(&self) -> bool {
        self.kind == b"cgroup2"
    }

    /// The hierarchy of version 1 by which processes are frozen.
    pub fn is_old_freezer(&self) -> bool {
        self.kind == b"cgroup" && self.options.split(|byte| *byte == b',').any(|option| option == b"freezer")
    }
}

/// Its lines; what makes no sense is left out.
pub fn lines(text: &[u8]) -> impl Iterator<Item = Line> {
    text.split(|byte| *byte == b'\n').filter_map(line)
}

fn line(line: &[u8]) -> Option<Line> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let (major, minor) = std::str::from_utf8(fields.nth(1)?).ok()?.split_once(':')?;
    let device = major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?;
    let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
    let mut after = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = unescaped(after.next()?);
    let mut more = || unescaped(after.next().unwrap_or_default());
    Some(Line { id, device, root, point, kind, source: more(), options: more() })
}

/// Space, tab, newline and backslash stand as a backslash and three octal digits: `\040`.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal =
            (*first == b'\\').then(|| std::str::from_utf8(after.get(..3)?).ok().and_then(|d| u8::from_str_radix(d, 8).ok())).flatten();
        out.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_read_with_its_odd_names() {
        let text = b"36 35 98:7 /a /mnt\\0402\\134x rw master:1 shared:7 - fuse.x a\\011b rw,user\ncut 1\n37 35 0:1 / /p rw - proc\n";
        let read: Vec<_> = lines(text).collect();
        let odd = Line {
            id: 36,
            device: 98 << 20 | 7,
            root: b"/a".to_vec(),
            point: b"/mnt 2\\x".to_vec(),
            kind: b"fuse.x".to_vec(),
            source: b"a\tb".to_vec(),
            options: b"rw,user".to_vec(),
        };
        assert_eq!((read.len(), read.first(), read.last().map(|line| line.kind.as_slice())), (2, Some(&odd), Some(&b"proc"[..])));
    }

    proptest! {
        #[test]
        fn no_text_can_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = lines(&bytes).count();
        }
    }
}
