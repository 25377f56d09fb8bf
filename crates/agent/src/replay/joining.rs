//! Signals joined into incidents in the time of a recording, each told with the place where it began.

use std::collections::HashMap;

use super::{Place, Replayed};
use bartizan_config::Policy;
use bartizan_detect::correlator::{Correlator, MAX_INCIDENTS};
use bartizan_model::{Incident, IncidentId, Signal, Timestamp};

/// How often confidence fades, in the time of the events: as in the running agent.
const DECAY: chrono::TimeDelta = chrono::TimeDelta::seconds(10);

/// The real correlator, and where its incidents opened.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) correlator: Correlator,
    faded: Timestamp,
    opened: HashMap<IncidentId, Place>,
    last: Place,
    told: u64,
}

impl Joining {
    pub(super) fn new(policy: &Policy) -> Self {
        let correlator = Correlator::new(policy, IncidentId(1));
        Self { correlator, faded: Timestamp::UNIX_EPOCH, opened: HashMap::new(), last: Place { recording: 0, line: 0 }, told: 0 }
    }

    /// Tells a signal, and takes it into its incident.
    pub(super) fn join(&mut self, place: Place, signal: Signal, tell: &mut impl FnMut(Replayed)) {
        self.last = place;
        tell(Replayed::Signal(place, signal.clone()));
        if signal.excepted.is_some() {
            drop(self.correlator.set_aside(signal));
            return;
        }
        let update = self.correlator.join(signal);
        if update.opened {
            self.opened.insert(update.incident.id, place);
            self.forget_places();
        }
    }

    /// It is now so late: scores fade, and what is quiet for too long closes and is told.
    pub(super) fn let_time_pass(&mut self, at: Timestamp, tell: &mut impl FnMut(Replayed)) {
        if at.signed_duration_since(self.faded) < DECAY {
            return;
        }
        self.faded = at;
        for incident in self.correlator.tick(at) {
            if self.correlator.get(incident.id).is_none() {
                self.tell(incident, tell);
            }
        }
    }

    /// The recording is over: tells what is still open, oldest first. How many incidents were told, and how many were given up.
    pub(super) fn end(mut self, mut tell: impl FnMut(Replayed)) -> (u64, u64) {
        let left: Vec<Incident> = self.correlator.incidents().cloned().collect();
        left.into_iter().for_each(|incident| self.tell(incident, &mut tell));
        (self.told, self.correlator.evicted())
    }

    fn tell(&mut self, incident: Incident, tell: &mut impl FnMut(Replayed)) {
        self.told += 1;
        let place = self.opened.remove(&incident.id).unwrap_or(self.last);
        tell(Replayed::Incident(place, incident));
    }

    /// Incidents that were given up or became part of another one need no place any more.
    fn forget_places(&mut self) {
        if self.opened.len() > 2 * MAX_INCIDENTS {
            self.opened.retain(|id, _| self.correlator.get(*id).is_some());
        }
    }
}
