//! Wiring: collect, detect, correlate, judge, respond, publish; and everything that starts and ends it.

#![forbid(unsafe_code)]

mod anchoring;
mod answer;
mod archiving;
mod coverage;
mod doctor;
mod gauge;
mod given_up;
mod governor;
mod lanes;
mod latency;
mod live;
mod loss_report;
mod losses;
mod mailbox;
mod notify;
mod owner;
mod past;
mod pipeline;
mod policy_words;
mod presence;
mod publish;
mod pulses;
mod record;
pub mod replay;
mod response;
mod rounds;
mod run_mark;
mod seen_logins;
pub mod server;
mod shared;
mod start;
mod supervisor;
mod table_watch;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::sync::broadcast::Receiver;

pub use doctor::probe;
pub use start::EngineError;

use bartizan_config::Settings;
use bartizan_model::Event;
use bartizan_protocol::{Push, Refusal, Reply, Request, Snapshot};
use bartizan_sys::reexec::{Candidate, UpgradeState};
use record::Record;
use shared::{Shared, lock};
use start::Threads;

/// A running agent.
pub struct Engine {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

impl Engine {
    /// Opens the databases, settles what an earlier life left behind, and starts to watch; with what an earlier binary
    /// of this process left open, from where that one stopped.
    ///
    /// # Errors
    /// [`EngineError`] when the agent cannot do its work at all. A part that fails alone is shown as degraded instead.
    pub fn start(settings: Settings, legacy: Option<UpgradeState>) -> Result<Arc<Self>, EngineError> {
        let (shared, threads) = start::start(settings, legacy)?;
        Ok(Arc::new(Self { shared, threads: Mutex::new(Some(threads)) }))
    }

    /// Answers a question whose role was checked. May block on disk or kernel. `pid` asks: it and what it runs under
    /// are on the lifeline meanwhile, so that nobody stops the shell in which they type.
    pub fn answer(&self, request: Request, actor: &str, pid: Option<u32>) -> Reply {
        self.shared.owner.arrived(pid, None);
        let reply = answer::answer(&self.shared, request, actor);
        self.shared.owner.left(pid);
        reply
    }

    /// Everything that a console shows now, and every delta after it. `arriving` is true once per console: the
    /// first to come back is told what it missed.
    pub fn snapshot(&self, arriving: bool) -> (Snapshot, Receiver<Arc<Push>>) {
        start::snapshot(&self.shared, arriving)
    }

    /// Every event from now on.
    pub fn follow(&self) -> Receiver<Arc<Event>> {
        lock(&self.shared.publisher).follow()
    }

    /// The control socket accepts, and somebody is there to carry questions out.
    pub fn server_moves(&self) {
        self.shared.pulses.beat(pulses::Part::Server);
    }

    /// A person looks, through the console with this pid; it and where they come from join the lifeline.
    pub fn console_arrived(&self, pid: Option<u32>, ssh_connection: Option<&str>) {
        self.shared.owner.arrived(pid, ssh_connection);
    }

    /// A person looks no more.
    pub fn console_left(&self, pid: Option<u32>) {
        self.shared.owner.left(pid);
        let now = chrono::Utc::now();
        let left = lock(&self.shared.attendance).leave(self.shared.totals.read(), now);
        if let Some(at) = left {
            self.shared.recorder.keep(Record::Note("away_since", at.to_rfc3339()));
        }
    }

    /// Somebody (`actor`) asked for `what` and may not: `why`.
    pub fn record_refusal(&self, actor: &str, what: &str, why: &str) {
        response::audit(&self.shared, chrono::Utc::now(), actor, "request.refused", what, why);
    }

    /// Reads the configuration again; what is wrong with it is told and nothing changes.
    pub fn reload(&self, actor: &str) -> Reply {
        reload(&self.shared, actor).unwrap_or_else(Reply::Refused)
    }

    /// Waits until somebody asks the agent to end.
    pub async fn told_to_end(&self) {
        // An error would mean that the sender is gone: then the agent has ended.
        let _ = self.shared.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Whether an admin asked the agent to end, and not to become a newer binary.
    pub fn was_told_to_stop(&self) -> bool {
        *self.shared.ended.borrow() && !self.is_upgrading()
    }

    /// Whether somebody asked to become the newer binary.
    pub fn is_upgrading(&self) -> bool {
        self.shared.upgrade.load(Ordering::Relaxed)
    }

    /// The newer binary, held open since it was asked what it is.
    pub fn candidate(&self) -> Option<Candidate> {
        lock(&self.shared.candidate).take()
    }

    /// From now on (or no longer) this process may become a newer binary at any moment.
    pub fn allow_upgrade(&self, allowed: bool) {
        self.shared.upgradable.store(allowed, Ordering::Relaxed);
    }

    /// Ends as [`Engine::stop`] does, but leaves the kernel's rings open and what is not worked off to the next binary:
    /// returns the state for it. `None` on a sensor rung that keeps nothing in the kernel, or when the next binary has
    /// other kernel programs: then everything is worked off first.
    pub fn hand_over(&self) -> Option<Vec<u8>> {
        if !self.shared.same_object.load(Ordering::Relaxed) {
            self.stop("a newer binary takes over");
            return None;
        }
        self.shared.stop.hand_over();
        self.stop("a newer binary takes over");
        self.shared.ladder.hand_over()
    }

    /// Ends the agent: collectors first, then the pipeline empties its lanes, then the recorder its queue.
    /// Active actions stay until the kernel or their watchdog ends them.
    pub fn stop(&self, reason: &str) {
        let watched_until = chrono::Utc::now();
        self.shared.end();
        lock(&self.shared.publisher).goodbye(reason);
        let Some(threads) = lock(&self.threads).take() else { return };
        for thread in threads.workers {
            // A thread that panicked has ended too.
            let _ = thread.join();
        }
        self.shared.lanes.close();
        let _ = threads.pipeline.join();
        self.shared.remember_coverage(watched_until);
        if !self.shared.settings.only_watches {
            anchoring::tell(&self.shared);
        }
        if !self.is_upgrading()
            && let Err(error) = run_mark::end(&self.shared.ledger)
        {
            tracing::warn!(%error, "the next run will believe that this one was killed");
        }
        self.shared.recorder.end();
        let _ = threads.recorder.join();
    }
}

/// Reads the policy again. Settings of the agent itself (paths, lanes) need a restart.
fn reload(shared: &Shared, actor: &str) -> Result<Reply, Refusal> {
    match shared.settings.read_policy() {
        Ok(policy) => {
            lock(&shared.correlator).set_policy(&policy);
            shared.response.set_policy(&policy);
            shared.responder.set_policy(&policy);
            shared.degrade(policy_words::POLICY_WORDS, policy_words::told(&policy));
            *lock(&shared.policy) = policy;
            response::audit(shared, chrono::Utc::now(), actor, "policy.reloaded", "policy", "");
            Ok(Reply::Done(
                "policy reloaded: scores, thresholds, protection and limits; detectors and agent.toml need a restart".to_owned(),
            ))
        }
        Err(error) => Err(answer::refusal(
            bartizan_protocol::ErrorCode::Failed,
            &error.to_string(),
            "correct the file and reload; the old policy is still in force",
        )),
    }
}
