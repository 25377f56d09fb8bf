//! The road of one line through the pipeline: judged, put on record with its line, joined into the incident of its attack.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::pipeline::Pipeline;
use super::queue::Item;
use super::{LOGINS, READ};
use crate::record::Record;
use crate::schedule::due;
use bartizan_detect::detectors::logins::Campaign;
use bartizan_model::{Action, Explanation, IncidentId, Severity, Signal, Timestamp};

/// Taken from the queue at once: an urgent event waits for no more than these.
const BATCH: usize = 64;
/// How often what the detectors remember is written down: after a crash counts are no older.
const REMEMBER: Duration = Duration::from_secs(300);

/// When what happens by the clock happened last.
#[derive(Debug)]
pub(in super::super) struct LogRounds(Instant);

impl Default for LogRounds {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Pipeline {
    /// Works off some of what waits; true when more does.
    pub(in super::super) fn read_logs(&mut self) -> bool {
        let (items, more) = self.ties.ingest.logs.queue.take(BATCH);
        let now = chrono::Utc::now();
        items.into_iter().for_each(|item| self.take_item(item, now));
        more
    }

    /// One line, or the word that all before it are handled.
    pub(super) fn take_item(&mut self, item: Item, now: Timestamp) {
        match item {
            Item::Record(source, at) => {
                for told in self.logs.judge(&source, &at, now) {
                    if let Some((account, from, at)) = told.login() {
                        self.ties.response.login_accepted(account, from, at);
                    }
                    if let Some((addr, jail, lasts)) = told.jailed() {
                        self.ties.response.jailed(addr, jail, lasts, now);
                    }
                    let (event, signal) = told.numbered(self.ties.ingest.lanes.claim_id());
                    self.ties.ingest.accounting.counters.count_event();
                    self.ties.console.event(&event);
                    self.ties.ingest.recorder.keep_all([&event]);
                    for listed in self.detectors.listed(&event) {
                        self.ties.response.alert();
                        self.join_campaign(listed, None);
                    }
                    if let Some((signal, campaign)) = signal.filter(|(signal, _)| !self.detectors.is_off(&signal.detector)) {
                        self.ties.response.alert();
                        self.join_campaign(signal, campaign);
                    }
                }
            }
            Item::Read(text) => {
                self.ties.response.keep_logins();
                self.ties.ingest.recorder.keep(Record::Note(READ, text));
            }
        }
    }

    /// Why an incident scores what it scores; of an attack of many sources, what it comes to.
    pub(in super::super) fn explain(&self, id: IncidentId, actions: &[Action]) -> Option<Explanation> {
        let mut explanation = self.correlator.explain(id, actions)?;
        if let Some(number) = self.correlator.campaign_of(id) {
            explanation.seen.splice(0..0, self.logs.described(number));
        }
        Some(explanation)
    }

    fn join_campaign(&mut self, signal: Signal, campaign: Option<u64>) {
        let known = campaign.is_some_and(|number| self.correlator.has_campaign(number));
        // A login after failures is news each time, also to who has seen the alert about the failures.
        let is_news = campaign.is_none() && signal.severity >= Severity::High;
        let mut signal = signal;
        self.exceptions.mark(&mut signal, None, chrono::Utc::now());
        self.join(signal, is_news);
        if let Some(campaign) = campaign.and_then(|number| self.logs.campaign_of(number)) {
            self.summarize(&campaign);
        }
        if campaign.is_some() && !known {
            // From now on it is one alert, whatever happens to this process.
            self.remember_logins();
        }
    }

    /// What belongs to the clock: the open attack as it is by now, and what the next run shall know.
    pub(in super::super) fn logs_by_the_clock(&mut self) {
        let open: Vec<Campaign> = self.logs.open_campaigns().collect();
        open.iter().for_each(|campaign| self.summarize(campaign));
        self.ties.ingest.logs.spared.store(self.logs.spared(), Ordering::Relaxed);
        if due(&mut self.log_rounds.0, REMEMBER) {
            self.remember_logins();
        }
    }

    /// Writes down what the next run shall know.
    pub(in super::super) fn remember_logins(&mut self) {
        if let Some(text) = self.logs.unsaved() {
            self.ties.ingest.recorder.keep(Record::Note(LOGINS, text));
        }
    }

    fn summarize(&mut self, campaign: &Campaign) {
        let worst: Vec<_> = campaign.worst.iter().map(|(address, _)| address.to_canonical()).collect();
        if let Some(incident) = self.correlator.summarize(campaign.number, &campaign.sentence(), &worst) {
            self.ties.console.incident(&incident, &[]);
            self.ties.console.alert_about(&incident);
            // What was not asked because others had just been is asked by the clock, not only when somebody makes the next finding.
            if self.correlator.has_sources(incident.id) {
                let case = self.case(incident);
                self.ties.response.add_case(case, &[]);
            }
        }
    }
}
