//! What the detectors of log lines share: counts by address and by time, all of them bounded, and the folding of what they find.

mod campaign;
mod finding;
mod named;
mod presence;
mod table;
mod window;

pub use campaign::{Campaign, CampaignKind};
pub use finding::{Finding, Fold};

pub(super) use campaign::Campaigns;
pub(super) use finding::{About, Said, shown};
pub(super) use named::key_of;
pub(super) use presence::Presence;
pub(super) use table::{Remembered, Table, mix};
pub(super) use window::{Distinct, ManyDistinct, Window};

use bartizan_model::Timestamp;

/// A line's own time counts only within these bounds of the time that it is: a stamp of 1970 or 2040 opens or closes no window.
const PAST: i64 = 25 * 60 * 60;
const FUTURE: i64 = 5 * 60;
/// 2000-01-01, in seconds since 1970.
const CENTURY: i64 = 946_684_800;
/// The same, as campaigns count.
const AHEAD: u32 = FUTURE as u32;

/// What the findings of a detector are part of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Folds {
    /// Each is told by itself.
    Not,
    /// An attack that is one alert, however many sources it has.
    Attack,
    /// Scans, which are one alert, and none while an attack is open: who only looks opens no attack.
    Scan,
}

/// How far an address is from a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which detector's.
    pub detector: &'static str,
    /// Counted so far.
    pub count: u32,
    /// From how many on it speaks.
    pub of: u32,
    /// Within so many seconds.
    pub within: u32,
}

/// When what a line tells of happened: its own time, however long ago, never later than now. A stamp of the last century or of the
/// future is no time.
pub fn happened(stamped: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let is_a_time = |at: &Timestamp| (CENTURY..=now.timestamp() + FUTURE).contains(&at.timestamp());
    stamped.filter(is_a_time).unwrap_or(now).min(now)
}

/// When a line counts, in seconds since 1970: its own time, unless that is too far from the time that it is for any window.
pub(super) fn moment(stamped: Option<Timestamp>, now: Timestamp) -> u32 {
    let is_near = |at: &Timestamp| (now.timestamp() - PAST..=now.timestamp() + FUTURE).contains(&at.timestamp());
    u32::try_from(stamped.filter(is_near).unwrap_or(now).timestamp()).unwrap_or(0)
}

/// Whether something began so far ahead of a line that no late line explains it: the clock ran ahead then, and was set back.
pub(super) fn is_ahead(begun: u32, at: u32) -> bool {
    i64::from(begun.saturating_sub(at)) > PAST + FUTURE
}

/// A time in whole seconds, as thresholds count.
pub(super) fn seconds(time: std::time::Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}
