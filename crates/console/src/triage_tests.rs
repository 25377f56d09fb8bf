//! Triage: the worst incident is first and under the cursor, its story and questions beside it, and its answers two keys away.

use crate::fixtures::now;
use crate::input::{Effect, Input, Question};
use crate::state::{RowKey, State, rows};
use crate::tests::{cells, press, state, text};
use crate::update::{sent, update};
use bartizan_config::{Theme, View};
use bartizan_model::{ApprovalId, ApprovalState, Confidence, IncidentId, IncidentState, Severity};
use bartizan_protocol::{Change, Push, Reply, Request};

fn asks(effects: &[Effect]) -> Vec<Request> {
    effects.iter().filter_map(|effect| if let Effect::Ask(question) = effect { Some(question.request.clone()) } else { None }).collect()
}

/// The host of the fixtures with twenty newer, lesser incidents.
fn crowded(width: u16, height: u16) -> State {
    let mut state = state(View::Overview, width, height);
    let worst = state.mirror.incidents[&IncidentId(7)].clone();
    for n in 20..40 {
        let (id, severity) = (IncidentId(n), if n % 2 == 0 { Severity::Medium } else { Severity::Low });
        let sentence = format!("lesser thing {n}");
        state.mirror.incidents.insert(id, bartizan_model::Incident { id, severity, sentence, signals: vec![], ..worst.clone() });
    }
    state.list_mut().key = None;
    update(&mut state, Input::Tick, now());
    state
}

#[test]
fn the_worst_is_first_and_under_the_cursor_however_many_came_later() {
    for (width, height) in [(80, 24), (60, 20), (120, 40), (200, 60), (40, 10)] {
        let state = crowded(width, height);
        assert_eq!(state.chosen(), Some(RowKey::Incident(IncidentId(7))));
        let shown = text(&state);
        assert!(shown.contains("I7    critical"), "{width}x{height}\n{shown}");
        assert!(shown.contains("more"), "rows that are cut off are counted: {width}x{height}\n{shown}");
    }
    let mut state = crowded(80, 24);
    let mut row = state.mirror.incidents[&IncidentId(20)].clone();
    (row.id, row.severity, row.confidence) = (IncidentId(50), Severity::Critical, Confidence::new(0.99));
    let order = |state: &State| rows::incidents(state).iter().map(|row| row.id.0).collect::<Vec<_>>();
    state.mirror.incidents.insert(row.id, row.clone());
    (row.id, row.confidence) = (IncidentId(51), Confidence::new(0.883));
    state.mirror.incidents.insert(row.id, row);
    assert_eq!(order(&state)[..3], [50, 7, 51], "severity, then confidence, then age");
    state.mirror.incidents.get_mut(&IncidentId(50)).unwrap().state = IncidentState::Closed;
    assert_eq!(order(&state).last(), Some(&3), "what is closed comes last, the worst of it first");
    assert_eq!(order(&state)[..2], [7, 51]);
}

#[test]
fn a_worse_incident_never_takes_the_cursor_but_is_told() {
    let mut state = crowded(80, 24);
    press(&mut state, "j");
    let here = state.chosen();
    let mut row = state.mirror.incidents[&IncidentId(7)].clone();
    row.id = IncidentId(60);
    update(&mut state, Input::Push(Box::new(Push::Delta { seq: 1, changes: vec![Change::Incident(Box::new(row))] })), now());
    assert_eq!(state.chosen(), here);
    assert!(text(&state).contains("I7 is critical and above the cursor: g goes to it"), "{}", text(&state));
}

#[test]
fn story_lineage_and_questions_stand_whole_beside_the_worst() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let shown = text(&crowded(width, height));
        let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "that wants to stay.",
            "Q5 29m left freeze /usr/bin/dash (pid 2214) and below",
            "Q6 29m left block to 203.0.113.66",
            "dash 2214",
            "access",
        ] {
            assert!(flat.contains(part), "{width}x{height}: {part}\n{shown}");
        }
        assert!(flat.contains("a approves Q5"), "a newcomer is told what to do: {shown}");
    }
}

#[test]
fn the_worst_is_approved_with_two_keys_from_the_first_screen_and_the_next_question_follows() {
    let mut state = crowded(80, 24);
    assert_eq!(asks(&press(&mut state, "a y")), [Request::Approve { id: ApprovalId(5), lasts: None }]);
    let request = Request::Approve { id: ApprovalId(5), lasts: None };
    sent(&mut state, 9, Question { request, what: "approving Q5".to_owned(), plan: None });
    state.mirror.approvals.get_mut(&ApprovalId(5)).unwrap().state = ApprovalState::Approved;
    update(&mut state, Input::Reply { ticket: 9, reply: Box::new(Reply::Actions(vec![])) }, now());
    assert_eq!(asks(&press(&mut state, "a y")), [Request::Approve { id: ApprovalId(6), lasts: None }]);
    let mut state = crowded(80, 24);
    assert_eq!(asks(&press(&mut state, "u y")).len(), 1, "undone from there too");
    let mut state = crowded(80, 24);
    assert!(matches!(asks(&press(&mut state, "c")).as_slice(), [Request::Ack { .. }]), "and seen");
}

#[test]
fn the_row_under_the_cursor_keeps_the_colour_of_its_severity() {
    for theme in ["dark", "light", "high-contrast", "colour-blind"] {
        let theme = Theme::named(theme).unwrap();
        let state = crowded(80, 24);
        let buf = cells(&state, &theme);
        let rows: Vec<String> = text(&state).lines().map(str::to_owned).collect();
        let y = u16::try_from(rows.iter().position(|row| row.contains("I7    critical")).unwrap()).unwrap();
        let x = u16::try_from(rows[usize::from(y)].chars().collect::<String>().find("critical").unwrap()).unwrap();
        let x = x - 2; // the mark of the cursor is three bytes and one cell
        let paint = crate::paint::Paint::new(&theme);
        assert_eq!(Some(buf[(x, y)].fg), paint.critical.fg, "{}", theme.name);
        assert_eq!(Some(buf[(x, y)].bg), paint.critical.bg.or(paint.selected.bg), "{}", theme.name);
    }
}

#[test]
fn every_act_answers_with_its_proof_and_the_way_back() {
    let mut state = crowded(80, 24);
    let mut said = |request: Request, id: u64| {
        let row = state.mirror.actions[&bartizan_model::ActionId(id)].clone();
        sent(&mut state, 9, Question { request, what: "doing it".to_owned(), plan: None });
        update(&mut state, Input::Reply { ticket: 9, reply: Box::new(Reply::Actions(vec![row])) }, now());
        text(&state).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let approve = || Request::Approve { id: ApprovalId(6), lasts: None };
    let live = said(approve(), 12);
    let words = "A12 live: block to 203.0.113.66; element present, 552 s left, verified 14:03:10, until 14:12:34. u in Actions undoes it";
    assert!(live.contains(words), "{live}");
    assert!(said(approve(), 11).contains("A11 drifted: freeze"), "what does not hold is told");
    let gone = said(Request::Rollback { ids: vec![bartizan_model::ActionId(9)] }, 9);
    assert!(gone.contains("A9 rolled back: block to 192.0.2.44") || gone.contains("A9 undone: block to 192.0.2.44"), "{gone}");
}

#[test]
fn after_an_undo_the_screen_says_what_runs_again_and_keeps_what_was_done() {
    for (width, height) in [(80, 24), (120, 40)] {
        let mut state = crowded(width, height);
        state.mirror.approvals.clear();
        state.mirror.actions.retain(|id, _| id.0 == 11);
        let row = state.mirror.actions.get_mut(&bartizan_model::ActionId(11)).unwrap();
        (row.state, row.ended_at) = (bartizan_model::ActionState::RolledBack, Some(now() - chrono::TimeDelta::seconds(30)));
        row.desired = bartizan_model::Desired::Gone(bartizan_model::Ending {
            cause: bartizan_model::EndCause::Undone,
            by: "ann".to_owned(),
            why: String::new(),
            since: now(),
            failed_tries: 0,
            last_error: None,
        });
        let flat = |state: &State| text(state).split_whitespace().collect::<Vec<_>>().join(" ");
        let words = "I7 is not held: dash 2214 and 2 more run; :2214 goes to it, F there freezes it again";
        assert!(flat(&state).contains(words) && !flat(&state).contains("Nothing waits"), "{}", text(&state));
        assert!(flat(&state).contains("A11 undone 30s ago by ann freeze /usr/bin/dash"), "{}", text(&state));
        let row = state.mirror.actions[&bartizan_model::ActionId(11)].id;
        state.mirror.processes.values_mut().for_each(|process| process.held_by = Some(row));
        assert!(!flat(&state).contains("is not held"), "held ones are: {}", text(&state));
    }
}

#[test]
fn a_calm_host_says_so_and_since_when() {
    for (width, height) in [(80, 24), (60, 20)] {
        let mut state = state(View::Overview, width, height);
        state.mirror.alerts.clear();
        state.mirror.approvals.clear();
        state.mirror.incidents.clear();
        let flat = text(&state).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("All calm: no incident is known here; watched without a gap since 13:43:22 (20m)."), "{flat}");
    }
    let mut state = state(View::Overview, 80, 24);
    state.mirror.alerts.clear();
    state.mirror.approvals.clear();
    state.mirror.incidents.values_mut().for_each(|row| row.state = IncidentState::Closed);
    let shown = text(&state);
    assert!(shown.contains("All calm since 14:02:51 (31s): I7 was the last incident and is closed"), "{shown}");
}

#[test]
fn the_page_of_an_incident_begins_with_what_to_do_and_shows_score_time_and_lineage() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let shown = text(&state(View::Timeline, width, height));
        for part in ["Now: a approves Q5", "0.88 from lineage", "14:01:44 ", "14:02:51, 1m", "2214"] {
            assert!(shown.contains(part), "{width}x{height}: {part}\n{shown}");
        }
    }
    let state = state(View::Timeline, 120, 40);
    let shown = text(&state);
    assert!(shown.contains("└─ 2214 dash -i") || shown.contains("2214 dash -i"), "{shown}");
    let theme = Theme::named("dark").unwrap();
    let (buf, paint) = (cells(&state, &theme), crate::paint::Paint::new(&theme));
    let y = u16::try_from(shown.lines().position(|line| line.contains("2214 dash -i")).unwrap()).unwrap();
    assert!((0..120).any(|x| buf[(x, y)].symbol() == "d" && Some(buf[(x, y)].fg) == paint.critical.fg), "the attack is in its colour");
}

#[test]
fn a_long_answer_is_never_cut() {
    for (width, height) in [(80, 24), (60, 20)] {
        let mut state = state(View::Overview, width, height);
        let words = "not done: the lifeline holds 198.51.100.7, because ann is logged in from there by SSH: choose another target, or ask ann to log out";
        state.say(crate::state::Sound::Refused, words);
        let flat = text(&state).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(words), "{flat}");
    }
}
