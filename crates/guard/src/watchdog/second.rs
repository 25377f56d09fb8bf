//! The second end: one plain `sh` for all notes, which comes some seconds after the standing watchdog. It bears neither our
//! name nor a path of ours, so that whatever ends us and the watchdog by name (`killall -9 bartizan`) leaves it alone.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Mutex;

use super::fallback::{end_shell, hear_pid};
use super::standing::read_key;
use super::{SECOND_SCRIPT, SHELL, WatchdogError, deadline, fail};
use bartizan_model::{ProcessKey, Unpoisoned as _};
use bartizan_sys::detached::Detached;
use bartizan_sys::pidfd::key_of;
use bartizan_sys::process_stat::Stat;
use bartizan_sys::replace_file::{self, Outlives};

/// In the first directory: "PID START" of the shell.
const MARK: &str = ".second";
/// In the first directory: what it reads.
const SCRIPT: &str = ".second.sh";
/// A mark is no longer.
const LONGEST: u64 = 64;

/// Makes sure that it waits while there is a note to wait for, and ends it when there is none. Cheap while nothing changes.
///
/// # Errors
/// When it cannot be started.
pub fn look_after(runtime_notes: &Path, lasting_notes: &Path) -> Result<(), WatchdogError> {
    // Two who look at once would start two.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unpoisoned();
    let waited_for = [runtime_notes, lasting_notes].into_iter().any(has_deadline);
    match (waited_for, living(runtime_notes)) {
        (true, Some(key)) if !is_stopped(key) => Ok(()),
        (true, former) => {
            former.into_iter().for_each(end_shell);
            start(runtime_notes, lasting_notes)
        }
        (false, former) => {
            end(runtime_notes, former);
            Ok(())
        }
    }
}

fn end(runtime_notes: &Path, former: Option<ProcessKey>) {
    former.into_iter().for_each(end_shell);
    replace_file::remove(&runtime_notes.join(MARK));
    replace_file::remove(&runtime_notes.join(SCRIPT));
}

fn has_deadline(notes: &Path) -> bool {
    let mut entries = fs::read_dir(notes).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().to_str().is_some_and(|name| name.ends_with(deadline::SUFFIX)))
}

fn living(notes: &Path) -> Option<ProcessKey> {
    let bytes = bartizan_sys::digest::read_bounded(&notes.join(MARK), LONGEST).ok()?;
    read_key(&String::from_utf8_lossy(&bytes)).filter(|key| key_of(key.pid) == Some(*key))
}

fn is_stopped(key: ProcessKey) -> bool {
    Stat::read(key.pid).is_some_and(|stat| matches!(stat.state, b'T' | b't'))
}

/// It reads its script from standard input and its directories from the environment: its command line is `sh`.
fn start(runtime_notes: &Path, lasting_notes: &Path) -> Result<(), WatchdogError> {
    const WHAT: &str = "start the second end";
    let (at, mark) = (runtime_notes.join(SCRIPT), runtime_notes.join(MARK));
    let script = replace_file::replace(&at, SECOND_SCRIPT.as_bytes(), 0o600, Outlives::Us).and_then(|()| File::open(at));
    let script = script.map_err(fail(WHAT))?;
    let shell = Detached::new(SHELL, "sh", &[]).stdin(script);
    let shell = shell.env("RUNTIME_NOTES", runtime_notes.as_os_str()).env("LASTING_NOTES", lasting_notes.as_os_str());
    let key = hear_pid(shell, WHAT)?;
    replace_file::replace(&mark, format!("{} {}\n", key.pid, key.start).as_bytes(), 0o600, Outlives::Us).map_err(fail(WHAT))
}
