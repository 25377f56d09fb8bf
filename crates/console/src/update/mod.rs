//! One input in, the next state and what the runner shall do: pure, so every screen can be tested without a terminal.

use bartizan_config::{Command, Key, KeyName, View};
use bartizan_model::{ActionKind, Role, Target, Timestamp};
use bartizan_protocol::Request;

use ratatui::layout::Size;

use super::bounded::bounded;
use super::input::{Effect, Input, Question};
use super::state::dialog::Choose;
use super::state::sheets::SheetView;
use super::state::{Asked, Dialog, Link, Move, RowKey, Sound, State, rows};
use super::view;
use super::widgets::TextLine;

/// Commands that do the same in every view ([`run`] carries them out): a view names what is left to it, all of it, so that the
/// compiler asks each view about a new command.
macro_rules! of_every_view {
    () => {
        Command::Show(_)
            | Command::NextView
            | Command::PreviousView
            | Command::Down
            | Command::Up
            | Command::First
            | Command::Last
            | Command::PageDown
            | Command::PageUp
            | Command::Open
            | Command::Back
            | Command::Filter
            | Command::Palette
            | Command::Help
            | Command::Explain
            | Command::Feedback
            | Command::Mode
            | Command::EmergencyStop
            | Command::Detach
            | Command::Quit
            | Command::Redraw
            | Command::Suspend
            | Command::Confirm
            | Command::Contain
            | Command::Sort
            | Command::Mark
            | Command::MarkAll
            | Command::Copy
    };
}

mod actions;
mod alerts;
mod approvals;
mod audit;
mod baseline;
mod choices;
mod confirming;
mod copy;
mod details;
mod dialog;
mod exceptions;
mod findings;
mod health;
mod items;
mod logs;
mod network;
mod palette;
mod processes;
mod push;
mod reply;
mod sheets;
mod table;
mod timeline;
mod way;

pub(super) use approvals::{essentials, reasons_and_steps};
pub(super) use confirming::{tone, vitals};
pub(super) use items::about as about_item;
pub(super) use palette::found as palette_rows;
pub(super) use way::{Goto, Step, here as place_name, name_of, read as read_id};

/// How long a message stays.
const MESSAGE_STAYS: chrono::TimeDelta = chrono::TimeDelta::seconds(12);

/// Takes one input.
pub(crate) fn update(state: &mut State, input: Input, now: Timestamp) -> Vec<Effect> {
    state.now = now;
    let effects = match input {
        Input::Key(key) => {
            state.alone = true;
            pressed(state, key)
        }
        Input::Burst(keys) => burst(state, &keys),
        Input::Paste(text) => dialog::paste(state, &text),
        Input::Resize(width, height) => {
            let size = bounded(Size { width, height });
            state.size = (size.width, size.height);
            if let Some(Dialog::Confirm(confirm)) = &mut state.dialog {
                // What was read at another size may not stand there any more.
                confirm.shown = None;
            }
            Vec::new()
        }
        Input::Push(push) => push::pushed(state, *push),
        Input::Reply { ticket, reply } => reply::reply(state, ticket, *reply),
        Input::Tick => tick(state),
        Input::Hangup | Input::Broken => vec![Effect::Detach],
        Input::Suspend => vec![Effect::Suspend],
        // The seat at the terminal is the runner's.
        Input::Continued => Vec::new(),
        Input::Terminate => vec![Effect::Quit],
        Input::Lost { reason } => lost(state, reason),
        Input::Found { role } => found(state, role),
    };
    let keys = rows::keys(state);
    state.list_mut().settle(&keys);
    effects
}

/// The question that starts the news.
pub(crate) fn subscribe(ssh_connection: Option<String>) -> Question {
    Question { request: Request::Subscribe { console: true, ssh_connection }, what: String::new(), plan: None }
}

/// Notes that a question was sent.
pub(crate) fn sent(state: &mut State, ticket: u64, question: Question) {
    state.asked.insert(ticket, Asked { question });
}

/// The state was painted: from now on a question that stands there whole can be read.
pub(crate) fn painted(state: &mut State, now: Timestamp) {
    let fits = view::question_fits(state);
    if let Some(Dialog::Confirm(confirm)) = &mut state.dialog {
        if fits {
            confirm.painted(now);
        } else {
            confirm.shown = None;
        }
    }
}

/// Several keys of one read. Nobody types two letters within a millisecond: that is text, whatever the terminal calls it.
fn burst(state: &mut State, keys: &[Key]) -> Vec<Effect> {
    let is_text = |key: &&Key| matches!(key.name, KeyName::Char(_) | KeyName::Enter | KeyName::Tab) && !key.ctrl && !key.alt;
    let held = keys.iter().all(|key| Some(key) == keys.first() && state.keymap.command(*key, state.view).is_some_and(moves));
    if !held && keys.iter().filter(is_text).count() > 1 {
        let letter = |key: &Key| if let KeyName::Char(letter) = key.name { letter } else { '\n' };
        let text: String = keys.iter().filter(is_text).map(letter).collect();
        return dialog::paste(state, &text);
    }
    state.alone = keys.len() < 2;
    keys.iter().flat_map(|key| pressed(state, *key)).collect()
}

fn moves(command: Command) -> bool {
    matches!(command, Command::Down | Command::Up | Command::PageDown | Command::PageUp | Command::Left | Command::Right)
}

fn pressed(state: &mut State, key: Key) -> Vec<Effect> {
    if state.dialog.is_some() {
        return dialog::key(state, key);
    }
    let Some(command) = state.keymap.command(key, state.view) else {
        let help = state.keymap.key(Command::Help).unwrap_or_default();
        state.say(Sound::Note, format!("{key} does nothing here; {help} shows all keys"));
        return Vec::new();
    };
    if state.away && matches!(command, Command::Back | Command::Open) {
        state.away = false;
        state.mirror.presence = None;
        return Vec::new();
    }
    run(state, command)
}

/// Does what a command says, in the view on screen.
pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    state.message = None;
    match command {
        Command::Show(view) => return jump(state, view),
        Command::NextView => return beside(state, 1),
        Command::PreviousView => return beside(state, View::ALL.len() - 1),
        Command::Down => step(state, Move::By(1)),
        Command::Up => step(state, Move::By(-1)),
        Command::First => step(state, Move::First),
        Command::Last => step(state, Move::Last),
        Command::PageDown => page(state, 1),
        Command::PageUp => page(state, -1),
        Command::Back => back(state),
        Command::Filter => state.dialog = Some(Dialog::Filter(TextLine::default())),
        Command::Palette => state.dialog = Some(Dialog::Palette { line: TextLine::default(), at: 0 }),
        Command::Help => state.dialog = Some(Dialog::Help { offset: 0 }),
        Command::Mode => choices::mode(state),
        Command::Confirm => confirming::ask(state),
        Command::Contain => return network::propose(state, ActionKind::ContainHost, Target::Host),
        Command::EmergencyStop => state.dialog = Some(Dialog::Confirm(actions::stop_everything(state))),
        Command::Detach => return vec![Effect::Detach],
        Command::Quit => return choices::quit(state),
        Command::Redraw => return vec![Effect::Repaint],
        Command::Suspend => return vec![Effect::Suspend],
        Command::Explain => return explain(state),
        Command::Sort => table::ask_order(state),
        Command::Mark => table::mark(state),
        Command::MarkAll => table::mark_all(state),
        Command::Copy => return copy::run(state),
        Command::Feedback => feedback(state),
        Command::Open => return details::open(state),
        Command::Approve
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
        | Command::Verify => return in_view(state, command),
    }
    Vec::new()
}

fn in_view(state: &mut State, command: Command) -> Vec<Effect> {
    match SheetView::of(state.view) {
        Some(SheetView::Logs) => return logs::run(state, command),
        Some(SheetView::Baseline) => return baseline::run(state, command),
        Some(SheetView::Findings) => return findings::run(state, command),
        Some(SheetView::Exceptions) => return exceptions::run(state, command),
        Some(SheetView::Files) | None => {}
    }
    // What answers an incident works wherever a row belongs to one.
    if matches!(command, Command::Approve | Command::Reject | Command::Duration) {
        return approvals::run(state, command);
    }
    if command == Command::Undo {
        return actions::run(state);
    }
    if command == Command::Acknowledge {
        return alerts::run(state);
    }
    match state.view {
        View::Processes => processes::run(state, command),
        View::Network => network::run(state, command),
        View::Timeline => timeline::run(state, command),
        View::Health => health::run(state, command),
        View::Audit => audit::run(state, command),
        View::Overview if command == Command::FoldAll => {
            state.spread = !state.spread;
            Vec::new()
        }
        View::Overview
        | View::Alerts
        | View::Approvals
        | View::Actions
        | View::Files
        | View::Logs
        | View::Baseline
        | View::Findings
        | View::Exceptions => Vec::new(),
    }
}

/// Goes to a view by its key: the way back is forgotten, and the timeline shows the incident of the row under the cursor.
fn jump(state: &mut State, view: View) -> Vec<Effect> {
    if view == View::Timeline
        && state.view != View::Timeline
        && !state.single
        && let Some(id) = rows::incident_here(state)
        && state.incident.replace(id) != Some(id)
    {
        state.forget_cursor_of(View::Timeline);
    }
    if view != state.view && !state.single {
        state.trail.clear();
        // What is hidden or marked must not surprise whoever comes back.
        state.list_mut().filter.clear();
        state.list_mut().marks.clear();
    }
    let effects = show(state, view);
    if state.view == view {
        let keys = rows::keys(state);
        let answerable: std::collections::HashSet<RowKey> = keys.iter().copied().filter(|key| rows::is_answerable(state, *key)).collect();
        state.list_mut().enter(&keys, |key| answerable.contains(&key));
    }
    effects
}

/// Goes to a view.
pub(super) fn show(state: &mut State, view: View) -> Vec<Effect> {
    if state.single && view != state.view {
        state.say(Sound::Note, format!("this console shows only {}; start one without --view for the others", state.view));
        return Vec::new();
    }
    state.view = view;
    if view == View::Audit { audit::fetch(state) } else { sheets::fetch(state) }
}

fn beside(state: &mut State, by: usize) -> Vec<Effect> {
    let at = View::ALL.iter().position(|view| *view == state.view).unwrap_or(0);
    let next = View::ALL.get((at + by) % View::ALL.len()).copied().unwrap_or(View::Overview);
    jump(state, next)
}

fn step(state: &mut State, by: Move) {
    let keys = rows::keys(state);
    let page = view::page(state);
    state.follow = false;
    state.list_mut().go(&keys, page, by);
    if state.view == View::Audit {
        state.tail = state.list().key == keys.last().copied();
    }
}

fn page(state: &mut State, pages: isize) {
    let rows = isize::try_from(view::span(state).max(2) - 1).unwrap_or(1);
    step(state, Move::By(pages * rows));
}

fn back(state: &mut State) {
    if !state.list().marks.is_empty() {
        state.list_mut().marks.clear();
        state.say(Sound::Note, "nothing is marked any more");
        return;
    }
    if !state.list().filter.is_empty() {
        if !state.trail.is_empty() && state.view == View::Network {
            way::back(state);
            return;
        }
        state.list_mut().refilter(String::new());
        state.say(Sound::Note, "the filter is off");
    } else if !way::back(state) && !state.single && state.view != View::Overview {
        state.say(Sound::Note, "there is no way back from here: enter leads on, esc comes back");
    }
}

/// Asks, unless this person's role forbids it: then says which role is needed.
pub(super) fn ask(state: &mut State, request: Request, what: impl Into<String>) -> Vec<Effect> {
    if allowed(state, &request) { vec![Effect::ask(request, what)] } else { Vec::new() }
}

/// Whether the role allows it; says so when not.
pub(super) fn allowed(state: &mut State, request: &Request) -> bool {
    let needed = request.needs();
    if state.role < needed {
        state.say(
            Sound::Refused,
            format!("{} needs the role {needed}, you are {}: use sudo, or ask the owner for the role", request.name(), state.role),
        );
    }
    state.role >= needed
}

fn explain(state: &mut State) -> Vec<Effect> {
    match rows::incident_here(state) {
        Some(id) => ask(state, Request::Explain { id }, format!("why {id}")),
        None => {
            state.say(Sound::Note, "nothing here belongs to an incident");
            Vec::new()
        }
    }
}

fn feedback(state: &mut State) {
    let incident = rows::incident_here(state);
    let about = match state.chosen() {
        Some(RowKey::Action(id)) => Some(id.to_string()),
        _ => incident.map(|id| id.to_string()),
    };
    match about {
        Some(id) if state.role >= Role::Operator => state.dialog = Some(Dialog::Choose(Choose::feedback(id, incident))),
        Some(_) => state.say(Sound::Refused, "feedback needs the role operator: use sudo, or ask the owner for the role"),
        None => state.say(Sound::Note, "nothing here belongs to an incident or action"),
    }
}

fn tick(state: &mut State) -> Vec<Effect> {
    let now = state.now;
    if state.message.as_ref().is_some_and(|message| now - message.at > MESSAGE_STAYS) {
        state.message = None;
    }
    // The audit log is asked for, not pushed: every third second while somebody reads it.
    if state.view == View::Audit && state.link == Link::Up && now.timestamp() % 3 == 0 { audit::fetch(state) } else { sheets::tick(state) }
}

fn lost(state: &mut State, reason: String) -> Vec<Effect> {
    state.asked.clear();
    state.acknowledged.clear();
    let since = match &state.link {
        Link::Lost { since, .. } => *since,
        Link::Up => state.now,
    };
    state.link = Link::Lost { reason, since };
    Vec::new()
}

fn found(state: &mut State, role: Role) -> Vec<Effect> {
    state.link = Link::Up;
    state.role = role;
    // Ask for everything anew: the numbers of another life of the agent mean nothing here.
    let presence = state.mirror.presence.take();
    state.mirror = bartizan_protocol::Mirror::default();
    state.mirror.presence = presence;
    state.sheets = super::state::Sheets::default();
    state.say(Sound::Done, "the agent is back");
    sheets::fetch(state)
}

#[cfg(test)]
mod tests;
