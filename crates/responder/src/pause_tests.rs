//! A host that stands still for seconds in the middle of anything: nobody is accused of having changed an end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::harm_stage::among_ourselves;
use super::tests::{Bench, block, nft, now, on_bench, ties};
use super::*;
use bartizan_model::{ActionState, Direction};

/// Longer than the slack by which ends are compared.
const PAUSE: Duration = Duration::from_millis(3500);

/// A hand whose lifeline takes that long to read, the `slow`th time; then as fast as ever.
fn with_slow_lifeline(bench: &Bench, slow: &Arc<AtomicUsize>) -> Responder {
    let ledger = Arc::new(Ledger::open(&bench.dir.path().join("data"), now()).unwrap());
    let (lifeline, slow) = (bench.lifeline.clone(), Arc::clone(slow));
    let read = move || {
        if slow.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) == Ok(1) {
            std::thread::sleep(PAUSE);
        }
        lifeline.clone()
    };
    let ties = Ties { lifeline: Box::new(read), again: among_ourselves(), ..ties(Lifeline::default()) };
    let alarms = Arc::clone(&bench.alarms);
    let alarm: RaiseAlarm = Box::new(move |alarm| alarms.lock().unwrap().push(alarm.to_string()));
    Responder::new(ledger, &bench.runtime(), Ties { alarm, ..ties }).unwrap()
}

#[test]
fn whenever_the_host_stands_still_in_an_action_its_end_is_as_it_was_planned() {
    on_bench(|bench| {
        let slow = Arc::new(AtomicUsize::new(0));
        let responder = with_slow_lifeline(&bench, &slow);
        let mut pauses = 0;
        for nth in 1..20 {
            slow.store(nth, Ordering::SeqCst);
            let addr = format!("198.51.100.{nth}");
            let begun = std::time::Instant::now();
            let done = responder.execute(block(&addr, Direction::In, Duration::from_secs(60)), now()).unwrap();
            assert_eq!(done.state, ActionState::Live, "pause {nth}: {}", done.note);
            let paused = begun.elapsed() >= PAUSE;
            pauses += usize::from(paused);
            let seen = responder.reconcile(now()).unwrap();
            let row = seen.iter().find(|action| action.id == done.id).unwrap();
            assert!(row.state == ActionState::Live && !row.note.contains("somebody"), "pause {nth}: {}", row.note);
            if !paused {
                break;
            }
        }
        assert!((3..19).contains(&pauses), "the lifeline was read {pauses} times: another number than expected");
        assert_eq!(bench.alarms(), Vec::<String>::new());
    });
}

#[test]
fn a_look_that_took_seconds_accuses_nobody_and_a_changed_end_is_still_found() {
    on_bench(|bench| {
        let responder = bench.responder();
        let id = responder.execute(block("198.51.100.5", Direction::In, Duration::from_secs(60)), now()).unwrap().id;
        let once = AtomicBool::new(true);
        let stand_still = move |_: &Responder| {
            if once.swap(false, Ordering::SeqCst) {
                std::thread::sleep(PAUSE);
            }
        };
        *responder.at_point.lock().unwrap() = Some(("between the clock and the kernel", Box::new(stand_still)));
        responder.reconcile(now()).unwrap();
        let row = || responder.ledger.action(id).unwrap().unwrap();
        assert!(row().state == ActionState::Live && !row().note.contains("somebody"), "{}", row().note);
        assert_eq!(bench.alarms(), Vec::<String>::new());
        // However slow the host is from now on, who really changes it is found.
        *responder.at_point.lock().unwrap() =
            Some(("between the clock and the kernel", Box::new(|_| std::thread::sleep(Duration::from_millis(1100)))));
        nft("delete element inet bartizan block_in4 {198.51.100.5}");
        nft("add element inet bartizan block_in4 {198.51.100.5 timeout 500s}");
        responder.reconcile(now()).unwrap();
        assert!(row().note.contains("somebody changed the end"), "{}", row().note);
        assert_eq!(bench.alarms().len(), 1);
    });
}
