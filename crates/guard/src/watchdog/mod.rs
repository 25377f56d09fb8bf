//! Who ends an action when we cannot: a standing process outside of us, else a timer of systemd or a small shell; after them
//! a shell of another name; and for what outlives a reboot a trigger on disk as well.

mod deadline;
mod fallback;
mod lasting;
mod script;
mod second;
mod serve;
mod standing;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use bartizan_model::ProcessKey;
use bartizan_sys::child;
pub use lasting::Trigger;
pub use second::look_after as look_after_second;
pub use serve::serve;
pub use standing::{Seen, Standing};

/// Name of the file in the runtime directory by which the script tells a living agent that everything is undone.
pub const EMERGENCY_SIGN: &str = "emergency-stop";

/// Reads a part of the scripts in `config/expire`.
macro_rules! part {
    ($name:literal) => {
        include_str!(concat!("../../../../config/expire/", $name, ".sh"))
    };
}

/// The script that undoes one action at its time: what the note beside it tells of.
pub const EXPIRE_SCRIPT: &str = concat!(
    part!("head"),
    part!("process"),
    part!("freeze"),
    part!("account"),
    part!("container"),
    part!("file"),
    part!("undo"),
    part!("claim"),
    part!("tail")
);
/// The script that waits for all notes and undoes what nobody undid in time.
const SECOND_SCRIPT: &str = concat!(
    part!("second-head"),
    part!("process"),
    part!("freeze"),
    part!("account"),
    part!("container"),
    part!("file"),
    part!("undo"),
    part!("claim"),
    part!("second")
);
/// The script that undoes everything without us; installed next to the program.
pub const EMERGENCY_SCRIPT: &str = concat!(
    part!("emergency-head"),
    part!("process"),
    part!("freeze"),
    part!("account"),
    part!("container"),
    part!("file"),
    part!("undo"),
    part!("emergency")
);
const SHELL: &str = "/bin/sh";
/// How long an undoing script may take when somebody waits for it.
const UNDOING: Duration = Duration::from_secs(60);

/// Why no watchdog could be set.
#[derive(Debug, thiserror::Error)]
#[error("could not {what}: {why}")]
pub struct WatchdogError {
    what: &'static str,
    why: io::Error,
}

fn directory(note: &Path) -> &Path {
    note.parent().unwrap_or_else(|| Path::new("/"))
}

fn fail(what: &'static str) -> impl FnOnce(io::Error) -> WatchdogError {
    move |why| WatchdogError { what, why }
}

/// An end that is to come whatever becomes of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The action's name in file names: letters, digits, `-` and `_`.
    pub name: String,
    /// What tells how it is undone; its first line is the method. Need not exist yet.
    pub note: PathBuf,
    /// How long from now.
    pub after: Duration,
    /// Whether the effect outlives a reboot: then a trigger on disk is set too.
    pub lasting: bool,
}

/// Who ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeper {
    /// The standing watchdog.
    Standing,
    /// A transient systemd timer.
    Timer(String),
    /// A shell of our own, leader of its own session.
    Shell(ProcessKey),
}

/// One that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    note: PathBuf,
    keeper: Keeper,
    /// The trigger on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trigger: Option<Trigger>,
}

impl Watchdog {
    /// Who ends it.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Who ends it after a reboot; absent when nobody but the agent itself does.
    pub fn trigger(&self) -> Option<&Trigger> {
        self.trigger.as_ref()
    }
}

/// Where the notes of actions that outlive a reboot lie.
pub fn lasting_directory(data: &Path) -> PathBuf {
    data.join("expiry")
}

/// Where the note of an action that outlives a reboot lies.
pub fn note_path(data: &Path, name: &str) -> PathBuf {
    lasting_directory(data).join(name)
}

/// For a preview: who ends a lasting action after a reboot of this host.
pub fn after_reboot() -> &'static str {
    lasting::foretold()
}

/// Makes sure that what the note tells of is undone `after` this time, whatever becomes of us.
///
/// # Errors
/// When nobody can be found who does it: then nothing may be begun.
pub fn set(expiry: &Expiry) -> Result<Watchdog, WatchdogError> {
    let dir = directory(&expiry.note);
    if expiry.lasting {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail("make the directory for notes"))?;
    }
    deadline::write(&expiry.note, expiry.after, expiry.lasting).map_err(fail("write down when it ends"))?;
    let made = || {
        let trigger = if expiry.lasting { lasting::set(&expiry.name, &expiry.note, expiry.after)? } else { None };
        let keeper = if standing::watches(dir) { Keeper::Standing } else { fallback::set(expiry)? };
        Ok(Watchdog { note: expiry.note.clone(), keeper, trigger })
    };
    made().inspect_err(|_| call_off_noted(&expiry.note))
}

/// Moves the end to `expiry.after` from now, later or earlier.
///
/// # Errors
/// As for [`set`]; then the former end stands.
pub fn prolong(watchdog: &Watchdog, expiry: &Expiry) -> Result<Watchdog, WatchdogError> {
    let dir = directory(&expiry.note);
    let trigger = if expiry.lasting { lasting::prolong(&expiry.name, &expiry.note, expiry.after)? } else { None };
    deadline::write(&expiry.note, expiry.after, expiry.lasting).map_err(fail("write down when it ends"))?;
    // A shell or a transient timer sleeps for a time that cannot be changed.
    let former = &watchdog.keeper;
    let keeper = if standing::watches(dir) { Keeper::Standing } else { fallback::set(expiry)? };
    if *former != keeper {
        fallback::call_off(former);
    }
    Ok(Watchdog { note: watchdog.note.clone(), keeper, trigger })
}

/// What a note tells of is meant to be gone: whoever waits for its time comes now. Nothing when there is no note.
pub fn due_now(note: &Path) {
    if note.exists() && deadline::path(note).exists() {
        // What cannot be written leaves the end at its time.
        let _ = deadline::write(note, Duration::ZERO, false);
    }
}

/// Calls it off. Harmless when it is gone.
pub fn call_off(watchdog: &Watchdog) {
    fallback::call_off(&watchdog.keeper);
    call_off_noted(&watchdog.note);
}

/// Calls off whoever waits for a note, by what lies beside it: for notes whose journal row knows no watchdog.
pub fn call_off_noted(note: &Path) {
    deadline::remove(note);
    fallback::call_off_noted(note);
    // Whoever was ending it and was killed in between left its claim.
    let mut claim = note.as_os_str().to_owned();
    claim.push(".ending");
    let _ = fs::remove_file(claim);
    if let Some(name) = note.file_name().and_then(|name| name.to_str()) {
        lasting::remove(name);
    }
}

/// Undoes now what a note tells of, by the same script as at its time; whether the note is gone then. Waits for it, at
/// most a minute.
pub fn undo_now(note: &Path) -> bool {
    serve::run(note).is_ok_and(|child| child::finish(child, UNDOING) == Some(true)) && !note.exists()
}

/// The notes of actions that outlive a reboot, at most 4096.
pub fn lasting_notes(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("expiry")).into_iter().flatten().flatten();
    let plain = |entry: &fs::DirEntry| !entry.file_name().as_encoded_bytes().contains(&b'.');
    entries.filter(plain).map(|entry| entry.path()).take(4096).collect()
}

/// Removes every trigger for after a reboot that tells of a note below `data`, and deadlines whose note is gone; names
/// what was removed.
pub fn sweep_triggers(data: &Path) -> Vec<String> {
    lasting::sweep(&data.join("expiry"))
}

/// The data directory that the agent of this runtime directory worked in, as it noted down.
pub fn data_of(runtime: &Path) -> Option<PathBuf> {
    standing::data_of(runtime)
}

/// Whether it still watches. Costs two small system calls for the standing one.
pub fn is_set(watchdog: &Watchdog) -> bool {
    match &watchdog.keeper {
        Keeper::Standing => {
            let dir = directory(&watchdog.note);
            deadline::path(&watchdog.note).exists() && standing::watches(dir)
        }
        Keeper::Timer(unit) => fallback::timer_waits(unit),
        Keeper::Shell(key) => bartizan_sys::pidfd::key_of(key.pid) == Some(*key),
    }
}

#[cfg(test)]
mod tests;
