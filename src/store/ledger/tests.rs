//! The ledger against a real file: ids, intents, the chain and its tampering, damage, newer versions.

use super::*;
use crate::model::{Action, ActionId, ActionKind, ActionState, Direction, Target, WarrantId};

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + chrono::Duration::days(20_000)
}

fn body(what: &str, subject: &str) -> AuditBody {
    AuditBody { at: now(), actor: "root via uid 0".into(), what: what.into(), subject: subject.into(), detail: "because".into() }
}

fn action(id: u64, warrant: u64) -> Action {
    Action {
        id: ActionId(id),
        kind: ActionKind::BlockAddress,
        target: Target::Address { addr: "203.0.113.5".parse().unwrap(), direction: Direction::In },
        incident: None,
        warrant: WarrantId(warrant),
        state: ActionState::Applying,
        planned_at: now(),
        applied_at: None,
        verified_at: None,
        expires_at: now(),
        ended_at: None,
        by: "root".into(),
        reason: "a test".into(),
        preview: vec![],
        undo: vec![],
        note: String::new(),
        evidence: None,
        confirmation: None,
        vitals: None,
    }
}

fn anchor() -> Anchor {
    Anchor { boot: crate::model::BootId(7), ns: 1_000 }
}

#[test]
fn an_intent_outlives_us_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let instance = {
        let ledger = Ledger::open(dir.path(), now()).unwrap();
        assert_eq!((ledger.next_action_id().unwrap(), ledger.next_warrant_id().unwrap()), (ActionId(1), WarrantId(1)));
        ledger.intend(&action(1, 7), &serde_json::json!({"a": 1}), anchor(), &body("action.intended", "A1")).unwrap();
        let again = ledger.intend(&action(1, 8), &serde_json::Value::Null, anchor(), &body("action.intended", "A1"));
        assert!(again.is_err(), "an id is used once");
        assert_eq!(ledger.audit_tail(9).unwrap().len(), 1, "an intent that failed leaves no line");
        assert!(ledger.update(&action(2, 8)).is_err(), "never intended");
        ledger.audit(body("warrant.issued", "W9")).unwrap();
        ledger.instance().to_owned()
    };
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    assert_eq!((ledger.next_action_id().unwrap(), ledger.next_warrant_id().unwrap()), (ActionId(2), WarrantId(10)));
    assert_eq!(ledger.instance(), instance);
    assert_eq!(ledger.active().unwrap(), [action(1, 7)]);
    assert_eq!(ledger.snapshot(ActionId(1)).unwrap(), Some(serde_json::json!({"a": 1})));
    let mut ended = action(1, 7);
    ended.state = ActionState::RolledBack;
    ledger.update(&ended).unwrap();
    assert_eq!((ledger.active().unwrap().len(), ledger.actions(9).unwrap()), (0, vec![ended]));
}

#[test]
fn the_chain_shows_every_tampering() {
    let tamperings = [
        ("UPDATE audit SET body = replace(body, 'because', 'becausf') WHERE seq = 2", Some(2)),
        ("DELETE FROM audit WHERE seq = 2", Some(2)),
        ("DELETE FROM audit WHERE seq = 1", Some(1)),
        ("UPDATE audit SET hash = 'zz' WHERE seq = 3", Some(3)),
        ("UPDATE audit SET seq = 9 WHERE seq = 4", Some(4)),
        ("SELECT 1", None),
    ];
    for (tampering, broken_at) in tamperings {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path(), now()).unwrap();
        for n in 1..=4 {
            assert_eq!(ledger.audit(body("action.applied", "A1")).unwrap().seq, n);
        }
        assert!(ledger.verify().unwrap().intact);
        assert!(ledger.lock().execute_batch("DELETE FROM audit").unwrap_err().to_string().contains("only grows"));
        ledger.lock().execute_batch(&format!("DROP TRIGGER audit_stays; DROP TRIGGER audit_keeps; {tampering};")).unwrap();
        let verdict = ledger.verify().unwrap();
        assert_eq!(verdict.broken_at, broken_at, "{tampering}: {}", verdict.detail);
        assert_eq!(verdict.intact, broken_at.is_none());
        assert!(ledger.audit(body("action.applied", "A2")).is_ok(), "the record goes on");
        assert_eq!(ledger.verify().unwrap().broken_at, broken_at);
    }
}

#[test]
fn a_damaged_file_is_put_aside_and_a_newer_one_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ledger.db"), vec![b'x'; 8192]).unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    assert!(ledger.notice().unwrap().contains("damaged"));
    assert_eq!(ledger.audit_tail(5).unwrap().first().unwrap().body.what, "audit.restarted");
    assert!(std::fs::read_dir(dir.path()).unwrap().flatten().any(|e| e.file_name().to_string_lossy().contains("damaged-2024")));
    ledger.lock().execute_batch("PRAGMA user_version = 99").unwrap();
    drop(ledger);
    let newer = Ledger::open(dir.path(), now());
    assert!(matches!(newer, Err(LedgerError::Newer(_))), "{newer:?}");
}
