//! The interface of a container runtime (Docker's Engine API, which Podman speaks too): HTTP over a unix socket.
//!
//! HTTP/1.0 on purpose: one question a connection, and the answer ends with it, so nothing has to be taken apart.

mod events;
mod listing;
mod logs;

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use events::{Events, Happened};
pub use listing::Found;
pub use logs::ContainerLog;

use bartizan_model::HostText;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

/// Longest answer, in bytes; a thousand running containers take about 1.5 MB.
const MAX_ANSWER: usize = 8 << 20;
/// Longest head of an answer, and longest line of the stream of events, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// A runtime that does not answer within this time does not work.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// The runtimes that we know how to ask, at their usual places.
pub fn runtimes() -> [ContainerApi; 2] {
    [ContainerApi::at(Path::new("/var/run/docker.sock"), "docker"), ContainerApi::at(Path::new("/run/podman/podman.sock"), "podman")]
}

/// A runtime at a socket. Nothing is kept open between questions.
#[derive(Debug, Clone)]
pub struct ContainerApi {
    socket: PathBuf,
    runtime: &'static str,
}

impl ContainerApi {
    /// The runtime of this name (`docker`, `podman`) behind this socket.
    pub fn at(socket: &Path, runtime: &'static str) -> Self {
        Self { socket: socket.to_owned(), runtime }
    }

    /// The runtime that listens there, if it is one of ours.
    pub fn behind(socket: &Path) -> Option<Self> {
        runtimes().into_iter().find(|runtime| runtime.socket == socket)
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its name.
    pub fn runtime(&self) -> &'static str {
        self.runtime
    }

    /// Sends a command: pausing a container, taking it off a network. The body is JSON. Gives what the runtime answered.
    ///
    /// # Errors
    /// When the runtime is not there, refuses, or the path holds anything that does not belong into one.
    pub fn post(&self, path: &str, body: Option<&serde_json::Value>) -> Result<Vec<u8>, ApiError> {
        self.answer(path, self.ask("POST", path, body)?)
    }

    /// Asks for what lies at a path.
    ///
    /// # Errors
    /// As [`ContainerApi::post`].
    pub fn get(&self, path: &str) -> Result<Vec<u8>, ApiError> {
        self.answer(path, self.ask("GET", path, None)?)
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
            if bytes.len() > MAX_ANSWER {
                return Err(ApiError::Garbled(path.to_owned(), format!("an answer longer than {MAX_ANSWER} bytes")));
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

/// Status of an answer and where its body begins; `None` while the head is not whole.
fn head(path: &str, bytes: &[u8]) -> Result<Option<(u16, usize)>, ApiError> {
    let garbled = |why: &str| ApiError::Garbled(path.to_owned(), why.to_owned());
    let Some(end) = bytes.windows(4).take(MAX_HEAD).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
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

/// What an answer in JSON says.
///
/// # Errors
/// When it says something else.
pub fn parse<T: serde::de::DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|why| ApiError::Garbled(path.to_owned(), why.to_string()))
}

#[cfg(test)]
mod tests;
