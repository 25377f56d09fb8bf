//! The interface of a container runtime (Docker's Engine API, which Podman speaks too): HTTP over a unix socket.
//!
//! HTTP/1.0 on purpose: one question a connection, and the answer ends with it, so nothing has to be taken apart.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use serde::Deserialize;

use crate::model::{Container, HostText};

/// Longest answer, in bytes; a thousand running containers take about 1.5 MB.
const ANSWER_MOST: usize = 8 << 20;
/// Longest head of an answer, and longest line of the stream of events, in bytes.
const HEAD_MOST: usize = 64 << 10;
/// A runtime that does not answer within this time does not work.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest name and image kept, in bytes.
const NAME_MOST: usize = 256;
/// Hex digits of an id that are kept, as in cgroup names.
const SHORT_ID: usize = 12;

/// Why a runtime could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no runtime at this socket: no such file, or nobody behind it.
    #[error("nobody answers at {path}: {why}", path = .0.display(), why = .1)]
    Absent(PathBuf, io::Error),
    /// It answered with this status and these words.
    #[error("asked for {0}, the runtime answered {1}: {2}")]
    Refused(String, u16, String),
    /// What it said is not the interface.
    #[error("asked for {0}, the runtime said something else than the Docker Engine API: {1}")]
    Garbled(String, String),
    /// The line broke or was too slow.
    #[error("asked for {0}: {1}")]
    Broken(String, io::Error),
}

/// One container as the runtime knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub container: Container,
    /// Whether it runs.
    pub running: bool,
    /// When it was started last.
    pub started: Option<DateTime<Utc>>,
}

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// `create`, `start`, `die`, `rename`, `destroy`.
    pub action: String,
    /// Which; its pid is not told here.
    pub container: Container,
    /// When.
    pub at: DateTime<Utc>,
}

/// A runtime at a socket. Nothing is kept open between questions.
#[derive(Debug, Clone)]
pub struct ContainerApi {
    socket: PathBuf,
    runtime: &'static str,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    config: Config,
    #[serde(default)]
    state: State,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    image: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    running: bool,
    pid: u32,
    started_at: String,
}

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "Action", default)]
    action: String,
    #[serde(rename = "Actor")]
    actor: Actor,
    #[serde(default)]
    time: i64,
    #[serde(rename = "timeNano", default)]
    nanoseconds: i64,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes", default)]
    attributes: Attributes,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attributes {
    name: String,
    image: String,
}

impl ContainerApi {
    /// The runtime of this name (`docker`, `podman`) behind this socket.
    pub fn at(socket: &Path, runtime: &'static str) -> Self {
        Self { socket: socket.to_owned(), runtime }
    }

    /// Its name.
    pub fn runtime(&self) -> &'static str {
        self.runtime
    }

    /// Ids of the containers that run now, at most `most`.
    ///
    /// # Errors
    /// When the runtime is not there or does not answer as it should.
    pub fn running(&self, most: usize) -> Result<Vec<String>, ApiError> {
        let path = "/containers/json";
        let listed: Vec<Listed> = parse(path, &self.get(path)?)?;
        Ok(listed.into_iter().take(most).map(|container| container.id).collect())
    }

    /// One container by its id or the first digits of it; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the runtime is not there or does not answer as it should.
    pub fn inspect(&self, id: &str) -> Result<Option<Found>, ApiError> {
        let path = format!("/containers/{id}/json");
        let inspected: Inspected = match self.get(&path) {
            Ok(body) => parse(&path, &body)?,
            Err(ApiError::Refused(_, 404, _)) => return Ok(None),
            Err(why) => return Err(why),
        };
        let state = inspected.state;
        let pid = Some(state.pid).filter(|pid| *pid != 0);
        let container = self.container(&inspected.id, &inspected.name, &inspected.config.image, pid);
        let started = DateTime::parse_from_rfc3339(&state.started_at).ok().map(|at| at.to_utc());
        Ok(container.map(|container| Found { container, running: state.running, started }))
    }

    /// What happens to containers from `since` on, as far back as the runtime remembers.
    ///
    /// # Errors
    /// When the runtime is not there.
    pub fn events(&self, since: DateTime<Utc>) -> Result<Events, ApiError> {
        // {"type":["container"],"event":["create","start","die","rename","destroy"]}
        let filters = "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22create%22%2C%22start%22%2C%22die%22%2C%22rename%22%2C%22destroy%22%5D%7D";
        let path = format!("/events?since={}&filters={filters}", since.timestamp());
        let stream = self.ask("GET", &path, None)?;
        Ok(Events { api: self.clone(), stream, waiting: Vec::new(), head_read: false })
    }

    /// Sends a command: pausing a container, taking it off a network. The body is JSON. Gives what the runtime answered.
    ///
    /// # Errors
    /// When the runtime is not there, refuses, or the path holds anything that does not belong into one.
    pub fn post(&self, path: &str, body: Option<&serde_json::Value>) -> Result<Vec<u8>, ApiError> {
        self.answer(path, self.ask("POST", path, body)?)
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, ApiError> {
        self.answer(path, self.ask("GET", path, None)?)
    }

    fn container(&self, id: &str, name: &str, image: &str, pid: Option<u32>) -> Option<Container> {
        let short = id.get(..SHORT_ID).filter(|short| short.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let text = |text: &str| HostText::from(text.as_bytes().get(..NAME_MOST).unwrap_or(text.as_bytes()));
        let name = text(name.strip_prefix('/').unwrap_or(name));
        Some(Container { id: short.to_owned(), name, image: text(image), runtime: self.runtime.to_owned(), pid })
    }

    fn ask(&self, verb: &str, path: &str, body: Option<&serde_json::Value>) -> Result<UnixStream, ApiError> {
        let broken = |why: io::Error| ApiError::Broken(path.to_owned(), why);
        // A blank or a line end would begin another part of the request.
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(broken(io::Error::new(io::ErrorKind::InvalidInput, "not a path of the interface")));
        }
        let mut stream = self.connect()?;
        stream.set_write_timeout(Some(PATIENCE)).and_then(|()| stream.set_read_timeout(Some(PATIENCE))).map_err(broken)?;
        let body = body.map(ToString::to_string).unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{verb} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).map_err(broken)?;
        Ok(stream)
    }

    /// Without waiting: a runtime whose queue of callers is full counts as absent.
    fn connect(&self) -> Result<UnixStream, ApiError> {
        let absent = |why: nix::Error| ApiError::Absent(self.socket.clone(), why.into());
        let fd: OwnedFd =
            socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None).map_err(absent)?;
        connect(fd.as_raw_fd(), &UnixAddr::new(self.socket.as_os_str().as_bytes()).map_err(absent)?).map_err(absent)?;
        let stream = UnixStream::from(fd);
        stream.set_nonblocking(false).map_err(|why| ApiError::Absent(self.socket.clone(), why))?;
        Ok(stream)
    }

    /// Reads an answer to its end.
    fn answer(&self, path: &str, mut stream: UnixStream) -> Result<Vec<u8>, ApiError> {
        let broken = |why: io::Error| ApiError::Broken(path.to_owned(), why);
        let (mut bytes, mut chunk, until) = (Vec::new(), vec![0; 16 << 10], Instant::now() + PATIENCE);
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => bytes.extend_from_slice(chunk.get(..read).unwrap_or_default()),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(broken(why)),
            }
            if bytes.len() > ANSWER_MOST {
                return Err(ApiError::Garbled(path.to_owned(), format!("an answer longer than {ANSWER_MOST} bytes")));
            }
            if Instant::now() > until {
                return Err(broken(io::ErrorKind::TimedOut.into()));
            }
        }
        let (status, body) = head(path, &bytes)?.ok_or_else(|| ApiError::Garbled(path.to_owned(), "no head".to_owned()))?;
        let body = bytes.get(body..).unwrap_or_default();
        if (200..300).contains(&status) { Ok(body.to_vec()) } else { Err(refused(path, status, body)) }
    }
}

/// The stream of what happens; it ends when dropped.
#[derive(Debug)]
pub struct Events {
    api: ContainerApi,
    stream: UnixStream,
    waiting: Vec<u8>,
    head_read: bool,
}

impl Events {
    /// The next thing that happened; `None` after `patience` without any.
    ///
    /// # Errors
    /// When the runtime refused, ended, or says something else than the interface.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Happened>, ApiError> {
        const PATH: &str = "/events";
        let broken = |why: io::Error| ApiError::Broken(PATH.to_owned(), why);
        self.stream.set_read_timeout(Some(patience.max(Duration::from_millis(1)))).map_err(broken)?;
        let until = Instant::now() + patience;
        loop {
            if let Some(happened) = self.line()? {
                return Ok(Some(happened));
            }
            if self.waiting.len() > HEAD_MOST {
                return Err(ApiError::Garbled(PATH.to_owned(), format!("a line longer than {HEAD_MOST} bytes")));
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => self.waiting.extend_from_slice(chunk.get(..read).unwrap_or_default()),
                Err(why) if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Ok(None),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(broken(why)),
            }
            if Instant::now() > until && !self.waiting.contains(&b'\n') {
                return Ok(None);
            }
        }
    }

    /// Takes one whole line out of what waits; lines about nothing we know are passed over.
    fn line(&mut self) -> Result<Option<Happened>, ApiError> {
        const PATH: &str = "/events";
        if !self.head_read {
            let Some((status, body)) = head(PATH, &self.waiting)? else { return Ok(None) };
            if status != 200 {
                return Err(refused(PATH, status, self.waiting.get(body..).unwrap_or_default()));
            }
            self.waiting.drain(..body);
            self.head_read = true;
        }
        while let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.waiting.drain(..=end).collect();
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let told: Told = parse(PATH, &line)?;
            let nanoseconds = if told.nanoseconds != 0 { told.nanoseconds } else { told.time.saturating_mul(1_000_000_000) };
            let (at, who) = (DateTime::from_timestamp_nanos(nanoseconds), told.actor);
            if let Some(container) = self.api.container(&who.id, &who.attributes.name, &who.attributes.image, None) {
                return Ok(Some(Happened { action: told.action, container, at }));
            }
        }
        Ok(None)
    }
}

/// Status of an answer and where its body begins; `None` while the head is not whole.
fn head(path: &str, bytes: &[u8]) -> Result<Option<(u16, usize)>, ApiError> {
    let garbled = |why: &str| ApiError::Garbled(path.to_owned(), why.to_owned());
    let Some(end) = bytes.windows(4).take(HEAD_MOST).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let mut words = head.split_ascii_whitespace();
    let status = words.next().filter(|word| word.starts_with("http/1.")).and_then(|_| words.next()?.parse().ok());
    if head.contains("\r\ntransfer-encoding:") {
        return Err(garbled("an answer in chunks to a question in HTTP/1.0"));
    }
    status.map(|status| Some((status, end + 4))).ok_or_else(|| garbled("no status"))
}

fn refused(path: &str, status: u16, body: &[u8]) -> ApiError {
    let words = HostText::from(body.get(..200).unwrap_or(body)).escaped();
    ApiError::Refused(path.to_owned(), status, words)
}

fn parse<T: serde::de::DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|why| ApiError::Garbled(path.to_owned(), why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A runtime that gives each caller the next of these answers.
    fn saying(answers: Vec<Vec<u8>>) -> (tempfile::TempDir, ContainerApi, std::thread::JoinHandle<Vec<String>>) {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let asked = std::thread::spawn(move || {
            answers
                .into_iter()
                .map(|answer| {
                    let (mut caller, _) = listener.accept().unwrap();
                    let mut request = [0; 2048];
                    let read = caller.read(&mut request).unwrap();
                    let _closed_early = caller.write_all(&answer);
                    String::from_utf8_lossy(&request[..read]).into_owned()
                })
                .collect()
        });
        let api = ContainerApi::at(&dir.path().join("s"), "docker");
        (dir, api, asked)
    }

    fn ok(body: &str) -> Vec<u8> {
        format!("HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\n{body}").into_bytes()
    }

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_container_is_read() {
        let inspected = format!(
            r#"{{"Id":"{ID}","Name":"/web","Config":{{"Image":"nginx:1"}},"State":{{"Running":true,"Pid":77,"StartedAt":"2026-01-02T03:04:05.6Z"}}}}"#
        );
        let (_dir, api, asked) = saying(vec![ok(&format!(r#"[{{"Id":"{ID}"}}]"#)), ok(&inspected), b"HTTP/1.0 404 x\r\n\r\n{}".to_vec()]);
        assert_eq!(api.running(10).unwrap(), [ID]);
        let found = api.inspect(ID).unwrap().unwrap();
        assert_eq!((found.container.id.as_str(), &found.container.name, found.container.pid), ("0123456789ab", &"web".into(), Some(77)));
        assert!(found.running && found.started.is_some());
        assert_eq!(api.inspect(ID).unwrap(), None);
        assert!(asked.join().unwrap()[0].starts_with("GET /containers/json HTTP/1.0\r\n"));
    }

    #[test]
    fn a_path_cannot_begin_a_second_request() {
        let (_dir, api, asked) = saying(vec![b"HTTP/1.0 204 x\r\n\r\n".to_vec()]);
        for path in ["/x HTTP/1.0\r\nEvil: 1", "x", "/a b", "/\u{e9}"] {
            assert!(matches!(api.post(path, None), Err(ApiError::Broken(..))), "{path:?}");
        }
        assert_eq!(api.post("/containers/x/pause", Some(&serde_json::json!({"a": 1}))).unwrap(), b"");
        assert!(asked.join().unwrap()[0].ends_with("\r\nContent-Length: 7\r\n\r\n{\"a\":1}"));
    }

    #[test]
    fn hostile_answers_are_errors() {
        let long = vec![b'x'; ANSWER_MOST + 1];
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n".to_vec();
        let (_dir, api, asked) =
            saying(vec![ok("{}"), b"\0\xff".to_vec(), Vec::new(), long, chunked, b"HTTP/1.0 500 x\r\n\r\n\x1b[2J".to_vec()]);
        for _ in 0..6 {
            let error = api.running(10).unwrap_err().to_string();
            assert!(!error.contains('\x1b'), "{error:?}");
        }
        asked.join().unwrap();
        assert!(matches!(ContainerApi::at(Path::new("/nonexistent"), "docker").running(1), Err(ApiError::Absent(..))));
    }

    #[test]
    fn events_come_in_pieces_and_have_a_bound() {
        let event = format!(
            "{{\"Action\":\"start\",\"Actor\":{{\"ID\":\"{ID}\",\"Attributes\":{{\"name\":\"web\",\"image\":\"i\"}}}},\"time\":7}}\n"
        );
        let (_dir, api, asked) =
            saying(vec![ok(&format!("\n{event}{event}")), ok(&"x".repeat(HEAD_MOST + 9000)), b"HTTP/1.0 400 no\r\n\r\nno".to_vec()]);
        let mut events = api.events(Utc::now()).unwrap();
        for _ in 0..2 {
            let happened = events.next(PATIENCE).unwrap().unwrap();
            assert_eq!((happened.action.as_str(), happened.container.name, happened.at.timestamp()), ("start", "web".into(), 7));
        }
        assert!(matches!(events.next(PATIENCE), Err(ApiError::Broken(..))), "the runtime ended");
        assert!(matches!(api.events(Utc::now()).unwrap().next(PATIENCE), Err(ApiError::Garbled(..))));
        assert!(matches!(api.events(Utc::now()).unwrap().next(PATIENCE), Err(ApiError::Refused(_, 400, _))));
        asked.join().unwrap();
    }
}
