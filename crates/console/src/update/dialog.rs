//! Keys while something stands over the view: they go there and nowhere else.

use std::time::Duration;

use super::{approvals, findings, network, palette, run, table, way};
use crate::input::Effect;
use crate::state::dialog::{Choose, Page, Prompt, Then, Wants};
use crate::state::question::Confirm;
use crate::state::{Dialog, Sound, State};
use crate::widgets::TextLine;
use bartizan_config::{Command, Key, KeyName};
use bartizan_model::{ActionKind, Target};
use bartizan_protocol::Request;

/// Why keys that came together answer nothing.
const PASTED: &str = "read it first; keys pasted";

/// Takes a key. The dialog is taken out first: whatever does not put one back has closed it.
pub(super) fn key(state: &mut State, key: Key) -> Vec<Effect> {
    let command = state.keymap.command(key, state.view);
    if command == Some(Command::Suspend) {
        return run(state, Command::Suspend);
    }
    let Some(dialog) = state.dialog.take() else { return Vec::new() };
    let closes = key.name == KeyName::Esc || (key.ctrl && key.name == KeyName::Char('c'));
    if closes {
        return Vec::new();
    }
    if key.name == KeyName::Enter && !state.alone && matches!(dialog, Dialog::Choose(_) | Dialog::Prompt(_) | Dialog::Palette { .. }) {
        state.say(Sound::Note, "enter was ignored: it came together with other keys, as pasted text does");
        state.dialog = Some(dialog);
        return Vec::new();
    }
    match dialog {
        Dialog::Help { offset } => {
            state.dialog = scrolled(command, offset, super::view::span(state)).map(|offset| Dialog::Help { offset });
            Vec::new()
        }
        Dialog::Page(page) => {
            if let Some(to) = followed(&page, key) {
                return way::goto(state, &to);
            }
            state.dialog = scrolled(command, page.offset, super::view::span(state)).map(|offset| Dialog::Page(Page { offset, ..page }));
            Vec::new()
        }
        Dialog::Palette { line, at } => in_palette(state, line, at, key),
        Dialog::Filter(line) => in_filter(state, line, key),
        Dialog::Confirm(confirm) => in_confirm(state, confirm, key, command),
        Dialog::Choose(choose) => in_choice(state, choose, key, command),
        Dialog::Prompt(prompt) => in_prompt(state, prompt, key),
    }
}

/// Pasted text goes into a field, or nowhere.
pub(super) fn paste(state: &mut State, text: &str) -> Vec<Effect> {
    match &mut state.dialog {
        Some(Dialog::Palette { line, .. }) => line.paste(text),
        Some(Dialog::Prompt(prompt)) => prompt.line.paste(text),
        Some(Dialog::Filter(line)) => {
            line.paste(text);
            let filter = line.text().to_owned();
            refilter(state, filter);
        }
        Some(Dialog::Confirm(confirm)) => {
            confirm.ignored = Some(PASTED);
            state.say(Sound::Note, format!("{PASTED}; nothing was done"));
        }
        _ => state.say(Sound::Note, "pasted text is ignored here: it could press keys that nobody meant"),
    }
    Vec::new()
}

/// Where a key on a page leads: enter to the first place that it names, a number to the one with that number.
fn followed(page: &Page, key: Key) -> Option<way::Goto> {
    let at = match key.name {
        KeyName::Enter => 0,
        KeyName::Char(letter) if !key.ctrl && !key.alt => usize::try_from(letter.to_digit(10)?).ok()?.checked_sub(1)?,
        _ => return None,
    };
    page.links.get(at).cloned()
}

fn scrolled(command: Option<Command>, offset: usize, page: usize) -> Option<usize> {
    match command {
        Some(Command::Down) => Some(offset + 1),
        Some(Command::Up) => Some(offset.saturating_sub(1)),
        Some(Command::PageDown) => Some(offset + page),
        Some(Command::PageUp) => Some(offset.saturating_sub(page)),
        Some(Command::First) => Some(0),
        Some(Command::Last) => Some(usize::MAX / 2),
        Some(Command::Back | Command::Quit | Command::Help | Command::Open | Command::Explain) => None,
        None => Some(offset),
        Some(
            Command::Show(_)
            | Command::NextView
            | Command::PreviousView
            | Command::Filter
            | Command::Palette
            | Command::Feedback
            | Command::Mode
            | Command::EmergencyStop
            | Command::Detach
            | Command::Redraw
            | Command::Suspend
            | Command::Confirm
            | Command::Contain
            | Command::Approve
            | Command::Reject
            | Command::Duration
            | Command::Undo
            | Command::Acknowledge
            | Command::Fold
            | Command::FoldAll
            | Command::FollowNewest
            | Command::NextSuspect
            | Command::Freeze
            | Command::Kill
            | Command::Block
            | Command::Limit
            | Command::Isolate
            | Command::DisableUser
            | Command::Left
            | Command::Right
            | Command::SelfTest
            | Command::Verify
            | Command::Sort
            | Command::Mark
            | Command::MarkAll
            | Command::Copy,
        ) => Some(offset),
    }
}

fn in_palette(state: &mut State, mut line: TextLine, at: usize, key: Key) -> Vec<Effect> {
    let found = palette::found(line.text(), state.view);
    match key.name {
        KeyName::Enter => {
            if let Some(to) = way::read(line.text(), state) {
                return way::goto(state, &to);
            }
            if let Some(info) = found.get(at) {
                return run(state, info.command);
            }
            state.say(Sound::Note, "no command has such a name; ids (I7, A3), pids, addresses and paths work too");
            return Vec::new();
        }
        KeyName::Down | KeyName::Tab => state.dialog = Some(Dialog::Palette { line, at: (at + 1).min(found.len().saturating_sub(1)) }),
        KeyName::Up | KeyName::BackTab => state.dialog = Some(Dialog::Palette { line, at: at.saturating_sub(1) }),
        _ => {
            let at = if line.key(key) { 0 } else { at };
            state.dialog = Some(Dialog::Palette { line, at });
        }
    }
    Vec::new()
}

/// Most filters that are remembered.
const FILTERS: usize = 50;

fn in_filter(state: &mut State, mut line: TextLine, key: Key) -> Vec<Effect> {
    if key.name == KeyName::Enter {
        let filter = line.text().to_owned();
        if !filter.is_empty() && state.filters.last() != Some(&filter) {
            state.filters.push(filter);
            let surplus = state.filters.len().saturating_sub(FILTERS);
            state.filters.drain(..surplus);
        }
        return Vec::new();
    }
    let past = match key.name {
        KeyName::Up => table::earlier(&state.filters, line.text()),
        KeyName::Down => table::later(&state.filters, line.text()),
        _ => None,
    };
    if let Some(past) = past {
        line = TextLine::new(&past);
        refilter(state, past);
    } else if line.key(key) {
        refilter(state, line.text().to_owned());
    }
    state.dialog = Some(Dialog::Filter(line));
    Vec::new()
}

fn refilter(state: &mut State, filter: String) {
    state.list_mut().refilter(filter);
    let keys = crate::state::rows::keys(state);
    if state.list().chosen(&keys).is_none() {
        state.list_mut().key = keys.first().copied();
    }
}

fn in_confirm(state: &mut State, mut confirm: Confirm, key: Key, command: Option<Command>) -> Vec<Effect> {
    let yes = key == Key::char('y') || (confirm.again.is_some() && command == confirm.again);
    if yes && state.alone && confirm.is_read(state.now) {
        return confirm.yes;
    }
    // Only n closes it otherwise: a key typed a moment too late must not make the question vanish unseen.
    if key == Key::char('n') {
        return Vec::new();
    }
    confirm.ignored = None;
    if yes {
        unread(state, &mut confirm);
    }
    let last = confirm.details.len().saturating_add(confirm.essentials.len()).saturating_mul(8);
    confirm.offset = scrolled(command, confirm.offset, 1).unwrap_or(confirm.offset).min(last);
    state.dialog = Some(Dialog::Confirm(confirm));
    Vec::new()
}

/// A yes that nobody can have meant is told, never silently dropped.
fn unread(state: &mut State, confirm: &mut Confirm) {
    let why = match (state.alone, confirm.shown) {
        (false, _) => PASTED,
        (true, Some(_)) => "not yet: read it first",
        (true, None) if super::view::question_fits(state) => "not yet: read it first",
        (true, None) => "enlarge the window first",
    };
    confirm.ignored = Some(why);
    state.say(Sound::Note, format!("{why}; nothing was done"));
}

fn in_choice(state: &mut State, mut choose: Choose, key: Key, command: Option<Command>) -> Vec<Effect> {
    let last = choose.options.len().saturating_sub(1);
    match (key.name, command) {
        (KeyName::Enter, _) => {
            match choose.options.into_iter().nth(choose.at).map(|choice| choice.then) {
                Some(Then::Do(effects)) => return effects,
                Some(Then::Sort(name)) => table::sort(state, name),
                Some(Then::Confirm(confirm)) => state.dialog = Some(Dialog::Confirm(*confirm)),
                Some(Then::Nothing) | None => {}
            }
            return Vec::new();
        }
        (KeyName::Down | KeyName::Tab, _) | (_, Some(Command::Down)) => choose.at = (choose.at + 1).min(last),
        (KeyName::Up | KeyName::BackTab, _) | (_, Some(Command::Up)) => choose.at = choose.at.saturating_sub(1),
        (KeyName::Char(c), _) => {
            if let Some(at) = c.to_digit(10).and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=last + 1).contains(n)) {
                choose.at = at - 1;
            }
        }
        _ => {}
    }
    state.dialog = Some(Dialog::Choose(choose));
    Vec::new()
}

fn in_prompt(state: &mut State, mut prompt: Prompt, key: Key) -> Vec<Effect> {
    if key.name != KeyName::Enter {
        prompt.line.key(key);
        prompt.problem = None;
        state.dialog = Some(Dialog::Prompt(prompt));
        return Vec::new();
    }
    let text = prompt.line.text().trim().to_owned();
    match prompt.wants {
        Wants::Reason(id) => {
            let reject = |id| Effect::ask(Request::Reject { id, reason: text.clone() }, format!("rejecting {id}"));
            table::marked_or(state, id).into_iter().map(reject).collect()
        }
        Wants::AcceptFor(number) => {
            match findings::until(&text, state.now) {
                Some(until) => state.dialog = Some(Dialog::Prompt(findings::ask_why(state, number, until))),
                None => {
                    prompt.problem = Some("write 30d, 12h or 2w; at most 366d".to_owned());
                    state.dialog = Some(Dialog::Prompt(prompt));
                }
            }
            Vec::new()
        }
        Wants::AcceptWhy(..) if text.is_empty() => {
            prompt.problem = Some("say why you live with it".to_owned());
            state.dialog = Some(Dialog::Prompt(prompt));
            Vec::new()
        }
        Wants::AcceptWhy(number, until) => {
            let request = findings::accept(number, until, text);
            vec![Effect::ask(request, "accepting the finding")]
        }
        Wants::End(id) => vec![Effect::ask(super::exceptions::remove(id, text), format!("ending {id}"))],
        Wants::Packets(addr) => {
            if let Ok(packets_per_second @ 1..=1_000_000) = text.parse::<u32>() {
                return network::propose(state, ActionKind::LimitSource, Target::Source { addr, packets_per_second });
            }
            prompt.problem = Some("write a number of packets a second, 1 to 1000000".to_owned());
            state.dialog = Some(Dialog::Prompt(prompt));
            Vec::new()
        }
        Wants::Duration(id) => {
            match humantime::parse_duration(&text) {
                Ok(lasts) if (Duration::from_secs(1)..=bartizan_model::ActionPlan::LONGEST).contains(&lasts) => {
                    state.dialog = approvals::confirm(state, id, Some(lasts)).map(Dialog::Confirm);
                }
                _ => {
                    prompt.problem = Some("write 30s, 10m or 1h 30m; at least 1s, at most 24h: every action ends by itself".to_owned());
                    state.dialog = Some(Dialog::Prompt(prompt));
                }
            }
            Vec::new()
        }
    }
}
