//! What waits to be sent: one lane a sink, folded, limited, retried, kept over restarts; each message is counted until somebody has it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use bartizan_model::{SinkRow, Timestamp};

use super::lane::Lane;
use super::message::Message;
use super::parcel::Parcel;
use super::route::Route;

/// After so many failures in a row a sink counts as lost, and the others are told.
pub(crate) const LOST_AFTER: u32 = 3;

/// Why a sink did not take a parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One line without secrets.
    pub why: String,
    /// How long the other side asked to be left alone.
    pub retry_after: Option<TimeDelta>,
    /// The other side does not take this parcel, as opposed to being unable to take any: something in it may be why.
    pub refused: bool,
    /// And it will not be different later: the parcel is given up after some attempts.
    pub refused_for_good: bool,
}

/// What is written to disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// By the sink's name. A sink that is no longer configured is forgotten when the state is read.
    #[serde(default)]
    lanes: BTreeMap<String, Lane>,
}

/// Everything that waits.
#[derive(Debug, Clone)]
pub struct Queue {
    routes: Vec<Route>,
    state: State,
}

impl Queue {
    /// The queue for these routes, as an earlier run left it.
    pub fn new(routes: Vec<Route>, mut state: State, now: Timestamp) -> Self {
        state.lanes.retain(|sink, _| routes.iter().any(|route| route.sink == *sink));
        for route in &routes {
            // What waits follows the rules of today: whoever ends quiet hours is told at once.
            state.lanes.entry(route.sink.clone()).or_insert_with(|| Lane::new(now)).replan(route);
        }
        Self { routes, state }
    }

    /// Whether there is no sink at all.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// What a later run must know of this one.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Hands a message in: every sink that it is for will be sent it, alone or folded.
    pub fn offer(&mut self, message: Message, now: Timestamp) {
        self.offer_but(&message.bounded(), None, now);
    }

    fn offer_but(&mut self, message: &Message, but: Option<&str>, now: Timestamp) {
        for route in self.routes.iter().filter(|route| but != Some(route.sink.as_str())) {
            if let Some(lane) = self.state.lanes.get_mut(&route.sink) {
                lane.offer(message, route.due(message, now), now);
            }
        }
    }

    /// What this sink is to be sent now, if anything. It stays there until [`Queue::sent`] or [`Queue::failed`] says what became of it.
    pub fn take(&mut self, sink: &str, now: Timestamp) -> Option<Parcel> {
        self.state.lanes.get_mut(sink)?.take(now)
    }

    /// The sink has taken its parcel. When it was lost before, the others are told that it is back.
    pub fn sent(&mut self, sink: &str, host: &str, now: Timestamp) {
        let Some(lane) = self.state.lanes.get_mut(sink) else { return };
        let tries = lane.sent(now);
        if tries >= LOST_AFTER {
            self.offer_but(&Message::found(host, sink, tries).bounded(), Some(sink), now);
        }
    }

    /// The sink has not: its parcel is tried again later. When this sink is lost, the others are told once.
    pub fn failed(&mut self, sink: &str, failure: &Failure, host: &str, now: Timestamp) {
        let Some(lane) = self.state.lanes.get_mut(sink) else { return };
        if lane.failed(failure, now) == LOST_AFTER {
            self.offer_but(&Message::lost(host, sink, &failure.why).bounded(), Some(sink), now);
        }
    }

    /// A test message arrived: what waits is tried at once, and a sink that was lost is not any more.
    pub fn reached(&mut self, sink: &str, host: &str, now: Timestamp) {
        let Some(lane) = self.state.lanes.get_mut(sink) else { return };
        let tries = lane.reached(now);
        if tries >= LOST_AFTER {
            self.offer_but(&Message::found(host, sink, tries).bounded(), Some(sink), now);
        }
    }

    /// A person has seen what this key stands for: what waits is not sent any more, also not to the sinks of an escalation.
    pub fn acknowledge(&mut self, key: &str) {
        self.state.lanes.values_mut().for_each(|lane| lane.acknowledge(key));
    }

    /// When this sink may be sent something next; none when nothing waits for it.
    pub fn next_at(&self, sink: &str) -> Option<Timestamp> {
        self.state.lanes.get(sink)?.next_at()
    }

    /// How each sink is, in the order of the settings.
    pub fn rows(&self) -> Vec<SinkRow> {
        let row = |route: &Route| Some(self.state.lanes.get(&route.sink)?.row(&route.sink, &route.place));
        self.routes.iter().filter_map(row).collect()
    }
}

#[cfg(test)]
mod tests;
