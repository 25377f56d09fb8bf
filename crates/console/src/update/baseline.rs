//! What a person says about habits: normal, not normal, and back again.

use crate::input::Effect;
use crate::state::question::{Confirm, Essential};
use crate::state::{Dialog, Item, RowKey, Sound, State, rows, sheet_rows};
use crate::widgets::{Tone, TonedLine};
use bartizan_config::{Command, View};
use bartizan_model::{BaselineVersion, HabitId};
use bartizan_protocol::{BaselineRequest, Request};

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    if matches!(command, Command::Left | Command::Right) {
        return super::sheets::turn(state);
    }
    if matches!(command, Command::Approve | Command::Reject) {
        return decide(state, command == Command::Approve);
    }
    if command == Command::Undo && super::allowed(state, &asks(BaselineRequest::Revert { version: 0 })) {
        return vec![Effect::ask(asks(BaselineRequest::Versions), "which decision is the last one")];
    }
    Vec::new()
}

fn asks(request: BaselineRequest) -> Request {
    Request::Baseline(Box::new(request))
}

/// The marked habits of the list on screen, else the one under the cursor.
fn meant(state: &State) -> Vec<HabitId> {
    let habit = |key: RowKey| if let RowKey::Item(Item::Habit(id)) = key { Some(id) } else { None };
    let marked: Vec<HabitId> = rows::keys(state).into_iter().filter(|key| state.list().is_marked(Some(key))).filter_map(habit).collect();
    if marked.is_empty() { state.chosen().and_then(habit).into_iter().collect() } else { marked }
}

/// One habit is decided at once, for that can be undone; several are named first.
fn decide(state: &mut State, normal: bool) -> Vec<Effect> {
    let ids = meant(state);
    if ids.is_empty() {
        state.say(Sound::Note, "no habit is under the cursor");
        return Vec::new();
    }
    let request = asks(BaselineRequest::Decide { ids: ids.clone(), normal });
    if !super::allowed(state, &request) {
        return Vec::new();
    }
    let verb = if normal { "approving" } else { "rejecting" };
    if let [id] = ids.as_slice() {
        return vec![Effect::ask(request, format!("{verb} {id}"))];
    }
    let count = ids.len();
    let key = state.keymap.key(Command::Undo).unwrap_or_default();
    let (what, after, tone) = if normal {
        (format!("{count} habits are normal, listed below"), "they are not reported any more", Tone::Warning)
    } else {
        (format!("{count} habits are not normal, listed below"), "each is reported whenever it happens", Tone::Plain)
    };
    let essentials = vec![
        Essential::new("What", tone, what),
        Essential::new("After", Tone::Plain, after),
        Essential::new("Undo", Tone::Good, format!("{key} here takes the whole decision back")).or(format!("{key} here")),
    ];
    let details = ids.iter().filter_map(|id| state.sheets.habit(*id));
    let details = details.map(|row| {
        TonedLine::labelled(
            format!("{:<8}", row.id),
            Tone::Plain,
            format!("{}; set aside: {}", sheet_rows::said(row), row.reason.sentence()),
        )
    });
    let title = format!("{} all {count} marked habits?", if normal { "Approve" } else { "Reject" });
    let yes = vec![Effect::ask(request, format!("{verb} {count} habits"))];
    state.dialog = Some(Dialog::Confirm(Confirm::new(title, essentials, details.collect(), yes)));
    Vec::new()
}

/// The agent has decided so: the cursor goes on, and the list is asked for anew.
pub(super) fn decided(state: &mut State, request: &BaselineRequest) -> Vec<Effect> {
    if let BaselineRequest::Decide { ids, .. } = request {
        let done: Vec<RowKey> = ids.iter().map(|id| RowKey::Item(Item::Habit(*id))).collect();
        if state.view == View::Baseline {
            super::sheets::advance(state, &done);
        }
        if let Some(review) = &mut state.sheets.review.data {
            review.waiting.retain(|row| !ids.contains(&row.id));
        }
    }
    super::sheets::fetch(state)
}

/// All versions, to take back the newest: only a decision of a person is one that a key takes back.
pub(super) fn take_back(state: &mut State, versions: &[BaselineVersion]) {
    let Some(newest) = versions.last() else {
        state.say(Sound::Note, "nothing was decided yet");
        return;
    };
    let before = versions.iter().rev().nth(1);
    let Some(before) = before.filter(|_| newest.by != "bartizan") else {
        let text = format!("version {} was made by {}, not by a person: `bartizan baseline versions` lists all", newest.number, newest.by);
        state.say(Sound::Note, text);
        return;
    };
    if state.dialog.is_some() {
        state.say(Sound::Note, "the answer came too late: ask again");
        return;
    }
    let version = before.number;
    let made = crate::view::format::moment(state, newest.at);
    let essentials = vec![
        Essential::name("What", format!("take back \"{}\"", newest.what)),
        Essential::new("By", Tone::Plain, format!("{} at {made}", newest.by)),
        Essential::new("After", Tone::Plain, format!("every habit counts as in version {version}; what came later waits again"))
            .or(format!("as in version {version}")),
        Essential::new("Undo", Tone::Plain, "decide again").or("decide again"),
    ];
    let yes = vec![Effect::ask(asks(BaselineRequest::Revert { version }), format!("going back to version {version}"))];
    state.dialog = Some(Dialog::Confirm(Confirm::new(format!("Undo version {}?", newest.number), essentials, Vec::new(), yes)));
}
