//! What the signs say of an action, by how they were and what it touches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::asking::{Question, all_at_once};
use super::book::Watched;
use super::path::path;
use super::verdict::judge;
use bartizan_model::{
    Action, ActionId, ActionKind, ActionState, Direction, Probe, ProbeKind, ProbeState, ProcessKey, Target, WarrantId, Whose,
};

/// A sign; of a connection, reached over its far end.
fn sign(kind: ProbeKind, name: &str, state: ProbeState) -> Probe {
    let far = name.parse::<std::net::SocketAddr>().ok().map(|far| far.ip());
    Probe::new(kind, name, state, "seen").over(far)
}

/// Looked at after this.
fn since(before: &[Probe]) -> Watched {
    Watched { before: Arc::new(before.to_vec()), may_carry: false, since: 0, looks: 0, looked: 0, bad: 0, bad_at: 0 }
}

pub(crate) fn action(kind: ActionKind, target: Target) -> Action {
    let now = chrono::Utc::now();
    Action {
        id: ActionId(1),
        kind,
        target,
        incident: None,
        warrant: WarrantId(1),
        state: ActionState::Live,
        desired: bartizan_model::Desired::Live,
        planned_at: now,
        applied_at: Some(now),
        verified_at: Some(now),
        expires_at: now + chrono::Duration::seconds(60),
        ended_at: None,
        by: bartizan_model::Approver::Mode(bartizan_model::Mode::Aggressive),
        reason: "a test".into(),
        preview: vec![],
        undo: vec![],
        note: String::new(),
        evidence: None,
        confirmation: None,
        vitals: None,
    }
}

#[test]
fn who_logs_out_is_no_harm_and_who_is_cut_is() {
    use ProbeKind::OperatorConnection as Own;
    let well = |name: &str| sign(Own, name, ProbeState::Well);
    let block = |addr: &str| action(ActionKind::BlockAddress, Target::Address { addr: addr.parse().unwrap(), direction: Direction::In });
    let before = [well("203.0.113.9:5000"), well("203.0.113.8:5000")];
    let now = chrono::Utc::now();
    let harm = |action: &Action, after: &[Probe]| judge(action, &json!({}), &since(&before), after, now).harmed.len();
    assert_eq!(harm(&block("198.51.100.1"), &[]), 0, "a block of somebody else cannot close them");
    assert_eq!(harm(&block("203.0.113.9"), &[well("203.0.113.8:5000")]), 1, "the blocked one is gone");
    let host = action(ActionKind::ContainHost, Target::Host);
    assert_eq!(harm(&host, &[well("203.0.113.8:5000")]), 0, "one of two logged out");
    assert_eq!(harm(&host, &[]), 0, "the last one logged out: whoever can log out must not end a containment by it");
    let starved = [sign(Own, "203.0.113.9:5000", ProbeState::Ill), well("203.0.113.8:5000")];
    assert_eq!(harm(&host, &starved), 1, "what it keeps from a connection is sent again and again");
    let user = Target::User { name: "eve".into(), uid: 1001 };
    assert_eq!(harm(&action(ActionKind::DisableUser, user), &[]), 0, "sessions are ended on purpose");
    let silent = [sign(Own, "203.0.113.7:99", ProbeState::Ill), well("203.0.113.9:5000"), well("203.0.113.8:5000")];
    assert_eq!(harm(&block("203.0.113.7"), &silent), 1, "one that came after the last round was well when it came");
    assert_eq!(harm(&block("198.51.100.1"), &silent), 0, "a block of somebody else cannot have starved it");
}

#[test]
fn only_what_an_action_touches_can_have_been_harmed_by_it() {
    let process = |pid| ProcessKey { boot: bartizan_model::BootId(1), pid, start: 7 };
    let frozen = |pids: &[u32]| {
        let members: Vec<_> = pids.iter().map(|pid| json!({ "key": process(*pid), "origin": "/", "was_stopped": false })).collect();
        json!({ "name": "A1-x", "frozen": { "method": "v2", "root": "/", "name": "A1-x", "members": members }, "watchdog": null })
    };
    let kept = json!({ "keep": ["192.0.2.53"], "ssh": [22], "connections": 1, "datagrams": 1, "step": 1 });
    let ssh = sign(ProbeKind::SshServer, "tcp 0.0.0.0:22", ProbeState::Ill).made_of([process(5)]);
    let probe = sign(ProbeKind::Probe, "tcp 192.0.2.9:80", ProbeState::Ill).over(["192.0.2.9".parse().unwrap()]);
    let names = |addr: &str| sign(ProbeKind::Resolver, addr, ProbeState::Ill).over([addr.parse().unwrap()]);
    let shared = sign(ProbeKind::Probe, "tcp 127.0.0.1:80", ProbeState::Ill).made_of([process(8), process(9)]);
    let addr = "192.0.2.9".parse().unwrap();
    let block = action(ActionKind::BlockAddress, Target::Address { addr, direction: Direction::In });
    let limit = action(ActionKind::LimitSource, Target::Source { addr, packets_per_second: 9 });
    let deny = action(ActionKind::BlockDestination, Target::Destination { addr, whose: Whose::User { uid: 33 } });
    let host = action(ActionKind::ContainHost, Target::Host);
    let freeze = action(ActionKind::FreezeTree, Target::ProcessTree { root: process(8), exe: "/bin/sh".into() });
    let user = action(ActionKind::DisableUser, Target::User { name: "eve".into(), uid: 1001 });
    let file = action(ActionKind::RestoreFile, Target::File { path: "/etc/passwd".into(), copy: "0".repeat(64) });
    let none = json!({});
    for (action, snapshot, sign, reaches) in [
        (&block, &none, &ssh, false),
        (&block, &none, &probe, true),
        (&block, &none, &names("192.0.2.53"), false),
        (&limit, &none, &probe, true),
        (&limit, &none, &ssh, false),
        (&deny, &none, &probe, false),
        (&host, &kept, &ssh, false),
        (&host, &kept, &probe, true),
        (&host, &kept, &names("192.0.2.53"), false),
        (&host, &kept, &names("192.0.2.54"), true),
        (&host, &kept, &names("127.0.0.1"), false),
        (&freeze, &frozen(&[8]), &ssh, false),
        (&freeze, &frozen(&[5, 8]), &ssh, true),
        (&freeze, &frozen(&[8]), &shared, false),
        (&freeze, &frozen(&[8, 9]), &shared, true),
        (&user, &none, &ssh, false),
        (&file, &none, &ssh, true),
        (&file, &none, &probe, false),
    ] {
        assert_eq!(path(action, snapshot, sign, true).is_some(), reaches, "{:?} and {sign}", action.target);
    }
    let by_tunnel = Probe { tunnel: Some("tun0".to_owned()), ..sign(ProbeKind::OperatorConnection, "10.8.0.2:9", ProbeState::Ill) };
    assert!(path(&block, &none, &by_tunnel, true).is_some() && path(&host, &kept, &by_tunnel, true).is_some());
    assert!(path(&block, &none, &by_tunnel, false).is_none(), "the lifeline knows that nobody comes by that address");
    let before = Probe { state: ProbeState::Well, ..ssh.clone() };
    let held = judge(&freeze, &frozen(&[5]), &since(std::slice::from_ref(&before)), std::slice::from_ref(&before), chrono::Utc::now());
    assert_eq!(held.harmed, ["the SSH server tcp 0.0.0.0:22: stands still (before: seen), and its process 5 is held"]);
}

#[test]
fn what_was_ill_before_is_told_and_not_blamed() {
    let before = [sign(ProbeKind::Unit, "a.service", ProbeState::Ill), sign(ProbeKind::Probe, "p", ProbeState::Well)];
    let after = [sign(ProbeKind::Unit, "a.service", ProbeState::Ill), sign(ProbeKind::Probe, "p", ProbeState::Ill)];
    let check = judge(&action(ActionKind::ContainHost, Target::Host), &json!({}), &since(&before), &after, chrono::Utc::now());
    assert_eq!((check.well, check.ill_before.len(), check.harmed.len()), (0, 1, 0));
    assert_eq!(check.unexplained, ["probe p: seen"], "and nothing leads from the one to the other");
}

#[test]
fn questions_that_hang_do_not_hold_the_others() {
    let question = |name: &str, wait: u64| {
        let answer = sign(ProbeKind::Probe, name, ProbeState::Well);
        let silence = Probe { state: ProbeState::Unknown, ..answer.clone() };
        let ask: Question = Box::new(move || {
            std::thread::sleep(Duration::from_millis(wait));
            answer
        });
        (silence, ask)
    };
    let began = Instant::now();
    let signs = all_at_once(vec![question("slow", 2000), question("a", 100), question("b", 100)], Duration::from_millis(400));
    assert!(began.elapsed() < Duration::from_millis(1000));
    let states: Vec<ProbeState> = signs.iter().map(|sign| sign.state).collect();
    assert_eq!(states, [ProbeState::Unknown, ProbeState::Well, ProbeState::Well]);
}
