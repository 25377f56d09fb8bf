//! What is on screen is true: old news look old, a part is not taken for the whole, and a key names what it answers.

use crate::fixtures::{key, now, process};
use crate::input::{Input, Question};
use crate::state::{State, held, rows};
use crate::tests::{cells, press, state, text};
use crate::update::{sent, update};
use bartizan_config::{Theme, View};
use bartizan_model::{ActionId, ActionState, HostText, Incident, IncidentId, IncidentState, Severity, SignalId, Target};
use bartizan_protocol::{Reply, Request};

fn flat(state: &State) -> String {
    text(state).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The host of the fixtures with a second shell in its incident; the first one is held by A11.
fn two_shells(width: u16, height: u16) -> State {
    let mut state = state(View::Overview, width, height);
    let mut second = process(2301, 813, "www-data", &["/usr/bin/bash", "-i"], 20);
    second.incident = Some(IncidentId(7));
    state.mirror.processes.insert(second.key, second);
    for pid in [2214, 2231, 2240] {
        state.mirror.processes.get_mut(&key(pid)).unwrap().held_by = Some(ActionId(11));
    }
    state.mirror.actions.get_mut(&ActionId(11)).unwrap().state = ActionState::Live;
    state.mirror.incidents.get_mut(&IncidentId(7)).unwrap().state = IncidentState::Contained;
    state
}

#[test]
fn without_a_connection_everything_is_grey_and_says_from_when_it_is() {
    let (mut state, theme) = (state(View::Overview, 120, 40), Theme::named("dark").unwrap());
    update(&mut state, Input::Lost { reason: "the agent went away".to_owned() }, now());
    update(&mut state, Input::Tick, now() + chrono::TimeDelta::seconds(125));
    let shown = flat(&state);
    assert!(shown.contains("NOT CONNECTED since 14:03:22"), "{shown}");
    assert!(shown.contains("no connection since 14:03:22 (2m): what you see is from then"), "{shown}");
    let (buf, paint) = (cells(&state, &theme), crate::paint::Paint::new(&theme));
    for y in 1..37 {
        for x in 0..120 {
            assert_eq!(Some(buf[(x, y)].fg), paint.muted.fg, "{x} {y}: {}", buf[(x, y)].symbol());
        }
    }
}

#[test]
fn an_incident_of_which_a_part_runs_on_is_never_called_contained() {
    let state = two_shells(120, 40);
    let incident = &state.mirror.incidents[&IncidentId(7)];
    assert_eq!(held::standing(&state, incident), "held in part");
    let mut answered = state.clone();
    answered.mirror.approvals.clear();
    let shown = flat(&answered);
    assert!(shown.contains("I7 is held only in part: A11 holds /usr/bin/dash (pid 2214) and below, but bash 2301 runs on"), "{shown}");
    assert!(!shown.contains("contained"), "{shown}");
    answered.mirror.processes.get_mut(&key(2301)).unwrap().held_by = Some(ActionId(12));
    assert_eq!(held::standing(&answered, &answered.mirror.incidents[&IncidentId(7)]), "contained");
    // Nothing is held and it runs: a blocked address contains no shell.
    answered.mirror.processes.values_mut().for_each(|row| row.held_by = None);
    answered.mirror.actions.get_mut(&ActionId(11)).unwrap().state = ActionState::Drifted;
    assert_eq!(held::standing(&answered, &answered.mirror.incidents[&IncidentId(7)]), "open");
}

#[test]
fn offer_and_answer_say_which_tree_and_what_runs_on() {
    for (width, height) in [(80, 24), (120, 40), (60, 15), (40, 10)] {
        let mut state = two_shells(width, height);
        state.mirror.processes.values_mut().for_each(|row| row.held_by = None);
        press(&mut state, "a");
        let shown = flat(&state);
        assert!(shown.contains("Leaves bash 2301"), "{width}x{height}: {}", text(&state));
    }
    let mut state = two_shells(120, 40);
    let request = Request::Approve { id: bartizan_model::ApprovalId(5), lasts: None };
    let row = state.mirror.actions[&ActionId(11)].clone();
    sent(&mut state, 9, Question { request, what: "approving Q5".to_owned(), plan: None });
    update(&mut state, Input::Reply { ticket: 9, reply: Box::new(Reply::Actions(vec![row])) }, now());
    let shown = flat(&state);
    assert!(shown.contains("freeze /usr/bin/dash (pid 2214) and below") && shown.contains("NOT held: bash 2301 of I7"), "{shown}");
}

#[test]
fn the_answering_key_names_its_question_wherever_the_cursor_is() {
    let mut state = state(View::Overview, 120, 40);
    assert!(flat(&state).contains("a approves Q5 (freeze /usr/bin/dash (pid 2214) and below)"), "{}", text(&state));
    press(&mut state, "a");
    assert!(flat(&state).contains("Approve Q5 for I7?"), "{}", text(&state));
    press(&mut state, "esc j a");
    assert!(flat(&state).contains("no question about I6 waits for an answer; Q5 for I7 does: 6 goes to it"), "{}", text(&state));
    // One that has a question, below a worse one.
    let mut other = state.mirror.approvals[&bartizan_model::ApprovalId(6)].clone();
    (other.id, other.incident) = (bartizan_model::ApprovalId(8), IncidentId(6));
    state.mirror.approvals.insert(other.id, other);
    state.message = None;
    assert!(flat(&state).contains("g goes to it; a here approves Q8 (block to 203.0.113.66)"), "{}", text(&state));
}

#[test]
fn every_action_says_for_how_long_it_is_what_it_is() {
    let mut state = state(View::Actions, 80, 24);
    state.mirror.actions.get_mut(&ActionId(9)).unwrap().ended_at = Some(now() - chrono::TimeDelta::seconds(3_900));
    let shown = text(&state);
    let row = |id: &str| shown.lines().find(|line| line.contains(id)).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(row("A12 ").contains("live 48s"), "{shown}");
    assert!(row("A11 ").contains("drifted 12s"), "last seen in place: {shown}");
    assert!(row("A9 ").contains("rolled back 1h"), "{shown}");
}

fn with_light_ones(width: u16, height: u16) -> State {
    let mut state = state(View::Overview, width, height);
    let worst: Incident = state.mirror.incidents[&IncidentId(7)].clone();
    let signal = state.mirror.signals[0].clone();
    for n in 20..32u64 {
        let id = SignalId { event: bartizan_model::EventId(1_000 + n), ordinal: 0 };
        let by = bartizan_model::Signal { id, detector: "secret-read".to_owned(), severity: Severity::Low, ..signal.clone() };
        state.mirror.signals.push_back(by);
        let sentence = format!("prog{n} (pid {n}) opened /etc/shadow, which it never does here.");
        let row = Incident { id: IncidentId(n), severity: Severity::Low, sentence, signals: vec![id], subject: None, ..worst.clone() };
        state.mirror.incidents.insert(row.id, row);
    }
    update(&mut state, Input::Tick, now());
    state
}

#[test]
fn light_incidents_that_are_alike_fold_into_one_line() {
    let mut state = with_light_ones(120, 40);
    assert_eq!(rows::incidents(&state).len(), 4, "three of their own and one for twelve");
    let shown = flat(&state);
    assert!(shown.contains("+11 alike: prog20 (pid 20) opened /etc/shadow") && shown.contains("11 folded: z shows them"), "{shown}");
    press(&mut state, "z");
    assert_eq!(rows::incidents(&state).len(), 15);
    press(&mut state, "z");
    // One of them that waits for an answer is never folded away, nor is the one that somebody goes to.
    let mut question = state.mirror.approvals[&bartizan_model::ApprovalId(6)].clone();
    (question.id, question.incident) = (bartizan_model::ApprovalId(9), IncidentId(25));
    state.mirror.approvals.insert(question.id, question);
    press(&mut state, ": I 3 1 enter");
    let shown: Vec<u64> = rows::incidents(&state).iter().map(|row| row.id.0).collect();
    assert!(shown.contains(&25), "{shown:?}");
    press(&mut state, "1");
    press(&mut state, "/ p r o g 3 1 enter");
    assert_eq!(rows::incidents(&state).len(), 1, "a filter sees all of them");
}

#[test]
fn a_frozen_container_or_host_leaves_nothing_loose() {
    let mut state = two_shells(120, 40);
    let host = bartizan_model::Action { target: Target::Host, ..crate::fixtures::unconfirmed() };
    assert_eq!(held::loose(&state, IncidentId(7)).len(), 1);
    state.mirror.actions.insert(host.id, host.clone());
    assert!(held::loose(&state, IncidentId(7)).is_empty());
    let target = Target::Container { id: "3f1c".repeat(16), name: HostText::from("shop"), isolation: bartizan_model::Isolation::Network };
    state.mirror.actions.insert(host.id, bartizan_model::Action { target, ..host });
    assert_eq!(held::loose(&state, IncidentId(7)).len(), 1);
    state.mirror.processes.get_mut(&key(2301)).unwrap().container = Some("3f1c".repeat(16));
    assert!(held::loose(&state, IncidentId(7)).is_empty());
}

#[test]
fn what_is_copied_presses_no_key_where_it_is_pasted() {
    let mut state = state(View::Processes, 120, 40);
    state.list_mut().choose(crate::state::RowKey::Process(key(2240)));
    let effects = press(&mut state, "y");
    let [crate::input::Effect::Copy(copied)] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(copied.starts_with("/tmp/.x/kworkerd") && !copied.chars().any(char::is_control), "{copied:?}");
    let mut state = crate::tests::state(View::Network, 120, 40);
    state.list_mut().choose(crate::state::RowKey::Socket(14));
    let effects = press(&mut state, "y");
    assert!(matches!(effects.as_slice(), [crate::input::Effect::Copy(copied)] if copied == "[2606:4700:4700::1111]:443"), "{effects:?}");
}

#[test]
fn another_hosts_console_says_so_at_every_size() {
    for (width, height) in [(200, 60), (80, 24), (40, 10), (24, 6), (40, 1)] {
        let mut state = state(View::Alerts, width, height);
        assert!(!text(&state).contains("ssh "), "{width}x{height}");
        state.remote = Some("root@web-2".to_owned());
        assert!(text(&state).contains(" ssh "), "{width}x{height}:\n{}", text(&state));
        // Before the other agent has said what it is called, by the name that the person gave.
        state.mirror.health = None;
        assert!(text(&state).contains(" ssh root@web-2"), "{width}x{height}:\n{}", text(&state));
    }
}
