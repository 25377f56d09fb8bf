//! A log file that never grows beyond a bound: when it is full it steps aside, and the oldest goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bartizan_model::Unpoisoned as _;

/// Size at which the file steps aside, in bytes.
const LARGEST: u64 = 8 * 1024 * 1024;
/// How many older files are kept: with the present one 32 MiB at most.
const KEPT: u32 = 3;

/// The file and its size.
#[derive(Debug)]
pub(super) struct Rolling {
    path: PathBuf,
    largest: u64,
    state: Mutex<(File, u64)>,
    lost: AtomicU64,
}

impl Rolling {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::bounded(path, LARGEST)
    }

    fn bounded(path: &Path, largest: u64) -> io::Result<Self> {
        let file = append(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), largest, state: Mutex::new((file, size)), lost: AtomicU64::new(0) })
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unpoisoned();
        if state.1 > 0 && state.1 + line.len() as u64 > self.largest {
            for number in (1..=KEPT).rev() {
                let from = if number == 1 { self.path.clone() } else { self.older(number - 1) };
                match fs::rename(from, self.older(number)) {
                    Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
                    _ => {}
                }
            }
            *state = (append(&self.path)?, 0);
        }
        state.0.write_all(line)?;
        state.1 += line.len() as u64;
        Ok(())
    }

    fn older(&self, number: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Takes one line at a time. A line that cannot be written is counted, not reported: there is nowhere to report it to.
#[derive(Debug)]
pub(super) struct Line(pub(super) Arc<Rolling>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.write(line).is_err() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_never_grow_beyond_their_bound_and_the_newest_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let rolling = Arc::new(Rolling::bounded(&path, 100).unwrap());
        for number in 0..100 {
            Line(Arc::clone(&rolling)).write_all(format!("line number {number:04}\n").as_bytes()).unwrap();
        }
        let sizes: Vec<u64> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
        assert!(sizes.len() == 4 && sizes.iter().all(|size| *size <= 100), "{sizes:?}");
        assert!(fs::read_to_string(&path).unwrap().ends_with("line number 0099\n"));
        // Reopened, it goes on where it was.
        Line(Arc::new(Rolling::bounded(&path, 100).unwrap())).write_all(b"again\n").unwrap();
        assert!(fs::read_to_string(&path).unwrap().ends_with("0099\nagain\n"));
    }

    #[test]
    fn a_full_disk_is_counted() {
        let rolling = Arc::new(Rolling::open(Path::new("/dev/full")).unwrap());
        Line(Arc::clone(&rolling)).write_all(b"x\n").unwrap();
        assert_eq!(rolling.lost(), 1);
    }
}
