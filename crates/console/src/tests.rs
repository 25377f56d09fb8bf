//! Every view at every size, pinned; hostile bytes; the lists of keys and themes.

use chrono::Offset;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::fixtures::{audit, harmed_and_confirmed, mirror, now, presence, unconfirmed};
use super::input::{Input, Question};
use super::paint::Paint;
use super::state::{Dialog, State};
use super::update::{painted, sent, update};
use super::{screenshot_with_audit, view};
use bartizan_config::keymap::{COMMANDS, reference};
use bartizan_config::{Command, Glyphs, Key, Keymap, Theme, View};
use bartizan_model::{Confidence, HostText, Role};
use bartizan_protocol::{Reply, Request};

pub(crate) fn state(view: View, width: u16, height: u16) -> State {
    let mut state = State::new(Keymap::built_in().unwrap(), Role::Admin, view, now(), chrono::Utc.fix());
    state.size = (width, height);
    state.mirror = mirror();
    state.rates = (0..60u64).map(|n| 120 + (n * 37) % 90 + if n > 50 { 200 } else { 0 }).collect();
    sent(&mut state, 1, Question { request: Request::AuditShow { limit: 9 }, what: String::new(), plan: None });
    update(&mut state, Input::Reply { ticket: 1, reply: Box::new(Reply::Audit(audit())) }, now());
    answer_all(&mut state, super::sheet_fixtures::replies());
    answer_files(&mut state, super::sheet_fixtures::files());
    state.sheets.files_known = Some(0);
    let kernel = super::fixtures::key(2);
    state.folded.insert(kernel);
    state
}

/// Answers of the agent to questions that views asked.
pub(crate) fn answer_all(state: &mut State, replies: Vec<Reply>) {
    for (reply, ticket) in replies.into_iter().zip(1_000..) {
        sent(state, ticket, Question { request: Request::Status, what: String::new(), plan: None });
        update(state, Input::Reply { ticket, reply: Box::new(reply) }, now());
    }
}

/// The same to the question about changed files.
pub(crate) fn answer_files(state: &mut State, events: Vec<bartizan_model::Event>) {
    let query = bartizan_protocol::EventQuery { kind: Some("file.change".to_owned()), ..Default::default() };
    sent(state, 999, Question { request: Request::Events(query), what: String::new(), plan: None });
    update(state, Input::Reply { ticket: 999, reply: Box::new(Reply::Events(events)) }, now());
}

/// Presses keys as a person does who reads what is on screen before each of them.
pub(crate) fn press(state: &mut State, keys: &str) -> Vec<super::input::Effect> {
    let mut effects = Vec::new();
    for key in keys.split(' ') {
        painted(state, now() - chrono::TimeDelta::seconds(1));
        effects.extend(update(state, Input::Key(key.parse::<Key>().unwrap()), now()));
    }
    effects
}

pub(crate) fn cells(state: &State, theme: &Theme) -> Buffer {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    let mut buf = Buffer::empty(area);
    view::draw(&mut buf, area, state, &Paint::new(theme));
    buf
}

pub(crate) fn text(state: &State) -> String {
    let buf = cells(state, &Theme::named("mono").unwrap());
    let lines = (0..buf.area.height).map(|y| {
        let mut x = 0;
        let mut line = String::new();
        while x < buf.area.width {
            let symbol = buf[(x, y)].symbol();
            line.push_str(symbol);
            x += u16::try_from(super::widgets::text::width(symbol)).unwrap().max(1);
        }
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_view_at_every_size() {
    for view in View::ALL {
        for (width, height) in [(80, 24), (60, 20), (120, 40), (200, 60), (40, 10)] {
            let mut state = state(view, width, height);
            state.single = width == 40;
            insta::assert_snapshot!(format!("{view}_{width}x{height}"), text(&state));
        }
    }
}

#[test]
fn what_stands_over_a_view() {
    let shots = [
        ("help", View::Approvals, "?"),
        ("palette", View::Approvals, ": f r"),
        ("confirm_approve", View::Approvals, "a"),
        ("duration", View::Approvals, "t z enter"),
        ("mode", View::Overview, "m"),
        ("mode_confirm", View::Overview, "m j enter"),
        ("emergency_stop", View::Overview, "!"),
        ("undo", View::Actions, "u"),
        ("feedback", View::Timeline, "f"),
        ("filter", View::Processes, "/ d a s h"),
        ("process", View::Processes, "G enter"),
        ("action", View::Actions, "enter"),
        ("listeners", View::Network, "l"),
        ("reject", View::Approvals, "x n o"),
    ];
    for (name, view, keys) in shots {
        let mut state = state(view, 80, 24);
        press(&mut state, "g");
        press(&mut state, keys);
        insta::assert_snapshot!(name, text(&state));
    }
    let mut state = state(View::Overview, 80, 24);
    state.mirror.presence = Some(presence());
    state.away = true;
    insta::assert_snapshot!("while_you_were_away", text(&state));
    press(&mut state, "esc");
    assert!(!state.away);
    state.embedded = true;
    press(&mut state, "q");
    insta::assert_snapshot!("quit_embedded", text(&state));
}

/// The same host while containment waits for a yes.
fn waiting(view: View, width: u16, height: u16) -> State {
    let mut state = state(view, width, height);
    let rows = [unconfirmed()].into_iter().chain(harmed_and_confirmed());
    state.mirror.actions.extend(rows.map(|row| (row.id, row)));
    state
}

#[test]
fn the_countdown_stands_on_every_view_and_moves_nothing() {
    for view in View::ALL {
        for (width, height) in [(200, 60), (80, 24), (80, 12), (40, 10)] {
            let mut one = state(view, width, height);
            one.single = width == 40;
            let mut other = one.clone();
            other.mirror.actions.insert(unconfirmed().id, unconfirmed());
            let (without, with) = (text(&one), text(&other));
            let first = with.lines().next().unwrap();
            assert!(first.starts_with("  CONFIRM A13 1m40s: C "), "{view} {width}x{height}: {first}");
            assert!(first.contains("PARANOID"), "the mode stays: {first}");
            // Rows may have other words (one action more), but no row stands elsewhere.
            if !matches!(view, View::Actions | View::Overview) {
                let body = |text: &str| text.lines().skip(1).take(usize::from(height) - 3).map(str::to_owned).collect::<Vec<_>>();
                assert_eq!(body(&without)[1..], body(&with)[1..], "{view} {width}x{height}");
            }
            let shown = with.lines().rev().nth(1).unwrap();
            assert!(height < 14 || shown.contains("contain this host is undone at 14:05:02 unless you confirm it: C"), "{view}: {shown}");
            update(&mut other, Input::Tick, now() + chrono::TimeDelta::seconds(43));
            assert!(text(&other).lines().next().unwrap().starts_with("  CONFIRM A13   57s: C "), "of the same width");
            update(&mut other, Input::Lost { reason: "cut".to_owned() }, now() + chrono::TimeDelta::seconds(200));
            let first = text(&other).lines().next().unwrap().to_owned();
            assert!(first.contains("CONFIRM A13  over"), "nobody can tell whether it was undone: {first}");
        }
    }
}

#[test]
fn the_countdown_stands_out_without_any_colour() {
    use ratatui::style::Modifier;
    for theme in Theme::names() {
        let buf = cells(&waiting(View::Network, 80, 24), &Theme::named(theme).unwrap());
        let reversed = |x: u16| buf[(x, 0)].modifier.contains(Modifier::REVERSED);
        assert_ne!(reversed(3), reversed(0), "{theme}: the badge is not as the strip");
        assert!(buf[(3, 0)].modifier.contains(Modifier::BOLD), "{theme}");
    }
}

#[test]
fn what_waits_for_a_yes() {
    let shots = [
        ("confirm_actions_80x24", View::Actions, 80, 24, "j k"),
        ("confirm_actions_200x60", View::Actions, 200, 60, "j k"),
        ("confirm_actions_40x10", View::Actions, 40, 10, "j k"),
        ("confirm_overview_40x10", View::Overview, 40, 10, "j k"),
        ("confirm_question", View::Network, 80, 24, "C"),
        ("confirm_question_40x10", View::Network, 40, 10, "C"),
        ("confirm_page", View::Actions, 80, 24, "enter"),
        ("limit", View::Network, 80, 24, "L 0 0 0 0 0 0 0 enter"),
    ];
    for (name, view, width, height, keys) in shots {
        let mut state = waiting(view, width, height);
        state.single = width == 40;
        press(&mut state, "g");
        if view == View::Actions {
            state.list_mut().choose(super::state::RowKey::Action(unconfirmed().id));
        }
        press(&mut state, keys);
        insta::assert_snapshot!(name, text(&state));
    }
}

#[test]
fn a_lower_rung_that_saves_says_so_on_every_screen() {
    let mut state = state(View::Overview, 80, 24);
    let health = state.mirror.health.as_mut().unwrap();
    health.rung = bartizan_model::Rung::ProcessConnector;
    health.blind_spots = vec![health.blind_spots[0].clone(); 4];
    (health.budget.level, health.budget.given_up) = (2, vec!["digests".to_owned(), "names".to_owned()]);
    let shown = text(&state);
    let line = shown.lines().nth(1).unwrap();
    assert!(line.contains("process connector") && line.contains("over budget, level 2") && line.contains("4 blind spots"), "{line}");
    assert!(line.contains('x') && line.contains('!'), "the gaps of the last hour: {line}");
}

#[test]
fn before_the_first_word_and_after_the_last() {
    let mut state = State::new(Keymap::built_in().unwrap(), Role::Viewer, View::Overview, now(), chrono::Utc.fix());
    insta::assert_snapshot!("waiting", text(&state));
    state.mirror = mirror();
    update(&mut state, Input::Lost { reason: "the agent closed the connection".to_owned() }, now());
    let later = now() + chrono::TimeDelta::seconds(75);
    update(&mut state, Input::Tick, later);
    insta::assert_snapshot!("lost", text(&state));
}

#[test]
fn an_empty_host_and_the_smallest_terminals() {
    for view in View::ALL {
        for (width, height) in [(0, 0), (80, 0), (0, 24), (80, 1), (1, 80), (1, 1), (3, 2), (10, 4), (20, 3), (80, 3), (80, 24)] {
            let mut bare = state(view, width, height);
            let _ = text(&bare);
            bare.mirror = bartizan_protocol::Mirror::default();
            bare.mirror.health = Some(super::fixtures::health());
            bare.audit.clear();
            let _ = text(&bare);
            press(&mut bare, "j G enter e f");
            let _ = text(&bare);
            for keys in ["esc ?", "esc :", "k i l l", "j j j", "esc m", "enter", "esc !", "j G", "esc /", "x", "esc C", "esc q"] {
                press(&mut bare, keys);
                let _ = text(&bare);
            }
        }
    }
}

#[test]
fn hostile_bytes_never_reach_a_cell() {
    let evil = "\u{1b}]0;pwned\u{7}\u{9b}31m\r\n\t\u{202e}\u{200b}e\u{301}";
    for view in View::ALL {
        let mut state = state(view, 120, 40);
        for row in state.mirror.processes.values_mut() {
            row.exe = HostText::from(evil);
            row.argv = vec![HostText::from(evil), HostText::from(&b"\xff\xfe\x1b[2J"[..])];
            row.user = Some(HostText::from(evil));
            (row.unit, row.container) = (Some(evil.to_owned()), Some(evil.to_owned()));
        }
        state.mirror.sockets.values_mut().for_each(|row| row.exe = HostText::from(evil));
        // Whoever plays the agent on the socket may send anything.
        state.mirror.incidents.values_mut().for_each(|row| row.sentence = evil.to_owned());
        state.mirror.alerts.values_mut().for_each(|row| row.sentence = evil.to_owned());
        state.mirror.approvals.values_mut().for_each(|row| (row.reason, row.preview.steps) = (evil.to_owned(), vec![evil.to_owned()]));
        state.mirror.actions.values_mut().for_each(|row| {
            (row.by, row.note, row.reason) = (bartizan_model::Approver::Person(evil.to_owned()), evil.to_owned(), evil.to_owned())
        });
        let mut row = unconfirmed();
        row.target = bartizan_model::Target::User { name: HostText::from(evil), uid: 1 };
        row.vitals.as_mut().unwrap().harmed = vec![evil.to_owned()];
        state.mirror.actions.insert(row.id, row);
        state.mirror.signals.iter_mut().for_each(|row| (row.sentence, row.detector) = (evil.to_owned(), evil.to_owned()));
        state.audit.iter_mut().for_each(|row| row.body.detail = evil.to_owned());
        if let Some(health) = &mut state.mirror.health {
            (health.host, health.kernel, health.degraded) = (evil.to_owned(), evil.to_owned(), vec![evil.to_owned()]);
            health.hops[0].hop = evil.to_owned();
            health.gaps[1].why = evil.to_owned();
            health.budget.given_up = vec![evil.to_owned()];
        }
        for keys in ["j", "enter", "esc", "C", "esc"] {
            press(&mut state, keys);
            let buf = cells(&state, &Theme::named("dark").unwrap());
            for cell in buf.content() {
                let bad = cell.symbol().chars().find(|c| c.is_control() || matches!(*c, '\u{202e}' | '\u{200b}' | '\u{301}'));
                assert_eq!(bad, None, "{view}: {:?}", cell.symbol());
            }
        }
        assert!(!screenshot_with_audit(&state.mirror, &state.audit, view, 120, 40, &Theme::named("dark").unwrap()).contains('\u{1b}'));
    }
}

#[test]
fn ascii_terminals_get_ascii() {
    let theme = Theme::named("mono").unwrap().with_glyphs(Glyphs::Ascii);
    for view in View::ALL {
        let mut state = state(view, 80, 24);
        for keys in ["j", "?"] {
            press(&mut state, keys);
            let buf = cells(&state, &theme);
            assert!(buf.content().iter().all(|cell| cell.symbol().is_ascii()), "{view}");
        }
    }
}

#[test]
fn the_keys_are_these() {
    insta::assert_snapshot!("keys", reference());
    // What closes the whole host must be typed, not touched.
    assert!(COMMANDS.iter().all(|info| info.keys.is_empty() == (info.command == Command::Contain) && info.about.len() > 3));
}

#[test]
fn themes_differ_in_colour_only() {
    let state = state(View::Overview, 80, 24);
    let symbols =
        |name: &str| cells(&state, &Theme::named(name).unwrap()).content().iter().map(|cell| cell.symbol().to_owned()).collect::<String>();
    let dark = symbols("dark");
    assert!(Theme::names().all(|name| symbols(name) == dark));
}

#[test]
fn a_confidence_below_a_threshold_never_reads_as_the_threshold() {
    let mut state = state(View::Overview, 80, 24);
    state.mirror.incidents.values_mut().for_each(|row| row.confidence = Confidence::new(0.8499));
    assert!(text(&state).contains("0.84") && !text(&state).contains("0.85"));
}

/// Writes every view as SVG and as text into the directory named by the variable, for looking at.
#[test]
fn pictures_for_the_eye() {
    let theme = Theme::named("dark").unwrap();
    let picture = screenshot_with_audit(&mirror(), &audit(), View::Overview, 80, 24, &theme);
    assert!(picture.starts_with("<svg") && picture.contains("PARANOID") && picture.ends_with("</svg>\n"));
    let Ok(dir) = std::env::var("BARTIZAN_PICTURES") else { return };
    let theme = Theme::named(&std::env::var("BARTIZAN_THEME").unwrap_or_else(|_| "dark".to_owned())).unwrap();
    for view in View::ALL {
        for (width, height) in [(80, 24), (200, 60), (40, 10)] {
            let mut state = state(view, width, height);
            state.single = width == 40;
            let svg = super::screenshot::svg(&cells(&state, &theme), &Paint::new(&theme));
            std::fs::write(format!("{dir}/{view}_{width}x{height}.svg"), svg).unwrap();
        }
    }
    for (name, view, keys) in [
        ("confirm", View::Approvals, "a"),
        ("help", View::Processes, "?"),
        ("palette", View::Processes, ": f"),
        ("mode", View::Overview, "m"),
        ("stop", View::Actions, "!"),
    ] {
        let mut state = state(view, 100, 30);
        press(&mut state, "g");
        press(&mut state, keys);
        assert!(state.dialog.as_ref().is_some_and(|dialog| !matches!(dialog, Dialog::Filter(_))));
        std::fs::write(format!("{dir}/{name}.svg"), super::screenshot::svg(&cells(&state, &theme), &Paint::new(&theme))).unwrap();
    }
}

#[test]
fn of_a_whole_attack_the_essentials_stand_at_80x24_while_the_list_scrolls() {
    use bartizan_model::{ActionKind, ActionPlan, ApprovalState, Target};
    let mut state = state(View::Approvals, 80, 24);
    let addrs: Vec<std::net::IpAddr> = (0..212).map(|n| std::net::Ipv4Addr::new(203, 0, 113, n).into()).collect();
    let (steps, hour) = (addrs.chunks(4).map(|some| format!("{some:?}")).collect(), std::time::Duration::from_secs(3600));
    let plan = ActionPlan::new(ActionKind::BlockAddresses, Target::Addresses { addrs }, hour).unwrap();
    let (id, row) = state.mirror.approvals.iter_mut().find(|(_, row)| row.state == ApprovalState::Pending).unwrap();
    let id = *id;
    (row.action, row.preview.steps) = (plan, steps);
    row.held_because = "the mode is PARANOID; left out: 192.0.2.7 (the far end of a live SSH session)".to_owned();
    state.mirror.approvals.retain(|known, _| *known == id);
    press(&mut state, "j a");
    let essentials = ["block from 212 addresses", "1h, then", "your access from", "in Actions at any time"];
    let shown = text(&state);
    assert!(essentials.iter().all(|line| shown.contains(line)) && shown.contains("203.0.113.0,"), "{shown}");
    assert!(shown.contains("left out: 192.0.2.7"), "who is left out is read before the list: {shown}");
    press(&mut state, "G");
    let shown = text(&state);
    assert!(essentials.iter().all(|line| shown.contains(line)), "{shown}");
    assert!(shown.contains("203.0.113.211") && !shown.contains("203.0.113.0,"), "{shown}");
}
