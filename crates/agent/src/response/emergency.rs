//! The emergency stop: everything is undone, the mode becomes PARANOID, and leave that was given before and not used is void.

use std::sync::Arc;
use std::time::Duration;

use super::Response;
use super::decider::Decider;
use crate::mailbox::Unheard;
use bartizan_guard::watchdog::EMERGENCY_SIGN;
use bartizan_model::{Approver, Mode};
use bartizan_protocol::{ErrorCode, Refusal};

/// So long it waits for the court to hear of it; the court hears of it in any case.
const HURRY: Duration = Duration::from_secs(2);

impl Response {
    /// Stops everything; what was done, in words.
    pub(crate) fn emergency_stop(self: &Arc<Self>, by: &Approver) -> Result<String, Refusal> {
        // First nothing new may begin, whatever the court is at; then the old is undone.
        self.responder.halt();
        // Should we be ended before the court hears of it, the next run begins so; whatever mode still waits before it, it writes
        // this one last.
        self.remember_mode(Mode::Paranoid);
        let response = Arc::clone(self);
        let actor = by.to_string();
        let paranoid = move |decider: &mut Decider| response.responder.go_on_from(decider.set_mode(Mode::Paranoid, &actor));
        let mode = match self.court.insist(HURRY, paranoid) {
            Ok(()) => "mode is PARANOID",
            // Nothing is begun until then.
            Err(Unheard::Late) => "the court is busy: the mode changes to PARANOID as soon as it is free; until then no action starts",
            Err(Unheard::Ended) => {
                self.mode_changed(self.standing().mode, Mode::Paranoid, &by.to_string());
                "the agent is stopping; it starts in PARANOID next time"
            }
        };
        self.undo_everything(by, mode)
    }

    fn undo_everything(&self, by: &Approver, mode: &str) -> Result<String, Refusal> {
        let report = self.responder.emergency_stop(by, chrono::Utc::now());
        report.rolled_back.iter().chain(&report.pending).for_each(|action| self.show_action(action));
        let done = format!("{} actions undone, {} leftovers removed; {mode}", report.rolled_back.len(), report.removed.len());
        if report.failures.is_empty() {
            return Ok(done);
        }
        let message = format!("{done}; {} could not be undone: {}", report.failures.len(), report.failures.join("; "));
        Err(Refusal { code: ErrorCode::Failed, message, mend: "run the emergency script: bartizan emergency-script | sh".to_owned() })
    }

    /// The emergency script was run beside us: it wins. What it undid must not be brought back as drift.
    pub(super) fn obey_emergency_script(self: &Arc<Self>) {
        self.obey(|| self.emergency_stop(&Approver::EmergencyScript));
    }

    /// The same before the court has begun.
    pub(super) fn obey_emergency_script_at_start(&self, decider: &mut Decider) {
        self.obey(|| {
            decider.set_mode(Mode::Paranoid, &Approver::EmergencyScript.to_string());
            self.undo_everything(&Approver::EmergencyScript, "mode is PARANOID")
        });
    }

    fn obey(&self, stop: impl FnOnce() -> Result<String, Refusal>) {
        let sign = self.runtime().join(EMERGENCY_SIGN);
        if !sign.exists() {
            return;
        }
        if let Err(trouble) = stop() {
            self.troubles.report("emergency script", Some(trouble.message));
        }
        if let Err(error) = std::fs::remove_file(&sign) {
            self.troubles.report(
                "emergency script",
                Some(format!("cannot remove {}: {error}; remove it, or every action is undone at once", sign.display())),
            );
        }
    }
}
