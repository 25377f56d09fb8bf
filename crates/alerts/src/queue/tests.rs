//! Floods, quiet hours, escalation, lost sinks and restarts, in virtual time.

use proptest::prelude::*;

use bartizan_model::{Hours, MessageKind, Severity, SinkState};
use chrono::NaiveTime;

use super::*;
use crate::lane::Counts;

fn at(text: &str) -> Timestamp {
    format!("2026-03-01T{text}Z").parse().unwrap()
}

fn message(key: &str, severity: Severity) -> Message {
    Message {
        key: key.to_owned(),
        kind: MessageKind::Alert,
        about: key.to_owned(),
        host: "web-1".to_owned(),
        severity,
        sentence: format!("nginx ran {key}"),
        sure: None,
        done: Vec::new(),
        asked: None,
        commands: Vec::new(),
        record: serde_json::Value::Null,
    }
}

/// Everything from medium on at once, the rest at 08:00 UTC, never quiet, no waiting for somebody else.
fn to(sink: &str) -> Route {
    Route {
        sink: sink.to_owned(),
        place: format!("file /{sink}"),
        kinds: Vec::new(),
        at_least: Severity::Info,
        at_once: Severity::Medium,
        digest: NaiveTime::MIN + TimeDelta::hours(8),
        quiet: None,
        after: TimeDelta::zero(),
    }
}

/// Sends all that may be sent until nothing waits, in virtual time; gives the parcels with their times.
fn drain(queue: &mut Queue, sink: &str, mut now: Timestamp) -> Vec<(Timestamp, Parcel)> {
    let mut out = Vec::new();
    while let Some(next) = queue.next_at(sink) {
        now = now.max(next);
        let parcel = queue.take(sink, now).expect("what is due can be taken");
        queue.sent(sink, "web-1", now);
        out.push((now, parcel));
        assert!(out.len() < 1_000, "it ends");
    }
    out
}

fn counts(queue: &Queue, sink: &str) -> Counts {
    queue.state.lanes[sink].counts()
}

#[test]
fn ten_thousand_alerts_in_a_second_are_at_most_five_parcels_and_every_one_is_counted() {
    for (severity, different) in
        [Severity::Medium, Severity::High, Severity::Critical].into_iter().flat_map(|one| [(one, 10_000), (one, 7)])
    {
        let begun = at("03:00:00");
        let mut queue = Queue::new(vec![to("a")], State::default(), begun);
        let mut told = Vec::new();
        for number in 0..10_000 {
            let now = begun + TimeDelta::microseconds(number * 100);
            queue.offer(message(&format!("p{}", number % different), severity), now);
            if let Some(parcel) = queue.take("a", now) {
                told.push(parcel);
                queue.sent("a", "web-1", now);
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
    let mut queue = Queue::new(vec![to("a")], State::default(), at("03:00:00"));
    queue.offer(message("sh", Severity::High), at("03:00:00"));
    assert_eq!(queue.take("a", at("03:00:00")).unwrap().items[0].count, 1);
    for _ in 0..41 {
        queue.offer(message("sh", Severity::High), at("03:00:01"));
    }
    assert!(queue.take("a", at("03:00:01")).is_none(), "one at a time");
    queue.sent("a", "web-1", at("03:00:01"));
    let parcel = queue.take("a", at("03:00:02")).unwrap();
    assert!(parcel.lines().0.contains(&"the same 41 times since 2026-03-01 03:00 UTC".to_owned()), "{parcel:?}");
}

#[test]
fn quiet_hours_hold_all_but_the_critical_and_low_ones_wait_for_the_digest() {
    let route = Route { quiet: Hours::parse("22:00-07:00"), ..to("a") };
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
    let second = Route { after: TimeDelta::minutes(15), at_least: Severity::High, ..to("b") };
    let mut queue = Queue::new(vec![to("a"), second], State::default(), at("03:00:00"));
    queue.offer(message("seen", Severity::Critical), at("03:00:00"));
    queue.offer(message("unseen", Severity::Critical), at("03:00:00"));
    queue.offer(message("small", Severity::Medium), at("03:00:00"));
    assert!(queue.take("b", at("03:14:59")).is_none());
    queue.acknowledge("seen");
    assert_eq!(queue.take("b", at("03:15:00")).unwrap().items[0].message.key, "unseen");
    queue.sent("b", "web-1", at("03:15:00"));
    assert!(queue.take("b", at("23:15:00")).is_none());
    let counts = counts(&queue, "b");
    assert_eq!((counts.offered, counts.sent, counts.acknowledged, counts.passed_over), (3, 1, 1, 1));
}

#[test]
fn a_lost_sink_is_told_to_the_others_once_and_keeps_what_it_was_to_be_sent() {
    let mut queue = Queue::new(vec![to("a"), to("b")], State::default(), at("03:00:00"));
    queue.offer(message("sh", Severity::High), at("03:00:00"));
    let (mut now, mut pauses) = (at("03:00:00"), Vec::new());
    for tried in 0..12 {
        let parcel = queue.take("a", now).unwrap();
        assert_eq!(parcel.items[0].message.key, "sh");
        let retry_after = (tried == 11).then(|| TimeDelta::days(9));
        queue.failed(
            "a",
            &Failure { why: "cannot connect".to_owned(), retry_after, refused: false, refused_for_good: false },
            "web-1",
            now,
        );
        assert!(queue.take("a", now + TimeDelta::seconds(1)).is_none());
        let next = queue.state.lanes["a"].next_at().unwrap();
        pauses.push((next - now).num_seconds());
        now = next;
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
    let told = drain_of(&mut queue, "b", now);
    assert_eq!(told, ["sh", "sink a"]);
    // The same after a restart.
    let state = serde_json::from_str(&serde_json::to_string(queue.state()).unwrap()).unwrap();
    let mut queue = Queue::new(vec![to("a"), to("b")], state, now);
    assert_eq!(queue.take("a", now).unwrap().items[0].message.key, "sh");
    queue.sent("a", "web-1", now);
    assert_eq!((counts(&queue, "a").sent, counts(&queue, "a").failures), (1, 12));
    let queue = Queue::new(vec![to("b")], queue.state().clone(), now);
    assert_eq!(queue.rows().len(), 1, "a sink that is no longer configured is forgotten");
}

fn drain_of(queue: &mut Queue, sink: &str, now: Timestamp) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(parcel) = queue.take(sink, now) {
        queue.sent(sink, "web-1", now);
        out.extend(parcel.items.into_iter().map(|item| item.message.key));
    }
    out.sort();
    out
}

#[test]
fn a_sink_that_is_back_is_told_to_the_others_and_shown() {
    let mut queue = Queue::new(
        vec![to("a"), Route { kinds: vec![MessageKind::Trouble], at_once: Severity::Low, ..to("b") }],
        State::default(),
        at("03:00:00"),
    );
    queue.offer(message("sh", Severity::High), at("03:00:00"));
    let mut now = at("03:00:00");
    for state in [SinkState::Failing, SinkState::Failing, SinkState::Lost] {
        queue.take("a", now).unwrap();
        queue.failed(
            "a",
            &Failure { why: "cannot connect".to_owned(), retry_after: None, refused: false, refused_for_good: false },
            "web-1",
            now,
        );
        let row = &queue.rows()[0];
        assert_eq!((row.state, row.error.as_deref(), row.waiting), (state, Some("cannot connect"), 1));
        now += TimeDelta::minutes(1);
    }
    assert_eq!(drain_of(&mut queue, "b", now), ["sink a"]);
    queue.take("a", now).unwrap();
    queue.sent("a", "web-1", now);
    let row = &queue.rows()[0];
    assert_eq!((row.state, row.sent, row.waiting, row.sent_at, &row.error), (SinkState::Works, 1, 0, Some(now), &None));
    let parcel = queue.take("b", now).unwrap();
    assert!(parcel.lines().0[0].starts_with("alerts reach a again, after 3 failed attempts"), "{parcel:?}");
    assert_eq!(queue.rows()[1].folded, 0);
}

#[test]
fn what_a_sink_refuses_for_good_is_given_up_and_holds_nothing_back() {
    let mut queue = Queue::new(vec![to("a")], State::default(), at("03:00:00"));
    queue.offer(message("bad", Severity::Critical), at("03:00:00"));
    queue.offer(message("good", Severity::High), at("03:00:00"));
    let (mut now, refused) = (at("03:00:00"), Failure { why: "400".to_owned(), retry_after: None, refused: true, refused_for_good: true });
    for tried in 0..6 {
        let parcel = queue.take("a", now).unwrap();
        assert_eq!(parcel.items[0].message.key, "bad");
        // What somebody outside chose may be why: every second attempt after three is without it.
        assert_eq!(parcel.items[0].message.sentence.contains("bad"), ![3, 5].contains(&tried), "{tried}: {parcel:?}");
        queue.failed("a", &refused, "web-1", now);
        now = queue.next_at("a").unwrap();
    }
    assert_eq!(queue.take("a", now).unwrap().items[0].message.key, "good");
    assert_eq!((queue.rows()[0].given_up, queue.rows()[0].waiting), (1, 1));
}

#[test]
fn a_flood_of_alerts_holds_back_no_question_and_crowds_out_nothing_graver() {
    let mut queue = Queue::new(vec![to("a")], State::default(), at("03:00:00"));
    for number in 0..2_000 {
        queue.offer(message(&format!("p{number}"), Severity::Medium), at("03:00:00"));
    }
    for _ in 0..4 {
        if queue.take("a", at("03:00:00")).is_some() {
            queue.sent("a", "web-1", at("03:00:00"));
        }
    }
    for number in 0..2_000 {
        queue.offer(message(&format!("q{number}"), Severity::Medium), at("03:00:01"));
    }
    queue.offer(message("grave", Severity::High), at("03:00:01"));
    queue.offer(Message { kind: MessageKind::Question, ..message("Q5", Severity::Medium) }, at("03:00:01"));
    let question = queue.take("a", at("03:00:01")).unwrap();
    assert_eq!((question.items.len(), question.items[0].message.key.as_str()), (1, "Q5"));
    queue.sent("a", "web-1", at("03:00:01"));
    let told = drain(&mut queue, "a", at("03:00:01"));
    assert_eq!(told[0].1.items[0].message.key, "grave");
    let counts = counts(&queue, "a");
    assert_eq!((counts.offered, counts.sent), (4_002, 4_002));
}

#[test]
fn a_crowd_beside_what_waits_for_the_morning_does_not_keep_the_sender_awake() {
    let mut queue = Queue::new(vec![to("a")], State::default(), at("03:00:00"));
    for number in 0..1_000 {
        queue.offer(message(&format!("p{number}"), Severity::Low), at("03:00:00"));
    }
    assert!(queue.take("a", at("03:00:00")).is_none());
    assert_eq!(queue.next_at("a"), Some(at("08:00:00")));
    queue.offer(Message { kind: MessageKind::Question, ..message("Q5", Severity::Low) }, at("03:00:00"));
    assert_eq!(queue.next_at("a").map(|next| next <= at("03:00:00")), Some(true));
}

#[test]
fn an_answered_question_that_waits_for_its_next_try_is_not_sent_any_more() {
    let mut queue = Queue::new(vec![to("a")], State::default(), at("03:00:00"));
    queue.offer(message("Q5", Severity::High), at("03:00:00"));
    queue.take("a", at("03:00:00")).unwrap();
    queue.acknowledge("Q5");
    assert_eq!(queue.rows()[0].waiting, 1, "what is on its way is on its way");
    queue.failed("a", &Failure { why: String::new(), retry_after: None, refused: false, refused_for_good: false }, "web-1", at("03:00:00"));
    queue.acknowledge("Q5");
    assert_eq!((queue.rows()[0].waiting, queue.rows()[0].acknowledged), (0, 1));
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_for_long() {
    let mut queue = Queue::new(vec![to("a")], State::default(), at("20:00:00"));
    queue.offer(message("one", Severity::High), at("20:00:00"));
    queue.take("a", at("20:00:00")).unwrap();
    queue.failed("a", &Failure { why: String::new(), retry_after: None, refused: false, refused_for_good: false }, "web-1", at("20:00:00"));
    assert!(queue.take("a", at("02:00:00")).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever happens in whatever order: offered = sent + waiting + acknowledged + passed over + given up.
    #[test]
    fn nothing_is_lost_from_the_counts(steps in proptest::collection::vec((0_u8..6, 0_u16..600, 0_i64..4_000), 1..150)) {
        let mut now = at("00:00:00");
        let routes = || vec![Route { at_least: Severity::Medium, quiet: Hours::parse("01:00-02:00"), ..to("a") }];
        let mut queue = Queue::new(routes(), State::default(), now);
        for (what, key, pause) in steps {
            match what {
                0 => queue.acknowledge(&format!("k{key}")),
                1 => { queue.take("a", now); }
                2 => { if queue.take("a", now).is_some() { queue.sent("a", "web-1", now); } }
                3 => {
                    if queue.take("a", now).is_some() {
                        queue.failed("a", &Failure { why: String::new(), retry_after: None, refused: false, refused_for_good: false }, "h", now);
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
            prop_assert_eq!(counts.offered, counts.sent + counts.waiting + counts.acknowledged + counts.passed_over + counts.given_up);
        }
        queue.sent("a", "web-1", now);
        drain(&mut queue, "a", now);
        prop_assert_eq!(counts(&queue, "a").waiting, 0);
    }
}

#[test]
fn what_waits_follows_the_rules_of_the_next_start_and_a_sink_that_is_reached_is_not_lost() {
    let quiet = Route { quiet: Hours::parse("02:00-07:00"), ..to("a") };
    let mut queue = Queue::new(vec![quiet, to("b")], State::default(), at("03:00:00"));
    queue.offer(message("h", Severity::High), at("03:00:00"));
    assert!(queue.take("a", at("03:00:00")).is_none());
    // Its owner ended the quiet hours.
    let mut queue = Queue::new(vec![to("a"), to("b")], queue.state().clone(), at("03:10:00"));
    assert!(queue.take("a", at("03:10:00")).is_some());
    for second in ["03:10:10", "03:11:00", "03:12:00"] {
        queue.failed(
            "a",
            &Failure { why: "refused".to_owned(), retry_after: None, refused: false, refused_for_good: false },
            "web-1",
            at(second),
        );
        queue.take("a", at("03:59:00"));
    }
    let row = |queue: &Queue| queue.rows().into_iter().next().unwrap();
    assert_eq!(row(&queue).state, SinkState::Lost);
    assert!(row(&queue).retry_at.is_some());
    queue.reached("a", "web-1", at("03:12:30"));
    assert_eq!((row(&queue).state, row(&queue).retry_at), (SinkState::Unused, None));
    // The others are told of both, at the hour at which it happened.
    let told = drain(&mut queue, "b", at("03:13:00"));
    assert!(told.iter().any(|(_, parcel)| parcel.lines().0.iter().any(|line| line.contains("reach a again"))), "{told:?}");

    // And what a sink is not for any more goes, counted.
    queue.offer(message("i", Severity::High), at("04:00:00"));
    let deaf = Route { at_least: Severity::Critical, ..to("b") };
    let mut queue = Queue::new(vec![deaf], queue.state().clone(), at("04:00:01"));
    assert!(queue.take("b", at("04:00:01")).is_none());
}

#[test]
fn no_word_of_an_attacker_and_no_wish_of_a_server_silences_a_question() {
    let mut queue = Queue::new(vec![to("a")], State::default(), at("03:00:00"));
    queue.offer(message("EVIL", Severity::High), at("03:00:00"));
    let filtered = Failure { why: "403".to_owned(), retry_after: None, refused: true, refused_for_good: false };
    let mut now = at("03:00:00");
    let mut tried = 0;
    // A firewall in front of the sink takes nothing with that word in it.
    loop {
        let parcel = queue.take("a", now).unwrap();
        if !parcel.lines().0.iter().any(|line| line.contains("EVIL")) {
            assert_eq!(parcel.lines().1, Vec::<String>::new(), "commands as they were");
            queue.sent("a", "web-1", now);
            break;
        }
        tried += 1;
        assert!(tried < 6);
        queue.failed("a", &filtered, "web-1", now);
        now = queue.next_at("a").unwrap();
    }
    // One that asks to be left alone for long is asked again soon when a question waits.
    queue.offer(message("h", Severity::High), now);
    queue.take("a", now + TimeDelta::minutes(5)).unwrap();
    now += TimeDelta::minutes(5);
    let busy = Failure { why: "429".to_owned(), retry_after: Some(TimeDelta::days(1)), refused: false, refused_for_good: false };
    queue.failed("a", &busy, "web-1", now);
    assert!(queue.take("a", now + TimeDelta::minutes(2)).is_none());
    queue.offer(Message { kind: MessageKind::Question, ..message("Q1", Severity::High) }, now);
    assert!(queue.take("a", now + TimeDelta::seconds(59)).is_none());
    assert!(queue.take("a", now + TimeDelta::seconds(61)).is_some());
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    let mut queue = Queue::new(vec![Route { after: TimeDelta::minutes(10), ..to("a") }], State::default(), at("13:00:00"));
    queue.offer(message("h", Severity::High), at("13:00:00"));
    assert!(queue.take("a", at("03:00:00")).is_none(), "ten minutes are ten minutes");
    assert!(queue.take("a", at("03:10:01")).is_some());
}
