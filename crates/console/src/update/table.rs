//! The order of a table, its marked rows, and the filters of before.

use super::actions;
use crate::input::Effect;
use crate::state::dialog::{Choice, Choose, Then};
use crate::state::question::{Confirm, Essential};
use crate::state::{Dialog, Move, RowKey, Sound, State, facts, rows};
use crate::widgets::{Tone, TonedLine};
use bartizan_model::{ActionId, AlertId, ApprovalId, ApprovalState};
use bartizan_protocol::Request;

/// Most rows that one answer is about: as many as may be asked of the agent at once. The others stay marked.
pub(super) const AT_ONCE: usize = 60;
/// Columns whose largest value comes first until it is asked otherwise.
const LARGEST_FIRST: [&str; 14] = [
    "severity", "conf", "times", "count", "updated", "incident", "days", "lines", "unparsed", "records", "lag", "attempts", "accounts",
    "strikes",
];

/// Asks by which column; the one in use is offered first, so that the same keys again turn the order round.
pub(super) fn ask_order(state: &mut State) {
    let now = state.list().sort;
    let names = facts::names(state.view, state.second.contains(&state.view));
    let mut options: Vec<Choice> = Vec::with_capacity(names.len() + 1);
    for name in names {
        let about = match now.filter(|(sorted, _)| sorted == name) {
            Some((_, true)) => "now the largest first; again for the smallest".to_owned(),
            Some((_, false)) => "now the smallest first; again for the largest".to_owned(),
            None => String::new(),
        };
        options.push(Choice { label: (*name).to_owned(), about, then: Then::Sort(name) });
    }
    options.push(Choice { label: "as it was".to_owned(), about: "the order of this view".to_owned(), then: Then::Sort("") });
    let at = now.and_then(|(sorted, _)| names.iter().position(|name| *name == sorted)).unwrap_or(0);
    let about = "By which column? A digit chooses it, enter sorts.".to_owned();
    state.dialog = Some(Dialog::Choose(Choose { title: "Sort".to_owned(), about, options, at }));
}

/// Sorts; the cursor stays on its row.
pub(super) fn sort(state: &mut State, name: &'static str) {
    let list = state.list_mut();
    list.sort = match list.sort {
        _ if name.is_empty() => None,
        Some((sorted, backwards)) if sorted == name => Some((name, !backwards)),
        _ => Some((name, LARGEST_FIRST.contains(&name))),
    };
}

/// Marks the row under the cursor or takes its mark away, and goes on to the next.
pub(super) fn mark(state: &mut State) {
    let Some(row) = state.chosen() else {
        state.say(Sound::Note, "nothing is under the cursor");
        return;
    };
    let marks = &mut state.list_mut().marks;
    if !marks.remove(&row) {
        marks.insert(row);
    }
    super::step(state, Move::By(1));
}

/// Marks all rows on the list, which the filter chose, that an answer is for; when all are marked, none.
pub(super) fn mark_all(state: &mut State) {
    let keys: std::collections::HashSet<RowKey> = rows::keys(state).into_iter().filter(|key| rows::is_answerable(state, *key)).collect();
    if keys.is_empty() {
        state.say(Sound::Note, "nothing on this list waits for an answer");
        return;
    }
    let marks = &mut state.list_mut().marks;
    if *marks == keys { marks.clear() } else { *marks = keys }
}

/// Marked questions that wait for an answer, the first ones.
pub(super) fn questions(state: &State) -> Vec<ApprovalId> {
    let marks = &state.list().marks;
    let rows = rows::approvals(state).into_iter().filter(|row| row.state == ApprovalState::Pending);
    rows.map(|row| row.id).filter(|id| marks.contains(&RowKey::Approval(*id))).take(AT_ONCE).collect()
}

/// The marked questions, else this one.
pub(super) fn marked_or(state: &State, id: ApprovalId) -> Vec<ApprovalId> {
    let marked = questions(state);
    if marked.is_empty() { vec![id] } else { marked }
}

/// Marked alerts that nobody has seen, the first ones.
pub(super) fn alerts(state: &State) -> Vec<AlertId> {
    let marks = &state.list().marks;
    let new = rows::alerts(state).into_iter().filter(|row| row.state == bartizan_model::AlertState::New);
    new.map(|row| row.id).filter(|id| marks.contains(&RowKey::Alert(*id))).take(AT_ONCE).collect()
}

/// Marked actions that can be undone, the first ones.
fn undoable(state: &State) -> Vec<ActionId> {
    let marks = &state.list().marks;
    let rows = rows::actions(state).into_iter().filter(|row| row.state.is_active() && row.kind.is_reversible());
    rows.map(|row| row.id).filter(|id| marks.contains(&RowKey::Action(*id))).take(AT_ONCE).collect()
}

/// Asks once before all marked questions are approved: each of them is named.
pub(super) fn approve(state: &State, ids: &[ApprovalId]) -> Confirm {
    let chosen: Vec<_> = ids.iter().filter_map(|id| state.mirror.approvals.get(id)).collect();
    let final_ones = chosen.iter().filter(|row| !row.action.kind().is_reversible()).count();
    let lasts = if final_ones > 0 { format!("{final_ones} of them for good") } else { "each for its own time, then undone".to_owned() };
    let mut stays: Vec<&str> = chosen.iter().map(|row| row.preview.stays.as_str()).filter(|text| !text.is_empty()).collect();
    stays.sort_unstable();
    stays.dedup();
    let stays = if stays.is_empty() { "not known".to_owned() } else { stays.join("; ") };
    let key = state.keymap.key(bartizan_config::Command::Undo).unwrap_or_default();
    let essentials = vec![
        Essential::new("What", Tone::Warning, format!("{} actions, listed below", chosen.len())),
        Essential::new("Lasts", if final_ones > 0 { Tone::Danger } else { Tone::Plain }, lasts),
        Essential::new("Stays", Tone::Plain, stays),
        Essential::new("Undo", Tone::Good, format!("{key} in Actions, each by itself or all marked ones")).or(format!("{key} in Actions")),
    ];
    let mut details = Vec::new();
    for row in &chosen {
        details.push(TonedLine::labelled(format!("{:<8}", row.id), Tone::Plain, row.action.to_string()));
        details.push(TonedLine::labelled("        ", Tone::Warning, row.preview.blast_radius.clone()));
    }
    let yes = ids.iter().map(|id| Effect::ask(Request::Approve { id: *id, lasts: None }, format!("approving {id}"))).collect();
    Confirm::new(format!("Approve all {} marked questions?", chosen.len()), essentials, details, yes)
}

/// Asks once before all marked alerts are acknowledged: each of them is named.
pub(super) fn acknowledge(state: &State, ids: &[AlertId]) -> Confirm {
    let details = ids.iter().filter_map(|id| state.mirror.alerts.get(id));
    let details = details.map(|row| {
        TonedLine::labelled(format!("{:<8}", row.id), Tone::Plain, format!("{} {}: {}", row.incident, row.severity, row.sentence))
    });
    let essentials = vec![
        Essential::new("What", Tone::Plain, format!("acknowledge {} alerts, listed below", ids.len())),
        Essential::new("After", Tone::Plain, "they stay on the list as seen; nothing on the host changes").or("listed as seen"),
    ];
    let yes = ids.iter().map(|id| Effect::ask(Request::Ack { id: *id }, format!("acknowledging {id}"))).collect();
    Confirm::new(format!("Acknowledge all {} marked alerts?", ids.len()), essentials, details.collect(), yes)
}

/// Asks once before all marked actions are undone; `None` without a mark.
pub(super) fn undo(state: &State) -> Option<Confirm> {
    let ids = undoable(state);
    if ids.is_empty() {
        return None;
    }
    let details = ids.iter().filter_map(|id| state.mirror.actions.get(id));
    let details =
        details.map(|row| TonedLine::labelled(format!("{:<8}", row.id), Tone::Plain, format!("{} {}", row.kind.verb(), row.target)));
    let essentials = actions::undo_essentials(format!("undo {} actions, listed below", ids.len()));
    let yes = vec![Effect::ask(Request::Rollback { ids: ids.clone() }, format!("undoing {} actions", ids.len()))];
    Some(Confirm::new(format!("Undo all {} marked actions?", ids.len()), essentials, details.collect(), yes))
}

/// The filter before this one; without a text, the last one.
pub(super) fn earlier(filters: &[String], now: &str) -> Option<String> {
    let at = filters.iter().rposition(|filter| filter == now).unwrap_or(filters.len());
    filters.get(at.checked_sub(1)?).cloned()
}

/// The filter after this one; an empty one after the last.
pub(super) fn later(filters: &[String], now: &str) -> Option<String> {
    let at = filters.iter().rposition(|filter| filter == now)?;
    Some(filters.get(at + 1).cloned().unwrap_or_default())
}
