//! The hand that holds the child: starts it, hands it descriptors, waits only so long for an answer, and ends it when it does wrong.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame::{Ask, Batch, Hello, Kind, Reading, Record, SOURCES, check, pack};
use bartizan_sys::packets;
use bartizan_sys::unprivileged::Child;

/// How often whoever waits for the child looks whether it is waited for in vain.
const LOOK: Duration = Duration::from_millis(200);
/// Longest reason that a child may give for not starting, in characters.
const REASON: usize = 200;

/// How the child is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program, `/proc/self/exe` for our own.
    pub program: PathBuf,
    /// What makes it the child.
    pub arguments: Vec<OsString>,
    /// It hangs when an answer takes longer. A reading is some milliseconds of work.
    pub patience: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No child could be started: nothing was read.
    #[error("the process that reads logs cannot be started: {0}")]
    NotStarted(io::Error),
    /// It was started and died, hung, or answered what it must not. The next question starts another.
    #[error("{0}")]
    Died(Died),
    /// Nobody wants the answer any more ([`Worker::until`]): the child was ended, nothing was read.
    #[error("the process that reads logs was ended with the agent")]
    Over,
}

/// How the child died.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the process that reads logs {how}")]
pub struct Died {
    /// In words.
    pub how: String,
    /// What it was reading can have done that. False when it was ended from outside, or while it read nothing.
    pub earned: bool,
}

struct Life {
    child: Child,
    socket: OwnedFd,
}

struct Held<S> {
    kind: Kind,
    source: S,
    descriptor: OwnedFd,
    handed: bool,
    /// When it was asked about last, in questions.
    asked: u64,
}

/// A child without rights, and what it was handed. Not for several threads: the child dies with the one that started it.
pub struct Worker<S, R> {
    launch: Launch,
    life: Option<Life>,
    held: BTreeMap<u32, Held<S>>,
    room: Vec<u8>,
    deaths: u64,
    questions: u64,
    is_over: Box<dyn Fn() -> bool + Send>,
    record: PhantomData<R>,
}

impl<S, R> std::fmt::Debug for Worker<S, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("pid", &self.pid()).field("deaths", &self.deaths).finish_non_exhaustive()
    }
}

impl<S, R> Worker<S, R> {
    /// The child, while one lives.
    pub fn pid(&self) -> Option<u32> {
        self.life.as_ref().map(|life| life.child.pid())
    }

    /// How many have died.
    pub fn deaths(&self) -> u64 {
        self.deaths
    }
}

impl<S: Serialize + DeserializeOwned + Clone, R: Record> Worker<S, R> {
    /// Nothing is started before there is something to read.
    pub fn new(launch: Launch) -> Self {
        let (held, room, is_over) = (BTreeMap::new(), vec![0; packets::LONGEST], Box::new(|| false));
        Self { launch, life: None, held, room, deaths: 0, questions: 0, is_over, record: PhantomData }
    }

    /// Once that is so, an answer that does not come within 200 ms is not waited for.
    #[must_use]
    pub fn until(self, is_over: impl Fn() -> bool + Send + 'static) -> Self {
        Self { is_over: Box::new(is_over), ..self }
    }

    /// From now on `id` is this source; it is handed over with the first question about it.
    pub fn take(&mut self, id: u32, kind: Kind, source: S, descriptor: OwnedFd) {
        self.held.insert(id, Held { kind, source, descriptor, handed: false, asked: 0 });
    }

    /// The source is done with.
    pub fn release(&mut self, id: u32) {
        let handed = self.held.remove(&id).is_some_and(|held| held.handed);
        if handed && let Some(life) = &self.life {
            // One that takes no more words is found out at the next question.
            let _ = say::<S>(life, &Ask::Drop { id }, None);
        }
    }

    /// Reads on in source `id`.
    ///
    /// # Errors
    /// [`Refused`]; the sources stay taken.
    pub fn read(&mut self, id: u32, reading: Reading) -> Result<Batch<R>, Refused> {
        // One that ended while nobody asked it anything died of no line.
        if let Some(ended) = self.life.as_mut().and_then(|life| life.child.ended()) {
            self.life = None;
            return Err(self.bury(format!("died: {}", ended.how), false));
        }
        let life = match self.life.take() {
            Some(life) => life,
            None => self.start().map_err(|why| match why.kind() {
                io::ErrorKind::Interrupted => Refused::Over,
                _ => Refused::NotStarted(why),
            })?,
        };
        let wrong = match self.ask(&life, id, reading) {
            Ok(batch) => {
                self.life = Some(life);
                return Ok(batch);
            }
            Err(wrong) => wrong,
        };
        Err(match wrong {
            Wrong::Gone => {
                let ended = life.child.gone();
                self.bury(format!("died: {}", ended.how), ended.earned)
            }
            Wrong::Hung => {
                life.child.end();
                self.bury(format!("hung for {} s and was ended", self.launch.patience.as_secs_f32()), true)
            }
            Wrong::Over => {
                life.child.end();
                // Nobody is to blame, but what it had read of a pipe went with it.
                self.bury(String::new(), false);
                Refused::Over
            }
            Wrong::Answer(what) => {
                life.child.end();
                self.bury(format!("gave an answer out of bounds ({what}) and was ended"), true)
            }
        })
    }

    fn bury(&mut self, how: String, earned: bool) -> Refused {
        self.deaths += 1;
        self.held.values_mut().for_each(|held| held.handed = false);
        Refused::Died(Died { how, earned })
    }

    fn start(&mut self) -> io::Result<Life> {
        let (child, socket) = Child::start(&self.launch.program, &self.launch.arguments)?;
        let length = self.listen(&socket)?;
        let hello = self.room.get(..length).filter(|hello| !hello.is_empty());
        let hello = hello.ok_or_else(|| io::Error::other("it ended before it could say that it has given up its rights"))?;
        let Hello(trouble) = postcard::from_bytes(hello).map_err(io::Error::other)?;
        match trouble {
            None => Ok(Life { child, socket }),
            Some(trouble) => Err(io::Error::other(trouble.chars().take(REASON).collect::<String>())),
        }
    }

    fn ask(&mut self, life: &Life, id: u32, reading: Reading) -> Result<Batch<R>, Wrong> {
        self.questions += 1;
        if self.held.get(&id).is_some_and(|held| !held.handed) {
            self.make_room(life)?;
        }
        if let Some(held) = self.held.get_mut(&id) {
            held.asked = self.questions;
            if !held.handed {
                say(life, &Ask::Take { id, kind: held.kind, source: held.source.clone() }, Some(&held.descriptor))?;
                held.handed = true;
            }
        }
        // The child cannot look it up: it opens nothing.
        let zone = chrono::Local::now().offset().local_minus_utc();
        say::<S>(life, &Ask::Read { id, reading, zone }, None)?;
        let length = self.listen(&life.socket).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Wrong::Hung,
            io::ErrorKind::Interrupted => Wrong::Over,
            io::ErrorKind::InvalidData => Wrong::Answer("too long"),
            _ => Wrong::Gone,
        })?;
        match self.room.get(..length) {
            None | Some([]) => Err(Wrong::Gone),
            Some(packet) => check(packet, id, &reading).map_err(Wrong::Answer),
        }
    }

    /// Waits for a packet in slices: `TimedOut` when patience is over, `Interrupted` when nobody wants it any more.
    fn listen(&mut self, socket: &OwnedFd) -> io::Result<usize> {
        let until = Instant::now() + self.launch.patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match packets::receive(socket.as_fd(), &mut self.room, left.min(LOOK)) {
                Err(late) if late.kind() == io::ErrorKind::TimedOut => {
                    if (self.is_over)() {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                    if left <= LOOK {
                        return Err(late);
                    }
                }
                other => return other,
            }
        }
    }

    /// The child holds so many at once: the file that was asked about the longest ago is taken back. Of a pipe it may hold what came.
    fn make_room(&mut self, life: &Life) -> Result<(), Wrong> {
        let handed = self.held.iter().filter(|(_, held)| held.handed);
        let (mut count, mut oldest) = (0, None::<(u64, u32)>);
        for (id, held) in handed {
            count += 1;
            if held.kind == Kind::File {
                oldest = Some(oldest.unwrap_or((u64::MAX, 0)).min((held.asked, *id)));
            }
        }
        let Some((_, id)) = oldest.filter(|_| count >= SOURCES) else { return Ok(()) };
        if let Some(held) = self.held.get_mut(&id) {
            held.handed = false;
        }
        say::<S>(life, &Ask::Drop { id }, None)
    }
}

/// What was wrong with the child.
#[derive(Debug)]
enum Wrong {
    Gone,
    Hung,
    Over,
    Answer(&'static str),
}

fn say<S: Serialize>(life: &Life, ask: &Ask<S>, along: Option<&OwnedFd>) -> Result<(), Wrong> {
    let mut packet = Vec::new();
    pack(ask, &mut packet).map_err(|_| Wrong::Answer("a source that cannot be described"))?;
    packets::send(life.socket.as_fd(), &packet, along.map(AsFd::as_fd), false).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Wrong::Hung,
        _ => Wrong::Gone,
    })
}
