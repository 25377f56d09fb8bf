//! What happens to containers, as a stream.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{ApiError, ContainerApi, MAX_HEAD, head, parse, refused};
use bartizan_model::Container;

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
            if self.waiting.len() > MAX_HEAD {
                return Err(ApiError::Garbled(PATH.to_owned(), format!("a line longer than {MAX_HEAD} bytes")));
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
