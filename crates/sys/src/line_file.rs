//! A file of lines that grows to a size, is set aside and begun anew; only its owner may read it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::fork_guard;

/// Older files that are kept beside it: `.1` is the newest of them.
const KEPT: u32 = 3;

/// Appends one line, with its end; from `most` bytes on, the file is renamed to `.1` first, `.1` to `.2` and so on.
///
/// # Errors
/// What the file system says. A symbolic link, a pipe or a device of this name is refused.
pub fn append(path: &Path, line: &str, most: u64) -> io::Result<()> {
    let mut file = open(path)?;
    if file.metadata()?.len().saturating_add(line.len() as u64) >= most && file.metadata()?.len() > 0 {
        drop(file);
        set_aside(path)?;
        file = open(path)?;
    }
    // One call: lines of two writers do not mix, and half a line is only there when the disk is full.
    let length = file.metadata()?.len();
    let written = file.write_all(format!("{line}\n").as_bytes());
    if written.is_err() {
        // Half a line would spoil the next one.
        let _ = file.set_len(length);
    }
    written?;
    file.sync_data()
}

fn open(path: &Path) -> io::Result<File> {
    let _alone = fork_guard::writing();
    // A pipe without a reader is refused by O_NONBLOCK (open(2)), one with a reader by its type.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if !found.is_file() {
        return refused("not a regular file");
    }
    // Whoever made it beforehand would read what is written; another name of it may be another's file.
    if found.uid() != nix::unistd::geteuid().as_raw() || found.nlink() > 1 {
        return refused("another user's file, or one with several names: name one that does not exist yet");
    }
    if found.mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

fn set_aside(path: &Path) -> io::Result<()> {
    let older = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..KEPT).rev() {
        match fs::rename(older(number), older(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, older(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_with_its_older_ones_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.jsonl");
        for number in 0..60 {
            append(&path, &format!("{{\"n\":{number:07}}}"), 100).unwrap();
        }
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap()).collect();
        names.sort_by_key(fs::DirEntry::file_name);
        assert_eq!(names.len(), 4);
        for entry in &names {
            let found = entry.metadata().unwrap();
            assert!(found.len() <= 100 && found.permissions().mode() & 0o777 == 0o600, "{entry:?}");
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("{\"n\":0000059}\n") && text.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
    }

    #[test]
    fn a_link_and_a_pipe_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (link, pipe) = (dir.path().join("link"), dir.path().join("pipe"));
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(append(&link, "x", 100).is_err() && append(&pipe, "x", 100).is_err());
        // Made beforehand by somebody who wants to read along, and a second name of a file that is not meant.
        let (planted, open) = (dir.path().join("planted"), dir.path().join("open"));
        fs::write(dir.path().join("other"), "other").unwrap();
        fs::hard_link(dir.path().join("other"), &planted).unwrap();
        fs::write(&open, "").unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(append(&planted, "x", 100).is_err());
        append(&open, "x", 100).unwrap();
        assert_eq!(fs::metadata(&open).unwrap().permissions().mode() & 0o777, 0o600);
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&open, Some(65_534), None).unwrap();
            assert!(append(&open, "x", 100).is_err());
        }
    }
}
