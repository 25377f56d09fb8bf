//! What the ingest admits of itself: what was lost at each hop, and since when somebody watches.

use super::Ingest;
use super::losses::Reading;
use bartizan_model::{Gap, HopDrops, Timestamp, Unpoisoned as _};

/// Since when somebody watches, and what was not watched, as the pipeline showed it last.
#[derive(Debug, Clone)]
pub(crate) struct Covered {
    pub(super) since: Timestamp,
    pub(super) gaps: Vec<Gap>,
}

impl Ingest {
    /// Loss at every hop of the ingest, incidents forgotten because there were too many included.
    pub(crate) fn hops(&self) -> Vec<HopDrops> {
        let mut hops = self.lanes.hops();
        let totals = self.accounting.counters.read();
        // The detectors take every event that leaves the lanes, and cannot lose one.
        hops.push(HopDrops { hop: "detectors".to_owned(), received: totals.events, dropped: 0 });
        hops.push(self.recorder.hop());
        hops.extend(self.log_hops());
        let forgotten = self.evicted.load(std::sync::atomic::Ordering::Relaxed);
        hops.push(HopDrops { hop: "incidents".to_owned(), received: totals.incidents, dropped: forgotten });
        hops
    }

    /// Loss of events, by kind where the hop can tell.
    pub(super) fn loss_readings(&self) -> Vec<Reading> {
        let mut readings = self.lanes.readings();
        readings.push(self.recorder.hop().into());
        readings
    }

    /// Since when somebody watches everything, and the newest stretches in which nobody did.
    pub(crate) fn coverage(&self, at: Timestamp) -> (Timestamp, Vec<Gap>) {
        let open = self.outages.lock().unpoisoned().open(at);
        let covered = self.covered.read();
        let since = if open.is_empty() { covered.since } else { at };
        (since, covered.gaps.iter().cloned().chain(open).collect())
    }
}
