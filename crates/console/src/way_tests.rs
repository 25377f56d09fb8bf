//! From each thing to what belongs to it, and back: the keys it takes and where the cursor is afterwards.

use crate::fixtures::{key, now};
use crate::input::{Effect, Input, Question};
use crate::state::{Dialog, RowKey};
use crate::tests::{press, state, text};
use crate::update::{sent, update};
use bartizan_config::View;
use bartizan_model::{ActionId, IncidentId};
use bartizan_protocol::{Reply, Request};

#[test]
fn enter_leads_on_and_esc_comes_back_with_the_cursor_where_it_was() {
    let mut state = state(View::Alerts, 80, 24);
    press(&mut state, "g j");
    let here = state.chosen();
    press(&mut state, "enter");
    assert_eq!((state.view, state.timeline_of()), (View::Timeline, Some(IncidentId(3))), "an alert to its incident: one key");
    assert!(text(&state).contains("Alerts L4 ▸ I3"), "the way is shown: {}", text(&state));
    press(&mut state, "esc");
    assert_eq!((state.view, state.chosen()), (View::Alerts, here));
    press(&mut state, "esc");
    assert_eq!(state.view, View::Alerts);
    assert!(text(&state).contains("no way back from here"));
}

#[test]
fn a_connection_leads_to_its_process_and_its_incident_in_three_keys() {
    let mut state = state(View::Network, 80, 24);
    state.list_mut().choose(RowKey::Socket(13));
    press(&mut state, "enter");
    assert!(text(&state).contains("1 process 2214"), "no page is a dead end: {}", text(&state));
    press(&mut state, "1");
    assert_eq!((state.view, state.chosen()), (View::Processes, Some(RowKey::Process(key(2214)))));
    press(&mut state, "4");
    assert_eq!((state.view, state.timeline_of()), (View::Timeline, Some(IncidentId(7))));
}

#[test]
fn four_shows_the_incident_of_the_selection_and_not_the_newest() {
    let mut state = state(View::Overview, 80, 24);
    press(&mut state, "g j 4");
    assert_eq!(state.timeline_of(), Some(IncidentId(6)));
    press(&mut state, "1 g 4");
    assert_eq!(state.timeline_of(), Some(IncidentId(7)));
}

#[test]
fn a_drill_of_four_steps_comes_back_the_same_way() {
    let mut state = state(View::Overview, 120, 40);
    press(&mut state, "g enter j");
    let signal = state.chosen();
    press(&mut state, "enter 1");
    assert_eq!(state.view, View::Processes);
    press(&mut state, "enter");
    let Some(Dialog::Page(page)) = &state.dialog else { panic!("{:?}", state.dialog) };
    assert!(page.links.len() >= 3, "{:?}", page.links);
    press(&mut state, "esc");
    press(&mut state, "esc");
    assert_eq!((state.view, state.chosen()), (View::Timeline, signal));
    press(&mut state, "esc");
    assert_eq!((state.view, state.chosen()), (View::Overview, Some(RowKey::Incident(IncidentId(7)))));
}

#[test]
fn signals_and_events_are_places() {
    let id = bartizan_model::SignalId { event: bartizan_model::EventId(47), ordinal: 0 };
    for name in ["S47.0", "s47.0", "E47"] {
        let mut state = state(View::Health, 80, 24);
        press(&mut state, &typed(name));
        assert_eq!(
            (state.view, state.timeline_of(), state.chosen()),
            (View::Timeline, Some(IncidentId(7)), Some(RowKey::Signal(id))),
            "{name}"
        );
        press(&mut state, &typed("E48"));
        assert!(text(&state).contains("E48 is no longer in memory here"), "{}", text(&state));
    }
}

fn typed(text: &str) -> String {
    let letters = text.chars().map(|letter| letter.to_string()).collect::<Vec<_>>().join(" ");
    format!(": {letters} enter")
}

#[test]
fn ids_pids_addresses_and_paths_are_places() {
    let mut one = state(View::Health, 80, 24);
    press(&mut one, &typed("I6"));
    assert_eq!((one.view, one.timeline_of()), (View::Timeline, Some(IncidentId(6))));
    press(&mut one, &typed("a11"));
    assert_eq!((one.view, one.chosen()), (View::Actions, Some(RowKey::Action(ActionId(11)))));
    press(&mut one, &typed("2214"));
    assert_eq!((one.view, one.chosen()), (View::Processes, Some(RowKey::Process(key(2214)))));
    press(&mut one, &typed("203.0.113.66"));
    let Some(Dialog::Page(page)) = &one.dialog else { panic!("{:?}", one.dialog) };
    assert_eq!((page.lines[0].label.trim(), page.lines[3].label.trim()), ("I7", "A12"), "what was made of it comes first: {page:?}");
    press(&mut one, "5");
    assert_eq!((one.view, one.chosen()), (View::Network, Some(RowKey::Socket(13))));
    press(&mut one, "esc esc esc esc");
    assert_eq!(one.view, View::Health, "and all the way back");
    let effects = press(&mut one, &typed("/etc/passwd"));
    let [Effect::Ask(question)] = effects.as_slice() else { panic!("{effects:?}") };
    let Request::Events(query) = &question.request else { panic!("{question:?}") };
    assert_eq!(query.filter.as_ref().unwrap().to_string(), "text:\"/etc/passwd\"");
    sent(&mut one, 4, Question { ..question.clone() });
    update(&mut one, Input::Reply { ticket: 4, reply: Box::new(Reply::Events(vec![])) }, now());
    assert!(text(&one).contains("no recorded event names it"));
    press(&mut one, "esc");
    press(&mut one, &typed("I999"));
    assert!(text(&one).contains("there is no I999 here: the newest incident is I7"), "{}", text(&one));
    press(&mut one, &typed("I2"));
    assert!(text(&one).contains("I2 is no longer in memory here"), "{}", text(&one));
}
