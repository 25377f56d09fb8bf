//! The court's thread: judges what waits, does what people ask, and nothing else. An intruder is stopped as soon as it has
//! judged, so it runs before whatever keeps the host busy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::decider::Decider;
use super::{Response, watchdog};
use crate::accounting::Beat;
use crate::schedule::due;
use bartizan_sys::{sched, service_manager};

/// Longest wait for a case or a message.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is asked whether questions lapse.
const LAPSES: Duration = Duration::from_millis(500);
/// At the end, so long changes under way are waited for: with what ends after the court it must fit into the unit's
/// TimeoutStopSec (15 s).
const LAST_CHANGES: Duration = Duration::from_secs(8);
/// How often it is asked whether they are over, and the service manager told that the agent lives.
const LAST_ROUND: Duration = Duration::from_millis(500);

impl Response {
    /// The thread.
    pub(crate) fn sit(self: &Arc<Self>, mut decider: Decider) {
        // Before the first case: else a freeze needs a shell or timer of its own.
        self.keep_watchdog(&watchdog::standing(self));
        decider.recall(chrono::Utc::now());
        decider.publish();
        sched::step_forward();
        let (mut looked, mut rested) = (Instant::now(), Instant::now());
        while !self.stop.is_set() {
            self.accounting.beat(Beat::Court);
            if self.cases.len() == 0 {
                self.notify.sleep(PATIENCE);
            }
            self.court.work_off(&mut decider);
            let begun = Instant::now();
            // However many cases a flood brings, it sprints for no more than a fifth of the time.
            if begun >= rested {
                sched::realtime(|| self.judge_all(&mut decider));
                rested = Instant::now() + begun.elapsed() * 4;
            } else {
                self.judge_all(&mut decider);
            }
            if due(&mut looked, LAPSES) {
                decider.lapse(chrono::Utc::now());
            }
            decider.publish();
        }
        self.end_court(&mut decider);
    }

    /// Nothing is begun any more. What came of changes under way is put on record, so that the next run knows who answered what;
    /// then whoever asks is told that the court has ended.
    fn end_court(&self, decider: &mut Decider) {
        decider.end();
        let begun = Instant::now();
        loop {
            self.court.work_off(decider);
            if !decider.waits_for_a_change() || begun.elapsed() >= LAST_CHANGES {
                break;
            }
            // Accounting, which tells it otherwise, ends meanwhile.
            service_manager::alive();
            self.notify.sleep(LAST_ROUND);
        }
        self.court.close(decider);
        if decider.waits_for_a_change() {
            tracing::warn!("a change is still under way at the end: the next run compares it with the kernel");
        }
        decider.publish();
    }

    /// Those that wait now; what comes meanwhile is the next round's.
    fn judge_all(&self, decider: &mut Decider) {
        let now = chrono::Utc::now();
        for _ in 0..self.cases.len() {
            let Some(case) = self.cases.take() else { return };
            decider.judge(&case, now);
            // A person waits for one case at the most.
            self.court.work_off(decider);
        }
    }
}
