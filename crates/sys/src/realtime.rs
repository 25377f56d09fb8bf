//! A thread that runs before all ordinary ones, but never for longer than half of the time.

use std::io;
use std::time::{Duration, Instant};

use super::sched;

/// While it lives, the thread that made it overtakes ordinary ones, but never for longer than half of the time: a
/// storm that keeps it busy must not keep the host from its own work.
#[derive(Debug)]
pub struct Realtime {
    /// When the present stretch of time began, and the thread's processor time then.
    since: Instant,
    used: Duration,
    ahead: bool,
    /// Of one thread: not to be sent to another.
    _thread: std::marker::PhantomData<*const ()>,
}

/// Stretch of time over which a fair share is measured.
const STRETCH: Duration = Duration::from_millis(200);

/// Lets the calling thread overtake ordinary ones: a reader that comes too late finds an empty /proc.
///
/// # Errors
/// Without CAP_SYS_NICE.
pub fn overtake() -> io::Result<Realtime> {
    ahead()?;
    Ok(Realtime { since: Instant::now(), used: own_time(), ahead: true, _thread: std::marker::PhantomData })
}

impl Realtime {
    /// To be called between two batches: steps back among the others when the share is used up, and ahead again when the
    /// stretch is over.
    pub fn stay_fair(&mut self) {
        let (waited, used) = (self.since.elapsed(), own_time().saturating_sub(self.used));
        if self.ahead && greedy(used) {
            self.ahead = sched::ordinary().is_err();
        } else if waited >= STRETCH {
            (self.since, self.used) = (Instant::now(), own_time());
            self.ahead = self.ahead || ahead().is_ok();
        }
    }
}

/// Whether a thread that used so much processor time within a stretch must step back.
fn greedy(used: Duration) -> bool {
    used * 2 > STRETCH
}

fn ahead() -> io::Result<()> {
    sched::real_time(libc::SCHED_FIFO, 10)
}

/// Processor time that the calling thread has used.
fn own_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

impl Drop for Realtime {
    fn drop(&mut self) {
        let _always_allowed = sched::ordinary();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::tests::policy;

    #[test]
    fn realtime_ends_when_half_of_the_time_is_used() {
        assert!(!greedy(STRETCH / 2) && greedy(STRETCH / 2 + Duration::from_millis(1)));
        let Ok(mut overtaking) = overtake() else { return eprintln!("skipped: needs CAP_SYS_NICE") };
        assert_eq!(policy(), libc::SCHED_FIFO);
        let begun = own_time();
        while own_time() - begun <= STRETCH / 2 + Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        overtaking.stay_fair();
        assert_eq!(policy(), libc::SCHED_OTHER);
        std::thread::sleep(STRETCH);
        overtaking.stay_fair();
        assert_eq!(policy(), libc::SCHED_FIFO);
    }
}
