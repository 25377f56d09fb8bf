//! What the agent admits of itself: losses at each hop, gaps, work that it gave up.

use super::coverage::{GAPS, WATCHED_UNTIL};
use super::losses::Reading;
use super::record::Record;
use super::shared::{Shared, lock};
use bartizan_model::{BudgetChange, Event, EventId, EventKind, HopDrops, Loss, Source, Timestamp};
use bartizan_outbound::WebhookReport;
use bartizan_sensors::Sink;

fn webhook_hop(report: &WebhookReport) -> HopDrops {
    let dropped = report.dropped + report.failed + report.limited;
    HopDrops { hop: "webhook".to_owned(), received: report.sent + dropped, dropped }
}

impl Shared {
    /// Loss at every hop, behind the events too: incidents forgotten and questions not asked because there were too many,
    /// and what was not looked into.
    pub(super) fn hops(&self) -> Vec<HopDrops> {
        let mut hops = self.event_hops();
        let forgotten = lock(&self.correlator).evicted();
        hops.push(HopDrops { hop: "incidents".to_owned(), received: self.totals.read().incidents, dropped: forgotten });
        let (asked, unasked) = self.response.standing().asked;
        hops.push(self.given_up.hop());
        hops.push(HopDrops { hop: "questions".to_owned(), received: asked + unasked, dropped: unasked });
        hops.extend(self.processes.enrichment().hops());
        if let Some(webhook) = &self.webhook {
            hops.push(webhook_hop(&webhook.report()));
        }
        hops
    }

    /// Loss of events.
    fn event_hops(&self) -> Vec<HopDrops> {
        let mut hops = self.lanes.hops();
        // The detectors take every event that leaves the lanes, and cannot lose one.
        hops.push(HopDrops { hop: "detectors".to_owned(), received: self.totals.read().events, dropped: 0 });
        hops.push(self.recorder.hop());
        hops
    }

    /// Loss of events, by kind where the hop can tell.
    pub(super) fn loss_readings(&self) -> Vec<Reading> {
        let mut readings = self.lanes.readings();
        readings.push(self.recorder.hop().into());
        readings
    }

    /// Events were lost, or nobody watched: whoever watches "without a gap" does so only from then on.
    pub(super) fn missed(&self, loss: &Loss, at: Timestamp) {
        lock(&self.coverage).admit(loss, at);
        if loss.count > 0 {
            let (count, hop, time) = (loss.count, &loss.hop, at.format("%H:%M:%S"));
            self.degrade("events", Some(format!("{count} lost at {hop} at {time}; incidents of that time are marked incomplete")));
        }
    }

    /// A loss is shown as degraded for a minute; the counts and the gap stay.
    pub(super) fn nothing_missed_lately(&self) {
        let gap = chrono::Utc::now() - lock(&self.coverage).since();
        if gap > chrono::Duration::minutes(1) {
            self.degrade("events", None);
        }
    }

    /// Our cost met its limit, or there is room again: it is done, shown and told.
    pub(super) fn budget_changed(&self, budget: BudgetChange) {
        let steps = lock(&self.governor).given_up().to_vec();
        self.given_up.set(&steps);
        self.controls.apply(&steps);
        let trouble = (budget.level > 0).then(|| format!("gave up {}: {}", budget.given_up.join(", "), budget.why));
        self.degrade("budget", trouble);
        let (at, kind) = (chrono::Utc::now(), EventKind::Budget { budget });
        self.lanes.emit(Event { id: EventId(0), at, kind, process: None, source: Source::Agent, complete: true });
    }

    /// Writes down how far somebody watched, for the next run.
    pub(super) fn remember_coverage(&self, now: Timestamp) {
        self.recorder.keep(Record::Note(WATCHED_UNTIL, now.to_rfc3339()));
        self.remember_gaps();
    }

    /// Writes down the gaps when there are new ones.
    pub(super) fn remember_gaps(&self) {
        let unsaved = lock(&self.coverage).unsaved();
        if let Some(gaps) = unsaved {
            self.recorder.keep(Record::Note(GAPS, gaps));
        }
    }
}
