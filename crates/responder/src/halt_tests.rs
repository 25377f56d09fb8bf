//! Leave that was given before an emergency stop and not used yet: nothing comes of it.

use std::sync::Mutex;
use std::time::Duration;

use super::tests::{block, now, on_bench, ruleset};
use super::*;
use bartizan_model::{ActionState, Direction};

#[test]
fn who_waited_with_a_warrant_in_hand_when_everything_was_stopped_begins_nothing() {
    on_bench(|bench| {
        let mut responder = bench.responder();
        let warrant = block("198.51.100.7", Direction::In, Duration::from_secs(60));
        let next = WarrantId(warrant.id().0 + 1);
        responder.at_point = Mutex::new(Some((
            "before its turn",
            Box::new(move |responder| {
                responder.halt();
                responder.go_on_from(next);
            }),
        )));
        let refused = responder.execute(warrant, now());
        assert!(matches!(refused, Err(ActError::Stopped)), "{refused:?}");
        assert_eq!(responder.active().unwrap(), []);
        assert!(!ruleset().contains("198.51.100.7"));
        *responder.at_point.lock().unpoisoned() = None;

        responder.halt();
        let refused = responder.execute(block("198.51.100.8", Direction::In, Duration::from_secs(60)), now());
        assert!(matches!(refused, Err(ActError::Stopped)), "until it is known which warrants are void: {refused:?}");
    });
}

#[test]
fn what_is_allowed_after_a_stop_is_done() {
    on_bench(|bench| {
        let responder = bench.responder();
        let warrant = block("198.51.100.7", Direction::In, Duration::from_secs(60));
        responder.halt();
        responder.go_on_from(warrant.id());
        assert_eq!(responder.execute(warrant, now()).unwrap().state, ActionState::Live);
    });
}
