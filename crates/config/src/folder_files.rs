//! The files of a folder that people and root's jobs fill: found in order, read one by one within bounds, or named with the reason why not.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Deepest folder that is looked into.
pub(super) const MAX_DEPTH: usize = 8;
/// Permission to write for the group or for all (inode(7)).
const OTHERS_MAY_WRITE: u32 = 0o022;

/// Which files are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Endings of their names, without the dot.
    pub(super) endings: &'static [&'static str],
    /// Most of them.
    pub(super) max_files: usize,
    /// Longest one, in bytes.
    pub(super) max_bytes: u64,
    /// Only those that root owns and nobody else may write; otherwise that is asked of what symbolic links lead to.
    pub(super) of_root_alone: bool,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What is in it, or why it is not read.
    pub content: Result<Vec<u8>, String>,
    /// When its content was last changed, if it could be read.
    pub modified: Option<SystemTime>,
}

/// A file that was found, or why it is not read.
struct Found {
    path: PathBuf,
    linked: bool,
    problem: Option<String>,
}

/// The wanted files in a folder and those below it, by name; each is read when it is asked for. A folder that is not there holds none.
/// A symbolic link is followed to a regular file, never to a folder.
pub(super) fn folder_files(folder: &Path, wanted: Wanted) -> impl Iterator<Item = FolderFile> {
    let mut found = Vec::new();
    walk(folder, 0, wanted, &mut found);
    if found.len() > wanted.max_files {
        found.truncate(wanted.max_files);
        found.push(refused(folder, format!("more than {} files: the rest is not read", wanted.max_files)));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.into_iter().map(move |one| match one.problem {
        Some(problem) => FolderFile { path: one.path, content: Err(problem), modified: None },
        None => match read(&one, wanted) {
            Ok((content, modified)) => FolderFile { path: one.path, content: Ok(content), modified },
            Err(error) => FolderFile { path: one.path, content: Err(error.to_string()), modified: None },
        },
    })
}

fn refused(path: &Path, problem: impl ToString) -> Found {
    Found { path: path.to_owned(), linked: false, problem: Some(problem.to_string()) }
}

/// Takes in one more than the most at most.
fn walk(folder: &Path, depth: usize, wanted: Wanted, out: &mut Vec<Found>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return out.push(refused(folder, error)),
    };
    for entry in entries {
        if out.len() > wanted.max_files {
            return;
        }
        let found = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)));
        let (path, kind) = match found {
            Ok(found) => found,
            Err(error) => {
                out.push(refused(folder, error));
                continue;
            }
        };
        if kind.is_dir() && depth < MAX_DEPTH {
            walk(&path, depth + 1, wanted, out);
        } else if kind.is_dir() {
            out.push(refused(&path, format!("a folder more than {MAX_DEPTH} deep: not read")));
        } else if kind.is_symlink() && path.is_dir() {
            out.push(refused(&path, "a symbolic link to a folder: not followed; put the files here, or a link to each"));
        } else if path.extension().is_some_and(|ending| wanted.endings.iter().any(|one| ending == *one)) {
            out.push(match (kind.is_file(), kind.is_symlink()) {
                (false, false) => refused(&path, "not a regular file"),
                (_, linked) => Found { path, linked, problem: None },
            });
        }
    }
}

/// Whoever could change a file could change what is judged by it, so what a link leads to is root's.
fn read(found: &Found, wanted: Wanted) -> io::Result<(Vec<u8>, Option<SystemTime>)> {
    if !fs::metadata(&found.path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(&found.path)?;
    let opened = file.metadata()?;
    if !opened.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    match (opened.uid() == 0, found.linked) {
        (false, true) => return Err(io::Error::other("a symbolic link to a file that is not owned by root")),
        (false, false) if wanted.of_root_alone => return Err(io::Error::other("not owned by root")),
        _ => {}
    }
    if wanted.of_root_alone && opened.mode() & OTHERS_MAY_WRITE != 0 {
        return Err(io::Error::other("others than root may write it: chmod go-w"));
    }
    let mut content = Vec::new();
    file.take(wanted.max_bytes + 1).read_to_end(&mut content)?;
    if content.len() as u64 > wanted.max_bytes {
        return Err(io::Error::other(format!("longer than {} KiB", wanted.max_bytes >> 10)));
    }
    Ok((content, opened.modified().ok()))
}
