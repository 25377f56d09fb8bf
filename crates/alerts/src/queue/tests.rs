//! Floods, quiet hours, escalation, lost sinks and restarts, in virtual time.

use proptest::prelude::*;

use super::*;
use crate::Hours;

fn at(text: &str) -> Timestamp {
    format!("2026-03-01T{text}Z").parse().unwrap()
}

fn message(key: &str, severity: Severity) -> Message {
    Message {
        key: key.to_owned(),
        kind: Kind::Alert,
        about: key.to_owned(),
        host: "web-1".to_owned(),
        severity,
        sentence: format!("nginx ran {key}"),
        sure: None,
        done: Vec::new(),
        next: Vec::new(),
    }
}

/// Sends all that may be sent until nothing waits, in virtual time; gives the parcels with their times.
fn drain(queue: &mut Queue, sink: &str, mut now: Timestamp) -> Vec<(Timestamp, Parcel)> {
    let mut out = Vec::new();
    while let Some(next) = queue.next_at() {
        now = now.max(next);
        let parcel = queue.take(sink, now).expect("what is due can be taken");
        queue.sent(sink);
        out.push((now, parcel));
        assert!(out.len() < 1_000, "it ends");
    }
    out
}

fn counts(queue: &Queue, sink: &str) -> Counts {
    queue.counts().find(|(name, _)| *name == sink).unwrap().1
}

#[test]
fn ten_thousand_alerts_in_a_second_are_at_most_five_parcels_and_every_one_is_counted() {
    for (severity, different) in
        [Severity::Medium, Severity::High, Severity::Critical].into_iter().flat_map(|one| [(one, 10_000), (one, 7)])
    {
        let begun = at("03:00:00");
        let mut queue = Queue::new(vec![Route::to("a")], State::default(), begun);
        let mut told = Vec::new();
        for number in 0..10_000 {
            let now = begun + TimeDelta::microseconds(number * 100);
            queue.offer(message(&format!("p{}", number % different), severity), now);
            if let Some(parcel) = queue.take("a", now) {
                told.push(parcel);
                queue.sent("a");
            }
        }
        told.extend(drain(&mut queue, "a", begun + TimeDelta::seconds(1)).into_iter().map(|(_, parcel)| parcel));
        assert!(told.len() <= 5, "{severity} {different}: {}", told.len());
        assert_eq!(told.iter().map(|parcel| parcel.count).sum::<u64>(), 10_000, "{severity} {different}");
        let counts = counts(&queue, "a");
        assert_eq!((counts.offered, counts.sent, counts.waiting), (10_000, 10_000, 0));
    }
}

#[test]
fn the_first_one_goes_at_once_and_the_same_again_is_a_count() {
    let mut queue = Queue::new(vec![Route::to("a")], State::default(), at("03:00:00"));
    queue.offer(message("sh", Severity::High), at("03:00:00"));
    assert_eq!(queue.take("a", at("03:00:00")).unwrap().items[0].count, 1);
    for _ in 0..41 {
        queue.offer(message("sh", Severity::High), at("03:00:01"));
    }
    assert!(queue.take("a", at("03:00:01")).is_none(), "one at a time");
    queue.sent("a");
    let parcel = queue.take("a", at("03:00:02")).unwrap();
    assert!(parcel.lines().0.contains(&"the same 41 times since 2026-03-01 03:00 UTC".to_owned()), "{parcel:?}");
}

#[test]
fn quiet_hours_hold_all_but_the_critical_and_low_ones_wait_for_the_digest() {
    let route = Route { quiet: Hours::parse("22:00-07:00"), ..Route::to("a") };
    let mut queue = Queue::new(vec![route], State::default(), at("03:00:00"));
    for (key, severity) in [("h", Severity::High), ("l", Severity::Low), ("c", Severity::Critical), ("m", Severity::Medium)] {
        queue.offer(message(key, severity), at("03:00:00"));
    }
    let told = drain(&mut queue, "a", at("03:00:00"));
    let told: Vec<_> = told.iter().map(|(now, parcel)| (now.format("%H:%M").to_string(), parcel.items[0].message.key.as_str())).collect();
    let told: Vec<_> = told.iter().map(|(now, key)| (now.as_str(), *key)).collect();
    assert_eq!(told, [("03:00", "c"), ("07:00", "h"), ("07:00", "m"), ("08:00", "l")]);
}

#[test]
fn who_is_not_answered_escalates_and_who_is_does_not() {
    let second = Route { after: TimeDelta::minutes(15), at_least: Severity::High, ..Route::to("b") };
    let mut queue = Queue::new(vec![Route::to("a"), second], State::default(), at("03:00:00"));
    queue.offer(message("seen", Severity::Critical), at("03:00:00"));
    queue.offer(message("unseen", Severity::Critical), at("03:00:00"));
    queue.offer(message("small", Severity::Medium), at("03:00:00"));
    assert!(queue.take("b", at("03:14:59")).is_none());
    queue.acknowledge("seen");
    assert_eq!(queue.take("b", at("03:15:00")).unwrap().items[0].message.key, "unseen");
    queue.sent("b");
    assert!(queue.take("b", at("23:15:00")).is_none());
    let counts = counts(&queue, "b");
    assert_eq!((counts.offered, counts.sent, counts.acknowledged, counts.passed_over), (3, 1, 1, 1));
}

#[test]
fn a_lost_sink_is_told_to_the_others_once_and_keeps_what_it_was_to_be_sent() {
    let mut queue = Queue::new(vec![Route::to("a"), Route::to("b")], State::default(), at("03:00:00"));
    queue.offer(message("sh", Severity::High), at("03:00:00"));
    let (mut now, mut pauses) = (at("03:00:00"), Vec::new());
    for tried in 0..12 {
        let parcel = queue.take("a", now).unwrap();
        assert_eq!(parcel.items[0].message.key, "sh");
        let retry_after = (tried == 11).then(|| TimeDelta::days(9));
        queue.failed("a", &Failure { why: "cannot connect".to_owned(), retry_after }, "web-1", now);
        assert!(queue.take("a", now + TimeDelta::seconds(1)).is_none());
        let next = queue.state.lanes["a"].next_at().unwrap();
        pauses.push((next - now).num_seconds());
        now = next;
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 3600]);
    let told = drain_of(&mut queue, "b", now);
    assert_eq!(told, ["sh", "sink a"]);
    // The same after a restart.
    let state = serde_json::from_str(&serde_json::to_string(queue.state()).unwrap()).unwrap();
    let mut queue = Queue::new(vec![Route::to("a"), Route::to("b")], state, now);
    assert_eq!(queue.take("a", now).unwrap().items[0].message.key, "sh");
    queue.sent("a");
    assert_eq!((counts(&queue, "a").sent, counts(&queue, "a").failures), (1, 12));
    let queue = Queue::new(vec![Route::to("b")], queue.state().clone(), now);
    assert_eq!(queue.counts().count(), 1, "a sink that is no longer configured is forgotten");
}

fn drain_of(queue: &mut Queue, sink: &str, now: Timestamp) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(parcel) = queue.take(sink, now) {
        queue.sent(sink);
        out.extend(parcel.items.into_iter().map(|item| item.message.key));
    }
    out.sort();
    out
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_for_long() {
    let mut queue = Queue::new(vec![Route::to("a")], State::default(), at("20:00:00"));
    queue.offer(message("one", Severity::High), at("20:00:00"));
    queue.take("a", at("20:00:00")).unwrap();
    queue.failed("a", &Failure { why: String::new(), retry_after: None }, "web-1", at("20:00:00"));
    assert!(queue.take("a", at("02:00:00")).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever happens in whatever order: offered = sent + waiting + acknowledged + passed over.
    #[test]
    fn nothing_is_lost_from_the_counts(steps in proptest::collection::vec((0_u8..6, 0_u16..600, 0_i64..4_000), 1..150)) {
        let mut now = at("00:00:00");
        let routes = || vec![Route { at_least: Severity::Medium, quiet: Hours::parse("01:00-02:00"), ..Route::to("a") }];
        let mut queue = Queue::new(routes(), State::default(), now);
        for (what, key, pause) in steps {
            match what {
                0 => queue.acknowledge(&format!("k{key}")),
                1 => { queue.take("a", now); }
                2 => { if queue.take("a", now).is_some() { queue.sent("a"); } }
                3 => {
                    if queue.take("a", now).is_some() {
                        queue.failed("a", &Failure { why: String::new(), retry_after: None }, "h", now);
                    }
                    queue = Queue::new(routes(), serde_json::from_str(&serde_json::to_string(queue.state()).unwrap()).unwrap(), now);
                }
                _ => {
                    for extra in 0..u16::from(what) * 20 {
                        let severity = [Severity::Low, Severity::Medium, Severity::Critical][usize::from(key % 3)];
                        queue.offer(message(&format!("k{}", key + extra), severity), now);
                    }
                }
            }
            now += TimeDelta::milliseconds(pause * 10);
            let counts = counts(&queue, "a");
            prop_assert_eq!(counts.offered, counts.sent + counts.waiting + counts.acknowledged + counts.passed_over);
        }
        queue.sent("a");
        drain(&mut queue, "a", now);
        prop_assert_eq!(counts(&queue, "a").waiting, 0);
    }
}
