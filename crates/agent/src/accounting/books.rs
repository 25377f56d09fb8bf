//! What the accounting thread owns: rates, and the governor that weighs them; and what it does with its verdicts.

use std::sync::Arc;
use std::time::Instant;

use super::Cost;
use super::counters::Counters;
use super::gauge::Gauge;
use super::given_up::{Controls, GivenUp};
use super::governor::{Governor, Limits, Reading};
use bartizan_model::BudgetChange;
use bartizan_sys::own_usage;

/// The books.
pub(crate) struct Books {
    gauge: Gauge,
    governor: Governor,
    controls: Controls,
    counters: Arc<Counters>,
    given_up: Arc<GivenUp>,
}

impl Books {
    pub(super) fn new(limits: Limits, controls: Controls, counters: Arc<Counters>, given_up: Arc<GivenUp>) -> Self {
        let governor = Governor::new(limits, controls.steps());
        Self { gauge: Gauge::default(), governor, controls, counters, given_up }
    }

    /// What the agent costs now, over the last ten seconds.
    pub(super) fn cost(&mut self) -> Cost {
        let at = Instant::now();
        let (events_per_second, cpu_percent) = self.gauge.read(at, self.counters.read().events, own_usage::cpu_time());
        Cost { events_per_second, cpu_percent, budget: self.governor.budget(), at }
    }

    /// Compares what we cost with what we may, and gives up or takes up work accordingly.
    pub(super) fn weigh(&mut self) -> Option<BudgetChange> {
        let reading = Reading { cpu_percent: self.cost().cpu_percent, rss_bytes: own_usage::resident_bytes() };
        let change = self.governor.weigh(reading, Instant::now())?;
        let steps = self.governor.given_up();
        self.given_up.set(steps);
        self.controls.apply(steps);
        Some(change)
    }
}
