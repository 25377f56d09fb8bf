//! The accounting: what the agent costs and what it gives up for that, how fast events are judged, and whether its threads still
//! move. One thread owns rates and governor; counters are for everybody.

mod books;
mod counters;
mod gauge;
mod given_up;
mod governor;
mod latency;
mod pulses;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use books::Books;
pub(crate) use counters::{Counters, Totals};
pub(crate) use given_up::Controls;
pub(crate) use governor::Limits;
pub(crate) use pulses::Beat;

use given_up::GivenUp;
use latency::Stopwatch;
use pulses::Pulses;

use crate::ingest::Ingest;
use crate::mailbox::{Mailbox, Published};
use crate::notify::Notify;
use crate::troubles::Troubles;
use bartizan_model::{Budget, BudgetChange, Event, EventId, EventKind, HopDrops, Latency, Source};
use bartizan_sensors::Stop;
use bartizan_sys::service_manager;

/// How often our own cost is weighed.
const WEIGH: Duration = Duration::from_secs(5);
/// So long a question about the cost waits for the books.
const PROMPTLY: Duration = Duration::from_millis(500);

/// What the agent costs, as the books showed it.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    /// Over the last ten seconds.
    pub(crate) events_per_second: f64,
    /// Percent of one core over the last ten seconds.
    pub(crate) cpu_percent: f64,
    pub(crate) budget: Budget,
    at: Instant,
}

/// The accounting, as all others know it.
pub(crate) struct Accounting {
    pub(crate) counters: Arc<Counters>,
    given_up: Arc<GivenUp>,
    latency: Stopwatch,
    pulses: Pulses,
    books: Mailbox<Books>,
    notify: Arc<Notify>,
    cost: Published<Cost>,
}

/// What the thread tells others.
pub(crate) struct Ties {
    pub(crate) stop: Stop,
    pub(crate) troubles: Arc<Troubles>,
    /// Where events about ourselves go.
    pub(crate) ingest: Arc<Ingest>,
    /// When what is being done to the host last got a step further; `None` while nothing is.
    pub(crate) moved: Box<dyn Fn() -> Option<Instant> + Send>,
}

impl Accounting {
    /// With these limits; `controls` are those who pause for them. The books belong to [`Self::run`].
    pub(crate) fn new(limits: Limits, controls: Controls) -> (Self, Books) {
        let (counters, given_up) = (Arc::<Counters>::default(), Arc::<GivenUp>::default());
        let mut books = Books::new(limits, controls, Arc::clone(&counters), Arc::clone(&given_up));
        let notify = Arc::<Notify>::default();
        let wake = Arc::clone(&notify);
        let accounting = Self {
            counters,
            given_up,
            latency: Stopwatch::default(),
            pulses: Pulses::default(),
            books: Mailbox::new(move || wake.wake()),
            notify,
            cost: Published::new(books.cost()),
        };
        (accounting, books)
    }

    /// A detector spoke of this event: it was on its way for so long.
    pub(crate) fn judged(&self, event: &Event) {
        self.latency.add(event.at, chrono::Utc::now());
    }

    /// How long events of which a detector spoke were on their way.
    pub(crate) fn latency(&self) -> Latency {
        self.latency.read()
    }

    /// Whether an event goes into the archive; what does not is counted.
    pub(crate) fn keeps(&self, event: &Event, judged: bool) -> bool {
        self.given_up.keeps(event, judged)
    }

    /// What was kept out of the archive for the budget.
    pub(crate) fn hop(&self) -> HopDrops {
        self.given_up.hop()
    }

    /// The threads are being started.
    pub(crate) fn threads_start(&self) {
        self.pulses.start();
    }

    /// A thread that must move went round.
    pub(crate) fn beat(&self, who: Beat) {
        self.pulses.beat(who);
    }

    /// The first thread that must move and has not for too long, in words; `operation` is when what is done to the host last moved.
    pub(crate) fn stuck(&self, operation: Option<Instant>) -> Option<String> {
        self.pulses.stuck(Instant::now(), operation)
    }

    /// What the agent costs now; when the books are not at hand, what they showed last, and how old that is.
    pub(crate) fn cost(&self) -> (Cost, Option<String>) {
        if let Ok(cost) = self.books.ask(PROMPTLY, Books::cost) {
            return (cost, None);
        }
        let cost = Cost::clone(&self.cost.read());
        let age = format!("it is busy: cost and rates are those of {} seconds ago", cost.at.elapsed().as_secs());
        (cost, Some(age))
    }

    /// Wakes the thread, though nothing came.
    pub(crate) fn nudge(&self) {
        self.notify.wake();
    }

    /// The thread: weighs our cost, and tells the service manager that we live, while every thread moves that must.
    pub(crate) fn run(&self, mut books: Books, ties: &Ties) {
        let watchdog = service_manager::watchdog_period();
        // Half of it, so that a round that takes a while is still in time.
        let rest = WEIGH.min(watchdog.map_or(WEIGH, |period| period / 2));
        let (mut weighed, mut fed) = (Instant::now(), None::<Instant>);
        while !ties.stop.is_set() {
            self.feed(ties, watchdog, &mut fed);
            self.books.work_off(&mut books);
            if weighed.elapsed() >= WEIGH {
                weighed = Instant::now();
                if let Some(change) = books.weigh() {
                    changed(ties, change);
                }
                self.cost.show(books.cost());
            }
            self.notify.sleep(rest.min(WEIGH.saturating_sub(weighed.elapsed())));
        }
    }

    /// Tells the service manager that we live, when that is due.
    fn feed(&self, ties: &Ties, period: Option<Duration>, fed: &mut Option<Instant>) {
        let Some(period) = period else { return };
        let stuck = self.stuck((ties.moved)());
        let moving = stuck.is_none();
        ties.troubles.report("heartbeat", stuck);
        if moving && fed.is_none_or(|fed| fed.elapsed() >= period) {
            service_manager::alive();
            *fed = Some(Instant::now());
        }
    }
}

/// Our cost met its limit, or there is room again: it is shown and told.
fn changed(ties: &Ties, budget: BudgetChange) {
    let trouble = (budget.level > 0).then(|| format!("gave up {}: {}", budget.given_up.join(", "), budget.why));
    ties.troubles.report("budget", trouble);
    let (at, kind) = (chrono::Utc::now(), EventKind::Budget { budget });
    ties.ingest.emit(Event { id: EventId(0), at, kind, process: None, source: Source::Agent, complete: true });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_told_with_its_age_while_nobody_keeps_the_books() {
        let limits = Limits { cpu_percent: 20.0, rss_bytes: 1 << 28 };
        let (accounting, mut books) = Accounting::new(limits, Controls::default());
        let (cost, age) = accounting.cost();
        assert!(age.unwrap().starts_with("it is busy: cost and rates are those of"), "{cost:?}");
        let accounting = Arc::new(accounting);
        let asker = Arc::clone(&accounting);
        let asked = std::thread::spawn(move || asker.cost().1);
        while !asked.is_finished() {
            accounting.books.work_off(&mut books);
        }
        assert_eq!(asked.join().unwrap(), None);
    }
}
