//! One peer: reads its questions, answers each within its role, and feeds it news if it asked for them.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::broadcast::{self, error::RecvError};

use super::Peer;
use crate::engine::Engine;
use crate::model::Event;
use crate::protocol::{ClientFrame, ErrorCode, Hello, Push, Refusal, Reply, Request, ServerFrame, VERSION};

/// Longest question. The longest real one, an edited plan with a reason, is below 64 KiB.
const MAX_QUESTION: u64 = 256 * 1024;

/// Serves one peer until it leaves or says something that is no question.
pub async fn serve(engine: Arc<Engine>, stream: UnixStream, peer: Peer) {
    let (reader, writer) = stream.into_split();
    let mut connection = Connection {
        engine,
        peer,
        questions: BufReader::new(reader),
        line: Vec::new(),
        answers: writer,
        greeted: false,
        news: None,
        events: None,
    };
    connection.talk().await;
    if connection.news.as_ref().is_some_and(|news| news.console) {
        connection.engine.console_left(connection.peer.pid);
    }
}

struct Connection {
    engine: Arc<Engine>,
    peer: Peer,
    questions: BufReader<OwnedReadHalf>,
    line: Vec<u8>,
    answers: OwnedWriteHalf,
    greeted: bool,
    news: Option<News>,
    events: Option<broadcast::Receiver<Arc<Event>>>,
}

struct News {
    receiver: broadcast::Receiver<Arc<Push>>,
    console: bool,
}

/// What woke the connection.
enum Woken {
    Question,
    Left,
    News(Result<Arc<Push>, RecvError>),
    Event(Result<Arc<Event>, RecvError>),
}

impl Connection {
    async fn talk(&mut self) {
        loop {
            let goes_on = match self.wait().await {
                Woken::Question => self.question().await,
                Woken::Left => false,
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
        let Self { questions, line, news, events, .. } = self;
        let room = MAX_QUESTION.saturating_sub(line.len() as u64);
        let mut bounded = questions.take(room);
        tokio::select! {
            // A half-read line stays in `line` when another branch wins.
            read = bounded.read_until(b'\n', line) => match read {
                Ok(_) if line.last() == Some(&b'\n') => Woken::Question,
                _ => Woken::Left,
            },
            news = async { match news { Some(news) => news.receiver.recv().await, None => std::future::pending().await } } => Woken::News(news),
            event = async { match events { Some(events) => events.recv().await, None => std::future::pending().await } } => Woken::Event(event),
        }
    }

    async fn question(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let Ok(ClientFrame { id, request }) = serde_json::from_slice::<ClientFrame>(&line) else {
            self.reply(0, refusal(ErrorCode::Usage, "that is not a question this agent knows", "use a client of the same version")).await;
            return false;
        };
        match request {
            Request::Hello { version } => self.hello(id, version).await,
            _ if !self.greeted => {
                self.reply(id, refusal(ErrorCode::Usage, "the first word must be hello", "use a client of the same version")).await;
                false
            }
            request if request.needs() > self.peer.role => {
                self.engine.record_refusal(&request, &self.peer.to_string(), self.peer.role);
                let needs = format!("`{}` needs the role {}; {} is {}", request.name(), request.needs(), self.peer, self.peer.role);
                self.reply(
                    id,
                    refusal(ErrorCode::Refused, &needs, "ask as root, or have your uid or group listed as operator or admin in agent.toml"),
                )
                .await
            }
            Request::Subscribe { console, ssh_connection } => self.subscribe(id, console, ssh_connection).await,
            request => {
                if matches!(&request, Request::Events(query) if query.follow) {
                    // Before the query, so that nothing falls between the two.
                    self.events = Some(self.engine.follow());
                }
                let (engine, actor, pid) = (Arc::clone(&self.engine), self.peer.to_string(), self.peer.pid);
                // Answers read the disk or change the kernel: not on the thread that feeds the consoles.
                let answer = tokio::task::spawn_blocking(move || engine.answer(request, &actor, pid)).await;
                let reply = answer.unwrap_or_else(|_| {
                    refusal(ErrorCode::Failed, "the agent failed on this question", "see its log and `bartizan doctor`")
                });
                self.reply(id, reply).await
            }
        }
    }

    async fn hello(&mut self, id: u64, version: u32) -> bool {
        self.greeted = version == VERSION;
        let hello = Hello { version: VERSION, agent: env!("CARGO_PKG_VERSION").to_owned(), role: self.peer.role };
        self.reply(id, Reply::Hello(hello)).await
    }

    async fn subscribe(&mut self, id: u64, console: bool, ssh_connection: Option<String>) -> bool {
        let first = self.news.is_none();
        if console && first {
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

    async fn send(&mut self, frame: &ServerFrame) -> bool {
        let Ok(mut line) = serde_json::to_vec(frame) else { return false };
        line.push(b'\n');
        self.answers.write_all(&line).await.is_ok()
    }
}

fn refusal(code: ErrorCode, message: &str, mend: &str) -> Reply {
    Reply::Refused(Refusal { code, message: message.to_owned(), mend: mend.to_owned() })
}
