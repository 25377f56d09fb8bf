//! The end outside of us of an action that outlives a reboot: its note in the data directory and who waits for it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ActError, ActionContext};
use bartizan_guard::watchdog::{self, Expiry, Watchdog};
use bartizan_model::{Action, Timestamp};
use bartizan_sys::replace_file::{self, Outlives};

/// A note is a few lines; sixty-four endpoints of a container are the longest.
const LONGEST_NOTE: u64 = 4 << 20;

/// Where the note of the action of this name lies.
pub(super) fn note(context: &ActionContext, name: &str) -> PathBuf {
    watchdog::note_path(context.ledger.directory(), name)
}

/// What the note says; `None` when there is none.
pub(super) fn read(context: &ActionContext, name: &str) -> Option<Vec<u8>> {
    let path = note(context, name);
    fs::symlink_metadata(&path).ok().filter(|meta| meta.is_file() && meta.len() <= LONGEST_NOTE)?;
    fs::read(path).ok()
}

/// Writes the note and sets the end at [`Action::ends_at`], both through to the disk, before anything is changed. Leaves
/// nothing behind when it fails.
pub(super) fn begin(context: &ActionContext, name: &str, action: &Action, text: &[u8]) -> Result<Watchdog, ActError> {
    let path = note(context, name);
    write(&path, text)?;
    let after = left(action, action.planned_at);
    watchdog::set(&Expiry { name: name.to_owned(), note: path.clone(), after, lasting: true })
        .inspect_err(|_| drop(fs::remove_file(&path)))
        .map_err(ActError::from)
}

/// Writes the note anew: what is to be undone has become another.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), ActError> {
    let fail = |why: io::Error| ActError::Note { path: path.to_owned(), why };
    let dir = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail)?;
    replace_file::replace(path, text, 0o600, Outlives::Power).map_err(fail)
}

/// Moves the end to [`Action::ends_at`]; sets one when there is none any more.
pub(super) fn renew(
    context: &ActionContext,
    name: &str,
    action: &Action,
    watchdog: Option<&Watchdog>,
    now: Timestamp,
) -> Result<Watchdog, ActError> {
    let expiry = Expiry { name: name.to_owned(), note: note(context, name), after: left(action, now), lasting: true };
    let set = match watchdog {
        Some(watchdog) => watchdog::prolong(watchdog, &expiry)?,
        None => watchdog::set(&expiry)?,
    };
    Ok(set)
}

/// It is undone: nobody waits any more, and the note is gone.
pub(super) fn over(context: &ActionContext, name: &str, watchdog: Option<&Watchdog>) {
    let path = note(context, name);
    // First the note: whoever comes for it meanwhile finds nothing to do.
    let _ = fs::remove_file(&path);
    match watchdog {
        Some(watchdog) => watchdog::call_off(watchdog),
        None => watchdog::call_off_noted(&path),
    }
}

fn left(action: &Action, now: Timestamp) -> Duration {
    (action.ends_at() - now).to_std().unwrap_or_default()
}

/// For previews: who undoes it and when.
pub(super) fn foretold(context: &ActionContext, lasts: Duration) -> String {
    let confirm = humantime::format_duration(context.policy().actions.confirm_within.min(lasts));
    format!(
        "first a watchdog outside of bartizan is set to undo it after {confirm}; once a person confirms it, after {}; {}",
        humantime::format_duration(lasts),
        watchdog::after_reboot()
    )
}
