//! Ending: collectors first, then the pipeline empties its lanes, then the recorder its queue.

use std::thread::JoinHandle;

use crate::Engine;
use crate::upkeep;
use bartizan_model::Unpoisoned as _;

/// The running threads: the pipeline ends after the workers, the recorder and who keeps messages to people after the pipeline.
pub(crate) struct Threads {
    pub(crate) workers: Vec<JoinHandle<()>>,
    pub(crate) pipeline: JoinHandle<()>,
    pub(crate) recorder: JoinHandle<()>,
    pub(crate) keeper: JoinHandle<()>,
}

impl Engine {
    /// Ends as [`Engine::stop`] does, but leaves the kernel's rings open and what is not worked off to the next binary:
    /// returns the state for it. `None` on a sensor rung that keeps nothing in the kernel, or when the next binary has
    /// other kernel programs: then everything is worked off first.
    pub fn hand_over(&self) -> Option<Vec<u8>> {
        let why = "a newer binary takes over";
        if !self.parts.life.keeps_the_rings() {
            self.stop(why);
            return None;
        }
        self.parts.life.stop.hand_over();
        self.stop(why);
        self.parts.ladder.hand_over()
    }

    /// Ends the agent. Active actions stay until the kernel or their watchdog ends them.
    pub fn stop(&self, reason: &str) {
        let parts = &self.parts;
        let watched_until = chrono::Utc::now();
        parts.end();
        parts.console.goodbye(reason);
        let Some(threads) = self.threads.lock().unpoisoned().take() else { return };
        for thread in threads.workers {
            // A thread that panicked has ended too.
            let _ = thread.join();
        }
        parts.ingest.watched_until(watched_until);
        parts.ingest.close();
        let _ = threads.pipeline.join();
        // What the pipeline still found is told by the next run.
        parts.alerts.end();
        let _ = threads.keeper.join();
        parts.upkeep.last_word();
        if !self.is_upgrading()
            && let Err(error) = upkeep::end_run(&parts.ledger)
        {
            tracing::warn!(%error, "the next run will believe that this one was killed");
        }
        parts.recorder.end();
        let _ = threads.recorder.join();
    }
}
