//! Tables: sorting, filtering, marks, and answers to many rows at once.

use crate::fixtures::{now, process};
use crate::input::{Effect, Input, Question};
use crate::state::{RowKey, State, rows};
use crate::tests::{press, state, text};
use crate::update::{sent, update};
use bartizan_config::View;
use bartizan_model::{AlertId, AlertState, ApprovalId};
use bartizan_protocol::{Change, Push, Reply, Request};

fn asks(effects: &[Effect]) -> Vec<Request> {
    effects.iter().filter_map(|effect| if let Effect::Ask(question) = effect { Some(question.request.clone()) } else { None }).collect()
}

fn filter(state: &mut State, typed: &str) {
    let letters = typed.chars().map(|letter| if letter == ' ' { "space".to_owned() } else { letter.to_string() });
    press(state, &format!("/ {} enter", letters.collect::<Vec<_>>().join(" ")));
}

fn pids(state: &State) -> Vec<u32> {
    rows::processes(state).into_iter().map(|(branch, _)| branch.key.pid).collect()
}

#[test]
fn a_table_is_sorted_by_any_column_and_again_for_the_other_way_round() {
    let mut state = state(View::Processes, 80, 24);
    press(&mut state, "s");
    let here = state.chosen();
    press(&mut state, "o 1 enter");
    assert_eq!(pids(&state)[..3], [1, 2, 3]);
    press(&mut state, "o enter");
    assert_eq!(pids(&state)[..3], [2240, 2231, 2214]);
    assert_eq!(state.chosen(), here, "nothing moves under the cursor");
    assert!(text(&state).contains("by pid, largest first (o)"), "{}", text(&state));
    let row = process(3_000, 1, "root", &["/usr/sbin/cron"], 1);
    update(&mut state, Input::Push(Box::new(Push::Delta { seq: 1, changes: vec![Change::Process(Box::new(row))] })), now());
    assert_eq!((pids(&state)[0], state.chosen()), (3_000, here), "order and cursor survive news");
    // A sorted process table is no tree, so nothing is folded away: it has more rows.
    for view in View::ALL.into_iter().filter(|view| !matches!(view, View::Health | View::Processes)) {
        let mut state = crate::tests::state(view, 80, 24);
        let before = rows::keys(&state).len();
        for column in 1..=crate::state::facts::names(view, false).len().min(9) {
            press(&mut state, &format!("o {column} enter"));
            assert_eq!(rows::keys(&state).len(), before, "{view} {column}");
            assert!(state.list().sort.is_some(), "{view} {column}");
        }
    }
}

#[test]
fn every_name_that_a_table_is_sorted_by_is_a_value_of_its_rows() {
    use crate::state::facts::*;
    use crate::state::sheet_rows::{attacker, exception, file, finding, habit, log};
    let state = state(View::Overview, 80, 24);
    let mirror = &state.mirror;
    let of = |view| match view {
        View::Overview => incident(mirror.incidents.values().next().unwrap()),
        View::Processes => process(&state, mirror.processes.values().next().unwrap()),
        View::Network => socket(&state, mirror.sockets.values().next().unwrap()),
        View::Timeline => signal(&mirror.signals[0]),
        View::Alerts => alert(&state, mirror.alerts.values().next().unwrap()),
        View::Approvals => approval(&state, mirror.approvals.values().next().unwrap()),
        View::Actions => action(&state, mirror.actions.values().next().unwrap()),
        View::Audit => line(&state.audit[0]),
        View::Files => file(&state, &state.sheets.files.data.as_ref().unwrap()[0]),
        View::Findings => finding(&state, &state.sheets.findings.data.as_ref().unwrap().findings[0]),
        View::Logs => log(&state, &state.sheets.logs.data.as_ref().unwrap()[0]),
        View::Baseline => habit(&state, &state.sheets.review.data.as_ref().unwrap().waiting[0]),
        View::Exceptions => exception(&state, &state.sheets.exceptions.data.as_ref().unwrap()[0]),
        View::Health => Vec::new(),
    };
    let known: Vec<_> = attacker(&state, &state.sheets.attackers.data.as_ref().unwrap()[0]).into_iter().map(|(name, _)| name).collect();
    assert!(columns(View::Logs, true).iter().all(|name| known.contains(name)), "{known:?}");
    for view in View::ALL {
        let known: Vec<_> = of(view).into_iter().map(|(name, _)| name).collect();
        assert!(names(view, false).iter().all(|name| known.contains(name)), "{view}: {known:?}");
        let all = columns(view, false);
        assert!(all.iter().all(|name| known.contains(name)), "{view}: {known:?}");
        assert!(known.iter().all(|name| *name == "weight" || all.contains(name)), "{view}: {all:?}");
    }
}

#[test]
fn the_filter_language_works_on_the_rows_of_a_view() {
    let mut one = state(View::Network, 80, 24);
    filter(&mut one, "user:www-data dport:443 !incident:");
    let ids: Vec<_> = rows::sockets(&one).into_iter().map(|row| row.id).collect();
    assert_eq!(ids, [14]);
    assert!(text(&one).contains("filter: user:www-data dport:443 !incident:"), "always shown: {}", text(&one));
    press(&mut one, "5 3");
    assert!(one.list().filter.is_empty(), "cleared on leaving");
    press(&mut one, "/ up enter");
    assert_eq!(rows::sockets(&one).len(), 1, "and remembered");
    let mut two = state(View::Processes, 80, 24);
    filter(&mut two, "~^/usr/bin/(curl|dash)$");
    assert_eq!(pids(&two), [1, 812, 813, 2214, 2231]);
    filter(&mut two, "~(");
    assert!(text(&two).contains("is not a valid regular expression"), "{}", text(&two));
}

/// Sixty new alerts.
fn flooded() -> State {
    let mut state = state(View::Alerts, 80, 24);
    let one = state.mirror.alerts[&AlertId(9)].clone();
    state.mirror.alerts = (100..160).map(|n| (AlertId(n), bartizan_model::Alert { id: AlertId(n), ..one.clone() })).collect();
    state.list_mut().key = None;
    update(&mut state, Input::Tick, now());
    state
}

#[test]
fn sixty_alerts_are_acknowledged_with_three_keys_after_each_was_named() {
    let mut state = flooded();
    assert_eq!(asks(&press(&mut state, "* c")), []);
    let shown = text(&state);
    assert!(shown.contains("Acknowledge all 60 marked alerts?") && shown.contains("L159") && shown.contains("I7 critical:"), "{shown}");
    let asked = asks(&press(&mut state, "y"));
    assert_eq!(asked.len(), 60);
    assert!(text(&state).contains("60 marked"), "{}", text(&state));
    let ack = |state: &mut State, id: AlertId| {
        sent(state, id.0, Question { request: Request::Ack { id }, what: String::new(), plan: None });
        update(state, Input::Reply { ticket: id.0, reply: Box::new(Reply::Done(String::new())) }, now());
    };
    ack(&mut state, AlertId(100));
    assert_eq!(state.list().marks.len(), 59, "what is answered is not marked any more");
    press(&mut state, "esc");
    assert!(state.list().marks.is_empty());
    let mut state = flooded();
    let first = state.chosen();
    assert_eq!(asks(&press(&mut state, "c")).len(), 1);
    state.mirror.alerts.get_mut(&AlertId(159)).unwrap().state = AlertState::Acknowledged;
    ack(&mut state, AlertId(159));
    assert_eq!((first, state.chosen()), (Some(RowKey::Alert(AlertId(159))), Some(RowKey::Alert(AlertId(158)))), "each answer goes on");
}

#[test]
fn what_was_acknowledged_together_is_told_together() {
    let mut state = flooded();
    for id in 100..103 {
        sent(&mut state, id, Question { request: Request::Ack { id: AlertId(id) }, what: "acknowledging".to_owned(), plan: None });
    }
    for id in 100..103 {
        update(&mut state, Input::Reply { ticket: id, reply: Box::new(Reply::Done(format!("L{id} acknowledged"))) }, now());
    }
    assert_eq!(state.message.as_ref().unwrap().text, "3 acknowledged: L100 L101 L102");
    assert!(state.acknowledged.is_empty(), "the next answer begins anew");
}

#[test]
fn all_rows_that_an_answer_is_for_are_marked_and_no_others() {
    for (view, marks) in [(View::Alerts, 2), (View::Approvals, 2), (View::Actions, 2)] {
        let mut state = state(view, 80, 24);
        press(&mut state, "*");
        assert_eq!(state.list().marks.len(), marks, "{view}");
        assert!(state.list().marks.iter().all(|row| rows::is_answerable(&state, *row)), "{view}");
    }
}

#[test]
fn a_view_is_entered_at_what_waits_for_an_answer() {
    let mut state = state(View::Approvals, 80, 24);
    state.mirror.approvals.values_mut().for_each(|row| row.state = bartizan_model::ApprovalState::Rejected);
    press(&mut state, "g 1");
    state.mirror.approvals.get_mut(&ApprovalId(5)).unwrap().state = bartizan_model::ApprovalState::Pending;
    press(&mut state, "6");
    assert_eq!(state.chosen(), Some(RowKey::Approval(ApprovalId(5))), "not at the old one");
    state.mirror.approvals.get_mut(&ApprovalId(6)).unwrap().state = bartizan_model::ApprovalState::Pending;
    press(&mut state, "G k 1 6");
    assert_eq!(state.chosen(), Some(RowKey::Approval(ApprovalId(6))), "where the person put it");
    let over = |state: &mut State, id| {
        state.mirror.actions.get_mut(&bartizan_model::ActionId(id)).unwrap().state = bartizan_model::ActionState::Expired
    };
    press(&mut state, "7");
    over(&mut state, 12);
    press(&mut state, "1 7");
    assert_eq!(state.chosen(), Some(RowKey::Action(bartizan_model::ActionId(11))), "the live one");
}

#[test]
fn a_filter_without_a_match_gives_the_cursor_back_and_unknown_columns_are_told() {
    let mut state = state(View::Alerts, 80, 24);
    press(&mut state, "g j");
    let here = state.chosen();
    filter(&mut state, "zzz");
    assert!(text(&state).contains("0 shown of 3"), "{}", text(&state));
    press(&mut state, "esc");
    assert_eq!(state.chosen(), here);
    filter(&mut state, "sev:high");
    let flat = text(&state).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("sev is no column here; there are: severity state age count incident id"), "{flat}");
    filter(&mut state, "severity:high fe80::1 dead:beef::1 http://x");
    assert!(!text(&state).contains("no column"), "{}", text(&state));
}

#[test]
fn marked_questions_are_approved_and_rejected_together_after_each_was_named() {
    let mut state = state(View::Approvals, 80, 24);
    press(&mut state, "g space space");
    assert_eq!(asks(&press(&mut state, "a")), []);
    let shown = text(&state);
    assert!(shown.contains("Approve all 2 marked questions?"), "{shown}");
    assert!(shown.contains("freeze /usr/bin/dash (pid 2214) and below") && shown.contains("block to 203.0.113.66"), "{shown}");
    assert!(shown.contains("your access from 198.51.100.7"), "{shown}");
    let both = |id| Request::Approve { id: ApprovalId(id), lasts: None };
    assert_eq!(asks(&press(&mut state, "y")), [both(5), both(6)]);
    let rejected = asks(&press(&mut state, "x n o enter"));
    assert!(matches!(rejected.as_slice(), [Request::Reject { .. }, Request::Reject { .. }]), "{rejected:?}");
    let mut state = crate::tests::state(View::Actions, 80, 24);
    let undone = asks(&press(&mut state, "* u y"));
    assert!(matches!(undone.as_slice(), [Request::Rollback { ids }] if ids.len() == 2), "a kill is not among them: {undone:?}");
}

#[test]
fn marks_stay_with_their_rows_while_others_come() {
    let mut state = flooded();
    press(&mut state, "g j space");
    let marked = state.list().marks.clone();
    let row = bartizan_model::Alert { id: AlertId(500), ..state.mirror.alerts[&AlertId(100)].clone() };
    update(&mut state, Input::Push(Box::new(Push::Delta { seq: 1, changes: vec![Change::Alert(Box::new(row))] })), now());
    assert_eq!(state.list().marks, marked);
    assert!(marked.contains(&RowKey::Alert(AlertId(158))));
}
