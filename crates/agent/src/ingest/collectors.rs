//! Keeps every collector running: each on a thread of its own, started again with growing pauses when it fails. The
//! time in which one did not run is a gap.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Ingest, unwatched};
use crate::troubles::Troubles;
use bartizan_model::{Gap, Loss, Timestamp, Unpoisoned as _};
use bartizan_sensors::{Collector, Sink, Stop};

/// First pause before a failed collector starts again; doubled each time up to a minute.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A collector that ran this long is forgiven its earlier failures.
const FORGIVEN: Duration = Duration::from_secs(300);
/// A collector that ran this long works.
const WORKS: Duration = Duration::from_secs(5);

/// Runs one collector until the agent stops.
pub(super) fn watch(ingest: Arc<Ingest>, mut collector: Box<dyn Collector>, stop: Stop) -> std::io::Result<JoinHandle<()>> {
    let name = collector.name();
    // Thread names are cut at 15 bytes by the kernel (prctl(2)).
    std::thread::Builder::new().name(format!("c-{name}")).spawn(move || {
        let mut pause = FIRST_PAUSE;
        while !stop.is_set() {
            let begun = Instant::now();
            ingest.outages.lock().unpoisoned().begun(name, begun, chrono::Utc::now());
            let Err(error) = collector.run(&*ingest.lanes, &stop) else { return };
            ingest.outages.lock().unpoisoned().failed(name, begun.elapsed() >= WORKS, chrono::Utc::now());
            ingest.troubles.report(name, Some(format!("{error}; {}", error.mend)));
            if begun.elapsed() > FORGIVEN {
                pause = FIRST_PAUSE;
            }
            stop.sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    })
}

/// Tells what came to an end: collectors that work again, and the gap that each left.
pub(super) fn tell_of_ended_outages(outages: &Mutex<Outages>, troubles: &Troubles, sink: &dyn Sink) {
    let ended = outages.lock().unpoisoned().ended(Instant::now());
    for (name, gap) in ended {
        troubles.report(name, None);
        if let Some(loss) = gap {
            sink.emit(unwatched(loss));
        }
    }
}

/// Collectors that failed, until it is sure that they work again.
#[derive(Debug, Default)]
pub(super) struct Outages(BTreeMap<&'static str, Outage>);

#[derive(Debug)]
struct Outage {
    /// Since when it does not run; absent when it never worked: that is a blind spot, not a gap.
    since: Option<Timestamp>,
    /// When it was begun again.
    again: Option<(Instant, Timestamp)>,
}

impl Outages {
    /// It failed; `worked` tells whether it had worked before.
    fn failed(&mut self, name: &'static str, worked: bool, at: Timestamp) {
        let since = worked.then_some(at);
        let outage = self.0.entry(name).or_insert(Outage { since, again: None });
        outage.since = outage.since.or(since);
        outage.again = None;
    }

    /// It was begun (again).
    fn begun(&mut self, name: &'static str, now: Instant, at: Timestamp) {
        if let Some(outage) = self.0.get_mut(name) {
            outage.again = Some((now, at));
        }
    }

    /// Those that have run long enough by now, with the stretch in which they did not.
    fn ended(&mut self, now: Instant) -> Vec<(&'static str, Option<Loss>)> {
        let mut ended = Vec::new();
        self.0.retain(|name, outage| {
            let Some((_, to)) = outage.again.filter(|(begun, _)| now.saturating_duration_since(*begun) >= WORKS) else { return true };
            let loss = outage.since.map(|from| Loss { from: Some(from.min(to)), to: Some(to), ..Loss::new(&hop(name), 0) });
            ended.push((*name, loss));
            false
        });
        ended
    }

    /// Gaps that are open at this moment.
    pub(super) fn open(&self, at: Timestamp) -> Vec<Gap> {
        let open = |(name, outage): (&&'static str, &Outage)| {
            let from = outage.since?;
            Some(Gap { from: from.min(at), to: at, count: 0, why: hop(name) })
        };
        self.0.iter().filter_map(open).collect()
    }
}

fn hop(name: &str) -> String {
    format!("the collector \"{name}\" had failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(second)
    }

    #[test]
    fn an_outage_is_one_gap_from_the_failure_to_the_run_that_lasts() {
        let (mut outages, start) = (Outages::default(), Instant::now());
        outages.begun("accounts", start, at(0));
        assert_eq!((outages.ended(start + WORKS), outages.open(at(5))), (vec![], vec![]), "a first run is no outage");
        outages.failed("accounts", true, at(10));
        assert_eq!(outages.open(at(12)).iter().map(|gap| (gap.from, gap.to)).collect::<Vec<_>>(), [(at(10), at(12))]);
        outages.begun("accounts", start + Duration::from_secs(11), at(11));
        outages.failed("accounts", false, at(11));
        outages.begun("accounts", start + Duration::from_secs(13), at(13));
        assert_eq!(outages.ended(start + Duration::from_secs(14)), [], "not sure yet");
        let ended = outages.ended(start + Duration::from_secs(18));
        let loss = ended[0].1.clone().unwrap();
        assert_eq!((ended[0].0, loss.from, loss.to, loss.count), ("accounts", Some(at(10)), Some(at(13)), 0));
        assert_eq!(outages.open(at(19)), []);
    }

    #[test]
    fn what_never_worked_is_no_gap() {
        let (mut outages, start) = (Outages::default(), Instant::now());
        outages.failed("privilege", false, at(0));
        assert_eq!(outages.open(at(9)), []);
        outages.begun("privilege", start, at(10));
        assert_eq!(outages.ended(start + WORKS), [("privilege", None)]);
    }
}
