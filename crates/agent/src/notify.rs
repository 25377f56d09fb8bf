//! Wakes a sleeping thread before its time, so that it need not look again and again.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use bartizan_model::Unpoisoned as _;

/// The notifier.
#[derive(Debug, Default)]
pub(super) struct Notify {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Notify {
    /// Wakes whoever sleeps, or spares the next sleeper the sleep.
    pub(super) fn wake(&self) {
        *self.rung.lock().unpoisoned() = true;
        self.heard.notify_all();
    }

    /// Sleeps until it is woken, at most so long.
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
        let notify = Arc::new(Notify::default());
        let begun = Instant::now();
        notify.wake();
        notify.sleep(Duration::from_secs(60));
        let other = Arc::clone(&notify);
        let sleeper = std::thread::spawn(move || other.sleep(Duration::from_secs(60)));
        std::thread::sleep(Duration::from_millis(50));
        notify.wake();
        sleeper.join().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30));
        notify.sleep(Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20), "one ring, one waking");
    }
}
