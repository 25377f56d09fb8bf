//! Restore a file from a backup, or to what the baseline of files knows of it; a person asks for it, and unless confirmed it is undone.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Act, ActError, ActionContext, ObservedState};
use crate::group_name;
use bartizan_guard::file_backups::{AccessCopies, AccessError, Present, Undone};
use bartizan_guard::watchdog::{self, Expiry, Watchdog};
use bartizan_model::{Action, ActionId, ActionPlan, HostText, Preview, Target, Timestamp};
use bartizan_sys::replace_file::{self, Outlives};

/// Lines of a difference that a preview shows of each side, and how long one may be.
const SHOWN: usize = 8;
const WIDTH: usize = 160;

pub(super) struct RestoreFile;

/// What undoes a restoration.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// The action's name in file names.
    name: String,
    /// BLAKE3 of what the file was before, its mode and owner; absent: there was no file.
    was: Option<(String, u32, u32, u32)>,
    /// The name beside the file under which the former one lies; raw bytes.
    former: Option<Vec<u8>>,
    watchdog: Option<Watchdog>,
    /// A person confirmed: it stays, and nothing is undone any more.
    #[serde(default)]
    stays: bool,
}

impl Snapshot {
    fn former(&self) -> Option<OsString> {
        self.former.clone().map(OsString::from_vec)
    }

    /// Whether the file is what it was before.
    fn is_back(&self, present: Option<&Present>) -> bool {
        let present = present.map(|present| (&present.hash, present.mode, present.uid, present.gid));
        present == self.was.as_ref().map(|(hash, mode, uid, gid)| (hash, *mode, *uid, *gid))
    }
}

fn whom(target: &Target) -> Result<(&HostText, &str), ActError> {
    match target {
        Target::File { path, copy } => Ok((path, copy)),
        _ => Err(ActError::Misfit("what is no file")),
    }
}

fn copies(context: &ActionContext) -> AccessCopies {
    AccessCopies::of(context.ledger.directory())
}

fn differs(present: Option<&Present>, wanted: &Present) -> bool {
    present.is_none_or(|present| !present.is_like(wanted))
}

/// Whether everybody on the host may read both: a preview is shown to everybody who may ask for one.
fn is_public(present: Option<&Present>, wanted: &Present) -> bool {
    wanted.mode & 0o004 != 0 && present.is_none_or(|present| present.mode & 0o004 != 0)
}

/// The lines that go and those that come, without what both begin and end with; bounded, escaped.
fn difference(before: &[u8], after: &[u8]) -> Vec<String> {
    let lines = |bytes: &[u8]| bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (before, after) = (lines(before), lines(after));
    let same = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
    let most = before.len().min(after.len()).saturating_sub(same);
    let tail = before.iter().rev().zip(after.iter().rev()).take(most).take_while(|(one, other)| one == other).count();
    let side = |sign: char, lines: &[Vec<u8>]| {
        let middle = lines.get(same..lines.len().saturating_sub(tail)).unwrap_or_default();
        let shown = middle.iter().take(SHOWN).map(move |line| {
            let cut = line.get(..WIDTH).unwrap_or(line);
            let more = if line.len() > WIDTH { " ..." } else { "" };
            format!("{sign} {}{more}", HostText::from(cut))
        });
        let more = middle.len().saturating_sub(SHOWN);
        shown.chain((more > 0).then(|| format!("{sign} and {more} more lines"))).collect::<Vec<_>>()
    };
    side('-', &before).into_iter().chain(side('+', &after)).collect()
}

/// What the outside undoer reads: the same words as config/expire/file.sh.
fn write_note(note: &Path, lines: [&[u8]; 4]) -> std::io::Result<()> {
    if lines.iter().any(|line| line.contains(&b'\n')) {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "a path with a line break cannot be undone from outside"));
    }
    if let Some(dir) = note.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let text = [b"file".as_slice(), lines[0], lines[1], lines[2], lines[3], b""].join(&b'\n');
    replace_file::replace(note, &text, 0o600, Outlives::Power)
}

impl RestoreFile {
    fn expiry(context: &ActionContext, name: &str, after: std::time::Duration) -> Expiry {
        let note = watchdog::note_path(context.ledger.directory(), name);
        Expiry { name: name.to_owned(), note, after, lasting: true }
    }
}

impl Act for RestoreFile {
    type Snapshot = Snapshot;

    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        let (path, copy) = whom(plan.target())?;
        let copies = copies(context);
        let wanted = copies.version(path, copy)?;
        let present = copies.present(path)?;
        if !differs(present.as_ref(), &wanted) {
            return Err(AccessError::Same(path.clone()).into());
        }
        let confirm = humantime::format_duration(context.policy().actions.confirm_within).to_string();
        let mut steps = vec![
            format!("what {path} is now is kept as a copy, and beside it until this is confirmed"),
            format!(
                "the copy is written whole, with owner {}:{} and mode {:04o}, and takes its place in one rename",
                wanted.uid, wanted.gid, wanted.mode
            ),
            format!("unless a person confirms it within {confirm}, the former file comes back; once confirmed it stays"),
            watchdog::after_reboot().to_owned(),
        ];
        let controls_access = copies.controls_access(path);
        if controls_access {
            steps.insert(2, "sshd -t or visudo -c is asked before, for the files that they read".to_owned());
        }
        match controls_access || is_public(present.as_ref(), &wanted) {
            true => steps.extend(difference(present.as_ref().map(|now| now.content.as_slice()).unwrap_or_default(), &wanted.content)),
            false => steps.push("its lines are not shown: not everybody may read it (`bartizan fim diff` shows them to root)".to_owned()),
        }
        let undo = match &present {
            Some(_) => "the former file comes back, the very same inode, as long as it was not confirmed".to_owned(),
            None => format!("{path}, which does not exist now, is removed again, as long as it was not confirmed"),
        };
        Ok(Preview {
            steps,
            blast_radius: match controls_access {
                true => format!("{path} alone; who may log in or become root may change with it"),
                false => format!("{path} alone"),
            },
            undo: vec![undo],
            ..Preview::default()
        })
    }

    fn snapshot(&self, context: &ActionContext, id: ActionId, plan: &ActionPlan) -> Result<Self::Snapshot, ActError> {
        let (path, copy) = whom(plan.target())?;
        let copies = copies(context);
        let wanted = copies.version(path, copy)?;
        let present = copies.present(path)?;
        if !differs(present.as_ref(), &wanted) {
            return Err(AccessError::Same(path.clone()).into());
        }
        let now = chrono::Utc::now();
        copies.keep(path, now)?;
        copies.hold(path, copy, present.as_ref(), now + plan.lasts())?;
        let name = group_name(id, &context.instance);
        let (_, _, former) = copies.where_is(path, &name)?;
        let former = present.as_ref().map(|_| former.into_vec());
        let was = present.map(|present| (present.hash, present.mode, present.uid, present.gid));
        Ok(Snapshot { name, was, former, watchdog: None, stays: false })
    }

    fn apply(&self, context: &ActionContext, action: &Action, mut snapshot: Self::Snapshot) -> Result<Self::Snapshot, ActError> {
        let by_person = action.by.is_person();
        let (path, copy) = whom(&action.target)?;
        if !by_person {
            return Err(AccessError::OnlyByPerson(path.clone()).into());
        }
        let copies = copies(context);
        let wanted = copies.version(path, copy)?;
        let after = (action.ends_at() - action.planned_at).to_std().unwrap_or_default();
        let expiry = Self::expiry(context, &snapshot.name, after);
        let (directory, name, _) = copies.where_is(path, &snapshot.name)?;
        let former = snapshot.former();
        let noted = write_note(
            &expiry.note,
            [
                directory.as_os_str().as_bytes(),
                name.as_bytes(),
                former.as_deref().unwrap_or(OsStr::new("-")).as_bytes(),
                copies.file_of(path, copy).as_os_str().as_bytes(),
            ],
        );
        noted.map_err(|why| AccessError::File { what: "write down how to undo", path: path.clone(), why })?;
        // First the end, then the beginning.
        snapshot.watchdog = Some(watchdog::set(&expiry)?);
        copies.put(path, &wanted, former.as_deref())?;
        Ok(snapshot)
    }

    fn verify(
        &self,
        context: &ActionContext,
        action: &Action,
        snapshot: &Self::Snapshot,
        now: Timestamp,
    ) -> Result<ObservedState, ActError> {
        let (path, copy) = whom(&action.target)?;
        let copies = copies(context);
        if snapshot.stays {
            // Shown once to whoever confirms it; from then on there is nothing that would end.
            let at = action.confirmation.as_ref().and_then(|confirmation| confirmation.confirmed_at);
            return Ok(match at.is_some_and(|at| now <= at) {
                true => ObservedState::Live(vec![format!("{path} stays as copy {}", short(copy))]),
                false => ObservedState::Gone("a person confirmed it: it stays".into()),
            });
        }
        let present = match copies.present(path) {
            Err(error) if error.is_without_place() => return Ok(ObservedState::Gone(format!("the directory of {path} is gone"))),
            present => present?,
        };
        let over = now >= action.ends_at();
        let noted = watchdog::note_path(context.ledger.directory(), &snapshot.name).exists();
        let wanted = copies.version(path, copy)?;
        match present {
            _ if !noted && over => Ok(ObservedState::Gone("nobody confirmed it in time: the former state is back".into())),
            // We died with the word given and the end not called off yet: it came.
            present if !noted && is_confirmed(action) && snapshot.is_back(present.as_ref()) => {
                Ok(ObservedState::Gone("bartizan ended while it was being confirmed: the former state is back".into()))
            }
            None => Ok(ObservedState::Drifted(format!("somebody removed {path}"))),
            Some(present) if differs(Some(&present), &wanted) => Ok(ObservedState::Drifted(format!("somebody changed {path} since"))),
            Some(_) if !over && !snapshot.watchdog.as_ref().is_some_and(watchdog::is_set) => {
                Ok(ObservedState::Drifted("its watchdog is gone: confirm it, or roll it back by hand".into()))
            }
            Some(present) => Ok(ObservedState::Live(vec![format!("{path} holds {} bytes of copy {}", present.content.len(), short(copy))])),
        }
    }

    fn revert(&self, context: &ActionContext, action: &Action, snapshot: &Self::Snapshot) -> Result<Vec<String>, ActError> {
        let (path, copy) = whom(&action.target)?;
        let copies = copies(context);
        let is_back = || copies.present(path).is_ok_and(|present| snapshot.is_back(present.as_ref()));
        if (snapshot.stays || is_confirmed(action)) && !is_back() {
            copies.settle(path, snapshot.former().as_deref())?;
            forget(context, path, snapshot);
            return Ok(vec![format!("{path} stays: it was confirmed; restore its former copy to undo it")]);
        }
        let undone = match copies.undo(path, snapshot.former().as_deref(), copy) {
            // Its account was removed meanwhile, perhaps with the directory: the note alone knows where it was.
            Err(error) if error.is_without_place() => return Err(ActError::Misfit("a file whose account is gone")),
            undone => undone?,
        };
        let said = match undone {
            Undone::Back => Some(format!("the former {path} is back")),
            Undone::Absent => Some(format!("{path} was not there before and is removed")),
            Undone::LeftAlone => Some(format!("{path} was changed by somebody since and left alone")),
            Undone::Nothing => None,
        };
        if matches!(undone, Undone::Back | Undone::Absent) && !is_back() {
            return Err(ActError::Unverified(format!("{path} is not what it was before")));
        }
        forget(context, path, snapshot);
        Ok(said.into_iter().collect())
    }

    /// Confirmed: it stays, and nothing outside of us undoes it any more.
    fn prolong(
        &self,
        context: &ActionContext,
        action: &Action,
        mut snapshot: Self::Snapshot,
        _now: Timestamp,
    ) -> Result<Self::Snapshot, ActError> {
        let (path, copy) = whom(&action.target)?;
        let copies = copies(context);
        let wanted = copies.version(path, copy)?;
        if copies.present(path)?.is_none_or(|present| present.hash != wanted.hash) {
            return Err(ActError::Unverified(format!("{path} does not hold the copy any more: there is nothing to confirm")));
        }
        // The note first: without it nobody takes the file back.
        forget(context, path, &snapshot);
        copies.settle(path, snapshot.former().as_deref())?;
        snapshot.stays = true;
        Ok(snapshot)
    }
}

fn is_confirmed(action: &Action) -> bool {
    action.confirmation.as_ref().is_some_and(|confirmation| confirmation.confirmed_at.is_some())
}

/// Nobody outside of us waits for it any more.
fn forget(context: &ActionContext, path: &HostText, snapshot: &Snapshot) {
    let note = watchdog::note_path(context.ledger.directory(), &snapshot.name);
    let _ = fs::remove_file(&note);
    match &snapshot.watchdog {
        Some(watchdog) => watchdog::call_off(watchdog),
        None => watchdog::call_off_noted(&note),
    }
    // What stays held ends at its time.
    if let Err(error) = copies(context).release(path) {
        tracing::debug!(%error, %path, "versions of a restoration that is over are held until their time");
    }
}

fn short(copy: &str) -> &str {
    copy.get(..8).unwrap_or(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_short_and_safe_to_show() {
        let before = b"one\ntwo\nthree\nfour";
        assert_eq!(difference(before, b"one\n2\x1b[31m\nthree\nfour"), ["- two", "+ 2\\x1b[31m"]);
        assert_eq!(difference(before, before), Vec::<String>::new());
        assert_eq!(difference(b"", b"a\nb"), ["- ", "+ a", "+ b"]);
        let long: Vec<u8> = (0..100).flat_map(|n| format!("{n}{}\n", "x".repeat(300)).into_bytes()).collect();
        let shown = difference(&long, b"");
        assert!(shown.len() <= 2 * SHOWN + 2 && shown.iter().all(|line| line.len() < 200), "{shown:?}");
        assert_eq!(difference(b"a\na", b"a\na\na"), ["+ a"]);
    }
}
