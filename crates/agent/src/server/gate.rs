//! The gate: who may ask what at this moment, and what is written down when somebody may not.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusals::{Record, Refusals};
use super::token::{Fault, Tokens};
use super::{Access, Peer};
use crate::Engine;
use bartizan_model::{Role, Unpoisoned as _};
use bartizan_protocol::{Pass, Token};
use bartizan_sys::{clock, random};

/// The lists are read at most this often, however often peers renew.
const READ_EVERY: Duration = Duration::from_secs(1);

/// Why a question is refused at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denial {
    /// The role is too low.
    #[error("it needs the role {needs}; the peer is {has}")]
    Role {
        /// What it takes.
        needs: Role,
        /// What there is.
        has: Role,
    },
    /// The process that connected has ended.
    #[error("the process that opened the connection has ended")]
    Gone,
    /// The token does not hold.
    #[error(transparent)]
    Token(Fault),
}

/// Reads the lists of agent.toml anew; `None` when that fails.
type Lists = Box<dyn Fn() -> Option<bartizan_config::Access> + Send + Sync>;

/// One gate for all connections of an agent.
pub struct Gate {
    tokens: Tokens,
    connections: AtomicU64,
    access: Mutex<Access>,
    lists: Lists,
    read: Mutex<Instant>,
    refusals: Mutex<Refusals>,
    looking: Arc<Semaphore>,
    operating: Arc<Semaphore>,
}

/// Questions of peers who may only look that are carried out at once: the rest of the threads is for whoever must act.
const LOOKING: usize = 8;
/// The same of operators: the rest is for root and admins.
const OPERATING: usize = 8;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unpoisoned()
}

impl Gate {
    /// A gate with a key of its own, whose tokens hold for `lifetime` ([`super::LIFETIME`] but for tests). `lists` reads
    /// the lists of agent.toml anew; when that fails those in force stay.
    ///
    /// # Errors
    /// When the kernel has no randomness to give.
    pub fn new(
        access: Access,
        lifetime: Duration,
        lists: impl Fn() -> Option<bartizan_config::Access> + Send + Sync + 'static,
    ) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            tokens: Tokens::new(random::key()?, lifetime),
            connections: AtomicU64::new(1),
            access: Mutex::new(access),
            lists: Box::new(lists),
            read: Mutex::new(Instant::now()),
            refusals: Mutex::default(),
            looking: Arc::new(Semaphore::new(LOOKING)),
            operating: Arc::new(Semaphore::new(OPERATING)),
        }))
    }

    /// Who is at the other end, under the next connection number.
    pub(super) fn peer(&self, stream: &UnixStream) -> io::Result<Peer> {
        Peer::of(stream, self.connections.fetch_add(1, Ordering::Relaxed), &lock(&self.access))
    }

    /// Reads the lists anew: after a reload of the agent, so that whoever was taken off them may no more.
    pub fn reread(&self) {
        *lock(&self.read) = Instant::now();
        match (self.lists)() {
            Some(listed) => lock(&self.access).listed = listed,
            None => tracing::warn!("agent.toml cannot be read: the lists of operators and admins stay as they were"),
        }
    }

    /// A pass for what the peer may do now, at most `scope`; the lists are read anew.
    pub(super) fn renew(&self, peer: &mut Peer, scope: Role) -> Result<Pass, Denial> {
        if peer.is_gone() {
            return Err(Denial::Gone);
        }
        let due = lock(&self.read).elapsed() >= READ_EVERY;
        if due {
            self.reread();
        }
        peer.role = self.role(peer);
        Ok(self.pass(peer, scope))
    }

    /// A pass for what the peer may do, at most `scope`.
    pub(super) fn pass(&self, peer: &Peer, scope: Role) -> Pass {
        self.tokens.issue(peer, scope.min(peer.role), clock::boot_ns())
    }

    /// What the peer may do under the lists as they are in force.
    fn role(&self, peer: &Peer) -> Role {
        peer.role_under(&lock(&self.access))
    }

    /// Whether the peer may ask now what needs this role.
    pub(super) fn admit(&self, peer: &Peer, token: Option<&Token>, needs: Role) -> Result<(), Denial> {
        if needs == Role::Viewer {
            return Ok(());
        }
        let has = self.role(peer);
        if has < needs {
            return Err(Denial::Role { needs, has });
        }
        if peer.is_gone() {
            return Err(Denial::Gone);
        }
        self.tokens.check(peer, token, needs, clock::boot_ns()).map_err(Denial::Token)
    }

    /// Waits for the turn of a question of this peer; it lasts as long as what is given.
    pub(super) async fn turn(&self, peer: &Peer) -> Option<OwnedSemaphorePermit> {
        match self.role(peer) {
            Role::Viewer => Arc::clone(&self.looking).acquire_owned().await.ok(),
            Role::Operator => Arc::clone(&self.operating).acquire_owned().await.ok(),
            Role::Admin => None,
        }
    }

    /// Writes a refusal down; of a flood only how many there were. `false` when the peer must be cut.
    pub(super) fn refused(self: &Arc<Self>, engine: &Arc<Engine>, peer: &Peer, what: &str, why: &str) -> bool {
        let record = lock(&self.refusals).add(peer.uid, Instant::now());
        match record {
            Record::Each => {
                engine.record_refusal(&peer.to_string(), what, why);
                true
            }
            Record::FloodBegins(window) => {
                let why = format!("{why}; it was cut: too many refusals, the next ones are counted");
                engine.record_refusal(&peer.to_string(), what, &why);
                let (gate, engine, uid) = (Arc::clone(self), Arc::clone(engine), peer.uid);
                tokio::spawn(async move {
                    tokio::time::sleep(window).await;
                    let more = lock(&gate.refusals).settle(uid);
                    engine.record_refusal(
                        &format!("uid {uid}"),
                        "flood",
                        &format!("{more} refusals within a minute, beyond those recorded"),
                    );
                });
                false
            }
            Record::Counted => false,
        }
    }
}
