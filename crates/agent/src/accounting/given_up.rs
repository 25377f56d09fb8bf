//! What is given up for the budget right now, as those ask who do the work; and the controls of those who are told.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::governor::Step;
use bartizan_model::{Event, EventKind, HopDrops};

/// Of so many ordinary execs one is kept in the archive when they are thinned out.
const ONE_OF: u64 = 10;

/// Steps given up. Reading costs one load of an atomic.
#[derive(Debug, Default)]
pub(super) struct GivenUp {
    steps: AtomicU8,
    ordinary: AtomicU64,
    asked: AtomicU64,
    unkept: AtomicU64,
}

impl GivenUp {
    /// From now on these and no others.
    pub(super) fn set(&self, steps: &[Step]) {
        self.steps.store(steps.iter().fold(0, |bits, step| bits | bit(*step)), Ordering::Relaxed);
    }

    /// Whether this one is given up.
    pub(super) fn has(&self, step: Step) -> bool {
        self.steps.load(Ordering::Relaxed) & bit(step) != 0
    }

    /// Whether an event goes into the archive; what does not is counted. `judged` tells that a detector has an opinion
    /// of it: then it always does.
    pub(super) fn keeps(&self, event: &Event, judged: bool) -> bool {
        if self.steps.load(Ordering::Relaxed) == 0 {
            return true;
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let keeps = judged
            || match &event.kind {
                EventKind::Fork | EventKind::Exit { .. } | EventKind::Accept { .. } | EventKind::Close { .. } => {
                    !self.has(Step::ForksAndExits)
                }
                EventKind::Exec if self.has(Step::OrdinaryExecs) && is_ordinary(event) => {
                    self.ordinary.fetch_add(1, Ordering::Relaxed).is_multiple_of(ONE_OF)
                }
                EventKind::Exec => true,
                EventKind::Connect { .. }
                | EventKind::Listen { .. }
                | EventKind::FileChange { .. }
                | EventKind::FileOpen { .. }
                | EventKind::PersistenceChange { .. }
                | EventKind::UserChange { .. }
                | EventKind::PrivilegeUse { .. }
                | EventKind::ContainerStart { .. }
                | EventKind::ContainerStop { .. }
                | EventKind::LoginAccepted { .. }
                | EventKind::LoginFailed { .. }
                | EventKind::WebAttack { .. }
                | EventKind::Budget { .. }
                | EventKind::Loss { .. }
                | EventKind::Alarm { .. } => true,
            };
        if !keeps {
            self.unkept.fetch_add(1, Ordering::Relaxed);
        }
        keeps
    }

    /// What was kept out of the archive, as a hop: it was judged, but cannot be looked up.
    pub(super) fn hop(&self) -> HopDrops {
        let (received, dropped) = (self.asked.load(Ordering::Relaxed), self.unkept.load(Ordering::Relaxed));
        HopDrops { hop: "archive-budget".to_owned(), received, dropped }
    }
}

fn bit(step: Step) -> u8 {
    1 << step as u8
}

/// An exec that nothing suspicious clings to: not below a service that strangers can talk to, not on a socket.
fn is_ordinary(event: &Event) -> bool {
    event.process.as_ref().is_some_and(|process| process.lineage.network_facing().is_none() && process.stdio_sockets == 0)
}

/// Tells a part to pause (`true`) or to go on.
pub(crate) type Control = Box<dyn Fn(bool) + Send + Sync>;

/// Who is told of steps that are not done on the way to the archive. A step without a control cannot be given up, and is
/// never said to be.
#[derive(Default)]
pub(crate) struct Controls {
    /// Pauses digests and packages.
    pub(crate) hashing: Option<Control>,
    /// Pauses names of destinations and containers.
    pub(crate) names: Option<Control>,
    /// Makes polling rare.
    pub(crate) polling: Option<Control>,
}

impl Controls {
    /// The steps that can be given up, in order.
    pub(super) fn steps(&self) -> Vec<Step> {
        let here = |step: &Step| !matches!(step, Step::Hashing | Step::Names | Step::Polling) || self.of(*step).is_some();
        Step::ALL.into_iter().filter(here).collect()
    }

    /// Makes it so.
    pub(super) fn apply(&self, given_up: &[Step]) {
        for step in Step::ALL {
            if let Some(control) = self.of(step) {
                control(given_up.contains(&step));
            }
        }
    }

    fn of(&self, step: Step) -> Option<&Control> {
        match step {
            Step::Hashing => self.hashing.as_ref(),
            Step::Names => self.names.as_ref(),
            Step::Polling => self.polling.as_ref(),
            Step::ForksAndExits | Step::OrdinaryExecs => None,
        }
    }
}

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Controls").field(&self.steps()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use bartizan_model::{BootId, EventId, Exit, Process, ProcessKey, Source, Timestamp};

    fn event(kind: EventKind, sockets: u8) -> Event {
        let key = ProcessKey { boot: BootId(1), pid: 7, start: 1 };
        let process = Process { stdio_sockets: sockets, ..Process::unknown(key, Timestamp::UNIX_EPOCH) };
        Event { id: EventId(1), at: Timestamp::UNIX_EPOCH, kind, process: Some(Arc::new(process)), source: Source::Ebpf, complete: true }
    }

    #[test]
    fn what_is_given_up_is_counted_and_what_matters_is_kept() {
        let given_up = GivenUp::default();
        let exit = || event(EventKind::Exit { exit: Exit { code: Some(0), signal: None } }, 0);
        assert!(given_up.keeps(&exit(), false));
        given_up.set(&[Step::ForksAndExits]);
        assert!(!given_up.keeps(&exit(), false) && !given_up.keeps(&event(EventKind::Fork, 0), false));
        assert!(given_up.keeps(&exit(), true), "a detector has an opinion of it");
        assert!(given_up.keeps(&event(EventKind::Exec, 0), false));
        given_up.set(&[Step::ForksAndExits, Step::OrdinaryExecs]);
        assert_eq!((0..100).filter(|_| given_up.keeps(&event(EventKind::Exec, 0), false)).count(), 10);
        assert!((0..100).all(|_| given_up.keeps(&event(EventKind::Exec, 1), false)), "a program on a socket");
        assert!((0..100).all(|_| given_up.keeps(&event(EventKind::Exec, 0), true)));
        assert_eq!(given_up.hop().dropped, 2 + 90);
        given_up.set(&[]);
        assert!(given_up.keeps(&exit(), false) && !given_up.has(Step::ForksAndExits));
    }

    #[test]
    fn only_steps_with_a_control_are_offered_and_each_is_told() {
        assert_eq!(Controls::default().steps(), [Step::ForksAndExits, Step::OrdinaryExecs]);
        let paused = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&paused);
        let controls = Controls { names: Some(Box::new(move |pause| told.store(pause, Ordering::Relaxed))), ..Controls::default() };
        assert_eq!(controls.steps(), [Step::Names, Step::ForksAndExits, Step::OrdinaryExecs]);
        controls.apply(&[Step::Names]);
        assert!(paused.load(Ordering::Relaxed));
        controls.apply(&[]);
        assert!(!paused.load(Ordering::Relaxed));
    }
}
