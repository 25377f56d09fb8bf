//! The ledger against a real file: ids, intents, the chain and its tampering, damage, newer versions.

use super::*;
use bartizan_model::{Action, ActionId, ActionKind, ActionState, Direction, Target, WarrantId};

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
        desired: bartizan_model::Desired::Live,
        planned_at: now(),
        applied_at: None,
        verified_at: None,
        expires_at: now(),
        ended_at: None,
        by: bartizan_model::Approver::Person("root".into()),
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
    Anchor { boot: bartizan_model::BootId(7), ns: 1_000 }
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

fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for name in ["ledger.db", "ledger.db-wal", "audit.anchor", "anchor.key"] {
        std::fs::copy(from.join(name), to.path().join(name)).unwrap();
    }
    to
}

#[test]
fn a_power_cut_in_the_middle_of_a_write_takes_only_what_was_not_synced() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    let anchored = std::fs::read(dir.path().join("audit.anchor")).unwrap();
    let lasting = Action { kind: ActionKind::RestoreFile, ..action(1, 1) };
    ledger.intend(&lasting, &serde_json::json!({"was": "x"}), anchor(), &body("action.intended", "A1")).unwrap();
    let synced = std::fs::metadata(dir.path().join("ledger.db-wal")).unwrap().len();
    ledger.intend(&action(2, 2), &serde_json::Value::Null, anchor(), &body("action.intended", "A2")).unwrap();
    ledger.settle(&Action { state: ActionState::Live, ..action(2, 2) }, None, Some(&body("action.applied", "A2"))).unwrap();
    let whole = std::fs::read(dir.path().join("ledger.db-wal")).unwrap();
    assert!(synced > 0 && whole.len() as u64 > synced);
    let mut seen = std::collections::BTreeSet::new();
    for cut in (synced as usize..whole.len()).step_by(512).chain([whole.len()]) {
        for garbage in [false, true] {
            let torn = copied(dir.path());
            let mut bytes = whole[..cut].to_vec();
            // What was not written may be nothing, or whatever the disk held there.
            bytes.resize(if garbage { whole.len() } else { cut }, 0xa5);
            std::fs::write(torn.path().join("ledger.db-wal"), bytes).unwrap();
            // It never says more than what was synced.
            std::fs::write(torn.path().join("audit.anchor"), &anchored).unwrap();
            let after = Ledger::open(torn.path(), now()).unwrap();
            assert_eq!(after.notice(), None, "cut at {cut}");
            let rows = after.active().unwrap();
            assert_eq!(rows.first(), Some(&lasting), "cut at {cut}: the synced intent is there");
            assert_eq!(after.snapshot(ActionId(1)).unwrap(), Some(serde_json::json!({"was": "x"})));
            let verdict = after.verify().unwrap();
            assert!(
                verdict.intact && verdict.entries == rows.len() as u64 + u64::from(rows.iter().any(|row| row.state == ActionState::Live))
            );
            seen.insert((rows.len(), verdict.entries));
            assert_eq!(after.next_action_id().unwrap().0, rows.len() as u64 + 1);
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(1, 1), (2, 2), (2, 3)], "each write is there whole or not at all");
}

#[test]
fn a_row_that_cannot_be_read_puts_the_file_aside_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    ledger.intend(&action(1, 1), &serde_json::Value::Null, anchor(), &body("action.intended", "A1")).unwrap();
    ledger.lock().execute_batch("UPDATE actions SET body = '{}'").unwrap();
    drop(ledger);
    let anew = Ledger::open(dir.path(), now()).unwrap();
    assert!(anew.notice().unwrap().contains("read an action"), "{:?}", anew.notice());
    assert_eq!((anew.active().unwrap().len(), anew.audit_tail(3).unwrap()[0].body.what.as_str()), (0, "audit.restarted"));
}

#[test]
fn what_was_seen_unchanged_is_in_memory_at_once_and_on_disk_once_a_minute() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    let seen =
        |second: i64| Action { state: ActionState::Live, verified_at: Some(now() + chrono::Duration::seconds(second)), ..action(1, 1) };
    ledger.intend(&seen(0), &serde_json::Value::Null, anchor(), &body("action.intended", "A1")).unwrap();
    let on_disk = || -> Action {
        let text: String = ledger.lock().query_row("SELECT body FROM actions", [], |row| row.get(0)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    ledger.refresh(&[seen(30)]).unwrap();
    assert_eq!((ledger.active().unwrap(), on_disk()), (vec![seen(30)], seen(0)));
    assert_eq!(ledger.actions(1).unwrap(), [seen(30)]);
    ledger.refresh(&[seen(61)]).unwrap();
    assert_eq!(on_disk(), seen(61));
}

/// A ledger with so many lines, closed again; its directory.
fn closed_with(lines: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    (0..lines).for_each(|_| drop(ledger.audit(body("action.applied", "A1")).unwrap()));
    drop(ledger);
    dir
}

fn tamper(dir: &Path, sql: &str) {
    let text = format!("DROP TRIGGER audit_stays; DROP TRIGGER audit_keeps; {sql};");
    Connection::open(dir.join("ledger.db")).unwrap().execute_batch(&text).unwrap();
}

#[test]
fn a_cut_tail_shows_offline_online_and_for_ever() {
    for cut in [1, 3, 8] {
        let dir = closed_with(8);
        assert!(Ledger::verify_file(dir.path()).unwrap().intact);
        tamper(dir.path(), &format!("DELETE FROM audit WHERE seq > {}", 8 - cut));
        let verdict = Ledger::verify_file(dir.path()).unwrap();
        assert!(!verdict.intact && verdict.entries == 8 - cut, "{verdict:?}");
        assert_eq!(
            (verdict.broken_at, verdict.detail),
            (Some(9 - cut), format!("the log had 8 lines at 2024-10-04T00:00:00Z, {} are left", 8 - cut))
        );
        let ledger = Ledger::open(dir.path(), now()).unwrap();
        assert!(ledger.notice().unwrap().contains("tampered with") && ledger.found_cut().unwrap().contains("had 8 lines"));
        assert_eq!(ledger.found_cut(), None, "told once");
        (0..9).for_each(|_| drop(ledger.audit(body("action.applied", "A2")).unwrap()));
        let verdict = ledger.verify().unwrap();
        assert_eq!((verdict.intact, verdict.broken_at), (false, Some(9 - cut)), "however long it grows");
    }
}

#[test]
fn lines_cut_under_a_running_agent_show_at_once_and_at_the_next_line() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    (0..5).for_each(|_| drop(ledger.audit(body("action.applied", "A1")).unwrap()));
    tamper(dir.path(), "DELETE FROM audit WHERE seq > 3");
    assert_eq!(ledger.verify().unwrap().broken_at, Some(4));
    assert_eq!(ledger.audit(body("action.applied", "A2")).unwrap().seq, 5, "after the line that says so");
    assert!(ledger.found_cut().unwrap().contains("3 are left"));
    let verdict = ledger.verify().unwrap();
    assert_eq!((verdict.intact, verdict.broken_at), (false, Some(4)), "{verdict:?}");
    drop(ledger);
    assert_eq!(Ledger::verify_file(dir.path()).unwrap(), verdict);
}

#[test]
fn an_older_copy_and_another_chain_show() {
    let dir = closed_with(3);
    let copy = std::fs::read(dir.path().join("ledger.db")).unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    (0..3).for_each(|_| drop(ledger.audit(body("mode.changed", "PARANOID")).unwrap()));
    drop(ledger);
    let log = dir.path().join("ledger.db-wal");
    std::fs::remove_file(&log).unwrap();
    std::fs::write(dir.path().join("ledger.db"), &copy).unwrap();
    assert!(Ledger::verify_file(dir.path()).unwrap().detail.contains("had 6 lines"));
    // A whole new chain, longer than the old one.
    let other = closed_with(9);
    let _ = std::fs::remove_file(&log);
    std::fs::copy(other.path().join("ledger.db"), dir.path().join("ledger.db")).unwrap();
    let verdict = Ledger::verify_file(dir.path()).unwrap();
    assert!(verdict.broken_at == Some(6) && verdict.detail.contains("replaced or rewritten"), "{verdict:?}");
    // And no database at all.
    std::fs::remove_file(dir.path().join("ledger.db")).unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    assert!(ledger.found_cut().unwrap().contains("0 are left"));
}

#[test]
fn an_anchor_that_was_changed_or_removed_shows_and_an_older_one_is_fine() {
    let dir = closed_with(4);
    let (anchor, key) = (dir.path().join("audit.anchor"), dir.path().join("anchor.key"));
    for file in [&anchor, &key] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let old = std::fs::read(&anchor).unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    drop(ledger.audit(body("action.applied", "A1")).unwrap());
    drop(ledger);
    let new = std::fs::read(&anchor).unwrap();
    std::fs::write(&anchor, &old).unwrap();
    assert!(Ledger::verify_file(dir.path()).unwrap().intact, "killed before the second was over");
    std::fs::write(&anchor, String::from_utf8(new.clone()).unwrap().replace("\"lines\":5", "\"lines\":4")).unwrap();
    assert!(Ledger::verify_file(dir.path()).unwrap().detail.contains("was changed"));
    std::fs::remove_file(&anchor).unwrap();
    assert!(Ledger::verify_file(dir.path()).unwrap().detail.contains("is gone"));
    std::fs::write(&anchor, &new).unwrap();
    std::fs::remove_file(&key).unwrap();
    assert!(Ledger::verify_file(dir.path()).unwrap().detail.contains("cannot be checked"));
    std::fs::remove_file(&anchor).unwrap();
    assert!(Ledger::verify_file(dir.path()).unwrap().detail.contains("no anchor"), "who removes both is noticed too");
}

#[test]
fn nobody_who_acts_waits_for_the_anchor() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    let begun = std::time::Instant::now();
    (0..200).for_each(|_| drop(ledger.audit(body("action.applied", "A1")).unwrap()));
    eprintln!("200 lines took {:?}", begun.elapsed());
    ledger.anchor.get().unwrap().settle();
    let anchored = anchor::look(dir.path());
    assert!(matches!(&anchored, anchor::Found::Head(head) if head.lines == 200), "{anchored:?}");
    assert_eq!(ledger.anchor_trouble(), None);
}

/// A lock of fcntl(2) goes with the closing of any descriptor of the file in the process: nothing of ours may open the
/// database but SQLite, or the next reader that ends takes itself for the last and deletes the log.
#[test]
fn nothing_of_ours_drops_the_lock_on_the_database() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    for _ in 0..3 {
        ledger.audit(body("something", "somebody")).unwrap();
        ledger.anchor.get().unwrap().settle();
    }
    ledger.verify().unwrap();
    ledger.tidy().unwrap();
    let inode = std::fs::metadata(dir.path().join("ledger.db")).unwrap().ino();
    let held = || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains(&format!(" {} ", std::process::id())) && line.contains(&format!(":{inode} ")))
    };
    assert!(held(), "the agent holds no lock on its ledger");
}

#[test]
fn a_log_without_its_anchor_and_one_that_is_gone_are_no_intact_logs() {
    let dir = closed_with(5);
    for name in ["audit.anchor", "anchor.key"] {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    tamper(dir.path(), "DELETE FROM audit WHERE seq > 3");
    let verdict = Ledger::verify_file(dir.path()).unwrap();
    assert!(!verdict.intact && verdict.detail.contains("no anchor"), "{verdict:?}");
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    assert!(ledger.found_cut().unwrap().contains("no anchor"));
    assert!(!ledger.verify().unwrap().intact, "and it stays told");
    std::fs::remove_file(dir.path().join("ledger.db")).unwrap();
    assert!(ledger.verify().unwrap().detail.contains("is gone"));
    drop(ledger);
    let verdict = Ledger::verify_file(dir.path()).unwrap();
    assert!(!verdict.intact && verdict.detail.contains("is gone"), "{verdict:?}");
    assert!(Ledger::verify_file(tempfile::tempdir().unwrap().path()).is_err(), "nobody ever worked there");
}

#[test]
fn an_older_ledger_with_its_older_anchor_shows_to_whoever_remembers_better() {
    let dir = closed_with(5);
    let (older, now) = (copied(dir.path()), now());
    let head = {
        let ledger = Ledger::open(dir.path(), now).unwrap();
        (0..3).for_each(|_| drop(ledger.audit(body("something", "later")).unwrap()));
        assert!(!ledger.compare_with(&ledger.head(), "the archive", now).unwrap());
        ledger.head()
    };
    let ledger = Ledger::open(older.path(), now).unwrap();
    assert!(ledger.verify().unwrap().intact, "by itself it cannot know");
    assert!(ledger.compare_with(&head, "the archive", now).unwrap());
    assert!(ledger.found_cut().unwrap().starts_with("the archive remembers otherwise: the log had 8 lines"));
    assert!(!ledger.verify().unwrap().intact, "and it stays told");
}

#[test]
fn a_ledger_that_cannot_be_written_is_read_and_goes_back_to_its_disk() {
    let dir = tempfile::tempdir().unwrap();
    {
        let ledger = Ledger::open(dir.path(), now()).unwrap();
        ledger.intend(&action(1, 7), &serde_json::json!({"a": 1}), anchor(), &body("action.intended", "A1")).unwrap();
    }
    // Root may write anywhere; a program that holds the file stops it all the same.
    let holder = Connection::open(dir.path().join("ledger.db")).unwrap();
    holder.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE meta SET value = value").unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    let trouble = ledger.trouble().unwrap();
    assert!(trouble.contains("end the program that holds it"), "{trouble}");
    assert_eq!(ledger.active().unwrap(), [action(1, 7)]);
    assert_eq!(ledger.snapshot(ActionId(1)).unwrap(), Some(serde_json::json!({"a": 1})));
    let begun = std::time::Instant::now();
    assert!(matches!(ledger.intend(&action(2, 8), &serde_json::Value::Null, anchor(), &body("x", "A2")), Err(LedgerError::Away { .. })));
    let ended = Action { state: ActionState::RolledBack, ..action(1, 7) };
    assert!(ledger.settle(&ended, None, Some(&body("action.rolled_back", "A1"))).is_err());
    assert!(begun.elapsed() < std::time::Duration::from_millis(500), "nobody who undoes waits for the holder");
    assert!(ledger.active().unwrap().is_empty());
    ledger.tidy().unwrap();
    assert!(ledger.trouble().is_some());
    holder.execute_batch("ROLLBACK").unwrap();
    drop(holder);
    ledger.tidy().unwrap();
    assert_eq!((ledger.trouble(), ledger.pay()), (None, 0));
    drop(ledger);
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    assert_eq!(ledger.action(ActionId(1)).unwrap().unwrap().state, ActionState::RolledBack);
    assert!(ledger.verify().unwrap().intact);
}

#[test]
fn room_is_set_aside_once_and_is_there_after_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    ledger.reserve(1 << 20).unwrap();
    let size = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().len();
    let (pages, log) = (size("ledger.db"), size("ledger.db-wal"));
    assert!(pages >= 1 << 20 && log >= 1 << 20, "{pages} {log}");
    ledger.reserve(1 << 20).unwrap();
    assert_eq!((size("ledger.db"), size("ledger.db-wal")), (pages, log), "it is there already");
    drop(ledger);
    assert!(size("ledger.db-wal") >= log, "the log is left for the next run");
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    (1..200).for_each(|n| ledger.intend(&action(n, n), &serde_json::Value::Null, anchor(), &body("action.intended", "A")).unwrap());
    ledger.tidy().unwrap();
    assert_eq!(size("ledger.db"), pages, "what comes goes where room was made");
}

#[test]
fn a_row_without_the_field_approver_is_read_as_the_version_that_wrote_it_read_it() {
    use bartizan_model::{Approver, Mode};
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path(), now()).unwrap();
    let named = Action { by: Approver::Person("AGGRESSIVE".into()), ..action(3, 9) };
    for action in [action(1, 7), action(2, 8), named.clone()] {
        ledger.intend(&action, &serde_json::Value::Null, anchor(), &body("action.intended", "A")).unwrap();
    }
    drop(ledger);
    let older = Connection::open(dir.path().join("ledger.db")).unwrap();
    let without = "UPDATE actions SET body = json_remove(body, '$.approver') WHERE id < 3";
    assert_eq!(older.execute(without, []).unwrap(), 2);
    older.execute("UPDATE actions SET body = json_set(body, '$.by', 'BALANCED') WHERE id = 2", []).unwrap();
    drop(older);
    let by: Vec<Approver> = Ledger::open(dir.path(), now()).unwrap().active().unwrap().into_iter().map(|action| action.by).collect();
    assert_eq!(by, [Approver::Person("root".into()), Approver::Mode(Mode::Balanced), named.by]);
}
