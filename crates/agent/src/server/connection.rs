//! One peer: hears its questions, answers each within its role and token, and feeds it news if it asked for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::broadcast::{self, error::RecvError};

use super::gate::Denial;
use super::line_reader::{Heard, LineReader};
use super::silent::Newcomer;
use super::token::Fault;
use super::{Gate, Peer};
use crate::Engine;
use crate::own_thread::apart;
use bartizan_model::{Event, Role};
use bartizan_protocol::{ClientFrame, ErrorCode, Hello, Push, Refusal, Reply, Request, ServerFrame, Token, VERSION};

/// What to do about a role that is too low.
const BE_LISTED: &str = "ask as root, or have your uid or group listed as operator or admin in agent.toml";
/// What to do about a connection or a token that is not one's own.
const OWN_CONNECTION: &str = "let the process that asks open a connection of its own";
/// What to do about words that are no question.
const SAME_VERSION: &str = "use a client of the same version";

/// How long a peer may take to greet, and to end a line that it began.
const PROMPTLY: Duration = Duration::from_secs(5);
/// How long a peer may take nothing of what it asked for: a console that was stopped connects again.
const READING: Duration = Duration::from_secs(30);

/// Serves one peer until it leaves, says something that is no question, or floods us with what it may not.
pub async fn serve(engine: Arc<Engine>, stream: UnixStream, gate: Arc<Gate>) {
    if let Some(connection) = Connection::new(engine, stream, gate) {
        connection.serve().await;
    }
}

/// One peer and what it is told.
pub(super) struct Connection {
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    peer: Peer,
    ear: LineReader,
    answers: OwnedWriteHalf,
    greeted: bool,
    /// Until it greets, when it came through the door.
    newcomer: Option<Newcomer>,
    news: Option<News>,
    events: Option<broadcast::Receiver<Arc<Event>>>,
}

struct News {
    receiver: broadcast::Receiver<Arc<Push>>,
    console: bool,
}

/// What woke the connection.
enum Woken {
    Heard(Heard),
    News(Result<Arc<Push>, RecvError>),
    Event(Result<Arc<Event>, RecvError>),
    /// Its descriptor is needed, and it has not said anything.
    Cut,
}

impl Connection {
    /// `None` when the kernel does not say who it is.
    pub(super) fn new(engine: Arc<Engine>, stream: UnixStream, gate: Arc<Gate>) -> Option<Self> {
        let peer = match gate.peer(&stream) {
            Ok(peer) => peer,
            Err(error) => {
                tracing::warn!(%error, "a peer without credentials was refused");
                return None;
            }
        };
        let (reader, answers) = stream.into_split();
        let ear = LineReader::new(reader, &peer);
        Some(Self { engine, gate, peer, ear, answers, greeted: false, newcomer: None, news: None, events: None })
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether it says something within this time. What it says stays to be read.
    pub(super) async fn speaks(&self, within: Duration) -> bool {
        let stream: &UnixStream = self.answers.as_ref();
        tokio::time::timeout(within, stream.readable()).await.is_ok()
    }

    /// Serves it as one that is cut, until it greets, when its descriptor is needed.
    pub(super) async fn serve_newcomer(mut self, newcomer: Newcomer) {
        self.newcomer = Some(newcomer);
        self.serve().await;
    }

    pub(super) async fn serve(mut self) {
        self.talk().await;
        if self.news.as_ref().is_some_and(|news| news.console) {
            self.engine.console_left(self.peer.pid);
        }
    }

    async fn talk(&mut self) {
        let connected = Instant::now();
        loop {
            let patience = match (self.greeted, self.ear.begun()) {
                (false, _) => Some(connected + PROMPTLY),
                (true, begun) => begun.map(|begun| begun + PROMPTLY),
            };
            let woken = match patience {
                Some(until) => match tokio::time::timeout_at(until.into(), self.wait()).await {
                    Ok(woken) => woken,
                    Err(_) => return tracing::debug!(peer = %self.peer, "a peer that did not finish what it began to say was cut"),
                },
                None => self.wait().await,
            };
            let goes_on = match woken {
                Woken::Heard(Heard::Line(line)) => self.question(&line).await,
                Woken::Heard(Heard::Stranger(pid)) => self.stranger(pid).await,
                Woken::Heard(Heard::Left) => false,
                Woken::Cut => return tracing::debug!(peer = %self.peer, "a peer that had not greeted was cut: descriptors run out"),
                Woken::News(Ok(push)) => self.push((*push).clone()).await,
                Woken::News(Err(RecvError::Lagged(_))) => self.snapshot(self.news.as_ref().is_some_and(|news| news.console), false).await,
                Woken::Event(Ok(event)) => self.push(Push::Events(vec![(*event).clone()])).await,
                Woken::Event(Err(RecvError::Lagged(missed))) => self.push(Push::Missed(missed)).await,
                Woken::News(Err(RecvError::Closed)) | Woken::Event(Err(RecvError::Closed)) => false,
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let Self { ear, news, events, newcomer, .. } = self;
        tokio::select! {
            biased;
            // Whoever has said something already is heard.
            heard = ear.listen() => Woken::Heard(heard),
            () = async { match newcomer { Some(newcomer) => newcomer.is_cut().await, None => std::future::pending().await } } => Woken::Cut,
            news = async { match news { Some(news) => news.receiver.recv().await, None => std::future::pending().await } } => Woken::News(news),
            event = async { match events { Some(events) => events.recv().await, None => std::future::pending().await } } => Woken::Event(event),
        }
    }

    async fn question(&mut self, line: &[u8]) -> bool {
        let Ok(ClientFrame { id, request, token }) = serde_json::from_slice::<ClientFrame>(line) else {
            let garbled = refusal(ErrorCode::Usage, "that is not a question this agent knows", SAME_VERSION);
            self.refuse(0, "a question", "it is none that this agent knows", garbled).await;
            return false;
        };
        if let Request::Hello { version, scope } = request {
            return self.hello(id, version, scope).await;
        }
        if !self.greeted {
            let first = refusal(ErrorCode::Usage, "the first word must be hello", SAME_VERSION);
            self.refuse(id, request.name(), "it came before the greeting", first).await;
            return false;
        }
        if let Request::Renew { scope } = request {
            return match self.gate.renew(&mut self.peer, scope) {
                Ok(pass) => self.reply(id, Reply::Pass(pass)).await,
                Err(denial) => self.deny(id, "renew", denial).await,
            };
        }
        match self.gate.admit(&self.peer, token.as_ref(), request.needs()) {
            Ok(()) => self.answer(id, request, token).await,
            Err(denial) => self.deny(id, request.name(), denial).await,
        }
    }

    async fn answer(&mut self, id: u64, request: Request, token: Option<Token>) -> bool {
        // Shown and looked at; nothing behind the gate needs it.
        drop(token);
        if let Request::Subscribe { console, ssh_connection } = request {
            return self.subscribe(id, console, ssh_connection).await;
        }
        if matches!(&request, Request::Events(query) if query.follow) {
            // Before the query, so that nothing falls between the two.
            self.events = Some(self.engine.follow());
        }
        let reloads = matches!(request, Request::Reload);
        let (engine, gate, actor, pid) = (Arc::clone(&self.engine), Arc::clone(&self.gate), self.peer.to_string(), self.peer.pid);
        // Answers read the disk or change the kernel: not on the thread that feeds the consoles.
        let urgent = matches!(request, Request::EmergencyStop | Request::Stop);
        let turn = if urgent { None } else { gate.turn(&self.peer).await };
        let work = move || {
            let _turn = turn;
            let reply = engine.answer(request, &actor, pid);
            if reloads {
                gate.reread();
            }
            reply
        };
        // Whoever stops something waits for no thread that others hold.
        let answer = if urgent { apart(work).await } else { tokio::task::spawn_blocking(work).await.ok() };
        let reply =
            answer.unwrap_or_else(|| refusal(ErrorCode::Failed, "the agent failed on this question", "see its log and `bartizan doctor`"));
        self.reply(id, reply).await
    }

    async fn hello(&mut self, id: u64, version: u32, scope: Option<Role>) -> bool {
        if !self.newcomer.take().is_none_or(Newcomer::greets) {
            return false;
        }
        self.greeted = version == VERSION;
        if self.peer.pid.is_some() && self.peer.start.is_none() {
            tracing::debug!(peer = %self.peer, "the process of a peer cannot be seen: its token is bound to its pid alone");
        }
        let pass = self.greeted.then(|| self.gate.pass(&self.peer, scope.unwrap_or(self.peer.role)));
        let hello = Hello { version: VERSION, agent: env!("CARGO_PKG_VERSION").to_owned(), role: self.peer.role, pass };
        self.reply(id, Reply::Hello(hello)).await
    }

    /// A descriptor of the connection was handed to, or left with, another process: nobody may ask on it any more.
    async fn stranger(&mut self, pid: u32) -> bool {
        let said = refusal(ErrorCode::Refused, &format!("process {pid} wrote to a connection that another process opened"), OWN_CONNECTION);
        self.refuse(0, "a question", &format!("process {pid} wrote it to a connection that it did not open"), said).await;
        false
    }

    /// Says no, and writes it down.
    async fn deny(&mut self, id: u64, what: &str, denial: Denial) -> bool {
        let code = if matches!(denial, Denial::Token(Fault::Lapsed | Fault::Missing)) { ErrorCode::Lapsed } else { ErrorCode::Refused };
        let (message, mend) = match denial {
            Denial::Role { needs, has } => (format!("`{what}` needs the role {needs}; {} is {has}", self.peer), BE_LISTED),
            Denial::Token(Fault::Narrow(_) | Fault::Lapsed | Fault::Missing) => {
                (format!("`{what}` is refused: {denial}"), "ask for another token (a client does so by itself)")
            }
            Denial::Gone | Denial::Token(_) => (format!("`{what}` is refused: {denial}"), OWN_CONNECTION),
        };
        self.refuse(id, what, &denial.to_string(), refusal(code, &message, mend)).await
    }

    /// Writes a refusal down and sends it; `false` when the peer floods us with them.
    async fn refuse(&mut self, id: u64, what: &str, why: &str, said: Reply) -> bool {
        let (gate, engine, peer) = (Arc::clone(&self.gate), Arc::clone(&self.engine), self.peer.clone());
        let goes_on = gate.refused(&engine, &peer, what, why);
        self.reply(id, said).await && goes_on
    }

    async fn subscribe(&mut self, id: u64, console: bool, ssh_connection: Option<String>) -> bool {
        let first = self.news.is_none();
        // Who may only look buys no protection, neither for an address nor for a process.
        if console && first && self.peer.role >= Role::Operator {
            self.engine.console_arrived(self.peer.pid, ssh_connection.as_deref());
        }
        self.reply(id, Reply::Done("subscribed".to_owned())).await && self.snapshot(console, console && first).await
    }

    /// A snapshot, and a receiver whose first delta is the one after it.
    async fn snapshot(&mut self, console: bool, arriving: bool) -> bool {
        let engine = Arc::clone(&self.engine);
        let Ok((snapshot, receiver)) = tokio::task::spawn_blocking(move || engine.snapshot(arriving)).await else { return false };
        self.news = Some(News { receiver, console });
        self.push(Push::Snapshot(Box::new(snapshot))).await
    }

    async fn reply(&mut self, id: u64, reply: Reply) -> bool {
        self.send(&ServerFrame::Reply { id, reply: Box::new(reply) }).await
    }

    async fn push(&mut self, push: Push) -> bool {
        self.send(&ServerFrame::Push(Box::new(push))).await
    }

    pub(super) async fn send(&mut self, frame: &ServerFrame) -> bool {
        let Ok(mut line) = serde_json::to_vec(frame) else { return false };
        line.push(b'\n');
        matches!(tokio::time::timeout(READING, self.answers.write_all(&line)).await, Ok(Ok(())))
    }
}

pub(super) fn refusal(code: ErrorCode, message: &str, mend: &str) -> Reply {
    Reply::Refused(Refusal { code, message: message.to_owned(), mend: mend.to_owned() })
}
