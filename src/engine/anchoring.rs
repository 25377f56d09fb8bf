//! Looks after the audit log's end: what was found cut is an alarm, and where it ends is told to the system's log.

use std::time::{Duration, Instant};

use super::shared::Shared;
use super::supervisor::alarmed;
use crate::collector::Sink;
use crate::host::system_log;
use crate::model::{Alarm, AlarmKind};

/// Between two words to the system's log.
const TELL: Duration = Duration::from_secs(60);

/// What was told, and when.
#[derive(Debug, Default)]
pub(super) struct Anchoring {
    told: Option<(u64, Instant)>,
}

impl Anchoring {
    /// Looks, and tells what is due.
    pub(super) fn tend(&mut self, shared: &Shared) {
        if let Some(cut) = shared.ledger.found_cut() {
            let path = shared.ledger.directory().join("ledger.db").display().to_string();
            let detail = format!("changed the audit log: {cut}").into();
            shared.lanes.emit(alarmed(Alarm { what: AlarmKind::DataTouched, detail, action: None, path: Some(path.as_str().into()) }));
        }
        shared.degrade("audit anchor", shared.ledger.anchor_trouble());
        let lines = shared.ledger.head().lines;
        let due = self.told.is_none_or(|(told, when)| told != lines && when.elapsed() >= TELL);
        if due && lines > 0 {
            tell(shared);
            self.told = Some((lines, Instant::now()));
        }
    }
}

/// Tells the system's log where the audit log ends. A host without one keeps no trace elsewhere: nothing to be done.
pub(super) fn tell(shared: &Shared) {
    let head = shared.ledger.head();
    if let Err(why) = system_log::say(&format!("audit log: {} lines, last hash {}", head.lines, head.hash)) {
        tracing::debug!(%why, "the system's log does not listen");
    }
}
