//! A bell that wakes a sleeping thread before its time, so that it need not look again and again.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use bartizan_model::Unpoisoned as _;

/// The bell.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    /// Wakes whoever sleeps, or spares the next sleeper the sleep.
    pub(super) fn ring(&self) {
        *self.rung.lock().unpoisoned() = true;
        self.heard.notify_all();
    }

    /// Sleeps until the bell rings, at most so long.
    pub(super) fn sleep(&self, most: Duration) {
        let rung = self.rung.lock().unpoisoned();
        let slept = self.heard.wait_timeout_while(rung, most, |rung| !*rung);
        *slept.unpoisoned().0 = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_ring_ends_the_sleep_and_is_not_missed_when_it_comes_first() {
        let bell = Arc::new(Bell::default());
        let begun = Instant::now();
        bell.ring();
        bell.sleep(Duration::from_secs(60));
        let other = Arc::clone(&bell);
        let sleeper = std::thread::spawn(move || other.sleep(Duration::from_secs(60)));
        std::thread::sleep(Duration::from_millis(50));
        bell.ring();
        sleeper.join().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30));
        bell.sleep(Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20), "one ring, one waking");
    }
}
