//! Undo everything at once, whatever else is broken.

use std::path::Path;

use super::Responder;
use super::actions::ActError;
use super::marks::Marks;
use super::transaction::line;
use bartizan_enforce::freeze::Freezer;
use bartizan_enforce::nft::{Nft, TABLE};
use bartizan_guard::watchdog;
use bartizan_model::{Action, Approver, EndCause, Timestamp};

/// Where an agent that noted nothing else down keeps its data.
const DATA: &str = "/var/lib/bartizan";

/// What an emergency stop did. All texts are safe to show.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmergencyReport {
    /// Actions that were undone.
    pub rolled_back: Vec<Action>,
    /// Those that could not be undone yet: they are tried until they are gone.
    pub pending: Vec<Action>,
    /// What else was found under our name and removed.
    pub removed: Vec<String>,
    /// What could not be done; empty means that nothing of ours is left.
    pub failures: Vec<String>,
}

impl Responder {
    /// Undoes every active action, then removes whatever is left under our name. Goes on after every error. First it is on
    /// record that all of them are meant to be gone: whatever fails or ends us afterwards, nothing is applied again.
    pub fn emergency_stop(&self, by: &Approver, now: Timestamp) -> EmergencyReport {
        let by = by.to_string();
        let by = by.as_str();
        let operation = self.operations.begin();
        let _turn = self.my_turn();
        let mut report = EmergencyReport::default();
        let active = self.want_all_gone(by, now);
        self.checkpoint("emergency begun");
        self.forget_ruleset();
        let mut pending = Vec::new();
        for action in active {
            operation.step();
            match self.undo_wanted(action, by, now) {
                Ok(action) => report.rolled_back.push(action),
                Err(ActError::UndoPending { id, .. }) => pending.push(id),
                Err(error) => report.failures.push(error.to_string()),
            }
        }
        operation.step();
        let swept = sweep_with(&self.context.freezer, self.ledger.directory());
        report.removed = swept.removed;
        report.failures.extend(swept.failures);
        // What kept them may have gone with the rest.
        self.forget_ruleset();
        for held in pending.into_iter().filter_map(|id| self.ledger.held_one(id)) {
            operation.step();
            match self.undo_wanted(Action::clone(&held.action), by, now) {
                Ok(action) => report.rolled_back.push(action),
                Err(ActError::UndoPending { why, action, .. }) => {
                    report.failures.push(format!("{}: {why}; it will not be applied again, and undoing it goes on", action.id));
                    report.pending.push(*action);
                }
                Err(error) => report.failures.push(error.to_string()),
            }
        }
        let words = format!(
            "{} actions undone, {} leftovers removed, {} failures",
            report.rolled_back.len(),
            report.removed.len(),
            report.failures.len()
        );
        self.tell(now, by, "emergency.done", "everything", words);
        report
    }

    /// One transaction for all of them; gives them as they are meant to be from here on.
    fn want_all_gone(&self, by: &str, now: Timestamp) -> Vec<Action> {
        let mut active: Vec<Action> = self.ledger.held().iter().map(|held| Action::clone(&held.action)).collect();
        for action in &mut active {
            self.decide_gone(action, EndCause::EmergencyStop, by, &format!("undone by {by}"), now);
        }
        self.context.marks.remove_all();
        // What cannot be written now is written later; memory knows it in any case.
        let _ = self.ledger.settle_all(&active, &line(now, by, "emergency.stop", "everything", "begun"));
        active
    }
}

/// Removes everything under our name without a journal: for `emergency-stop` when no agent answers.
pub fn sweep(runtime: &Path) -> EmergencyReport {
    let data = watchdog::data_of(runtime).unwrap_or_else(|| Path::new(DATA).to_owned());
    // One that hangs, or is started again, must not take this for drift and bring it back.
    if runtime.is_dir() {
        let _ = std::fs::write(runtime.join(watchdog::EMERGENCY_SIGN), "");
        Marks::below(runtime).remove_all();
    }
    match Freezer::open(runtime) {
        Ok(freezer) => sweep_with(&freezer, &data),
        Err(error) => {
            let mut report = EmergencyReport { failures: vec![error.to_string()], ..EmergencyReport::default() };
            sweep_table(&mut report);
            sweep_lasting(&data, &mut report);
            report
        }
    }
}

/// What outlives a reboot, by the script that would have undone it at its time.
fn sweep_lasting(data: &Path, report: &mut EmergencyReport) {
    for note in watchdog::lasting_notes(data) {
        let name = note.file_name().unwrap_or_default().to_string_lossy().escape_debug().to_string();
        match watchdog::undo_now(&note) {
            true => report.removed.push(format!("the change in expiry record {name}")),
            false => report.failures.push(format!("what {} tells of could not be undone: see docs/file-backups.md", note.display())),
        }
    }
    report.removed.extend(watchdog::sweep_triggers(data));
}

fn sweep_with(freezer: &Freezer, data: &Path) -> EmergencyReport {
    let mut report = EmergencyReport::default();
    sweep_table(&mut report);
    for name in freezer.noted().into_iter().chain(freezer.groups()) {
        watchdog::call_off_noted(&freezer.note(&name));
        match freezer.recall(&name).map(|frozen| freezer.thaw(&frozen)) {
            Some(Ok(thawed)) => report.removed.push(format!("freeze {}: {}", name.escape_debug(), thawed.words())),
            Some(Err(error)) => report.failures.push(format!("freeze {}: {error}", name.escape_debug())),
            None => {}
        }
    }
    sweep_lasting(data, &mut report);
    let notes = freezer.note("x");
    // With nothing left to wait for it goes.
    let _ = watchdog::look_after_second(notes.parent().unwrap_or(data), &watchdog::lasting_directory(data));
    report
}

fn sweep_table(report: &mut EmergencyReport) {
    match Nft::open().and_then(|nft| nft.delete_table()) {
        Ok(true) => report.removed.push(format!("table inet {TABLE} with every blocked address")),
        Ok(false) => {}
        // Without nf_tables nothing can be blocked.
        Err(bartizan_enforce::nft::NftError::Missing(_)) => {}
        Err(error) => report.failures.push(error.to_string()),
    }
}
