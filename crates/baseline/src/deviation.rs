//! What is not as it usually is here, in words, and how sure that is.

use bartizan_model::{EventId, HabitId, HabitKind, Severity};

/// Kinds of deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviationKind {
    /// A program runs where it never ran, or is not the one it was.
    Program,
    /// Somebody starts a program that it never started.
    Child,
    /// Somebody listens where it never listened.
    Listener,
    /// Somebody calls where it never called.
    Destination,
    /// Somebody changes files where it never did.
    Place,
    /// An account logs in from where, or with what, it never did.
    Login,
    /// An account logs in at an hour at which it never did.
    Hour,
    /// Somebody does many times more than in its busiest hour.
    Rate,
    /// Somebody that always spoke stopped.
    Silence,
    /// Somebody calls a new destination like a clock.
    Beacon,
    /// Somebody sends many times more than in its busiest hour.
    Volume,
}

impl DeviationKind {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::Volume as usize + 1;

    pub(crate) fn of(kind: HabitKind) -> Self {
        match kind {
            HabitKind::Program => Self::Program,
            HabitKind::Child => Self::Child,
            HabitKind::Listener => Self::Listener,
            HabitKind::Destination => Self::Destination,
            HabitKind::Place => Self::Place,
            HabitKind::Login => Self::Login,
        }
    }

    /// How sure at most: what is new is not yet wrong.
    pub(crate) fn most(self) -> f64 {
        match self {
            Self::Child | Self::Listener | Self::Beacon | Self::Volume => 0.5,
            Self::Destination | Self::Login => 0.4,
            Self::Program | Self::Place | Self::Silence => 0.35,
            Self::Rate | Self::Hour => 0.25,
        }
    }
}

/// Something that is not as it usually is.
#[derive(Debug, Clone, PartialEq)]
pub struct Deviation {
    /// Which kind.
    pub kind: DeviationKind,
    /// What happened and what was usual, without a full stop. Safe to show.
    pub sentence: String,
    /// How bad, if it means harm.
    pub severity: Severity,
    /// How sure, 0 to 1; it follows from how much was seen before.
    pub confidence: f64,
    /// The event that shows it, where that is not the one at hand: the last sign of life.
    pub event: Option<EventId>,
    /// The habit that waits for a person.
    pub habit: Option<HabitId>,
}

/// Days as people say them.
pub(crate) fn days(count: u32) -> String {
    if count == 1 { "1 day".to_owned() } else { format!("{count} days") }
}

/// A length of time as people say it.
pub(crate) fn lasting(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// An amount of bytes as people say it.
pub(crate) fn bytes(amount: u64) -> String {
    match amount {
        0..1_048_576 => format!("{} KiB", amount >> 10),
        1_048_576..10_737_418_240 => format!("{} MiB", amount >> 20),
        _ => format!("{} GiB", amount >> 30),
    }
}
