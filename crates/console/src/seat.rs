//! The console's seat at the terminal: taken while the terminal is ours, left while the shell or another program has it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::input::Input;
use super::terminal::{Guard, read};
use bartizan_model::Timestamp;

/// How long the shell may take to take its terminal back after a suspension.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whose terminal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Ours: this job is in the foreground.
    Ours,
    /// The shell's or another job's.
    Others,
    /// Nobody will ever bring us to the foreground again.
    Gone,
}

/// What the console must know of its job, and can do about it.
pub trait Place: fmt::Debug + Send + Sync {
    /// Whose terminal it is now.
    fn ground(&self) -> Ground;
    /// The console is on the terminal.
    fn taken(&self);
    /// The terminal was given back.
    fn left(&self);
    /// Lets the shell have the terminal; may return at once or when the job is brought back.
    fn step_back(&self);
    /// The console begins in the background.
    fn begin_behind(&self);
    /// The numbers of the signals that mean "stop" and "go on".
    fn job_signals(&self) -> [i32; 2];
}

/// What a look at the terminal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Stay,
    Return,
    Lost,
    Gone,
}

#[derive(Debug)]
struct Away {
    since: Instant,
    /// Somebody else was seen to have the terminal, or we were told to go on.
    others: bool,
}

/// Where the console sits.
pub(crate) struct Seat {
    place: Arc<dyn Place>,
    guard: Option<Guard>,
    reader: JoinSet<()>,
    sender: Sender<(Timestamp, Input)>,
    away: Option<Away>,
}

impl Seat {
    /// Not taken yet.
    pub(crate) fn new(place: Arc<dyn Place>, sender: Sender<(Timestamp, Input)>) -> Self {
        Self { place, guard: None, reader: JoinSet::new(), sender, away: Some(Away { since: Instant::now(), others: true }) }
    }

    /// One that needs no terminal.
    #[cfg(test)]
    pub(crate) fn lent(place: Arc<dyn Place>) -> Self {
        let mut seat = Self::new(place, tokio::sync::mpsc::channel(1).0);
        seat.away = None;
        seat
    }

    pub(crate) fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// Begins: at once in the foreground, else later.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        if self.place.ground() == Ground::Others {
            self.place.begin_behind();
            return Ok(());
        }
        self.take()
    }

    /// Takes the terminal.
    pub(crate) fn take(&mut self) -> io::Result<()> {
        self.guard = Some(Guard::enter()?);
        self.place.taken();
        self.reader.spawn(read(self.sender.clone()));
        self.away = None;
        Ok(())
    }

    /// Gives the terminal back as it was.
    pub(crate) async fn leave(&mut self) {
        self.reader.shutdown().await;
        self.give_back();
    }

    fn give_back(&mut self) {
        if let Some(guard) = self.guard.take() {
            if self.place.ground() == Ground::Others {
                guard.abandon();
            } else {
                drop(guard);
            }
            self.place.left();
        }
    }

    /// Gives the terminal back and lets the shell have it.
    pub(crate) async fn suspend(&mut self) {
        self.leave().await;
        self.away = Some(Away { since: Instant::now(), others: false });
        self.place.step_back();
    }

    /// Somebody took the terminal from us.
    pub(crate) async fn lose(&mut self) {
        self.leave().await;
        self.away = Some(Away { since: Instant::now(), others: true });
    }

    /// Was told to go on (SIGCONT): whatever the terminal was set to meanwhile, it is taken anew.
    pub(crate) async fn go_on(&mut self) {
        if self.away.is_none() {
            self.leave().await;
        }
        self.away = Some(Away { since: Instant::now(), others: true });
    }

    /// Looks whose terminal it is.
    pub(crate) fn look(&mut self) -> Look {
        match (self.place.ground(), &mut self.away) {
            (Ground::Gone, _) => Look::Gone,
            (Ground::Others, None) => Look::Lost,
            (Ground::Others, Some(away)) => {
                away.others = true;
                Look::Stay
            }
            (Ground::Ours, Some(away)) if away.others || away.since.elapsed() > PATIENCE => Look::Return,
            (Ground::Ours, _) => Look::Stay,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.give_back();
    }
}
