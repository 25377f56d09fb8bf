//! How long the agent lives and what comes after it: it ends, or becomes a newer binary.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use bartizan_model::Unpoisoned as _;
use bartizan_sensors::Stop;
use bartizan_sys::reexec::Candidate;

/// The life of one agent.
#[derive(Debug)]
pub(crate) struct Life {
    /// What every thread looks at.
    pub(crate) stop: Stop,
    /// Tells whoever awaits the end that it has come.
    ended: watch::Sender<bool>,
    /// Somebody asked to become the newer binary that lies where this one lay.
    upgrade: AtomicBool,
    /// That binary, held open since it was asked what it is.
    candidate: Mutex<Option<Candidate>>,
    /// It has the same kernel programs and can go on with their rings.
    same_object: AtomicBool,
    /// No console of our own stands in the way of that.
    upgradable: AtomicBool,
}

impl Life {
    pub(crate) fn new() -> Self {
        Self {
            stop: Stop::default(),
            ended: watch::Sender::new(false),
            upgrade: AtomicBool::new(false),
            candidate: Mutex::default(),
            same_object: AtomicBool::new(false),
            upgradable: AtomicBool::new(false),
        }
    }

    /// Everybody is told to end.
    pub(crate) fn end(&self) {
        self.stop.set();
        self.ended.send_replace(true);
    }

    /// Waits until somebody asks the agent to end.
    pub(crate) async fn told_to_end(&self) {
        // An error would mean that the sender is gone: then the agent has ended.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    pub(crate) fn was_told_to_end(&self) -> bool {
        *self.ended.borrow()
    }

    pub(crate) fn allow_upgrade(&self, allowed: bool) {
        self.upgradable.store(allowed, Ordering::Relaxed);
    }

    pub(crate) fn may_upgrade(&self) -> bool {
        self.upgradable.load(Ordering::Relaxed)
    }

    /// From now on the end is the beginning of this binary; `same` tells that it has the same kernel programs.
    pub(crate) fn become_newer(&self, candidate: Candidate, same: bool) {
        *self.candidate.lock().unpoisoned() = Some(candidate);
        self.same_object.store(same, Ordering::Relaxed);
        self.upgrade.store(true, Ordering::Relaxed);
        self.ended.send_replace(true);
    }

    pub(crate) fn is_upgrading(&self) -> bool {
        self.upgrade.load(Ordering::Relaxed)
    }

    pub(crate) fn keeps_the_rings(&self) -> bool {
        self.same_object.load(Ordering::Relaxed)
    }

    pub(crate) fn candidate(&self) -> Option<Candidate> {
        self.candidate.lock().unpoisoned().take()
    }
}
