//! What was ended stays so when no disk takes the record, when we die, and when what undoes it cannot be read.

use std::time::Duration;

use super::safety_tests::{Disk, Hands, MINUTE, ready};
use super::tests::{block, lively_tree, now, on_bench, on_tree, person, ruleset, stands_still};
use super::*;
use bartizan_model::{ActionKind, ActionState, Desired, Direction, EndCause};

fn row(responder: &Responder, id: ActionId) -> Action {
    responder.ledger.action(id).unwrap().unwrap()
}

#[test]
fn what_was_undone_on_a_full_disk_by_one_who_was_killed_then_is_not_applied_again() {
    on_bench(|bench| {
        let disk = Disk::of(&bench);
        let responder = ready(&bench, &Hands::default());
        let undone = responder.execute(block("198.51.100.2", Direction::In, MINUTE), now()).unwrap();
        let kept = responder.execute(block("198.51.100.3", Direction::In, MINUTE), now()).unwrap();
        disk.fill();
        responder.rollback(undone.id, "root", now()).unwrap();
        // Killed: what memory alone knows is lost, and the row on the disk says that it is live.
        drop(responder);
        disk.make_room();
        let responder = ready(&bench, &Hands::default());
        assert_eq!(row(&responder, undone.id).state, ActionState::Live);
        responder.recover(now()).unwrap();
        responder.reconcile(now()).unwrap();
        let over = row(&responder, undone.id);
        assert_eq!((over.state, over.desired.ending().map(|ending| ending.cause)), (ActionState::RolledBack, Some(EndCause::Undone)));
        assert!(!ruleset().contains("198.51.100.2") && ruleset().contains("198.51.100.3"), "{}", ruleset());
        assert_eq!((row(&responder, kept.id).state, row(&responder, kept.id).desired), (ActionState::Live, Desired::Live));
        // The same for everything at once, with the undoing itself lost too.
        crate::tests::nft("flush ruleset");
        responder.context.marks.remove_all();
        drop(responder);
        let responder = ready(&bench, &Hands::default());
        responder.recover(now()).unwrap();
        assert_eq!((row(&responder, kept.id).state, ruleset().as_str()), (ActionState::RolledBack, ""));
    });
}

#[test]
fn a_live_action_of_a_version_that_kept_no_marks_stays_live() {
    on_bench(|bench| {
        let responder = ready(&bench, &Hands::default());
        let kept = responder.execute(block("198.51.100.3", Direction::In, MINUTE), now()).unwrap();
        drop(responder);
        std::fs::remove_dir_all(bench.runtime().join("wanted")).unwrap();
        for _ in 0..2 {
            let responder = ready(&bench, &Hands::default());
            responder.recover(now()).unwrap();
            assert_eq!((row(&responder, kept.id).state, ruleset().contains("198.51.100.3")), (ActionState::Live, true));
        }
        ready(&bench, &Hands::default()).rollback(kept.id, "root", now()).unwrap();
        assert_eq!(std::fs::read_dir(bench.runtime().join("wanted")).unwrap().count(), 0);
    });
}

#[test]
fn what_cannot_be_read_is_undone_by_its_note() {
    on_bench(|bench| {
        let responder = bench.responder();
        let out = bench.out();
        let child = lively_tree(&out);
        let frozen = responder.execute(on_tree(ActionKind::FreezeTree, &child), now()).unwrap();
        assert!(stands_still(&out));
        responder.ledger.set_snapshot(frozen.id, &serde_json::json!("nonsense")).unwrap();
        let undone = responder.rollback(frozen.id, "root", now()).unwrap();
        assert_eq!(undone.state, ActionState::RolledBack, "{}", undone.note);
        assert!(!stands_still(&out) && undone.note.contains("run again where they were"), "{}", undone.note);
        drop(child);
    });
}

#[test]
fn an_undo_that_is_pending_is_neither_confirmed_nor_doubled_and_is_tried_with_pauses() {
    on_bench(|bench| {
        let hands = Hands::default();
        let responder = ready(&bench, &hands);
        let mut action = responder.execute(block("198.51.100.2", Direction::In, MINUTE), now()).unwrap();
        responder.want_gone(&mut action, EndCause::Undone, "root", "undone by root", now());
        assert!(action.undo_pending().is_some() && action.standing() == "undo pending");
        assert!(matches!(responder.confirm(action.id, "root", now()), Err(ActError::NotAwaiting { .. })));
        let again = responder.execute(block("198.51.100.2", Direction::In, MINUTE), now()).unwrap_err();
        assert!(matches!(again, ActError::StillUndoing { .. }), "{again}");
        responder.reconcile(now()).unwrap();
        assert_eq!((row(&responder, action.id).state, ruleset().as_str()), (ActionState::RolledBack, ""));
        assert!(responder.execute(block("198.51.100.2", Direction::In, Duration::from_secs(9)), now()).is_ok());
        assert!(responder.emergency_stop(&person("root"), now()).failures.is_empty());
    });
}
