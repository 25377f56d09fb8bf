//! The active actions in memory: every guard and every round reads them here. The rows on disk stay the truth at start.
//!
//! Also what the disk still owes: rows and audit lines that could not be written because it was full, written as soon as
//! it has room again. Undoing never waits for a disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use bartizan_model::{Action, ActionId, AuditBody, BootId, Timestamp};

/// Rows and lines that may be owed; beyond it lines are counted, rows are replaced by later ones of the same action.
const MAX_OWED: usize = 4096;

/// When an action was planned, on the clock that nobody can set: deadlines are counted from here while this boot lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Which boot.
    pub boot: BootId,
    /// Nanoseconds since that boot, suspended time included (CLOCK_BOOTTIME), at `Action::planned_at`.
    pub ns: u64,
}

/// One active action with what undoes it.
#[derive(Debug, Clone)]
pub struct Held {
    /// The action as last seen.
    pub action: Arc<Action>,
    /// What the host looked like before.
    pub snapshot: Arc<Value>,
    /// When it was planned on the boot clock; absent in rows of older versions.
    pub anchor: Option<Anchor>,
    /// The `verified_at` that stands on disk.
    pub(super) written: Option<Timestamp>,
}

/// What memory holds of the ledger.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) active: BTreeMap<ActionId, Held>,
    /// The last name that was given out.
    pub(super) last: u64,
    pub(super) owed_rows: BTreeMap<ActionId, Action>,
    pub(super) owed_lines: VecDeque<AuditBody>,
    /// Lines that were lost because even the list of owed ones was full.
    pub(super) lost_lines: u64,
}

impl Book {
    /// Takes an action's new standing over; what is over leaves.
    pub(super) fn put(&mut self, action: &Action) {
        self.last = self.last.max(action.id.0);
        if !action.state.is_active() {
            self.active.remove(&action.id);
        } else if let Some(held) = self.active.get_mut(&action.id) {
            held.action = Arc::new(action.clone());
        }
    }

    pub(super) fn owe(&mut self, row: Option<&Action>, line: Option<AuditBody>) {
        if let Some(row) = row
            && (self.owed_rows.len() < MAX_OWED || self.owed_rows.contains_key(&row.id))
        {
            self.owed_rows.insert(row.id, row.clone());
        }
        match line {
            Some(_) if self.owed_lines.len() >= MAX_OWED => self.lost_lines += 1,
            Some(line) => self.owed_lines.push_back(line),
            None => {}
        }
    }
}
