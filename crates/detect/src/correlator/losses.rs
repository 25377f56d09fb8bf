//! Stretches of time in which events were lost or nobody watched, and which incidents they touch.

use std::collections::VecDeque;

use chrono::TimeDelta;

use bartizan_model::{HostText, Incident, Loss, Timestamp};

/// Losses remembered, to mark incidents that begin or grow later.
const MOST: usize = 64;
/// Events known to be lost this close to an incident may have been a part of the same story.
const REACH: TimeDelta = TimeDelta::seconds(60);
/// The same hop losing again so soon is still the same loss.
const SAME: TimeDelta = TimeDelta::seconds(5);
/// Longest name of a hop that is kept, in characters.
const LONGEST: usize = 64;

/// One stretch.
#[derive(Debug)]
pub(super) struct Lost {
    id: u64,
    from: Timestamp,
    to: Timestamp,
    pub(super) hop: String,
    pub(super) count: u64,
}

impl Lost {
    /// Whether it lies in the time of an incident. What was counted as lost also touches what is near; a stretch in which
    /// nobody watched only what it overlaps, else every incident after a start would be doubted.
    pub(super) fn touches(&self, incident: &Incident) -> bool {
        let reach = if self.count > 0 { REACH } else { TimeDelta::zero() };
        self.from <= incident.updated + reach && self.to + reach >= incident.opened
    }
}

/// The newest stretches, oldest first.
#[derive(Debug, Default)]
pub(super) struct Losses {
    kept: VecDeque<Lost>,
    next: u64,
}

impl Losses {
    /// Takes a loss in; gives its number, which is that of an earlier one when the same hop just goes on losing.
    pub(super) fn add(&mut self, loss: &Loss, at: Timestamp) -> u64 {
        let to = loss.to.unwrap_or(at);
        let from = loss.from.unwrap_or(to).min(to);
        let hop: String = HostText::from(loss.hop.as_str()).escaped().chars().take(LONGEST).collect();
        let slack = if loss.count > 0 { SAME } else { TimeDelta::zero() };
        let goes_on = |known: &&mut Lost| known.hop == hop && from <= known.to + slack && to + slack >= known.from;
        if let Some(known) = self.kept.iter_mut().rev().find(goes_on) {
            (known.from, known.to) = (known.from.min(from), known.to.max(to));
            known.count = known.count.saturating_add(loss.count);
            return known.id;
        }
        if self.kept.len() >= MOST {
            self.kept.pop_front();
        }
        self.next += 1;
        self.kept.push_back(Lost { id: self.next, from, to, hop, count: loss.count });
        self.next
    }

    /// One of them.
    pub(super) fn get(&self, id: u64) -> Option<&Lost> {
        self.kept.iter().find(|lost| lost.id == id)
    }

    /// All, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Lost)> {
        self.kept.iter().map(|lost| (lost.id, lost))
    }
}
