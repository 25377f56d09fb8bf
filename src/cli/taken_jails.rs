//! The file of the jails that were taken over from fail2ban: written whole or not at all, never over what a person wrote.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::args::Global;
use super::ask::settings;
use super::outcome::{Failure, Outcome, REFUSED};
use bartizan_fail2ban::TakenOver;
use bartizan_sys::replace_file::{Outlives, replace};

/// The command that takes them away.
const UNDO: &str = "bartizan logs import-fail2ban --remove";

/// Writes the jails where the agent looks for them; the path. What is not valid as it would be read again is not written.
pub(super) fn write(global: &Global, taken: &TakenOver) -> Result<PathBuf, Failure> {
    let path = settings(global)?.fail2ban_file();
    let text = taken.text().map_err(Failure::failed)?;
    if let Some(problem) = taken.problems().first() {
        return Err(Failure::failed(format!("nothing was written: {problem}")));
    }
    ours(&path)?;
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| replace(&path, text.as_bytes(), 0o644, Outlives::Power));
    made.map_err(|error| Failure::new(super::outcome::FAILED, format!("cannot write {}: {error}", path.display()), "run it as root"))?;
    Ok(path)
}

/// Takes the file away, if it is one that we wrote.
pub(super) fn remove(global: &Global) -> Result<Outcome, Failure> {
    let path = settings(global)?.fail2ban_file();
    let said = if ours(&path)? {
        fs::remove_file(&path).map_err(|error| Failure::failed(format!("cannot remove {}: {error}", path.display())))?;
        format!(
            "removed {}; a running agent lets go of its jails within a minute, and what they hold ends when it was to end",
            path.display()
        )
    } else {
        format!("nothing to remove: there is no {}", path.display())
    };
    match writeln!(io::stdout().lock(), "{said}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Outcome::Done),
    }
}

/// Whether there is a file, and nobody but us wrote it.
fn ours(path: &Path) -> Result<bool, Failure> {
    match fs::read_to_string(path) {
        Ok(text) if TakenOver::is_ours(&text) => Ok(true),
        Ok(_) => {
            let why = format!("{} was written or changed by hand, and is left as it is", path.display());
            Err(Failure::new(REFUSED, why, "move it away, then try again"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::failed(format!("cannot read {}: {error}", path.display()))),
    }
}

/// Says what was written, what is not in it, and how to undo it.
pub(super) fn say(out: &mut impl Write, written: Option<&Path>, taken: &TakenOver, left: &[(String, String)]) -> io::Result<()> {
    if !left.is_empty() {
        writeln!(out, "\nLeft out:")?;
        left.iter().try_for_each(|(jail, why)| writeln!(out, "  {jail}: {why}"))?;
    }
    let Some(path) = written else { return Ok(()) };
    let jails = if taken.jails.len() == 1 { "1 jail".to_owned() } else { format!("{} jails", taken.jails.len()) };
    writeln!(out, "\nWrote {jails} to {}; a running agent follows them within a minute (`bartizan logs`).", path.display())?;
    writeln!(out, "Undo: {UNDO}")
}
