//! Whose deed it was: from the pid a sensor names to the process beyond doubt, or to an honest "unknown".

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ProcessCache;
use bartizan_model::Process;
use bartizan_sys::file_watch::Toucher;

/// How long to wait for the process sensors, whose events travel beside ours, to tell of a process just born.
pub(super) const PATIENCE: Duration = Duration::from_millis(60);
/// A process that began this short a time ago and has ended already can be told by its pid alone: to mistake it, all
/// pids of the host would have to be used up since (32,768 at the least).
const YOUNG: chrono::TimeDelta = chrono::TimeDelta::seconds(5);
/// One look every so often.
const LOOK: Duration = Duration::from_millis(10);

/// Finds processes by pid.
#[derive(Clone)]
pub struct Attribution(Arc<dyn Fn(u32) -> Option<Arc<Process>> + Send + Sync>);

impl Attribution {
    /// From the process table.
    pub fn from_cache(cache: Arc<ProcessCache>) -> Self {
        Self(Arc::new(move |pid| cache.by_pid(pid)))
    }

    /// From any other table.
    pub fn by(find: impl Fn(u32) -> Option<Arc<Process>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// The process, and whether it is certain. A process that started at another time than the one that acted is
    /// never named: its pid was used again. Waits at most until `until`, which a whole batch shares.
    pub(super) fn of(&self, who: Option<Toucher>, until: Instant) -> (Option<Arc<Process>>, bool) {
        let Some(who) = who else { return (None, false) };
        loop {
            let found = (self.0)(who.pid);
            let late = Instant::now() >= until;
            match (&found, who.start) {
                (Some(process), Some(start)) if process.key.start == start => return (found, true),
                // It had ended when we looked, so nothing but its pid is known.
                (Some(process), None) if chrono::Utc::now() - process.since < YOUNG => return (found, true),
                (Some(_), None) if late => return (found, false),
                _ if late => return (None, false),
                _ => std::thread::sleep(LOOK),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_bench::Shell;
    use super::*;

    #[test]
    fn only_what_is_sure_is_called_sure() {
        let shell = Shell::start(std::path::Path::new("/"));
        let young = shell.process();
        let old = Arc::new(Process { since: young.since - YOUNG, ..(*young).clone() });
        let ask = |process: &Arc<Process>, start: Option<u64>| {
            let known = Arc::clone(process);
            let who = Attribution::by(move |pid| (pid == known.pid).then(|| Arc::clone(&known)));
            let (found, sure) = who.of(Some(Toucher { pid: process.pid, start }), Instant::now() + PATIENCE);
            (found.is_some(), sure)
        };
        assert_eq!(ask(&old, Some(old.key.start)), (true, true));
        assert_eq!(ask(&old, Some(old.key.start + 1)), (false, false), "another process has the pid now");
        assert_eq!(ask(&young, None), (true, true), "it ended at once, and nobody can have its pid yet");
        assert_eq!(ask(&old, None), (true, false), "its pid may be another's");
        assert_eq!(Attribution::by(|_| None).of(None, Instant::now()), (None, false));
    }

    #[test]
    fn a_process_that_is_told_of_a_little_later_is_waited_for() {
        let shell = Shell::start(std::path::Path::new("/"));
        let (process, told_at) = (shell.process(), Instant::now() + Duration::from_millis(30));
        let toucher = Toucher { pid: process.pid, start: Some(process.key.start) };
        let who = Attribution::by(move |_| (Instant::now() >= told_at).then(|| Arc::clone(&process)));
        assert!(who.of(Some(toucher), Instant::now() + PATIENCE).1);
    }
}
