//! Evidence of a tree that stands still: kept, put on record, told. Nothing here can stop the freeze or the kill.

mod locker;
mod process;
mod shelf;
mod sockets;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::Responder;
use super::actions::{ActionContext, frozen_of};
use bartizan_enforce::freeze::Frozen;
use bartizan_model::{Action, ActionState, AuditBody, KeptEvidence, ProcessKey, Target, Unpoisoned as _};
use bartizan_sys::sched;
pub(super) use locker::Locker;
use locker::{Captured, PATIENCE};

/// Files whose hash stands in the audit line; the manifest, whose hash stands there too, names the others.
const MAX_LISTED: usize = 128;

/// For the preview, in one line.
pub(super) fn foretold(context: &ActionContext) -> String {
    format!("while it stands still, keep executables, maps, environment, descriptors and sockets below {}", context.locker.directory())
}

/// For the receipt: "evidence: 24 files in /var/lib/bartizan/evidence/A1-8f3c".
pub(super) fn summary(evidence: &KeptEvidence) -> String {
    let missing = match evidence.missing.as_slice() {
        [] => String::new(),
        [one] => format!(", missing: {one}"),
        [first, rest @ ..] => format!(", missing: {first} (and {} more)", rest.len()),
    };
    match evidence.files {
        0 => format!("no evidence was kept: {}", evidence.missing.first().map_or("the tree had ended", String::as_str)),
        n => format!("evidence: {n} files in {}{missing}", evidence.directory),
    }
}

/// Trees of which evidence is kept at the same time, each on a thread of its own; one more is kept by who froze it.
const AT_ONCE: usize = 4;
static KEEPING: AtomicUsize = AtomicUsize::new(0);

impl ActionContext {
    /// Keeps evidence of everybody in a frozen tree, the root first, and puts it on record: in the action's row and in
    /// one line of the audit log. What fails is in the row.
    pub(super) fn keep_evidence(&self, action: &Action, name: &str, frozen: &Frozen) {
        let (evidence, line) = self.capture(action, name, frozen);
        // A ledger that cannot be written is found, and the action taken back, at the receipt.
        let row = Action { evidence: Some(evidence), ..action.clone() };
        let _ = self.ledger.settle(&row, None, Some(&line));
    }

    fn capture(&self, action: &Action, name: &str, frozen: &Frozen) -> (KeptEvidence, AuditBody) {
        let captured = self.locker.capture(name, &in_order(action, frozen), PATIENCE);
        let evidence = KeptEvidence {
            directory: captured.directory.to_string_lossy().escape_debug().to_string(),
            files: captured.files.len(),
            bytes: captured.files.iter().map(|file| file.bytes).sum(),
            missing: captured.missing.clone(),
        };
        let line = AuditBody {
            at: action.planned_at,
            actor: action.by.to_string(),
            what: "evidence.kept".to_owned(),
            subject: action.id.to_string(),
            detail: audit_line(&captured, &evidence),
        };
        (evidence, line)
    }

    /// The same for a freeze that is live: its row may have changed meanwhile, and stays as it is but for the evidence.
    fn keep_afterwards(&self, action: &Action, frozen: &Frozen, turn: &Mutex<()>) {
        let (evidence, line) = self.capture(action, &frozen.name, frozen);
        // Whoever acts next waits for the turn.
        sched::step_forward();
        let _turn = turn.lock().unpoisoned();
        if let Ok(Some(mut row)) = self.ledger.action(action.id) {
            if row.state == ActionState::Live {
                row.note = format!("{}; {}", row.note, summary(&evidence));
            }
            row.evidence = Some(evidence);
            // What cannot be written now is kept in memory until it can.
            let _ = self.ledger.settle(&row, None, Some(&line));
        }
    }
}

impl Responder {
    /// Keeps evidence of a tree that stands still already, on a thread of its own: nobody else waits for it.
    pub(super) fn keep_evidence_of(&self, action: &Action) {
        let Ok(snapshot) = self.snapshot(action.id) else { return };
        let Some(frozen) = frozen_of(&snapshot) else { return };
        let (context, turn, action) = (Arc::clone(&self.context), Arc::clone(&self.turn), action.clone());
        let keep = move || {
            context.keep_afterwards(&action, &frozen, &turn);
            KEEPING.fetch_sub(1, Ordering::Relaxed);
        };
        if KEEPING.fetch_add(1, Ordering::Relaxed) >= AT_ONCE {
            return keep();
        }
        // The thread that acts runs before others, and this one would inherit it.
        let keep = move || {
            sched::background();
            keep();
        };
        if let Err(error) = std::thread::Builder::new().name("evidence".to_owned()).spawn(keep) {
            KEEPING.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(%error, "no thread to keep evidence");
        }
    }
}

/// The root comes first: should the time run out, it is there.
fn in_order(action: &Action, frozen: &Frozen) -> Vec<ProcessKey> {
    let mut keys: Vec<ProcessKey> = frozen.members.iter().map(|member| member.key).collect();
    if let Target::ProcessTree { root, .. } = &action.target {
        keys.sort_by_key(|key| key != root);
    }
    keys
}

fn audit_line(captured: &Captured, evidence: &KeptEvidence) -> String {
    let mut words = vec![format!("{} files, {} bytes in {}", evidence.files, evidence.bytes, evidence.directory)];
    words.extend(captured.manifest.as_ref().map(|hash| format!("manifest={hash}")));
    words.extend(captured.files.iter().take(MAX_LISTED).map(|file| format!("{}={}", file.name, file.hash)));
    let more = captured.files.len().saturating_sub(MAX_LISTED);
    if more > 0 {
        words.push(format!("{more} more in the manifest"));
    }
    words.extend(captured.missing.iter().map(|why| format!("missing: {why}")));
    words.extend(captured.removed.iter().map(|name| format!("older evidence removed: {name}")));
    words.join("; ")
}
