//! Ending an exception before its time.

use crate::input::Effect;
use crate::state::dialog::{Prompt, Wants};
use crate::state::{Dialog, Item, RowKey, Sound, State};
use crate::widgets::TextLine;
use bartizan_config::Command;
use bartizan_model::ExceptionId;
use bartizan_protocol::{ExceptionRequest, Request};

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    if command != Command::Reject {
        return Vec::new();
    }
    let Some(RowKey::Item(Item::Exception(id))) = state.chosen() else {
        state.say(Sound::Note, "no exception is under the cursor");
        return Vec::new();
    };
    let standing = state.sheets.exception(id).map_or("unknown", |row| row.standing(state.now));
    if standing != "in force" {
        state.say(Sound::Note, format!("{id} is {standing}: it hides nothing any more"));
    } else if super::allowed(state, &remove(id, String::new())) {
        state.dialog = Some(Dialog::Prompt(Prompt {
            title: format!("End {id}: why?"),
            about: "From then on its signals count again. Enter ends it, esc keeps it.".to_owned(),
            line: TextLine::new("by hand"),
            wants: Wants::End(id),
            problem: None,
        }));
    }
    Vec::new()
}

/// The request that ends it.
pub(super) fn remove(id: ExceptionId, reason: String) -> Request {
    Request::Exceptions(Box::new(ExceptionRequest::Remove { id, reason }))
}
