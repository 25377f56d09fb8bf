//! Wiring: collect, detect, correlate, judge, respond, publish; and everything that starts and ends it.

#![forbid(unsafe_code)]

mod accounting;
mod alerts;
mod answer;
mod archive;
mod assemble;
mod baseline;
mod console;
mod doctor;
mod exceptions;
mod file_diff;
pub mod fim;
mod findings;
mod health;
pub mod indicator_lists;
mod ingest;
mod knowledge;
mod life;
mod mailbox;
mod notify;
mod own_thread;
mod parts;
mod past;
mod policy_words;
mod record;
pub mod replay;
mod response;
pub mod rule_packs;
pub mod scan_history;
mod schedule;
pub mod server;
mod start;
mod stop;
pub mod switches;
mod troubles;
mod upkeep;

use std::sync::{Arc, Mutex};

use tokio::sync::broadcast::Receiver;

pub use doctor::probe;
pub use own_thread::apart;
pub use start::EngineError;

use accounting::Beat;
use bartizan_config::Settings;
use bartizan_model::Event;
use bartizan_protocol::{Push, Reply, Request, Snapshot};
use bartizan_sys::reexec::{Candidate, UpgradeState};
use parts::Parts;
use stop::Threads;

/// A running agent.
pub struct Engine {
    parts: Arc<Parts>,
    threads: Mutex<Option<Threads>>,
}

impl Engine {
    /// Opens the databases, settles what an earlier life left behind, and starts to watch; with what an earlier binary
    /// of this process left open, from where that one stopped.
    ///
    /// # Errors
    /// [`EngineError`] when the agent cannot do its work at all. A part that fails alone is shown as degraded instead.
    pub fn start(settings: Settings, legacy: Option<UpgradeState>) -> Result<Arc<Self>, EngineError> {
        let (parts, threads) = start::start(settings, legacy)?;
        Ok(Arc::new(Self { parts, threads: Mutex::new(Some(threads)) }))
    }

    /// Answers a question whose role was checked. May block on disk or kernel. `pid` asks: it and what it runs under
    /// are on the lifeline meanwhile, so that nobody stops the shell in which they type.
    pub fn answer(&self, request: Request, actor: &str, pid: Option<u32>) -> Reply {
        self.parts.response.arrived(pid, None);
        let reply = answer::answer(&self.parts, request, actor);
        self.parts.response.left(pid);
        reply
    }

    /// Everything that a console shows now, and every delta after it. `arriving` is true once per console: the
    /// first to come back is told what it missed.
    pub fn snapshot(&self, arriving: bool) -> (Snapshot, Receiver<Arc<Push>>) {
        self.parts.console.snapshot(health::measure(&self.parts), arriving)
    }

    /// Every event from now on.
    pub fn follow(&self) -> Receiver<Arc<Event>> {
        self.parts.console.follow()
    }

    /// The control socket accepts, and somebody is there to carry questions out.
    pub fn server_moves(&self) {
        self.parts.accounting.beat(Beat::Server);
    }

    /// A person looks, through the console with this pid; it and where they come from join the lifeline.
    pub fn console_arrived(&self, pid: Option<u32>, ssh_connection: Option<&str>) {
        self.parts.response.arrived(pid, ssh_connection);
    }

    /// A person looks no more.
    pub fn console_left(&self, pid: Option<u32>) {
        self.parts.response.left(pid);
        self.parts.console.left();
    }

    /// Somebody (`actor`) asked for `what` and may not: `why`.
    pub fn record_refusal(&self, actor: &str, what: &str, why: &str) {
        self.parts.response.audit(chrono::Utc::now(), actor, "request.refused", what, why);
    }

    /// Reads the configuration again; what is wrong with it is told and nothing changes.
    pub fn reload(&self, actor: &str) -> Reply {
        answer::reload(&self.parts, actor).unwrap_or_else(Reply::Refused)
    }

    /// Waits until somebody asks the agent to end.
    pub async fn told_to_end(&self) {
        self.parts.life.told_to_end().await;
    }

    /// Whether an admin asked the agent to end, and not to become a newer binary.
    pub fn was_told_to_stop(&self) -> bool {
        self.parts.life.was_told_to_end() && !self.is_upgrading()
    }

    /// Whether somebody asked to become the newer binary.
    pub fn is_upgrading(&self) -> bool {
        self.parts.life.is_upgrading()
    }

    /// The newer binary, held open since it was asked what it is.
    pub fn candidate(&self) -> Option<Candidate> {
        self.parts.life.candidate()
    }

    /// From now on (or no longer) this process may become a newer binary at any moment.
    pub fn allow_upgrade(&self, allowed: bool) {
        self.parts.life.allow_upgrade(allowed);
    }
}
