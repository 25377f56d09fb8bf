//! Changed files and findings on screen: who did it, how it differs, and what a person accepts.

use crate::fixtures::now;
use crate::input::{Effect, Input};
use crate::sheet_fixtures::{diff, files};
use crate::state::{Item, RowKey, State, rows};
use crate::tests::{answer_all, answer_files, press, state, text};
use crate::update::update;
use bartizan_config::View;
use bartizan_model::{EventId, EventKind, HostText, Role};
use bartizan_protocol::{FindingRequest, Reply, Request};

fn asks(effects: &[Effect]) -> Vec<Request> {
    effects.iter().filter_map(|effect| if let Effect::Ask(question) = effect { Some(question.request.clone()) } else { None }).collect()
}

/// A second passes.
fn tick(state: &mut State, seconds: i64) -> Vec<Request> {
    asks(&update(state, Input::Tick, now() + chrono::TimeDelta::seconds(seconds)))
}

#[test]
fn a_change_shows_who_did_it_and_how_the_file_differs() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let mut state = state(View::Files, width, height);
        press(&mut state, "g");
        answer_all(&mut state, vec![Reply::FileDiff(Box::new(diff()))]);
        insta::assert_snapshot!(format!("file_diff_{width}x{height}"), text(&state));
    }
    let mut state = state(View::Files, 120, 40);
    press(&mut state, "g");
    let shown = text(&state);
    assert!(shown.contains("dash[2214] as www-data") && shown.contains("DANGER"), "{shown}");
    assert!(shown.contains("somebody unseen") || shown.contains("while nobody watched"), "{shown}");
    assert_eq!(rows::incident_here(&state), Some(bartizan_model::IncidentId(7)), "by the process that made it");
    press(&mut state, "enter 1");
    assert_eq!(state.view, View::Timeline);
}

#[test]
fn the_archive_is_asked_when_the_agent_reported_something_and_since_then_only() {
    let mut one = state(View::Files, 80, 24);
    one.role = Role::Viewer;
    assert_eq!(tick(&mut one, 1), [], "nothing new was reported");
    one.mirror.health.as_mut().unwrap().files.reported = 3;
    let asked = tick(&mut one, 2);
    let [Request::Events(query)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((query.since, query.limit), (Some(files()[2].at), 300), "since the newest that is known");
    let before = rows::keys(&one).len();
    let mut newest = files().remove(2);
    newest.id = EventId(900);
    answer_files(&mut one, vec![files().remove(2), newest]);
    assert_eq!(rows::keys(&one).len(), before + 1, "none twice, none lost");
    assert_eq!(tick(&mut one, 3), []);
}

#[test]
fn only_the_file_that_the_cursor_rests_on_is_compared_and_only_for_an_administrator() {
    let mut one = state(View::Files, 80, 24);
    press(&mut one, "g");
    assert_eq!(tick(&mut one, 1), [Request::FileDiff { path: HostText::from("/etc/cron.d/sync") }]);
    answer_all(&mut one, vec![Reply::FileDiff(Box::new(diff()))]);
    assert_eq!(tick(&mut one, 2), [], "once");
    press(&mut one, "j");
    assert_eq!(tick(&mut one, 3), [Request::FileDiff { path: HostText::from("/usr/bin/curl") }]);
    let mut two = state(View::Files, 80, 24);
    two.role = Role::Operator;
    press(&mut two, "g");
    assert_eq!(tick(&mut two, 1), [], "the lines of a file may tell what only root may read");
    assert!(text(&two).contains("role admin only") || text(&two).contains("more lines"), "{}", text(&two));
}

#[test]
fn events_of_another_kind_are_no_changes_of_files() {
    let mut state = state(View::Files, 80, 24);
    let before = rows::keys(&state).len();
    let mut other = files().remove(0);
    (other.id, other.kind) =
        (EventId(77), EventKind::FileOpen { file: bartizan_model::FileChange::new("x".into(), bartizan_model::FileChangeKind::Opened) });
    answer_files(&mut state, vec![other]);
    assert_eq!(rows::keys(&state).len(), before);
}

#[test]
fn a_finding_is_accepted_for_a_time_with_a_reason() {
    let mut state = state(View::Findings, 80, 24);
    press(&mut state, "g a");
    press(&mut state, "backspace backspace backspace 9 9 9 d enter");
    assert!(text(&state).contains("at most 366d"), "{}", text(&state));
    press(&mut state, "backspace backspace backspace backspace 1 0 d enter");
    press(&mut state, "enter");
    assert!(text(&state).contains("say why you live with it"), "{}", text(&state));
    let asked = asks(&press(&mut state, "v p n enter"));
    let until = now() + chrono::TimeDelta::days(10);
    let wanted = FindingRequest::Accept { id: "F0a1b2c3d4e5f".to_owned(), until, reason: "vpn".to_owned() };
    assert_eq!(asked, [Request::Findings(Box::new(wanted))]);
    // What is accepted already is not asked about again, and who may not is told first.
    press(&mut state, "G a");
    assert!(state.dialog.is_none() && text(&state).contains("is not open"), "{}", text(&state));
    state.role = Role::Operator;
    press(&mut state, "g a");
    assert!(state.dialog.is_none() && text(&state).contains("needs the role admin"), "{}", text(&state));
}

#[test]
fn the_findings_are_shown_with_their_fix() {
    for (width, height) in [(80, 24), (200, 60)] {
        let mut state = state(View::Findings, width, height);
        press(&mut state, "g");
        insta::assert_snapshot!(format!("finding_{width}x{height}"), text(&state));
    }
    let mut state = state(View::Findings, 120, 40);
    press(&mut state, "g");
    assert!(text(&state).contains("systemctl reload ssh") && text(&state).contains("12 more are not listed"), "{}", text(&state));
    assert_eq!(state.chosen(), Some(RowKey::Item(Item::Finding(0x0a1b_2c3d_4e5f))));
}
