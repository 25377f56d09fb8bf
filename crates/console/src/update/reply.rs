//! What an answer changes: a message, a page, a confirmation, fresh data.

use crate::input::Effect;
use crate::state::dialog::Page;
use crate::state::question::Confirm;
use crate::state::{Dialog, RowKey, Sound, State, held};
use bartizan_config::{Command, View};
use bartizan_model::{Action, ActionState, Approval, ApprovalState};
use bartizan_protocol::{Refusal, Reply, Request};

/// Lines of the audit log kept for the screen.
const AUDIT_KEPT: usize = 1_000;

pub(super) fn reply(state: &mut State, ticket: u64, reply: Reply) -> Vec<Effect> {
    let Some(asked) = state.asked.remove(&ticket) else { return Vec::new() };
    if !matches!(reply, Reply::Refused(_)) {
        answered(state, &asked.question.request);
    }
    let Some(reply) = super::sheets::take(state, &asked.question.request, reply) else { return Vec::new() };
    match reply {
        Reply::Done(text) if changes_a_sheet(&asked.question.request) => {
            state.say(Sound::Done, text);
            if let Request::Baseline(request) = &asked.question.request {
                return super::baseline::decided(state, request);
            }
            return super::sheets::fetch(state);
        }
        Reply::BaselineVersions(versions) => super::baseline::take_back(state, &versions),
        Reply::Done(_) if asked.question.what.is_empty() => {}
        Reply::Done(text) => {
            let all = acknowledged(state, &asked.question.request);
            state.say(Sound::Done, all.unwrap_or(text));
        }
        Reply::Refused(refusal) => {
            if !(asked.question.what.is_empty() && super::sheets::refuse(state, &asked.question.request, &refusal)) {
                refused(state, &refusal);
            }
        }
        Reply::Explanation(why) if state.dialog.is_none() => state.dialog = Some(Dialog::Page(Page::explanation(&why))),
        Reply::Actions(actions) => acted(state, &asked.question.request, &actions),
        Reply::Target(target) => return super::confirming::found(state, target),
        Reply::Checks(checks) => state.checks = Some(checks),
        Reply::Audit(mut entries) => {
            let surplus = entries.len().saturating_sub(AUDIT_KEPT);
            entries.drain(..surplus);
            state.audit = entries;
            if let Some(last) = state.audit.last().filter(|_| state.tail) {
                let key = RowKey::Line(last.seq);
                if state.view == View::Audit {
                    let keys = crate::state::rows::keys(state);
                    let page = crate::view::page(state);
                    state.list_mut().choose(key);
                    state.list_mut().go(&keys, page, crate::state::Move::Last);
                }
            }
        }
        Reply::AuditVerdict(verdict) => {
            let text = if verdict.intact {
                format!("the audit log is intact: {} lines, every link holds", verdict.entries)
            } else {
                format!("the audit log is BROKEN at line {}: {}", verdict.broken_at.unwrap_or(0), verdict.detail)
            };
            state.say(if verdict.intact { Sound::Done } else { Sound::Refused }, text);
            state.verdict = Some(verdict);
        }
        Reply::Preview(preview) => {
            let Some(plan) = asked.question.plan else { return Vec::new() };
            if state.dialog.is_some() {
                state.say(Sound::Note, format!("the preview of \"{plan}\" came too late: ask again"));
                return Vec::new();
            }
            let essentials = super::approvals::essentials(state, &plan, &preview);
            let details = super::approvals::preview_lines(&preview, 8);
            let what = plan.to_string();
            let act = Request::Act { plan, reason: "asked for in the console".to_owned() };
            state.dialog = Some(Dialog::Confirm(Confirm::new("Do this now?", essentials, details, vec![Effect::ask(act, what)])));
        }
        Reply::Events(events) if state.dialog.is_none() => state.dialog = Some(Dialog::Page(super::details::events(state, &events))),
        Reply::Explanation(_)
        | Reply::Hello(_)
        | Reply::Health(_)
        | Reply::Events(_)
        | Reply::Signals(_)
        | Reply::Incidents(_)
        | Reply::Alerts(_)
        | Reply::Sinks(_)
        | Reply::SinkTests(_)
        | Reply::Approvals(_)
        | Reply::Logs(_)
        | Reply::Attackers(_)
        | Reply::Copies(_)
        | Reply::Exceptions(_)
        | Reply::FileDiff(_)
        | Reply::Findings(_)
        | Reply::ExceptionPreview(_)
        | Reply::BaselineStatus(_)
        | Reply::Habits(_)
        | Reply::BaselineReview(_)
        | Reply::HabitChanges(_)
        | Reply::Pass(_) => {}
    }
    Vec::new()
}

/// Whether what was asked changed something that a view asks for.
fn changes_a_sheet(request: &Request) -> bool {
    matches!(request, Request::Baseline(_) | Request::Exceptions(_) | Request::Findings(_))
}

/// Of several alerts that one key acknowledged, all that are by now.
fn acknowledged(state: &mut State, request: &Request) -> Option<String> {
    let Request::Ack { id } = request else { return None };
    state.acknowledged.push(*id);
    let ids: Vec<String> = state.acknowledged.iter().map(ToString::to_string).collect();
    if !state.asked.values().any(|asked| matches!(asked.question.request, Request::Ack { .. })) {
        state.acknowledged.clear();
    }
    (ids.len() > 1).then(|| format!("{} acknowledged: {}", ids.len(), ids.join(" ")))
}

/// What came of an action: that it is confirmed, or that it waits for that.
fn acted(state: &mut State, request: &Request, actions: &[Action]) {
    let clock = |state: &State, at| crate::view::format::clock(state, at);
    if let Request::Confirm { id } = request {
        let end = actions.iter().find(|row| row.id == *id).map(|row| format!(": it lasts until {}", clock(state, row.ends_at())));
        state.say(Sound::Done, format!("{id} is confirmed{}", end.unwrap_or_default()));
        return;
    }
    if let Some((row, until)) = actions.iter().find_map(|row| Some((row, row.awaits_confirmation()?))) {
        let key = state.keymap.key(Command::Confirm).unwrap_or_default();
        let text = format!("{} holds and is undone at {} unless you confirm it: {key}", row.id, clock(state, until));
        state.say(Sound::Note, text);
        return;
    }
    match actions {
        [] => {}
        [row] => {
            let (sound, text) = outcome(state, row);
            state.say(sound, text);
        }
        several => {
            let text = several.iter().map(|row| format!("{} {}", row.id, row.state.noun())).collect::<Vec<_>>().join(", ");
            let worst = several.iter().any(|row| outcome(state, row).0 == Sound::Refused);
            state.say(if worst { Sound::Refused } else { Sound::Done }, text);
        }
    }
}

/// What became of an action in one sentence: its state, the proof, until when, and the way back.
fn outcome(state: &State, row: &Action) -> (Sound, String) {
    let clock = |at| crate::view::format::clock(state, at);
    let what = format!("{} {}", row.kind.verb(), row.target);
    let proof = if row.note.is_empty() { String::new() } else { format!("; {}", row.note) };
    let verified = row.verified_at.map(|at| format!(", verified {}", clock(at))).unwrap_or_default();
    let key = state.keymap.key(Command::Undo).unwrap_or_default();
    let back = match (row.kind.is_reversible(), row.state.is_active()) {
        (true, true) => format!(", until {}. {key} in Actions undoes it", clock(row.ends_at())),
        (false, true) => ". It cannot be undone".to_owned(),
        (_, false) => String::new(),
    };
    let sound = match row.state {
        ActionState::Live | ActionState::Expired | ActionState::RolledBack => Sound::Done,
        ActionState::Planned | ActionState::Applying => Sound::Note,
        ActionState::Drifted | ActionState::Failed | ActionState::Unknown => Sound::Refused,
    };
    let left = if row.state.is_active() { held::left_by(state, &row.target) } else { None };
    let left = left.map(|left| format!(". NOT held: {left}")).unwrap_or_default();
    (sound, format!("{} {}: {what}{proof}{verified}{back}{left}", row.id, row.standing()))
}

/// The person answered the question here: the cursor goes on to the next one that waits, as the answer asked for. Elsewhere than
/// among the questions it first stays with the incident until all of its own are answered. Nothing else ever moves it.
fn answered(state: &mut State, request: &Request) {
    unmark(state, request);
    let (Request::Approve { id, .. } | Request::Reject { id, .. }) = request else { return };
    let waits = |row: &&Approval| row.state == ApprovalState::Pending && row.id != *id;
    let here = state.mirror.approvals.get(id).map(|row| row.incident);
    let next = state.mirror.approvals.values().filter(waits).min_by_key(|row| (Some(row.incident) != here, row.id < *id, row.id));
    let Some((next, incident)) = next.map(|row| (row.id, row.incident)) else { return };
    let to = match state.chosen() {
        Some(RowKey::Approval(at)) if at == *id => RowKey::Approval(next),
        Some(RowKey::Incident(at)) if Some(at) == here => RowKey::Incident(incident),
        _ => return,
    };
    state.list_mut().choose(to);
}

/// What was answered is not marked any more; an alert that was seen gives the cursor to the next new one.
fn unmark(state: &mut State, request: &Request) {
    let done: Vec<RowKey> = if let Request::Approve { id, .. } | Request::Reject { id, .. } = request {
        vec![RowKey::Approval(*id)]
    } else if let Request::Ack { id } = request {
        vec![RowKey::Alert(*id)]
    } else if let Request::Rollback { ids } = request {
        ids.iter().map(|id| RowKey::Action(*id)).collect()
    } else {
        return;
    };
    if let (Request::Ack { id }, Some(here)) = (request, state.chosen())
        && here == RowKey::Alert(*id)
    {
        let alerts = crate::state::rows::alerts(state);
        let at = alerts.iter().position(|row| row.id == *id).unwrap_or(0);
        let (before, after) = alerts.split_at(at);
        let new = |row: &&&bartizan_model::Alert| row.state == bartizan_model::AlertState::New && row.id != *id;
        let next = after.iter().chain(before).find(new).map(|row| row.id);
        if let Some(next) = next {
            state.list_mut().choose(RowKey::Alert(next));
        }
    }
    state.list_mut().marks.retain(|row| !done.contains(row));
}

fn refused(state: &mut State, refusal: &Refusal) {
    let mend = if refusal.mend.is_empty() { String::new() } else { format!(": {}", refusal.mend) };
    state.say(Sound::Refused, format!("not done: {}{mend}", refusal.message));
}
