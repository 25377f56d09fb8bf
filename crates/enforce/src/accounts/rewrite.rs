//! Changing one line of /etc/shadow: under the locks of the account files, whole or not at all, nothing else touched.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use super::AccountError;
use super::lock;
use bartizan_model::HostText;
use bartizan_sys::replace_file::{NewFile, Outlives};
use bartizan_sys::xattrs;

const SHADOW: &str = "/etc/shadow";
/// Beside the file, so that rename(2) puts it there at once. One name: what a crash left is found and removed.
const FRESH: &str = "/etc/.shadow.bartizan";
/// A larger file is refused.
const MAX_BYTES: u64 = 16 << 20;
/// Times that the file may be replaced beneath us by somebody who does not take the lock.
const TRIES: usize = 5;

pub(super) fn fail(what: &'static str, file: &'static str) -> impl FnOnce(io::Error) -> AccountError {
    move |why| AccountError::File { what, file, why }
}

/// The line of this account as it is now, without its line end; `None` when it has none.
///
/// # Errors
/// When /etc/shadow cannot be read or is no regular file.
pub fn line_of(name: &HostText) -> Result<Option<Vec<u8>>, AccountError> {
    let (bytes, _) = read()?;
    Ok(place(&bytes, name).and_then(|(from, to)| bytes.get(from..to).map(<[u8]>::to_vec)))
}

/// Replaces the line of this account by what `change` makes of it; `None` leaves it. `change` gets the line as it is while
/// nobody else can change it, and may be asked again when somebody did without taking the lock. Gives whether anything
/// was changed.
///
/// # Errors
/// [`AccountError`] when there is no such line, the lock is held by another or the file cannot be replaced; what `change`
/// gives. The file is untouched then.
pub fn rewrite<E: From<AccountError>>(name: &HostText, mut change: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>) -> Result<bool, E> {
    let _lock = lock::take()?;
    for _ in 0..TRIES {
        let (bytes, was) = read()?;
        let Some((from, to)) = place(&bytes, name) else { return Err(AccountError::NoShadow(name.clone()).into()) };
        let part = |range: std::ops::Range<usize>| bytes.get(range).unwrap_or_default();
        let Some(line) = change(part(from..to))? else { return Ok(false) };
        let fresh = [part(0..from), &line, part(to..bytes.len())].concat();
        if replace(&fresh, &was)? {
            return Ok(true);
        }
    }
    Err(AccountError::Busy.into())
}

fn read() -> Result<(Vec<u8>, File), AccountError> {
    let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(SHADOW).map_err(fail("read", SHADOW))?;
    let meta = file.metadata().map_err(fail("read", SHADOW))?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Err(fail("read", SHADOW)(io::Error::other("it is no file of at most 16 MiB")));
    }
    let mut bytes = Vec::new();
    (&file).take(MAX_BYTES).read_to_end(&mut bytes).map_err(fail("read", SHADOW))?;
    Ok((bytes, file))
}

/// Where the first line of this account begins and ends.
fn place(bytes: &[u8], name: &HostText) -> Option<(usize, usize)> {
    let mut from = 0;
    for line in bytes.split(|byte| *byte == b'\n') {
        let to = from + line.len();
        if line.split(|byte| *byte == b':').next() == Some(name.as_bytes()) && line.contains(&b':') {
            return Some((from, to));
        }
        from = to + 1;
    }
    None
}

/// `false` when the file is not the one that was read any more.
fn replace(bytes: &[u8], was: &File) -> Result<bool, AccountError> {
    let failed = |why| AccountError::File { what: "write", file: FRESH, why };
    let meta = was.metadata().map_err(fail("read", SHADOW))?;
    // Under the lock this name is ours alone.
    let mut fresh = NewFile::beside(Path::new(SHADOW), FRESH.into(), 0o600).map_err(failed)?;
    fresh.write_all(bytes).map_err(failed)?;
    fchown(fresh.file(), Some(meta.uid()), Some(meta.gid())).map_err(failed)?;
    fresh.file().set_permissions(meta.permissions()).map_err(failed)?;
    xattrs::copy(was, fresh.file()).map_err(failed)?;
    let same = |now: &fs::Metadata| {
        (now.dev(), now.ino(), now.size()) == (meta.dev(), meta.ino(), meta.size())
            && (now.mtime(), now.mtime_nsec(), now.ctime(), now.ctime_nsec())
                == (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec())
    };
    let still = || fs::symlink_metadata(SHADOW).is_ok_and(|now| same(&now));
    fresh.take_place_if(Outlives::Power, still).map_err(fail("replace", SHADOW))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_name_at_the_beginning_of_a_line_counts() {
        let file = b"joann:x:1\nann\nann:y:2\nann:z:3\n";
        let found = place(file, &HostText::from("ann")).unwrap();
        assert_eq!(&file[found.0..found.1], b"ann:y:2");
        assert_eq!(place(file, &HostText::from("an")), None);
        assert_eq!(place(b"ann:last", &HostText::from("ann")), Some((0, 8)));
    }
}
