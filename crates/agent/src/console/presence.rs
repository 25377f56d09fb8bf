//! Who is looking, and what happened while nobody was.

use crate::accounting::Totals;
use bartizan_model::{Presence, Timestamp};

/// Remembers when the last console left and what the totals were then.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    consoles: usize,
    left: Option<(Timestamp, Totals)>,
}

impl Attendance {
    /// An absence that began before this agent started (nobody was attached when the last one ended).
    pub(super) fn since(left: Option<Timestamp>) -> Self {
        Self { consoles: 0, left: left.map(|at| (at, Totals::default())) }
    }

    /// A console attached; the first one after an absence is told what it missed.
    pub(super) fn arrive(&mut self, now: Totals) -> Option<Presence> {
        self.consoles += 1;
        let (away_since, then) = self.left.take()?;
        Some(Presence {
            away_since: Some(away_since),
            events: now.events - then.events,
            incidents: now.incidents - then.incidents,
            alerts: now.alerts - then.alerts,
            actions: now.actions - then.actions,
            lapsed: now.lapsed - then.lapsed,
        })
    }

    /// A console left. Returns when the absence began, if it was the last one.
    pub(super) fn leave(&mut self, now: Totals, at: Timestamp) -> Option<Timestamp> {
        self.consoles = self.consoles.saturating_sub(1);
        if self.consoles > 0 {
            return None;
        }
        self.left = Some((at, now));
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_to_return_is_told_what_was_missed() {
        let at = chrono::DateTime::UNIX_EPOCH;
        let mut attendance = Attendance::default();
        assert_eq!(attendance.arrive(Totals::default()), None, "nobody was away before the first arrival");
        assert_eq!(attendance.leave(Totals { events: 10, ..Totals::default() }, at), Some(at));
        let told = attendance.arrive(Totals { events: 2_010, alerts: 1, ..Totals::default() }).unwrap();
        assert_eq!((told.events, told.alerts, told.away_since), (2_000, 1, Some(at)));
        assert_eq!(attendance.arrive(Totals::default()), None);
    }
}
