//! Keys in, effects out: what a person can cause, and what a stray key cannot.

use std::time::Duration;

use super::*;
use crate::fixtures::{key, now, process};
use crate::tests::{press, state, text};
use bartizan_model::{ActionId, ApprovalId, IncidentId, Mode, Presence};
use bartizan_protocol::{Change, Push, Reply, Snapshot};

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
    let preview = bartizan_model::Preview {
        steps: vec!["stop three".to_owned()],
        blast_radius: "nothing else".to_owned(),
        undo: vec!["start three".to_owned()],
        ..Default::default()
    };
    update(&mut state, Input::Reply { ticket: 9, reply: Box::new(Reply::Preview(preview)) }, now());
    assert!(text(&state).contains("stop three"));
    let yes = |state: &mut State, after: i64| update(state, Input::Key(Key::char('y')), now() + chrono::TimeDelta::milliseconds(after));
    assert_eq!(asks(&yes(&mut state, 5_000)), [], "a yes to what nobody has painted is no yes");
    painted(&mut state, now());
    assert_eq!(asks(&yes(&mut state, 299)), [], "nor is one typed before the question can have been read");
    assert!(text(&state).contains("not yet: read it first; nothing was done"), "{}", text(&state));
    let effects = yes(&mut state, 300);
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
    let refusal = bartizan_protocol::Refusal {
        code: bartizan_protocol::ErrorCode::Refused,
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
    let why = bartizan_model::Explanation {
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
            health: crate::fixtures::health(),
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
    update(&mut state, snapshot(Some(crate::fixtures::presence())), now());
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

#[test]
fn a_countdown_is_answered_from_every_view_and_never_by_a_held_key() {
    for view in View::ALL {
        let mut state = state(view, 80, 24);
        assert_eq!(asks(&press(&mut state, "C")), [], "nothing waits");
        assert!(state.dialog.is_none() && text(&state).contains("no action waits for a confirmation"));
        let row = crate::fixtures::unconfirmed();
        state.mirror.actions.insert(row.id, row);
        assert_eq!(asks(&press(&mut state, "C C C C enter")), [], "{view}");
        assert!(text(&state).contains("the host undoes it by itself at 14:05:02") && text(&state).contains("6 passing"));
        assert_eq!(asks(&press(&mut state, "y")), [Request::Confirm { id: ActionId(13) }]);
    }
}

#[test]
fn the_most_urgent_countdown_is_asked_about_first_unless_the_cursor_says_another() {
    let mut state = state(View::Actions, 80, 24);
    let late = crate::fixtures::unconfirmed();
    let mut early = late.clone();
    early.id = ActionId(16);
    early.confirmation.as_mut().unwrap().until = now() + chrono::TimeDelta::seconds(9);
    state.mirror.actions.extend([(late.id, late), (early.id, early)]);
    assert!(text(&state).contains("CONFIRM A16    9s +1: C"));
    state.list_mut().choose(RowKey::Action(ActionId(12)));
    assert_eq!(asks(&press(&mut state, "C y")), [Request::Confirm { id: ActionId(16) }]);
    state.list_mut().choose(RowKey::Action(ActionId(13)));
    assert_eq!(asks(&press(&mut state, "C y")), [Request::Confirm { id: ActionId(13) }]);
    state.role = Role::Viewer;
    assert_eq!(asks(&press(&mut state, "C")), []);
    assert!(state.dialog.is_none() && text(&state).contains("needs the role operator"));
}

#[test]
fn what_came_of_a_confirmation_is_said() {
    let mut state = state(View::Overview, 80, 24);
    let mut row = crate::fixtures::unconfirmed();
    row.confirmation.as_mut().unwrap().confirmed_at = Some(now());
    sent(&mut state, 9, Question { request: Request::Confirm { id: row.id }, what: "confirming A13".to_owned(), plan: None });
    update(&mut state, Input::Reply { ticket: 9, reply: Box::new(Reply::Actions(vec![row])) }, now());
    assert!(text(&state).contains("A13 is confirmed: it lasts until 14:13:02"), "{}", text(&state));
}

#[test]
fn a_container_is_isolated_where_the_cursor_is() {
    use bartizan_model::{ActionKind, HostText, Isolation, Preview, Target};
    let mut state = state(View::Processes, 80, 24);
    state.list_mut().choose(RowKey::Process(key(2214)));
    assert_eq!(asks(&press(&mut state, "I")), []);
    assert!(text(&state).contains("is in no container"));
    let id = "3f1c".repeat(16);
    state.mirror.processes.get_mut(&key(2214)).unwrap().container = Some(id.clone());
    let find = Request::FindContainer { name: HostText::from(id.as_str()), isolation: Isolation::Network };
    assert_eq!(asks(&press(&mut state, "I")), std::slice::from_ref(&find));
    let evil = HostText::from("shop\u{1b}[2J");
    let target = Target::Container { id: id.clone(), name: evil.clone(), isolation: Isolation::Network };
    sent(&mut state, 7, Question { request: find, what: "which container it is".to_owned(), plan: None });
    update(&mut state, Input::Reply { ticket: 7, reply: Box::new(Reply::Target(target)) }, now());
    assert!(
        text(&state).contains("Isolate container shop\\u{1b}[2J") || text(&state).contains("Isolate container shop\\x1b"),
        "{}",
        text(&state)
    );
    let effects = press(&mut state, "j enter");
    let [Effect::Ask(question)] = effects.as_slice() else { panic!("{effects:?}") };
    let plan = question.plan.clone().unwrap();
    assert_eq!(plan.kind(), ActionKind::IsolateContainer);
    assert_eq!(plan.target(), &Target::Container { id, name: evil, isolation: Isolation::Pause });
    assert_eq!(plan.lasts(), Duration::from_secs(1_800));
    sent(&mut state, 8, question.clone());
    update(&mut state, Input::Reply { ticket: 8, reply: Box::new(Reply::Preview(Preview::default())) }, now());
    assert!(text(&state).contains("unless you confirm it with"), "{}", text(&state));
}

#[test]
fn an_account_a_limit_and_containment_are_asked_for() {
    use bartizan_model::{ActionKind, HostText, Target};
    let mut one = state(View::Processes, 80, 24);
    one.list_mut().choose(RowKey::Process(key(1890)));
    let find = Request::FindAccount { name: HostText::from("deploy") };
    assert_eq!(asks(&press(&mut one, "D")), std::slice::from_ref(&find));
    sent(&mut one, 7, Question { request: find, what: String::new(), plan: None });
    let target = Target::User { name: HostText::from("deploy"), uid: 1001 };
    let effects = update(&mut one, Input::Reply { ticket: 7, reply: Box::new(Reply::Target(target.clone())) }, now());
    assert!(matches!(asks(&effects).as_slice(), [Request::Preview { plan }] if plan.target() == &target));

    let mut two = state(View::Network, 80, 24);
    two.list_mut().choose(RowKey::Socket(13));
    assert_eq!(asks(&press(&mut two, "L 0 0 0 0 0 0 0 enter")), []);
    assert!(text(&two).contains("write a number of packets a second, 1 to 1000000"));
    let asked = asks(&press(&mut two, "backspace backspace backspace backspace backspace enter"));
    let addr = "203.0.113.66".parse().unwrap();
    let limit = Target::Source { addr, packets_per_second: 5_000 };
    assert!(matches!(asked.as_slice(), [Request::Preview { plan }] if plan.target() == &limit), "{asked:?}");

    let asked = asks(&press(&mut two, ": c o n t a i n enter"));
    assert!(matches!(asked.as_slice(), [Request::Preview { plan }] if plan.kind() == ActionKind::ContainHost), "{asked:?}");
}

#[test]
fn several_letters_of_one_read_are_text_and_press_no_key() {
    let keys = |text: &str| text.chars().map(|c| if c == '\n' { "enter".parse().unwrap() } else { Key::char(c) }).collect::<Vec<_>>();
    for (view, text) in [
        (View::Overview, "hello!y there"),
        (View::Overview, "7uy"),
        (View::Overview, "6 a y"),
        (View::Approvals, "ay"),
        (View::Approvals, "x\n"),
        (View::Actions, "uy"),
        (View::Actions, "!!"),
        (View::Overview, "q\n"),
        (View::Overview, ":\n"),
        (View::Overview, "yy"),
    ] {
        let mut state = state(view, 80, 24);
        assert_eq!(update(&mut state, Input::Burst(keys(text)), now()), [], "{text}");
        assert!(state.dialog.is_none(), "{text}: {:?}", state.dialog);
        assert!(self::text(&state).contains("ignored"), "it is told");
    }
    // Into an open question, however long it was read.
    for together in ["y there", "yy", "y\n", "yj", "jy"] {
        let mut state = state(View::Actions, 80, 24);
        press(&mut state, "!");
        painted(&mut state, now() - chrono::TimeDelta::seconds(9));
        assert_eq!(update(&mut state, Input::Burst(keys(together)), now()), [], "{together}");
        assert!(self::text(&state).contains("read it first"), "{}", self::text(&state));
        assert_eq!(asks(&press(&mut state, "y")), [Request::EmergencyStop], "and one that is meant still works");
    }
    let mut state = state(View::Actions, 80, 24);
    press(&mut state, "!");
    painted(&mut state, now() - chrono::TimeDelta::seconds(9));
    let with_an_arrow = vec!["down".parse().unwrap(), Key::char('y')];
    assert_eq!(update(&mut state, Input::Burst(with_an_arrow), now()), [], "not alone in its read");
    assert!(self::text(&state).contains("read it first"));
}

#[test]
fn a_held_key_on_a_slow_line_moves_and_text_goes_into_a_field() {
    let mut state = state(View::Processes, 80, 24);
    press(&mut state, "g");
    let before = state.chosen();
    update(&mut state, Input::Burst(vec![Key::char('j'); 3]), now());
    assert_ne!(state.chosen(), before);
    press(&mut state, "/");
    update(&mut state, Input::Burst("nginx".chars().map(Key::char).collect()), now());
    assert_eq!(state.list().filter, "nginx");
}
