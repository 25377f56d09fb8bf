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
        excepted: None,
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

/// What `nft` shows in one of our sets.
fn in_set(set: &str) -> usize {
    let shown = std::process::Command::new("nft").args(["-j", "list", "set", "inet", "bartizan", set]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
    json["nftables"][1]["set"]["elem"].as_array().map_or(0, Vec::len)
}

fn attackers() -> Vec<String> {
    let v4 = (0..200).map(|n| format!("203.0.{}.{}", n / 100, n % 100 + 1));
    v4.chain((1..=12).map(|n| format!("2001:db8:{n}::9"))).collect()
}

#[test]
fn one_approval_blocks_a_whole_attack_in_the_kernel_and_one_undo_takes_it_back() {
    let _alone = alone_on_this_host();
    in_own_network(|| {
        let mut bench = Bench::new();
        let mut decider = bench.decider(Mode::Paranoid, vec![]);
        let (response, all) = (bench.response(), attackers());
        let mut join = |addresses: &[String], decider: &mut Decider, later: i64| {
            let mut last = None;
            for (number, addr) in (1..).zip(addresses) {
                // One incident, as the logs fold an attack.
                let mut signal = failed_logins(addr, number);
                signal.entities.push(bartizan_model::Entity::User("campaign".into()));
                last = Some(bench.assembled.correlator.join(signal).incident);
            }
            let incident = last.unwrap();
            let proof = bench.assembled.correlator.proof(incident.id);
            decider.judge(&PendingCase { incident, proof }, chrono::Utc::now() + chrono::TimeDelta::seconds(later));
            decider.publish();
        };
        join(&all[..100], &mut decider, 0);
        let [first] = response.approvals(false).try_into().unwrap();
        assert_eq!(first.action.target().addresses().len(), 100);
        join(&all, &mut decider, 61);
        let [asked] = response.approvals(false).try_into().unwrap();
        assert!(asked.id != first.id && asked.action.to_string() == "block from 212 addresses", "{asked:#?}");
        let told = response.approvals(true).into_iter().find(|one| one.id == first.id).unwrap();
        assert!(told.answered_by.unwrap().contains("asked again as"), "what is asked grows only by asking again");
        assert!(asked.preview.steps.iter().any(|step| step.contains("203.0.1.100")), "the list is attached");

        // The owner attaches from one of them before anybody answers.
        response.arrived(None, Some("203.0.0.7 50000 198.51.100.1 22"));
        let now = chrono::Utc::now();
        let granted = decider.grant_approval(asked.id, None, "uid 0", now).unwrap();
        let action = response.responder.execute(granted.warrant, now).unwrap();
        response.carried_out(&action);
        decider.finish(granted.number, Some("uid 0".to_owned()));
        assert_eq!((action.target.addresses().len(), action.state), (211, ActionState::Live), "{}", action.note);
        assert_eq!((in_set("block_in4"), in_set("block_in6")), (199, 12));
        assert!(minutes(&action) == 60 && action.reason.ends_with("1 left out, see the audit log"), "{action:#?}");

        // Somebody takes one away: it comes back. A new attacker is asked about alone.
        let removed =
            std::process::Command::new("nft").args(["delete", "element", "inet", "bartizan", "block_in4", "{ 203.0.0.9 }"]).status();
        assert!(removed.unwrap().success() && in_set("block_in4") == 198);
        response.responder.reconcile(chrono::Utc::now()).unwrap();
        assert_eq!(in_set("block_in4"), 199, "{:#?}", response.active_actions());
        join(&["198.51.100.77".to_owned()], &mut decider, 0);
        assert_eq!(response.approvals(false).last().unwrap().action.to_string(), "block from 198.51.100.77");

        response.rollback(vec![action.id], "uid 0").unwrap();
        assert_eq!(in_set("block_in4") + in_set("block_in6"), 0);
        let tables = std::process::Command::new("nft").args(["list", "tables"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&tables.stdout).contains("bartizan"), "the empty table goes with it");
    });
}
