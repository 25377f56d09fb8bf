//! Keeping the intruder's shell alive, and telling what the guard does to it: contained, let go, ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde::Serialize;

use super::Stage;
use bartizan_model::Timestamp;

/// Something changed for the shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// When it was noticed.
    pub at: Timestamp,
    /// What changed.
    pub what: String,
}

/// Holds the drill for `time`, or until `stop`. Every turn is told at once and given back.
pub(super) fn hold(stage: &mut Stage, time: Duration, stop: &AtomicBool, tell: &dyn Fn(&str)) -> Vec<Turn> {
    let until = Instant::now() + time.min(Stage::LONGEST_HOLD);
    tell(&format!(
        "the intruder's shell stays for {}: contain it in the console (6, then a), undo it (7, then u); Ctrl-C ends",
        humantime::format_duration(time)
    ));
    let mut turns = Vec::new();
    let mut answered = true;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        let what = match stage.pulse() {
            Ok(answers) if answers != answered => {
                answered = answers;
                if answers { "LET GO: the shell runs what is typed again" } else { "CONTAINED: the shell no longer runs what is typed" }
                    .to_owned()
            }
            Ok(_) => {
                std::thread::sleep(Duration::from_millis(200));
                continue;
            }
            Err(error) => format!("ENDED: {error}"),
        };
        tell(&what);
        let ended = what.starts_with("ENDED");
        turns.push(Turn { at: Utc::now(), what });
        if ended {
            break;
        }
    }
    turns
}
