//! Keys in, effects out: what a person can cause, and what a stray key cannot.

use std::time::Duration;

use super::*;
use crate::model::{ActionId, ApprovalId, IncidentId, Mode, Presence};
use crate::protocol::{Change, Push, Reply, Snapshot};
use crate::tui::fixtures::{key, now, process};
use crate::tui::tests::{press, state, text};

fn asks(effects: &[Effect]) -> Vec<Request> {
    effects.iter().filter_map(|effect| if let Effect::Ask(question) = effect { Some(question.request.clone()) } else { None }).collect()
}

#[test]
fn approving_takes_two_keys_and_says_what_will_happen() {
    let mut state = state(View::Approvals, 80, 24);
    assert_eq!(asks(&press(&mut state, "g a")), []);
    assert!(text(&state).contains("cgroup.freeze") && text(&state).contains("Touches"));
    assert_eq!(asks(&press(&mut state, "j k a a z enter tab")), [], "only a yes is a yes, a held key is not");
    assert!(state.dialog.is_some());
    assert_eq!(asks(&press(&mut state, "y")), [Request::Approve { id: ApprovalId(5), lasts: None }]);
    assert!(state.dialog.is_none());
}

#[test]
fn an_edited_duration_is_checked_and_confirmed() {
    let mut state = state(View::Approvals, 80, 24);
    press(&mut state, "g t");
    for _ in 0..10 {
        press(&mut state, "backspace");
    }
    assert_eq!(asks(&press(&mut state, "2 5 h enter")), []);
    assert!(text(&state).contains("at most 24h"));
    assert_eq!(
        asks(&press(&mut state, "backspace backspace backspace 9 0 s enter y")),
        [Request::Approve { id: ApprovalId(5), lasts: Some(Duration::from_secs(90)) }]
    );
}

#[test]
fn rejecting_keeps_the_reason_and_escape_leaves_the_question_open() {
    let mut state = state(View::Approvals, 80, 24);
    assert_eq!(asks(&press(&mut state, "g x n o esc")), []);
    assert_eq!(asks(&press(&mut state, "x n o enter")), [Request::Reject { id: ApprovalId(5), reason: "no".to_owned() }]);
}

#[test]
fn an_answered_question_cannot_be_answered_again() {
    let mut state = state(View::Approvals, 80, 24);
    assert_eq!(asks(&press(&mut state, "G a")), []);
    assert!(state.dialog.is_none() && text(&state).contains("Q4 is already answered"));
}

#[test]
fn undoing_asks_once_and_a_kill_cannot_be_undone() {
    let mut state = state(View::Actions, 80, 24);
    assert_eq!(asks(&press(&mut state, "g u y")), [Request::Rollback { ids: vec![ActionId(12)] }]);
    assert_eq!(asks(&press(&mut state, "g j u")), [], "A11 is asked about");
    press(&mut state, "n k g j j");
    assert_eq!(asks(&press(&mut state, "u")), [], "A10 is a kill");
    assert!(state.dialog.is_none() && text(&state).contains("cannot be undone"));
}

#[test]
fn the_emergency_stop_takes_its_key_twice_from_every_view() {
    for view in View::ALL {
        let mut one = state(view, 80, 24);
        assert_eq!(asks(&press(&mut one, "!")), []);
        assert!(text(&one).contains("of all 3 active actions"), "{view}");
        assert_eq!(asks(&press(&mut one, "!")), [Request::EmergencyStop]);
        let mut other = state(view, 80, 24);
        assert_eq!(asks(&press(&mut other, "! n !")), []);
        assert_eq!(asks(&press(&mut other, "esc")), []);
    }
}

#[test]
fn the_mode_is_chosen_and_confirmed() {
    let mut state = state(View::Overview, 80, 24);
    assert_eq!(asks(&press(&mut state, "m 3 enter")), []);
    assert_eq!(asks(&press(&mut state, "y")), [Request::SetMode { mode: Mode::Aggressive }]);
}

#[test]
fn a_viewer_is_told_which_role_it_takes() {
    for (view, keys) in [
        (View::Approvals, "g a"),
        (View::Approvals, "g x"),
        (View::Actions, "g u"),
        (View::Alerts, "g c"),
        (View::Overview, "m"),
        (View::Processes, "F"),
        (View::Timeline, "f"),
    ] {
        let mut state = state(view, 80, 24);
        state.role = Role::Viewer;
        assert_eq!(asks(&press(&mut state, keys)), [], "{view} {keys}");
        assert!(state.dialog.is_none() && text(&state).contains("needs the role"), "{view} {keys}");
    }
}

#[test]
fn acting_by_hand_shows_the_preview_before_it_asks() {
    let mut state = state(View::Processes, 80, 24);
    let effects = press(&mut state, "s F");
    let [Effect::Ask(question)] = effects.as_slice() else { panic!("{effects:?}") };
    let plan = question.plan.clone().unwrap();
    assert_eq!(question.request, Request::Preview { plan: plan.clone() });
    assert_eq!(plan.to_string(), "freeze /usr/bin/dash (pid 2214) and below");
    sent(&mut state, 9, question.clone());
    let preview = crate::model::Preview {
        steps: vec!["stop three".to_owned()],
        blast_radius: "nothing else".to_owned(),
        undo: vec!["start three".to_owned()],
    };
    update(&mut state, Input::Reply { ticket: 9, reply: Box::new(Reply::Preview(preview)) }, now());
    assert!(text(&state).contains("stop three"));
    assert_eq!(asks(&press(&mut state, "y")), [], "a yes typed before the question was there is no yes");
    let later = now() + chrono::TimeDelta::seconds(1);
    let effects = update(&mut state, Input::Key(Key::char('y')), later);
    assert!(matches!(asks(&effects).as_slice(), [Request::Act { plan: acted, .. }] if *acted == plan));
}

#[test]
fn pasted_text_presses_no_key() {
    let mut state = state(View::Actions, 80, 24);
    assert_eq!(update(&mut state, Input::Paste("!!uyq".to_owned()), now()), []);
    assert!(state.dialog.is_none());
    press(&mut state, "/");
    update(&mut state, Input::Paste("203.0\nq".to_owned()), now());
    assert_eq!(state.list().filter, "203.0");
}

#[test]
fn a_gap_asks_for_a_new_snapshot_once() {
    let mut state = state(View::Overview, 80, 24);
    let gap = |seq| Input::Push(Box::new(Push::Delta { seq, changes: vec![Change::ProcessGone(key(2214))] }));
    let effects = update(&mut state, gap(40), now());
    assert!(matches!(asks(&effects).as_slice(), [Request::Subscribe { console: true, .. }]));
    let [Effect::Ask(question)] = effects.as_slice() else { panic!("{effects:?}") };
    sent(&mut state, 3, question.clone());
    assert_eq!(asks(&update(&mut state, gap(41), now())), []);
    assert!(state.mirror.processes.contains_key(&key(2214)), "a delta after a gap is not applied");
}

#[test]
fn the_cursor_stays_on_its_process_while_others_come_and_go() {
    let mut state = state(View::Processes, 80, 24);
    press(&mut state, "s");
    let here = state.chosen();
    assert_eq!(here, Some(RowKey::Process(key(2214))));
    let row = process(300, 1, "root", &["/usr/sbin/cron"], 1);
    update(
        &mut state,
        Input::Push(Box::new(Push::Delta { seq: 1, changes: vec![Change::Process(Box::new(row)), Change::ProcessGone(key(1890))] })),
        now(),
    );
    assert_eq!(state.chosen(), here);
    update(&mut state, Input::Push(Box::new(Push::Delta { seq: 2, changes: vec![Change::ProcessGone(key(2214))] })), now());
    assert_eq!(state.chosen(), None);
    assert_eq!(asks(&press(&mut state, "K")), [], "what came in its place is not killed");
}

#[test]
fn following_keeps_the_cursor_on_the_newest_process_and_unfolds_the_way() {
    let mut state = state(View::Processes, 80, 24);
    press(&mut state, "z n");
    let mut row = process(4_000, 2240, "www-data", &["/usr/bin/id"], 0);
    row.since = now();
    update(&mut state, Input::Push(Box::new(Push::Delta { seq: 1, changes: vec![Change::Process(Box::new(row))] })), now());
    assert_eq!(state.chosen(), Some(RowKey::Process(key(4_000))));
    press(&mut state, "k");
    assert!(!state.follow);
}

#[test]
fn filters_keep_the_way_to_the_root() {
    let mut state = state(View::Processes, 80, 24);
    press(&mut state, "/ c u r l enter");
    let rows: Vec<_> = rows::processes(&state).into_iter().map(|(branch, _)| branch.key.pid).collect();
    assert_eq!(rows, [1, 812, 813, 2214, 2231]);
    press(&mut state, "esc");
    assert!(state.list().filter.is_empty());
}

#[test]
fn answers_and_refusals_are_one_line_with_the_mend() {
    let mut state = state(View::Overview, 80, 24);
    let question = Question { request: Request::EmergencyStop, what: "stopping everything".to_owned(), plan: None };
    sent(&mut state, 5, question);
    assert!(text(&state).contains("asking"));
    let refusal = crate::protocol::Refusal {
        code: crate::protocol::ErrorCode::Refused,
        message: "the lifeline holds it".to_owned(),
        mend: "choose another target".to_owned(),
    };
    update(&mut state, Input::Reply { ticket: 5, reply: Box::new(Reply::Refused(refusal)) }, now());
    assert!(text(&state).contains("not done: the lifeline holds it: choose another target"));
}

#[test]
fn the_explanation_opens_as_a_page() {
    let mut state = state(View::Overview, 80, 24);
    let effects = press(&mut state, "g e");
    assert_eq!(asks(&effects), [Request::Explain { id: IncidentId(7) }]);
    sent(&mut state, 6, Question { request: Request::Explain { id: IncidentId(7) }, what: String::new(), plan: None });
    let why = crate::model::Explanation {
        incident: IncidentId(7),
        seen: vec!["nginx started a shell.".to_owned()],
        why: vec!["lineage 0.70".to_owned()],
        lower: vec!["a known deployment".to_owned()],
        done: Vec::new(),
        undo: Vec::new(),
        evidence: "complete".to_owned(),
    };
    update(&mut state, Input::Reply { ticket: 6, reply: Box::new(Reply::Explanation(Box::new(why))) }, now());
    assert!(text(&state).contains("What would lower it") && text(&state).contains("a known deployment"));
    press(&mut state, "esc");
    assert!(state.dialog.is_none());
}

#[test]
fn leaving_an_attached_console_ends_nothing_and_an_embedded_one_asks() {
    let mut one = state(View::Overview, 80, 24);
    assert_eq!(press(&mut one, "q"), [Effect::Quit]);
    assert_eq!(press(&mut one, "d"), [Effect::Detach]);
    assert_eq!(update(&mut one, Input::Hangup, now()), [Effect::Detach]);
    assert_eq!(update(&mut one, Input::Terminate, now()), [Effect::Quit]);
    let mut embedded = state(View::Overview, 80, 24);
    embedded.embedded = true;
    assert_eq!(press(&mut embedded, "q"), []);
    assert_eq!(press(&mut embedded, "enter"), [Effect::Detach], "the careful choice comes first");
    press(&mut embedded, "q j");
    assert_eq!(press(&mut embedded, "enter"), [Effect::Quit]);
}

#[test]
fn what_happened_while_away_is_told_once() {
    let mut state = state(View::Overview, 80, 24);
    let snapshot = |presence| {
        Input::Push(Box::new(Push::Snapshot(Box::new(Snapshot {
            seq: 9,
            health: crate::tui::fixtures::health(),
            presence,
            processes: vec![],
            sockets: vec![],
            incidents: vec![],
            signals: vec![],
            alerts: vec![],
            approvals: vec![],
            actions: vec![],
        }))))
    };
    update(&mut state, snapshot(Some(crate::tui::fixtures::presence())), now());
    assert!(state.away && text(&state).contains("While you were away"));
    press(&mut state, "esc");
    update(&mut state, snapshot(None), now());
    assert!(!state.away);
    let never = Presence { away_since: None, events: 5, incidents: 0, alerts: 0, actions: 0, lapsed: 0 };
    update(&mut state, snapshot(Some(never)), now());
    assert!(!state.away, "nobody was ever there");
}

#[test]
fn data_that_is_old_says_so() {
    let mut state = state(View::Overview, 80, 24);
    update(&mut state, Input::Tick, now() + chrono::TimeDelta::seconds(42));
    assert!(text(&state).contains("last spoke 42s ago"));
}

#[test]
fn a_single_view_stays_a_single_view() {
    let mut state = state(View::Network, 40, 10);
    state.single = true;
    press(&mut state, "tab");
    press(&mut state, "1");
    assert_eq!(state.view, View::Network);
}

#[test]
fn twenty_thousand_processes_are_drawn_as_any_number() {
    let mut state = state(View::Processes, 80, 24);
    for pid in 10_000..30_000u32 {
        let row = process(pid, if pid % 3 == 0 { 1 } else { pid - 1 }, "www-data", &["/usr/bin/php-fpm"], 50);
        state.mirror.processes.insert(row.key, row);
    }
    press(&mut state, "j");
    assert!(text(&state).contains("php-fpm"));
}
