//! Accepting a finding for a time, with a reason.

use crate::input::Effect;
use crate::state::dialog::{Prompt, Wants};
use crate::state::sheets::finding_id;
use crate::state::{Dialog, Item, RowKey, Sound, State};
use crate::widgets::TextLine;
use bartizan_config::Command;
use bartizan_model::Timestamp;
use bartizan_protocol::{FindingRequest, Request};

/// Longest acceptance, in days: what is lived with for longer is looked at again.
const LONGEST_DAYS: i64 = 366;

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    if command != Command::Approve {
        return Vec::new();
    }
    let Some(RowKey::Item(Item::Finding(number))) = state.chosen() else {
        state.say(Sound::Note, "no finding is under the cursor");
        return Vec::new();
    };
    let id = finding_id(number);
    let open = state.sheets.finding(number).is_some_and(|row| row.state.is_open(state.now));
    if !open {
        state.say(Sound::Note, format!("{id} is not open: there is nothing to accept"));
    } else if super::allowed(state, &accept(number, state.now, String::new())) {
        state.dialog = Some(Dialog::Prompt(Prompt {
            title: format!("Accept {id}: for how long?"),
            about: "It fails no scan until then, and is open again afterwards. At most 366d.".to_owned(),
            line: TextLine::new("30d"),
            wants: Wants::AcceptFor(number),
            problem: None,
        }));
    }
    Vec::new()
}

/// When an acceptance of this length ends; `None` for one that is none.
pub(super) fn until(text: &str, now: Timestamp) -> Option<Timestamp> {
    let lasts = chrono::TimeDelta::from_std(humantime::parse_duration(text).ok()?).ok()?;
    (lasts > chrono::TimeDelta::zero() && lasts <= chrono::TimeDelta::days(LONGEST_DAYS)).then(|| now.checked_add_signed(lasts))?
}

/// The second question: why.
pub(super) fn ask_why(state: &State, number: u64, until: Timestamp) -> Prompt {
    Prompt {
        title: format!("Accept {}: why?", finding_id(number)),
        about: format!("Until {}. Whoever reads the report sees the reason.", crate::view::format::moment(state, until)),
        line: TextLine::default(),
        wants: Wants::AcceptWhy(number, until),
        problem: None,
    }
}

/// The request that accepts it.
pub(super) fn accept(number: u64, until: Timestamp, reason: String) -> Request {
    Request::Findings(Box::new(FindingRequest::Accept { id: finding_id(number), until, reason }))
}
