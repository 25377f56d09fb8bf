//! What waits, on the disk: written after each change, at most once a second. A crash loses what came in that second,
//! and what was on its way to a sink is sent again.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Alerts, Held};
use crate::troubles::Troubles;
use bartizan_alerts::State;
use bartizan_model::Unpoisoned as _;
use bartizan_sys::digest::read_bounded;
use bartizan_sys::replace_file::{self, Outlives};

/// In the data directory.
const FILE: &str = "alerts.json";
/// Larger than eight full sinks can be.
const MAX_BYTES: u64 = 64 << 20;
/// Between two writes.
const PAUSE: Duration = Duration::from_secs(1);
/// A write that takes long is followed by a longer pause: writing takes a twentieth of the time at most.
const SHARE: u32 = 20;
/// The name under which trouble is reported.
const TROUBLE: &str = "alert queue";
/// The same about the queue of an earlier run; it stays until the agent ends.
const UNREAD: &str = "alert queue of before";

pub(super) struct Kept {
    file: PathBuf,
    troubles: Arc<Troubles>,
}

impl Kept {
    pub(super) fn beside(data: &Path, troubles: Arc<Troubles>) -> Self {
        Self { file: data.join(FILE), troubles }
    }

    /// As an earlier run left it; empty when there is none or it cannot be read.
    pub(super) fn read(&self) -> State {
        let bytes = match read_bounded(&self.file, MAX_BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound => return State::default(),
            read => read.map_err(|error| error.to_string()),
        };
        let state = bytes.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
        let lost = |why| {
            format!(
                "{} could not be read ({why}) and was set aside as .damaged: what waited for sinks is lost; `bartizan alerts` lists all alerts",
                self.file.display()
            )
        };
        if state.is_err() {
            // The next write would take its place; what is in it a person may still read.
            let aside = self.file.with_extension("json.damaged");
            if let Err(error) = std::fs::rename(&self.file, &aside) {
                tracing::warn!(%error, "the damaged queue of alerts was not set aside");
            }
        }
        self.troubles.or_report(UNREAD, state.map_err(lost))
    }

    /// Whether it is on the disk now.
    fn write(&self, state: &State) -> bool {
        let bytes = serde_json::to_vec(state).unwrap_or_default();
        let written = replace_file::replace(&self.file, &bytes, 0o600, Outlives::Power);
        let trouble =
            |error| format!("{} cannot be written ({error}): what waits for sinks is lost if the agent ends", self.file.display());
        let is_written = written.is_ok();
        self.troubles.report(TROUBLE, written.err().map(trouble));
        is_written
    }
}

impl Alerts {
    /// The thread: writes what changed, until the agent ends, and then once more.
    pub(crate) fn keep(&self) {
        let mut written = 0;
        loop {
            let unchanged = |held: &mut Held| held.changes == written && !held.is_over;
            let held = self.changed.wait_while(self.held(), unchanged).unpoisoned();
            // What a full disk refused is still to be written: the pause below is between two attempts.
            let (is_over, changes) = (held.is_over, held.changes);
            let state = (changes != written).then(|| held.queue.state().clone());
            drop(held);
            let begun = Instant::now();
            if state.is_some_and(|state| self.kept.write(&state)) {
                written = changes;
            }
            if is_over {
                return;
            }
            let pause = PAUSE.max(begun.elapsed() * SHARE);
            drop(self.changed.wait_timeout_while(self.held(), pause, |held| !held.is_over).unpoisoned());
        }
    }
}
