//! What the signs say of an action, without and with a real server that falls silent.

use super::*;
use crate::model::ActionKind;
use crate::model::{Direction, WarrantId};

fn sign(kind: VitalKind, name: &str, state: VitalState) -> Vital {
    Vital { kind, name: name.to_owned(), state, detail: "seen".to_owned() }
}

fn action(kind: ActionKind, target: Target) -> Action {
    let now = chrono::Utc::now();
    Action {
        id: ActionId(1),
        kind,
        target,
        incident: None,
        warrant: WarrantId(1),
        state: ActionState::Live,
        desired: crate::model::Desired::Live,
        planned_at: now,
        applied_at: Some(now),
        verified_at: Some(now),
        expires_at: now + chrono::Duration::seconds(60),
        ended_at: None,
        by: "AGGRESSIVE".into(),
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
    use VitalKind::OperatorConnection as Own;
    let well = |name: &str| sign(Own, name, VitalState::Well);
    let block = |addr: &str| action(ActionKind::BlockAddress, Target::Address { addr: addr.parse().unwrap(), direction: Direction::In });
    let before = [well("203.0.113.9:5000"), well("203.0.113.8:5000")];
    let now = chrono::Utc::now();
    let harm = |action: &Action, after: &[Vital]| judge(action, &before, after, now).harmed.len();
    assert_eq!(harm(&block("198.51.100.1"), &[]), 0, "a block of somebody else cannot close them");
    assert_eq!(harm(&block("203.0.113.9"), &[well("203.0.113.8:5000")]), 1, "the blocked one is gone");
    let host = action(ActionKind::ContainHost, Target::Host);
    assert_eq!(harm(&host, &[well("203.0.113.8:5000")]), 0, "one of two logged out");
    assert_eq!(harm(&host, &[]), 0, "the last one logged out: whoever can log out must not end a containment by it");
    let starved = [sign(Own, "203.0.113.9:5000", VitalState::Ill), well("203.0.113.8:5000")];
    assert_eq!(harm(&host, &starved), 1, "what it keeps from a connection is sent again and again");
    let user = Target::User { name: "eve".into(), uid: 1001 };
    assert_eq!(harm(&action(ActionKind::DisableUser, user), &[]), 0, "sessions are ended on purpose");
    let silent = [sign(Own, "203.0.113.7:99", VitalState::Ill), well("203.0.113.9:5000"), well("203.0.113.8:5000")];
    assert_eq!(harm(&block("198.51.100.1"), &silent), 1, "one that came after the last round was well when it came");
}

#[test]
fn what_was_ill_before_is_told_and_not_blamed() {
    let before = [sign(VitalKind::Unit, "a.service", VitalState::Ill), sign(VitalKind::Probe, "p", VitalState::Well)];
    let after = [sign(VitalKind::Unit, "a.service", VitalState::Ill), sign(VitalKind::Probe, "p", VitalState::Ill)];
    let check = judge(&action(ActionKind::ContainHost, Target::Host), &before, &after, chrono::Utc::now());
    assert_eq!((check.well, check.ill_before.len(), check.harmed), (0, 1, vec!["probe p: seen".to_owned()]));
}

#[test]
fn questions_that_hang_do_not_hold_the_others() {
    let question = |name: &str, wait: u64| {
        let answer = sign(VitalKind::Probe, name, VitalState::Well);
        let silence = Vital { state: VitalState::Unknown, ..answer.clone() };
        let ask: Question = Box::new(move || {
            std::thread::sleep(Duration::from_millis(wait));
            answer
        });
        (silence, ask)
    };
    let began = Instant::now();
    let signs = all_at_once(vec![question("slow", 2000), question("a", 100), question("b", 100)], Duration::from_millis(400));
    assert!(began.elapsed() < Duration::from_millis(1000));
    let states: Vec<VitalState> = signs.iter().map(|sign| sign.state).collect();
    assert_eq!(states, [VitalState::Unknown, VitalState::Well, VitalState::Well]);
}
