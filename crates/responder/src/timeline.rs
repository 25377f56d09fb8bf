//! Which moment it is for an action: counted on the clock that nobody can set, so that a jump of the wall clock neither
//! ends an action early nor keeps it too long.

use super::Responder;
use bartizan_model::{ActionKind, BootId, Timestamp};
use bartizan_store::ledger::Held;

impl Responder {
    /// The moment on the scale in which the action's times were written: its beginning plus what the boot clock says has
    /// passed since. In another boot, or for rows without that clock, the wall clock's word.
    pub(super) fn moment_of(&self, held: &Held, now: Timestamp) -> Timestamp {
        match held.anchor {
            Some(anchor) if anchor.boot == self.clock.boot() && anchor.boot != BootId::default() => {
                let passed = self.clock.now().saturating_sub(anchor.ns);
                held.action.planned_at + chrono::Duration::nanoseconds(i64::try_from(passed).unwrap_or(i64::MAX))
            }
            _ => now,
        }
    }

    /// A moment that was `moment` when the clock that nobody can set showed `since`: what takes long meanwhile moves nothing.
    pub(super) fn grown(&self, moment: Timestamp, since: u64) -> Timestamp {
        let passed = self.clock.now().saturating_sub(since);
        moment + chrono::Duration::nanoseconds(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    /// Whether the host was started anew since the action began, and its effect went with the kernel that held it.
    pub(super) fn died_with_its_kernel(&self, held: &Held) -> bool {
        let boots = held.anchor.map(|anchor| (anchor.boot, self.clock.boot()));
        let another = boots.is_some_and(|(then, now)| then != now && then != BootId::default() && now != BootId::default());
        another && dies_with_kernel(held.action.kind)
    }
}

fn dies_with_kernel(kind: ActionKind) -> bool {
    !kind.outlives_reboot()
}
