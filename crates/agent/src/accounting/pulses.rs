//! Whether the threads that the guard consists of still move. The service manager is told that we live only while all of
//! them do: what hangs is started again by it (`WatchdogSec` in the unit).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bartizan_model::Unpoisoned as _;

/// A thread whose standstill is ours. Each goes round when it has nothing to do, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Takes events and has them judged.
    Pipeline,
    /// Decides and acts.
    Court,
    /// Compares every action with the kernel.
    Reconciler,
    /// Answers on the control socket: its accepting loop and those who carry questions out.
    Server,
}

const BEATS: [Beat; 4] = [Beat::Pipeline, Beat::Court, Beat::Reconciler, Beat::Server];

impl Beat {
    fn noun(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::Court => "court",
            Self::Reconciler => "reconciler",
            Self::Server => "control socket",
        }
    }

    /// Whether it may have to wait for an operation to end. Events are judged all the while.
    fn may_wait(self) -> bool {
        match self {
            Self::Pipeline => false,
            Self::Court | Self::Reconciler | Self::Server => true,
        }
    }

    /// So long may one round of it take.
    fn patience(self) -> Duration {
        match self {
            Self::Pipeline => Duration::from_secs(10),
            Self::Court | Self::Reconciler | Self::Server => Duration::from_secs(15),
        }
    }
}

/// So long may one step of an operation take: systemd is asked three times and has five seconds for each answer.
const STEP: Duration = Duration::from_secs(20);

/// So long may the first round take: it reads everything for the first time, and a restart would only do so again, later.
const FIRST_ROUND: Duration = Duration::from_secs(60);

/// When each of them last went round.
#[derive(Debug)]
pub(super) struct Pulses([Mutex<Pulse>; BEATS.len()]);

#[derive(Debug, Clone, Copy)]
enum Pulse {
    /// It was started then, and has not gone round yet.
    Started(Instant),
    /// It went round then.
    Round(Instant),
}

impl Default for Pulses {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(Pulse::Started(Instant::now()))))
    }
}

impl Pulses {
    /// The threads are started: what came before them, however long, is no hang of theirs.
    pub(super) fn start(&self) {
        self.0.iter().for_each(|pulse| *pulse.lock().unpoisoned() = Pulse::Started(Instant::now()));
    }

    /// It went round.
    pub(super) fn beat(&self, part: Beat) {
        if let Some(pulse) = self.0.get(part as usize) {
            *pulse.lock().unpoisoned() = Pulse::Round(Instant::now());
        }
    }

    /// The first that has not gone round for too long, in words. An operation may take longer where name servers are silent and
    /// systemd is slow: while its steps follow one another (`operation`: the last), nobody hangs who waits for its end.
    pub(super) fn stuck(&self, now: Instant, operation: Option<Instant>) -> Option<String> {
        let waits = operation.is_some_and(|moved| now.saturating_duration_since(moved) <= STEP);
        BEATS.iter().zip(&self.0).find_map(|(part, pulse)| {
            let (since, patience) = match *pulse.lock().unpoisoned() {
                Pulse::Started(at) => (at, FIRST_ROUND),
                Pulse::Round(at) => (at, part.patience()),
            };
            let still = now.saturating_duration_since(since);
            let words = || format!("the {} has not moved for {} seconds: systemd will restart the agent", part.noun(), still.as_secs());
            (still > patience && !(waits && part.may_wait())).then(words)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_went_round(at: Instant) -> Pulses {
        let pulses = Pulses::default();
        pulses.0.iter().for_each(|pulse| *pulse.lock().unwrap() = Pulse::Round(at));
        pulses
    }

    #[test]
    fn one_thread_that_hangs_is_enough() {
        let begun = Instant::now();
        let later = begun + Duration::from_secs(20);
        for hung in BEATS {
            let pulses = all_went_round(later);
            *pulses.0[hung as usize].lock().unwrap() = Pulse::Round(begun);
            let said = pulses.stuck(later, None).unwrap();
            assert!(said.starts_with(&format!("the {} has not moved for", hung.noun())), "{said}");
            *pulses.0[hung as usize].lock().unwrap() = Pulse::Round(later);
            assert_eq!(pulses.stuck(later, None), None);
        }
    }

    #[test]
    fn a_slow_start_is_no_standstill_and_one_that_never_ends_is() {
        let pulses = Pulses::default();
        pulses.start();
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!(pulses.stuck(after(50), None), None);
        assert!(pulses.stuck(after(70), None).is_some());
        BEATS.iter().for_each(|part| pulses.beat(*part));
        assert!(pulses.stuck(after(20), None).is_some(), "later rounds are short");
    }

    #[test]
    fn who_waits_behind_an_operation_that_goes_on_does_not_hang() {
        let begun = Instant::now();
        let (pulses, later) = (all_went_round(begun), begun + Duration::from_secs(60));
        let pipeline = |at| *pulses.0[Beat::Pipeline as usize].lock().unwrap() = Pulse::Round(at);
        pipeline(later);
        assert!(pulses.stuck(later, None).is_some());
        assert_eq!(pulses.stuck(later, Some(later.checked_sub(Duration::from_secs(16)).unwrap())), None);
        let stands = later.checked_sub(STEP + Duration::from_secs(1)).unwrap();
        assert!(pulses.stuck(later, Some(stands)).is_some(), "an operation that stands still hangs itself");
        pipeline(begun);
        assert!(pulses.stuck(later, Some(later)).unwrap().starts_with("the pipeline"), "it waits for nobody");
    }
}
