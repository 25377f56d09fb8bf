//! A connection to the agent for one question at a time: what the command line uses.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::line::{self, LineReader};
use super::token_cache::TokenCache;
use super::{Asker, ClientError, Inbox};
use bartizan_model::Role;
use bartizan_protocol::{ClientFrame, ErrorCode, Hello, Push, Reply, Request, ServerFrame, Token, VERSION};

/// How long the agent may take to greet.
const GREETING: Duration = Duration::from_secs(10);
/// How long the agent may take for any other answer; self-tests and hash chains take their time.
const ANSWER: Duration = Duration::from_secs(120);
/// Pushes kept while an answer is awaited; beyond it the oldest go and are counted.
const PUSHES_KEPT: usize = 1_024;

/// An open, greeted connection.
#[derive(Debug)]
pub struct Connection {
    reader: LineReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    hello: Hello,
    token_cache: TokenCache,
    asked: u64,
    pushes: VecDeque<Push>,
    missed: u64,
}

/// The agent's socket, not greeted yet.
///
/// # Errors
/// [`ClientError::NoAgent`], [`ClientError::Denied`], [`ClientError::Broken`].
pub(super) async fn connect(path: &Path) -> Result<UnixStream, ClientError> {
    UnixStream::connect(path).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => ClientError::NoAgent { path: path.to_owned(), why: "there is no such socket".to_owned() },
        ErrorKind::ConnectionRefused => {
            ClientError::NoAgent { path: path.to_owned(), why: "the socket is left over, nobody listens".to_owned() }
        }
        ErrorKind::PermissionDenied => ClientError::Denied { path: path.to_owned() },
        ErrorKind::InvalidInput => ClientError::NoAgent { path: path.to_owned(), why: format!("not a usable socket path: {error}") },
        _ => ClientError::Broken(error),
    })
}

impl Connection {
    /// Connects to the agent's socket and greets.
    ///
    /// # Errors
    /// [`ClientError::NoAgent`], [`ClientError::Denied`], [`ClientError::OtherVersion`] and the rest of [`ClientError`].
    pub async fn open(path: &Path) -> Result<Self, ClientError> {
        Self::from_stream(connect(path).await?).await
    }

    /// Greets over a stream that is already connected: the embedded console's socket pair.
    ///
    /// # Errors
    /// As [`Connection::open`], but for those of connecting.
    pub async fn from_stream(stream: UnixStream) -> Result<Self, ClientError> {
        let (reader, writer) = stream.into_split();
        let nobody = Hello { version: 0, agent: String::new(), role: Role::Viewer, pass: None };
        let token_cache = TokenCache::default();
        let mut connection =
            Self { reader: LineReader::new(reader), writer, hello: nobody, token_cache, asked: 0, pushes: VecDeque::new(), missed: 0 };
        // The least that will do: a question that needs more brings its own pass.
        let hello = Request::Hello { version: VERSION, scope: Some(Role::Viewer) };
        match connection.ask_within(hello, GREETING).await? {
            Reply::Hello(mut hello) if hello.version == VERSION => {
                connection.token_cache = TokenCache::new(hello.pass.take());
                connection.hello = hello;
            }
            Reply::Hello(hello) => return Err(ClientError::OtherVersion { agent: hello.agent, theirs: hello.version }),
            Reply::Refused(refusal) => return Err(ClientError::Refused(refusal)),
            _ => return Err(ClientError::Garbled("its greeting is not a greeting".to_owned())),
        }
        Ok(connection)
    }

    /// Who the agent is and what this client may do.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Asks and waits for the answer. A refusal is an answer: [`Reply::Refused`].
    ///
    /// # Errors
    /// [`ClientError`] when no answer can be had.
    pub async fn ask(&mut self, request: Request) -> Result<Reply, ClientError> {
        self.ask_within(request, ANSWER).await
    }

    async fn ask_within(&mut self, request: Request, after: Duration) -> Result<Reply, ClientError> {
        let name = request.name();
        let answer = tokio::time::timeout(after, self.entitled(request)).await;
        answer.unwrap_or(Err(ClientError::Silent { request: name, after }))
    }

    /// Asks with a token where one is needed; one that the agent calls lapsed is renewed once.
    async fn entitled(&mut self, request: Request) -> Result<Reply, ClientError> {
        let needs = request.needs();
        if !self.token_cache.is_wanted(needs) {
            return self.exchange(request, None).await;
        }
        let token = self.token(needs).await?;
        match self.exchange(request.clone(), token).await? {
            Reply::Refused(refusal) if refusal.code == ErrorCode::Lapsed => {}
            reply => return Ok(reply),
        }
        self.token_cache.throw_away();
        let token = self.token(needs).await?;
        self.exchange(request, token).await
    }

    /// A token for this, renewed when need be. None that fits: the agent says best why.
    async fn token(&mut self, needs: Role) -> Result<Option<Token>, ClientError> {
        if let Some(token) = self.token_cache.fit_for(needs) {
            return Ok(Some(token));
        }
        if let Reply::Pass(pass) = self.exchange(Request::Renew { scope: needs }, None).await? {
            self.token_cache.keep(pass);
        }
        Ok(self.token_cache.any())
    }

    async fn exchange(&mut self, request: Request, token: Option<Token>) -> Result<Reply, ClientError> {
        self.asked += 1;
        let sent = line::write(&mut self.writer, &ClientFrame { id: self.asked, request, token }).await;
        loop {
            let frame = match self.frame().await {
                // Whoever closes on us may have said why before.
                Err(_) if sent.is_err() => return sent.and(Err(ClientError::Closed(None))),
                frame => frame?,
            };
            match frame {
                // To nothing in particular: the agent has no place for us, or did not understand.
                ServerFrame::Reply { id: 0, reply } if matches!(*reply, Reply::Refused(_)) => return Ok(*reply),
                // An answer to an older question is one that was given up waiting for.
                ServerFrame::Reply { id, reply } if id == self.asked => return Ok(*reply),
                ServerFrame::Reply { .. } => {}
                ServerFrame::Push(push) => self.keep(*push),
            }
        }
    }

    /// The next push; waits for it. After [`Request::Subscribe`] or a following [`Request::Events`]. Loses nothing when cancelled.
    ///
    /// # Errors
    /// [`ClientError::Closed`] when the agent ends.
    pub async fn next_push(&mut self) -> Result<Push, ClientError> {
        if self.missed > 0 {
            return Ok(Push::Missed(std::mem::take(&mut self.missed)));
        }
        if let Some(push) = self.pushes.pop_front() {
            return Ok(push);
        }
        loop {
            if let ServerFrame::Push(push) = self.frame().await? {
                return Ok(*push);
            }
        }
    }

    /// Two halves for the console: one asks without waiting, the other receives everything in one order.
    /// Must be called inside a tokio runtime.
    pub fn split(self) -> (Asker, Inbox) {
        super::split::split(self.reader, self.writer, self.asked, self.pushes, self.token_cache)
    }

    async fn frame(&mut self) -> Result<ServerFrame, ClientError> {
        self.reader.next().await?.ok_or(ClientError::Closed(None))
    }

    fn keep(&mut self, push: Push) {
        if self.pushes.len() >= PUSHES_KEPT {
            self.pushes.pop_front();
            self.missed += 1;
        }
        self.pushes.push_back(push);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    /// Plays an agent that greets with `version`, then answers one question between two pushes.
    async fn agent(stream: UnixStream, version: u32) {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        let mut greeted = false;
        while let Ok(Some(line)) = lines.next_line().await {
            let frame: ClientFrame = serde_json::from_str(&line).unwrap();
            let reply = if greeted {
                Reply::Done("done".to_owned())
            } else {
                Reply::Hello(Hello { version, agent: "9.9".to_owned(), role: Role::Operator, pass: None })
            };
            let mut out = Vec::new();
            if greeted {
                out.push(serde_json::to_string(&ServerFrame::Push(Box::new(Push::Missed(3)))).unwrap());
            }
            out.push(serde_json::to_string(&ServerFrame::Reply { id: frame.id, reply: Box::new(reply) }).unwrap());
            greeted = true;
            writer.write_all((out.join("\n") + "\n").as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn asks_and_keeps_the_pushes_that_came_meanwhile() {
        let (near, far) = UnixStream::pair().unwrap();
        let agent = tokio::spawn(agent(far, VERSION));
        let mut connection = Connection::from_stream(near).await.unwrap();
        assert_eq!(connection.hello().role, Role::Operator);
        assert_eq!(connection.ask(Request::Status).await.unwrap(), Reply::Done("done".to_owned()));
        assert_eq!(connection.next_push().await.unwrap(), Push::Missed(3));
        drop(connection);
        agent.await.unwrap();
    }

    /// Plays an agent that calls the first token lapsed, as after a night in which the host slept.
    async fn forgetful(stream: UnixStream) -> Vec<&'static str> {
        let (reader, mut writer) = stream.into_split();
        let (mut lines, mut heard) = (BufReader::new(reader).lines(), Vec::new());
        while let Ok(Some(line)) = lines.next_line().await {
            let frame: ClientFrame = serde_json::from_str(&line).unwrap();
            heard.push(frame.request.name());
            let pass = |text: &str| bartizan_protocol::Pass { token: Token::new(text.to_owned()), scope: Role::Admin, lasts_ms: 300_000 };
            let reply = match frame.request {
                Request::Hello { .. } => {
                    Reply::Hello(Hello { version: VERSION, agent: "9.9".to_owned(), role: Role::Admin, pass: Some(pass("old")) })
                }
                Request::Renew { .. } => Reply::Pass(pass("new")),
                _ if frame.token == Some(Token::new("new".to_owned())) => Reply::Done("done".to_owned()),
                _ => Reply::Refused(bartizan_protocol::Refusal { code: ErrorCode::Lapsed, message: String::new(), mend: String::new() }),
            };
            let line = serde_json::to_string(&ServerFrame::Reply { id: frame.id, reply: Box::new(reply) }).unwrap() + "\n";
            writer.write_all(line.as_bytes()).await.unwrap();
        }
        heard
    }

    #[tokio::test]
    async fn what_the_agent_calls_lapsed_is_renewed_and_asked_again() {
        let (near, far) = UnixStream::pair().unwrap();
        let agent = tokio::spawn(forgetful(far));
        let mut connection = Connection::from_stream(near).await.unwrap();
        assert_eq!(connection.ask(Request::EmergencyStop).await.unwrap(), Reply::Done("done".to_owned()));
        drop(connection);
        assert_eq!(agent.await.unwrap(), ["hello", "emergency-stop", "renew", "emergency-stop"]);

        let (near, far) = UnixStream::pair().unwrap();
        let agent = tokio::spawn(forgetful(far));
        let (asker, mut inbox) = Connection::from_stream(near).await.unwrap().split();
        let ticket = asker.ask(Request::EmergencyStop).unwrap();
        let Ok(super::super::News::Reply { ticket: answered, reply }) = inbox.next().await else { panic!("no answer") };
        assert_eq!((answered, *reply), (ticket, Reply::Done("done".to_owned())));
        drop((asker, inbox));
        assert_eq!(agent.await.unwrap(), ["hello", "emergency-stop", "renew", "emergency-stop"]);
    }

    #[tokio::test]
    async fn the_halves_receive_pushes_and_replies_in_one_order() {
        let (near, far) = UnixStream::pair().unwrap();
        tokio::spawn(agent(far, VERSION));
        let (asker, mut inbox) = Connection::from_stream(near).await.unwrap().split();
        let ticket = asker.ask(Request::Status).unwrap();
        assert!(matches!(inbox.next().await.unwrap(), super::super::News::Push(push) if *push == Push::Missed(3)));
        assert!(matches!(inbox.next().await.unwrap(), super::super::News::Reply { ticket: t, .. } if t == ticket));
    }

    #[tokio::test]
    async fn each_way_of_failing_is_its_own() {
        let (near, far) = UnixStream::pair().unwrap();
        tokio::spawn(agent(far, VERSION + 1));
        let error = Connection::from_stream(near).await.unwrap_err();
        assert!(matches!(&error, ClientError::OtherVersion { theirs, .. } if *theirs == VERSION + 1), "{error}");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        assert!(Connection::open(&path).await.unwrap_err().is_no_agent());
        drop(tokio::net::UnixListener::bind(&path).unwrap());
        let left_over = Connection::open(&path).await.unwrap_err();
        assert!(left_over.is_no_agent() && left_over.to_string().contains("left over"), "{left_over}");
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        assert!(Connection::from_stream(near).await.is_err());
    }
}
