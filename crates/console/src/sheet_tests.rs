//! Views that ask for their rows: asked only while looked at, decided by keys, honest when nothing is known, safe in every column.

use crate::fixtures::now;
use crate::input::{Effect, Input, Question};
use crate::sheet_fixtures::{attackers, diff, exceptions, files, findings, logs, replies, review};
use crate::state::{Item, RowKey, State, rows};
use crate::tests::{answer_all, answer_files, cells, press, state, text};
use crate::update::{sent, update};
use bartizan_config::{Theme, View};
use bartizan_model::{BaselineVersion, HabitId, HostText, Role};
use bartizan_protocol::{BaselineRequest, ErrorCode, ExceptionRequest, Refusal, Reply, Request};

const VIEWS: [View; 5] = [View::Files, View::Logs, View::Baseline, View::Findings, View::Exceptions];

fn asks(effects: &[Effect]) -> Vec<Request> {
    effects.iter().filter_map(|effect| if let Effect::Ask(question) = effect { Some(question.request.clone()) } else { None }).collect()
}

fn baseline(request: BaselineRequest) -> Request {
    Request::Baseline(Box::new(request))
}

/// The agent answers what the keys asked.
fn answer(state: &mut State, effects: Vec<Effect>, reply: Reply) -> Vec<Request> {
    let Some(Effect::Ask(question)) = effects.into_iter().next() else { panic!("nothing was asked") };
    sent(state, 7, question);
    asks(&update(state, Input::Reply { ticket: 7, reply: Box::new(reply) }, now()))
}

#[test]
fn the_other_lists_and_what_stands_over_them() {
    for (name, view, keys) in [
        ("attackers", View::Logs, "l"),
        ("learned", View::Baseline, "l"),
        ("habit_page", View::Baseline, "enter"),
        ("habits_marked", View::Baseline, "* a"),
        ("exception_end", View::Exceptions, "g x"),
    ] {
        for (width, height) in [(80, 24), (120, 40), (200, 60)] {
            let mut state = state(view, width, height);
            press(&mut state, "g");
            press(&mut state, keys);
            insta::assert_snapshot!(format!("{name}_{width}x{height}"), text(&state));
        }
    }
}

#[test]
fn a_view_asks_while_somebody_looks_and_not_otherwise() {
    let three = now() + chrono::TimeDelta::seconds(2);
    assert_eq!(three.timestamp() % 3, 0);
    for view in View::ALL {
        let mut state = state(view, 80, 24);
        let asked = asks(&update(&mut state, Input::Tick, three));
        let polled = [View::Audit, View::Logs, View::Baseline, View::Exceptions];
        let asked: Vec<_> = asked.into_iter().filter(|request| !matches!(request, Request::FileDiff { .. })).collect();
        assert_eq!(asked.len(), usize::from(polled.contains(&view)), "{view}: {asked:?}");
        let next = asks(&update(&mut state, Input::Tick, three + chrono::TimeDelta::seconds(1)));
        assert!(view == View::Files || next.is_empty(), "{view}: every third second: {next:?}");
    }
    let mut state = state(View::Overview, 80, 24);
    let asked = asks(&press(&mut state, "J"));
    assert_eq!(asked, [Request::Logs], "at once on coming");
    sent(&mut state, 5, Question { request: Request::Logs, what: String::new(), plan: None });
    assert_eq!(asks(&update(&mut state, Input::Tick, three)), [], "one question at a time");
    assert_eq!(asks(&press(&mut state, "l")), [Request::Attackers { limit: 500 }], "the other list has a question of its own");
}

#[test]
fn every_view_is_reached_by_its_name_and_by_its_key() {
    for (view, key) in VIEWS.into_iter().zip(["W", "J", "B", "S", "X"]) {
        let mut one = state(View::Overview, 80, 24);
        press(&mut one, key);
        assert_eq!(one.view, view);
        let mut two = state(View::Overview, 80, 24);
        let letters: Vec<String> = view.name().chars().map(String::from).collect();
        press(&mut two, &format!(": {} enter", letters.join(" ")));
        assert_eq!(two.view, view);
    }
}

#[test]
fn the_tab_of_the_view_on_screen_is_marked_at_every_width() {
    for view in View::ALL {
        for width in [24, 40, 60, 80, 100, 120, 160, 200, 300] {
            let state = state(view, width, 24);
            let buf = cells(&state, &Theme::named("dark").unwrap());
            let ground = crate::paint::Paint::new(&Theme::named("dark").unwrap()).selected.bg;
            let marked: String = (0..width).filter(|x| Some(buf[(*x, 2)].bg) == ground).map(|x| buf[(x, 2)].symbol().to_owned()).collect();
            let key = state.keymap.key(bartizan_config::Command::Show(view)).unwrap();
            assert!(marked.trim().starts_with(&key), "{view} at {width}: {marked:?}");
            assert!(width < 60 || marked.trim().len() > 3, "{view} at {width} has its name: {marked:?}");
            let row: String = (0..width).map(|x| buf[(x, 2)].symbol().to_owned()).collect();
            let keys = View::ALL.map(|view| state.keymap.key(bartizan_config::Command::Show(view)).unwrap());
            assert!(width < 40 || keys.iter().all(|key| row.contains(key.as_str())), "{view} at {width}: {row}");
        }
    }
}

#[test]
fn without_an_answer_nothing_is_claimed() {
    for view in VIEWS {
        let mut state = state(view, 80, 24);
        state.sheets = crate::state::Sheets::default();
        assert!(text(&state).contains("no data from the agent yet"), "{view}: {}", text(&state));
        let refusal = Refusal { code: ErrorCode::Failed, message: "learning is switched off".into(), mend: "set learn = true".into() };
        let key = state.keymap.key(bartizan_config::Command::Show(view)).unwrap();
        let asked = press(&mut state, &key);
        answer(&mut state, asked, Reply::Refused(refusal));
        let shown = text(&state);
        assert!(shown.contains("no data from the agent: learning is switched off: set learn = true"), "{view}: {shown}");
        assert!(state.message.is_none(), "nobody pressed a key for it");
        // An answer that is old says so.
        if matches!(view, View::Files | View::Findings) {
            continue;
        }
        answer_all(&mut state, replies());
        update(&mut state, Input::Tick, now() + chrono::TimeDelta::seconds(61));
        assert!(text(&state).contains("answered 1m ago"), "{view}: {}", text(&state));
    }
}

#[test]
fn one_key_decides_a_habit_and_the_cursor_goes_on() {
    let mut state = state(View::Baseline, 80, 24);
    press(&mut state, "g");
    let effects = press(&mut state, "a");
    assert_eq!(asks(&effects), [baseline(BaselineRequest::Decide { ids: vec![HabitId(37)], normal: true })]);
    assert_eq!(state.chosen(), Some(RowKey::Item(Item::Habit(HabitId(37)))), "nothing moves before the agent agreed");
    let next = answer(&mut state, effects, Reply::Done("approved H37: normal from now on; this is version 8".into()));
    assert_eq!(next, [baseline(BaselineRequest::Review)], "and the list is asked for anew");
    assert_eq!(state.chosen(), Some(RowKey::Item(Item::Habit(HabitId(38)))));
    assert!(!text(&state).contains("H37 "), "{}", text(&state));
    assert_eq!(asks(&press(&mut state, "x")), [baseline(BaselineRequest::Decide { ids: vec![HabitId(38)], normal: false })]);
}

#[test]
fn a_refused_decision_moves_nothing() {
    let mut state = state(View::Baseline, 80, 24);
    press(&mut state, "g");
    let effects = press(&mut state, "a");
    let refusal = Refusal { code: ErrorCode::Failed, message: "the disk is full".into(), mend: String::new() };
    answer(&mut state, effects, Reply::Refused(refusal));
    assert_eq!(state.chosen(), Some(RowKey::Item(Item::Habit(HabitId(37)))));
    assert!(text(&state).contains("not done: the disk is full"), "{}", text(&state));
}

#[test]
fn habits_are_decided_in_bulk_after_each_was_named() {
    let mut state = state(View::Baseline, 80, 24);
    press(&mut state, "/ w h y : d e s c e n d s enter");
    assert_eq!(rows::keys(&state).len(), 2, "one group");
    assert_eq!(asks(&press(&mut state, "* x")), []);
    let shown = text(&state);
    assert!(shown.contains("Reject all 2 marked habits?") && shown.contains("H37") && shown.contains("H38"), "{shown}");
    let effects = press(&mut state, "y");
    assert_eq!(asks(&effects), [baseline(BaselineRequest::Decide { ids: vec![HabitId(37), HabitId(38)], normal: false })]);
    answer(&mut state, effects, Reply::Done("rejected 2 habits".into()));
    assert!(state.list().marks.is_empty());
}

#[test]
fn the_last_decision_is_taken_back_after_it_was_named() {
    let version = |number, by: &str, what: &str| BaselineVersion { number, at: now(), by: by.to_owned(), what: what.to_owned() };
    let mut one = state(View::Baseline, 80, 24);
    let effects = press(&mut one, "u");
    assert_eq!(asks(&effects), [baseline(BaselineRequest::Versions)]);
    let versions = vec![version(6, "bartizan", "a day"), version(7, "root via uid 0", "approved 2 habits")];
    answer(&mut one, effects, Reply::BaselineVersions(versions.clone()));
    assert!(text(&one).contains("take back \"approved 2 habits\""), "{}", text(&one));
    assert_eq!(asks(&press(&mut one, "y")), [baseline(BaselineRequest::Revert { version: 6 })]);
    // What the agent itself learned is no decision that a key takes back.
    let mut two = state(View::Baseline, 80, 24);
    let effects = press(&mut two, "u");
    answer(&mut two, effects, Reply::BaselineVersions(versions.into_iter().rev().collect()));
    assert!(two.dialog.is_none() && text(&two).contains("version 6 was made by bartizan"), "{}", text(&two));
}

#[test]
fn an_exception_ends_with_a_reason_and_only_while_it_holds() {
    let mut state = state(View::Exceptions, 80, 24);
    press(&mut state, "g x");
    let asked = asks(&press(&mut state, "space n o w enter"));
    let wanted = ExceptionRequest::Remove { id: bartizan_model::ExceptionId(4), reason: "by hand now".to_owned() };
    assert_eq!(asked, [Request::Exceptions(Box::new(wanted))]);
    press(&mut state, "G x");
    assert!(state.dialog.is_none() && text(&state).contains("hides nothing any more"), "{}", text(&state));
}

#[test]
fn who_may_not_decide_is_told_before_anything_is_asked() {
    for (view, keys) in [(View::Baseline, "g a"), (View::Baseline, "g x"), (View::Baseline, "u"), (View::Exceptions, "g x")] {
        let mut state = state(view, 80, 24);
        state.role = Role::Operator;
        assert_eq!(asks(&press(&mut state, keys)), [], "{view} {keys}");
        assert!(state.dialog.is_none() && text(&state).contains("needs the role admin"), "{view} {keys}: {}", text(&state));
    }
}

#[test]
fn an_attacker_is_blocked_and_leads_to_what_names_it() {
    let mut state = state(View::Logs, 80, 24);
    press(&mut state, "l");
    press(&mut state, "g");
    let asked = asks(&press(&mut state, "b"));
    assert!(matches!(asked.as_slice(), [Request::Preview { plan }] if plan.to_string().contains("203.0.113.66")), "{asked:?}");
    press(&mut state, "enter 1");
    assert_eq!((state.view, state.chosen()), (View::Actions, Some(RowKey::Action(bartizan_model::ActionId(12)))));
    press(&mut state, "esc");
    assert_eq!(state.view, View::Logs);
}

#[test]
fn what_waits_longest_or_is_worst_is_on_top() {
    let state = state(View::Baseline, 120, 40);
    let shown = text(&state);
    let at = |id: &str| shown.lines().position(|line| line.trim_start_matches([' ', '▌']).starts_with(id)).unwrap();
    assert!(at("H37") < at("H12") && at("H12") < at("H41"), "{shown}");
    assert_eq!(shown.matches("suspect").count(), 1, "a group is named once: {shown}");
}

#[test]
fn hostile_bytes_of_any_answer_never_reach_a_cell() {
    let evil = "\u{1b}]0;pwned\u{7}\u{9b}31m\r\n\t\u{202e}\u{200b}e\u{301}";
    let bytes = HostText::from(&b"\xff\xfe\x1b[2J\x07"[..]);
    let (mut logs, mut attackers, mut review, mut exceptions) = (logs(), attackers(), review(), exceptions());
    for row in &mut logs {
        (row.name, row.format, row.trouble) = (HostText::from(evil), evil.to_owned(), Some(evil.to_owned()));
        row.samples = vec![bytes.clone()];
        row.set_aside = vec![bartizan_model::SetAsideLine { offset: 1, at: now(), why: evil.to_owned() }];
    }
    attackers.iter_mut().for_each(|row| (row.held, row.asked, row.elsewhere) = (None, None, Some(evil.to_owned())));
    for row in review.waiting.iter_mut().chain(&mut review.learned) {
        (row.profile.exe, row.profile.user, row.value) = (bytes.clone(), HostText::from(evil), HostText::from(evil));
        (row.profile.unit, row.profile.container, row.by) = (Some(evil.to_owned()), Some(bytes.clone()), evil.to_owned());
    }
    for row in &mut exceptions {
        (row.author, row.reason, row.scope.exe) = (evil.to_owned(), evil.to_owned(), Some(bytes.clone()));
        (row.scope.source, row.scope.unit) = (Some(evil.to_owned()), Some(evil.to_owned()));
    }
    let (mut files, mut diff, mut findings) = (files(), diff(), findings());
    for row in &mut files {
        if let bartizan_model::EventKind::FileChange { file } = &mut row.kind {
            let seen = file.integrity.as_mut().unwrap();
            (file.path, seen.sentence, seen.packages) = (HostText::from(evil), evil.to_owned(), vec![bytes.clone()]);
            seen.findings = vec![bartizan_model::FileFinding { rule: evil.into(), technique: evil.into(), sentence: evil.into() }];
        }
        if let Some(process) = &mut row.process {
            let process = std::sync::Arc::make_mut(process);
            (process.exe, process.user) = (bytes.clone(), Some(HostText::from(evil)));
            process.argv = vec![bytes.clone(), HostText::from(evil)];
        }
    }
    (diff.path, diff.change, diff.diff) = (HostText::from(evil), Some(evil.to_owned()), Some(format!("+{evil}\n-{evil}\n")));
    findings.verdict = evil.to_owned();
    for row in &mut findings.findings {
        (row.title, row.source, row.rule, row.why, row.fix) = (evil.into(), evil.into(), evil.into(), evil.into(), evil.into());
        (row.location, row.evidence, row.aliases) = (bytes.clone(), HostText::from(evil), vec![evil.to_owned()]);
        let until = now() + chrono::TimeDelta::days(1);
        row.state = bartizan_model::FindingState::Accepted { until, reason: evil.into(), by: evil.into() };
    }
    let hostile = [
        Reply::FileDiff(Box::new(diff)),
        Reply::Findings(Box::new(findings)),
        Reply::Logs(logs),
        Reply::Attackers(attackers),
        Reply::BaselineReview(Box::new(review)),
        Reply::Exceptions(exceptions),
    ];
    for view in VIEWS {
        for size in [(200, 60), (120, 40), (80, 24), (40, 10)] {
            let mut state = state(view, size.0, size.1);
            answer_all(&mut state, hostile.to_vec());
            let shown = (state.sheets.diff.take(), state.sheets.files.data.take());
            answer_files(&mut state, files.clone());
            state.sheets.diff = shown.0;
            for keys in ["g", "enter", "esc", "* a", "esc", "x", "esc", "l", "enter", "esc", "y"] {
                press(&mut state, keys);
                let buf = cells(&state, &Theme::named("dark").unwrap());
                for cell in buf.content() {
                    let bad = cell.symbol().chars().find(|c| c.is_control() || matches!(*c, '\u{202e}' | '\u{200b}' | '\u{301}'));
                    assert_eq!(bad, None, "{view} {keys}: {:?}", cell.symbol());
                }
            }
        }
    }
}

#[test]
fn an_answer_of_any_length_is_bounded() {
    let mut state = state(View::Baseline, 80, 24);
    let mut long = review();
    long.waiting = (0..5_000).map(|id| bartizan_model::Habit { id: HabitId(id), ..long.waiting[0].clone() }).collect();
    answer_all(&mut state, vec![Reply::BaselineReview(Box::new(long))]);
    assert_eq!(rows::keys(&state).len(), 2_000);
    assert!(text(&state).contains("5,000 wait (3,000 more)"), "{}", text(&state));
}
