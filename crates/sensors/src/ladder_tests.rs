//! The ladder goes down when a rung breaks and up again when it heals.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::backend::{SensorBackend, open};
use super::ladder::Steps;
use super::test_bench::root;
use super::{ProcessCache, Sink, Stop};
use bartizan_model::{Event, EventKind, Loss, Rung};
use bartizan_sys::process_connector::Connector;

/// Long enough that nobody climbs in a test that does not want it.
const NEVER: Duration = Duration::from_secs(3600);

#[derive(Default)]
struct Kept(Mutex<Vec<Event>>);

impl Sink for Kept {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
    fn account(&self, _: &'static str, _: u64, _: u64) {}
}

impl Kept {
    fn changes(&self) -> Vec<Loss> {
        let events = self.0.lock().unwrap();
        let losses = events.iter().filter_map(|event| match &event.kind {
            EventKind::Loss { loss } => Some(loss.clone()),
            _ => None,
        });
        losses.collect()
    }
}

/// A rung that works until it is told to end.
fn good() -> SensorBackend {
    SensorBackend::Trial(Box::new(|_, stop| {
        while !stop.is_set() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }))
}

/// A rung that breaks as soon as it runs.
fn brittle() -> SensorBackend {
    SensorBackend::Trial(Box::new(|_, _| Err("the ring was closed".to_owned())))
}

/// Runs the ladder beside `look` until it says yes.
fn run(steps: &Steps, kept: &Kept, look: impl Fn() -> bool) {
    let stop = Stop::default();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| steps.run(kept, &stop));
        let end = Instant::now() + Duration::from_secs(20);
        while !look() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.set();
        assert_eq!(running.join().unwrap(), Ok(()));
    });
    assert!(look(), "it did not come to pass; rung {:?}, changes {:?}", steps.rung(), kept.changes());
}

#[test]
fn a_refused_rung_gives_way_to_the_next() {
    let open = |rung| if rung == Rung::Ebpf { Err("no".to_owned()) } else { Ok(good()) };
    let steps = Steps::begin(Arc::default(), None, Box::new(open), NEVER, None);
    assert_eq!(steps.rung(), Rung::ProcessConnector);
    let kept = Kept::default();
    run(&steps, &kept, || true);
    assert_eq!(kept.changes(), [], "where we began is no change");
}

#[test]
fn a_rung_that_breaks_and_heals_is_left_and_taken_again() {
    // Opens, breaks while it runs, is refused twice, heals.
    let story: Mutex<VecDeque<Result<SensorBackend, String>>> =
        Mutex::new([Ok(brittle()), Err("still broken".to_owned()), Err("still broken".to_owned()), Ok(good())].into());
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let open = move |rung| match rung {
        Rung::Ebpf => {
            counted.fetch_add(1, Ordering::Relaxed);
            story.lock().unwrap().pop_front().unwrap_or_else(|| Ok(good()))
        }
        _ => Ok(good()),
    };
    let steps = Steps::begin(Arc::default(), None, Box::new(open), Duration::from_millis(100), None);
    assert_eq!(steps.rung(), Rung::Ebpf);
    let (kept, begun) = (Kept::default(), Instant::now());
    run(&steps, &kept, || steps.rung() == Rung::Ebpf && kept.changes().len() >= 2);
    assert!(begun.elapsed() >= Duration::from_millis(100 + 200 + 400), "the pauses grow");
    assert_eq!(tries.load(Ordering::Relaxed), 4);
    let changes = kept.changes();
    let hops: Vec<&str> = changes.iter().map(|loss| loss.hop.as_str()).collect();
    assert_eq!(hops, ["the sensors changed from eBPF to process connector", "the sensors changed from process connector to eBPF"]);
    assert!(changes.iter().all(|loss| loss.count == 0 && loss.from.is_some() && loss.from <= loss.to), "{changes:?}");
}

#[test]
fn the_lower_rung_runs_until_the_better_one_is_open() {
    let (opened, ended) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
    let (opened_at, ended_at) = (Arc::clone(&opened), Arc::clone(&ended));
    let tries = AtomicUsize::new(0);
    let open = move |rung| match rung {
        Rung::Ebpf if tries.fetch_add(1, Ordering::Relaxed) == 0 => Err("not yet".to_owned()),
        Rung::Ebpf => {
            std::thread::sleep(Duration::from_millis(100)); // as loading does
            *opened_at.lock().unwrap() = Some(Instant::now());
            Ok(good())
        }
        _ => {
            let ended = Arc::clone(&ended_at);
            Ok(SensorBackend::Trial(Box::new(move |_, stop| {
                while !stop.is_set() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                *ended.lock().unwrap() = Some(Instant::now());
                Ok(())
            })))
        }
    };
    let steps = Steps::begin(Arc::default(), None, Box::new(open), Duration::from_millis(50), None);
    let kept = Kept::default();
    run(&steps, &kept, || kept.changes().len() == 1);
    assert!(ended.lock().unwrap().unwrap() >= opened.lock().unwrap().unwrap());
}

#[test]
fn a_forced_rung_never_climbs_and_ends_with_an_error() {
    let open = |rung| if rung == Rung::Procfs { Ok(brittle()) } else { Ok(good()) };
    let steps = Steps::begin(Arc::default(), Some(Rung::Procfs), Box::new(open), Duration::ZERO, None);
    let kept = Kept::default();
    for _ in 0..3 {
        let error = steps.run(&kept, &Stop::default()).unwrap_err();
        assert_eq!((error.why.as_str(), steps.rung()), ("the ring was closed", Rung::Procfs));
    }
    assert_eq!(kept.changes(), []);
}

#[test]
fn a_real_connector_that_breaks_gives_way_to_polling() {
    // A connector that is none: its descriptor does not answer as one.
    let open = |rung| match rung {
        Rung::Ebpf => Err("not here".to_owned()),
        Rung::ProcessConnector => Ok(SensorBackend::ProcessConnector(Connector::over(File::open("/dev/null").unwrap().into()))),
        Rung::Procfs => Ok(SensorBackend::Procfs),
    };
    let steps = Steps::begin(Arc::new(ProcessCache::default()), None, Box::new(open), NEVER, None);
    assert_eq!(steps.rung(), Rung::ProcessConnector);
    let kept = Kept::default();
    run(&steps, &kept, || steps.rung() == Rung::Procfs && kept.changes().len() == 1);
}

#[test]
fn from_polling_to_the_real_kernel_programs_and_no_program_is_missed_afterwards() {
    if !root() {
        return;
    }
    if let Err(why) = open(Rung::Ebpf) {
        return eprintln!("skipped: eBPF is refused here: {why}");
    }
    let tries = AtomicUsize::new(0);
    let heals = move |rung| match rung {
        Rung::Ebpf if tries.fetch_add(1, Ordering::Relaxed) < 2 => Err("the kernel refused it".to_owned()),
        Rung::ProcessConnector => Err("not in this test".to_owned()),
        other => open(other),
    };
    let steps = Steps::begin(Arc::new(ProcessCache::default()), None, Box::new(heals), Duration::from_millis(300), None);
    assert_eq!(steps.rung(), Rung::Procfs);
    let (kept, stop) = (Kept::default(), Stop::default());
    let token = format!("climbed-{}", std::process::id());
    std::thread::scope(|scope| {
        let running = scope.spawn(|| steps.run(&kept, &stop));
        let end = Instant::now() + Duration::from_secs(20);
        while kept.changes().is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Far too short-lived for polling.
        for turn in 0..20 {
            assert!(std::process::Command::new("/bin/true").arg(format!("{token}-{turn}")).status().unwrap().success());
        }
        std::thread::sleep(Duration::from_millis(500));
        stop.set();
        assert_eq!(running.join().unwrap(), Ok(()));
    });
    assert_eq!(steps.rung(), Rung::Ebpf);
    let events = kept.0.lock().unwrap();
    let seen = |turn| {
        let wanted = format!("{token}-{turn}");
        let is = |event: &&Event| {
            event.kind == EventKind::Exec && event.process.as_ref().is_some_and(|p| p.argv.get(1).is_some_and(|a| *a == *wanted))
        };
        events.iter().filter(is).count()
    };
    assert_eq!((0..20).map(seen).collect::<Vec<_>>(), [1; 20]);
}
