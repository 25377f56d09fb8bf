//! Who may change a file of the system: root alone, or somebody else too.

use super::{Facts, HostView, Notes, quoted, shown};
use bartizan_model::Severity;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Who besides root may write, in words.
pub(super) fn others_write(facts: &Facts) -> Option<&'static str> {
    // In a sticky directory nobody replaces the files of others.
    if facts.mode & OTHERS_WRITE != 0 && !(facts.is_directory && facts.mode & STICKY != 0) {
        Some("every user of this host can write to it")
    } else if facts.uid != 0 {
        Some("it does not belong to root")
    } else if facts.mode & GROUP_WRITES != 0 && facts.gid != 0 && !(facts.is_directory && facts.mode & STICKY != 0) {
        Some("a group other than root's can write to it")
    } else {
        None
    }
}

/// Whether nobody but root can put a link, or another file, in the place of this path: then a root who pastes a command meets what was found.
pub(super) fn only_root_places(view: &dyn HostView, path: &[u8]) -> bool {
    let above = path.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at > 0).filter_map(|(at, _)| path.get(..at));
    let is_roots = |part: &[u8]| {
        view.link(part).is_none()
            && view.facts(part).is_none_or(|facts| facts.uid == 0 && (facts.mode & 0o022 == 0 || facts.mode & STICKY != 0))
    };
    view.facts(path).is_some_and(|facts| facts.uid == 0) && view.link(path).is_none() && above.into_iter().all(is_roots)
}

/// Notes a path that somebody besides root may write to.
pub(super) fn only_root_writes(view: &dyn HostView, notes: &mut Notes, path: &[u8], meaning: &str) {
    let Some(facts) = view.facts(path).filter(|facts| !facts.is_device) else { return };
    let Some(why) = others_write(&facts) else { return };
    let severity = match (facts.mode & OTHERS_WRITE != 0, facts.uid != 0) {
        (true, _) => Severity::Critical,
        (false, true) => Severity::High,
        (false, false) => Severity::Medium,
    };
    let title = format!("{}: {why}, and {meaning}", shown(path));
    let evidence = format!("mode {:04o}, uid {}, gid {}", facts.mode, facts.uid, facts.gid);
    let fix = match only_root_places(view, path) {
        true => format!("chown root:root {path} && chmod go-w {path}", path = quoted(path)),
        // The mend of the directory makes the other one possible.
        false => format!(
            "somebody else can put a link in its place: see who with `namei -l {0}`, mend that directory first, then `ls -ld {0}` and \
             `chown -h root:root {0} && chmod go-w {0}`",
            quoted(path)
        ),
    };
    notes.found(severity, path, "writable", title, evidence.as_bytes(), fix);
}
