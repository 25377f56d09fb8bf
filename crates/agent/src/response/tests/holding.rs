//! Guessed passwords as the whole response sees them: signals in, holds in the kernel and questions out, over restarts too.

use std::net::IpAddr;

use super::*;
use bartizan_model::{AuditBody, BootId, Desired, EndCause, Ending, EventId, Family, Signal, SignalId, Stage, Tier};
use bartizan_store::ledger::Anchor;

const GUESSER: &str = "203.0.113.9";

/// What a login detector says of an address, now.
fn failed_logins(addr: &str, number: u64) -> Signal {
    let addr: IpAddr = addr.parse().unwrap();
    Signal {
        id: SignalId { event: EventId(number), ordinal: 0 },
        at: chrono::Utc::now(),
        detector: "login_brute_force".to_owned(),
        technique: vec![],
        severity: Severity::Medium,
        confidence: Confidence::new(0.8),
        tier: Tier::Stable,
        family: Family::Auth,
        stage: Stage::InitialAccess,
        events: vec![],
        entities: vec![bartizan_model::Entity::Address(addr)],
        subject: None,
        act: None,
        hostile: Some(addr),
        sentence: format!("{addr} failed to log in 12 times within 10m (as root)"),
        complete: true,
    }
}

/// What the agent does about these addresses in this mode.
fn judged(bench: &mut Bench, decider: &mut Decider, addresses: &[&str]) {
    let now = chrono::Utc::now();
    for (number, addr) in (1..).zip(addresses) {
        let update = bench.assembled.correlator.join(failed_logins(addr, number));
        let proof = bench.assembled.correlator.proof(update.incident.id);
        decider.judge(&PendingCase { incident: update.incident, proof }, now);
    }
    decider.publish();
}

/// A hold of an earlier run, as its ledger has it: begun and ended so many minutes ago.
fn former(bench: &Bench, id: u64, begun: i64, cause: EndCause) {
    let ago = |minutes| chrono::Utc::now() - chrono::TimeDelta::minutes(minutes);
    let ending = Ending { cause, by: "uid 0".into(), why: "undone by uid 0".into(), since: ago(begun), failed_tries: 0, last_error: None };
    let target = Target::Source { addr: GUESSER.parse().unwrap(), packets_per_second: 1 };
    let action = Action {
        kind: ActionKind::LimitSource,
        target,
        state: cause.outcome(),
        desired: Desired::Gone(ending),
        planned_at: ago(begun),
        applied_at: Some(ago(begun)),
        expires_at: ago(begun - 10),
        ended_at: Some(ago(begun - 10)),
        vitals: None,
        ..harmful(id)
    };
    let (actor, what) = ("BALANCED".to_owned(), "action.intended".to_owned());
    let line = AuditBody { at: ago(begun), actor, what, subject: format!("A{id}"), detail: String::new() };
    bench.assembled.parts.ledger.intend(&action, &serde_json::Value::Null, Anchor { boot: BootId(1), ns: 1 }, &line).unwrap();
}

fn minutes(action: &Action) -> i64 {
    (action.expires_at - action.planned_at).num_minutes()
}

#[test]
fn a_guesser_is_limited_in_the_kernel_and_the_row_says_who_why_until_when_and_how_to_undo_it() {
    let _alone = alone_on_this_host();
    in_own_network(|| {
        let mut bench = Bench::new();
        let mut decider = bench.decider(Mode::Balanced, vec![]);
        judged(&mut bench, &mut decider, &[GUESSER]);
        let [action] = bench.response().all_actions().try_into().unwrap();
        assert_eq!((action.kind, action.state), (ActionKind::LimitSource, ActionState::Live), "{action:#?}");
        assert!((8..=10).contains(&minutes(&action)), "{action:#?}");
        assert!(action.reason.ends_with("203.0.113.9 failed to log in 12 times within 10m (as root)"), "{}", action.reason);
        assert!(action.by == Approver::Mode(Mode::Balanced) && action.undo.iter().any(|step| step.contains("nft delete element")));
        judged(&mut bench, &mut decider, &[GUESSER]);
        assert_eq!(bench.response().all_actions().len(), 1, "held once");
        bench.response().rollback(vec![action.id], "uid 0").unwrap();
        std::thread::sleep(Duration::from_millis(5));
        judged(&mut bench, &mut decider, &[GUESSER]);
        let asked = bench.response().approvals(false);
        assert!(bench.response().active_actions().is_empty() && asked.len() == 1, "{asked:#?}");
        assert!(asked[0].held_because.contains("A1 held it before and was undone (undone by uid 0)"), "{}", asked[0].held_because);
    });
}

#[test]
fn who_comes_back_after_a_restart_is_held_longer_by_what_the_ledger_says() {
    let _alone = alone_on_this_host();
    in_own_network(|| {
        let bench = Bench::new();
        former(&bench, 1, 60 * 24 * 9, EndCause::Expired);
        former(&bench, 2, 300, EndCause::Expired);
        former(&bench, 3, 60, EndCause::Expired);
        let mut bench = bench.restart();
        let mut decider = bench.decider(Mode::Balanced, vec![]);
        decider.recall(chrono::Utc::now());
        judged(&mut bench, &mut decider, &[GUESSER]);
        let action = bench.response().active_actions().remove(0);
        assert!((5 * 60 + 20..=6 * 60).contains(&minutes(&action)), "two within a week, one longer ago: {action:#?}");
        assert!(action.reason.ends_with("; held 2 times before"), "{}", action.reason);
    });
}

#[test]
fn whom_a_person_let_go_is_asked_about_after_a_restart_too() {
    let bench = Bench::new();
    former(&bench, 1, 60 * 24 * 20, EndCause::Undone);
    let mut bench = bench.restart();
    let mut decider = bench.decider(Mode::Aggressive, vec![]);
    decider.recall(chrono::Utc::now());
    judged(&mut bench, &mut decider, &[GUESSER]);
    assert!(bench.response().active_actions().is_empty());
    assert!(bench.response().approvals(false)[0].held_because.contains("A1 held it before and was undone"));
}

#[test]
fn an_address_from_which_an_account_was_let_in_is_only_asked_about_after_a_restart_too() {
    let bench = Bench::new();
    let response = bench.response();
    response.login_accepted(&"ann".into(), GUESSER.parse().unwrap(), chrono::Utc::now() - chrono::TimeDelta::days(3));
    // The thread of the lifeline keeps it, at the latest when the agent ends.
    response.stop.set();
    response.keep_lifeline();
    drop(response);
    let mut bench = bench.restart();
    let mut decider = bench.decider(Mode::Balanced, vec![]);
    judged(&mut bench, &mut decider, &[GUESSER]);
    assert!(bench.response().active_actions().is_empty());
    let asked = bench.response().approvals(false);
    assert!(asked[0].held_because.starts_with("ann logged in from there on "), "{asked:#?}");
}
