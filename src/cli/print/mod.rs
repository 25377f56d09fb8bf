//! Answers on standard output: tables for people, JSON for programs.

mod actions;
mod human;
mod logs;
pub(super) mod table;

use std::io::{self, Write};

use serde::Serialize;

use super::args::StatusFormat;
use super::outcome::{Failure, Outcome};
use bartizan_client::Connection;
use bartizan_model::{CheckState, Event, Health, Posture, Timestamp, sentence};
use bartizan_protocol::{Reply, Request};

pub(super) use human::redteam_report;

/// Prints one answer; `single` unwraps a list of one.
pub(super) fn reply(reply: &Reply, json: bool, single: bool) -> Result<Outcome, Failure> {
    if json {
        reply_json(reply, single)?;
    } else {
        written(human::write(&mut io::stdout().lock(), reply))?;
    }
    Ok(match reply {
        Reply::Checks(checks) if checks.iter().any(|check| check.state != CheckState::Works) => Outcome::Found,
        _ => Outcome::Done,
    })
}

fn reply_json(reply: &Reply, single: bool) -> Result<(), Failure> {
    match reply {
        Reply::Hello(hello) => document(hello),
        Reply::Done(message) => document(&serde_json::json!({ "done": message })),
        Reply::Health(health) => document(health),
        Reply::Checks(checks) => list(checks, false),
        Reply::Events(events) => list(events, false),
        Reply::Signals(signals) => list(signals, false),
        Reply::Incidents(incidents) => list(incidents, single),
        Reply::Explanation(explanation) => document(explanation),
        Reply::Alerts(alerts) => list(alerts, false),
        Reply::Sinks(sinks) => list(sinks, false),
        Reply::SinkTests(tests) => list(tests, false),
        Reply::Approvals(approvals) => list(approvals, false),
        Reply::Actions(actions) => list(actions, single),
        Reply::Preview(preview) => document(preview),
        Reply::Audit(entries) => list(entries, false),
        Reply::Logs(logs) => list(logs, false),
        Reply::Attackers(attackers) => list(attackers, false),
        Reply::Copies(copies) => list(copies, false),
        Reply::Exceptions(rows) => list(rows, false),
        Reply::FileDiff(said) => document(said),
        Reply::Findings(page) => document(page),
        Reply::ExceptionPreview(preview) => document(preview),
        Reply::BaselineStatus(status) => document(status),
        Reply::Habits(habits) => list(habits, false),
        Reply::BaselineReview(review) => document(review),
        Reply::BaselineVersions(versions) => list(versions, false),
        Reply::HabitChanges(changes) => list(changes, false),
        Reply::Target(target) => document(target),
        // The connection keeps it: nobody else has a use for it.
        Reply::Pass(_) => Ok(()),
        Reply::AuditVerdict(verdict) => document(verdict),
        Reply::Refused(refusal) => document(refusal),
    }
}

/// Lines of followed logs that no parser understood.
pub(super) fn samples(reply: &Reply) -> Result<(), Failure> {
    match reply {
        Reply::Logs(sources) => written(logs::write_samples(&mut io::stdout().lock(), sources)),
        _ => Ok(()),
    }
}

/// One JSON document on one line.
pub(super) fn document(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(Failure::failed)?;
    written(writeln!(io::stdout().lock(), "{text}"))
}

/// A JSON array, one element a line, so that people can grep it too.
fn list<T: Serialize>(items: &[T], single: bool) -> Result<(), Failure> {
    if single && let [only] = items {
        return document(only);
    }
    let lines: Result<Vec<String>, _> = items.iter().map(serde_json::to_string).collect();
    let body = lines.map_err(Failure::failed)?.join(",\n");
    let text = if body.is_empty() { "[]".to_owned() } else { format!("[\n{body}\n]") };
    written(writeln!(io::stdout().lock(), "{text}"))
}

/// A moment as every table shows it, in UTC.
pub(super) fn time(at: Timestamp) -> String {
    human::clock(at)
}

/// A JSON array of rows.
pub(super) fn items<T: Serialize>(items: &[T]) -> Result<(), Failure> {
    list(items, false)
}

/// One line for a person.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    written(writeln!(io::stdout().lock(), "{}", safe(text)))
}

/// One event on one line.
pub(super) fn event(event: &Event, json: bool) -> Result<(), Failure> {
    if json {
        return document(event);
    }
    written(writeln!(io::stdout().lock(), "{}", human::event_line(event)))
}

/// One line that says what was done.
pub(super) fn done(message: &str, json: bool) -> Result<(), Failure> {
    reply(&Reply::Done(message.to_owned()), json, false).map(|_| ())
}

/// Events that this client was too slow for: said on standard error, so that the stream stays clean.
pub(super) fn missed(count: u64) {
    let _ = writeln!(io::stderr(), "missed {count} events: this client read too slowly; `bartizan events --since` shows them");
}

/// Where a long work is, on standard error; silent when a program reads.
pub(super) fn progress(line: &str, json: bool) {
    if !json {
        let _ = writeln!(io::stderr(), "... {}", safe(line));
    }
}

/// Something the person at the terminal should know.
pub(super) fn notice(line: &str) {
    let _ = writeln!(io::stderr(), "bartizan: {}", safe(line));
}

/// What failed, why, and what to do: one line on standard error.
pub(super) fn failure(failure: &Failure, json: bool) {
    if json {
        let document = serde_json::json!({ "error": failure.message, "mend": failure.mend, "code": failure.code });
        let _ = writeln!(io::stderr(), "{document}");
        return;
    }
    let mend = if failure.mend.is_empty() { String::new() } else { format!("; {}", failure.mend) };
    // What another program, or another host, said is part of it.
    let _ = writeln!(io::stderr(), "bartizan: {}", sentence(&format!("{}{mend}", failure.message).replace('\n', " ")));
}

/// Actions that a person must confirm in time, on standard error: the answer itself stays what it is.
pub(super) fn to_confirm(reply: &Reply, json: bool) {
    let Reply::Actions(actions) = reply else { return };
    if !json {
        actions.iter().filter_map(actions::hint).for_each(|line| notice(&line));
    }
}

/// How the agent is, and what waits for a person.
pub(super) async fn status(
    connection: &mut Connection,
    status: Reply,
    format: Option<StatusFormat>,
    json: bool,
) -> Result<Outcome, Failure> {
    if json && format.is_none() {
        return reply(&status, json, false);
    }
    let Reply::Health(health) = &status else {
        return Err(Failure::failed("unexpected answer from the agent: use the client of the same version"));
    };
    if let Some(StatusFormat::Prometheus) = format {
        written(io::stdout().lock().write_all(bartizan_model::metrics(health).as_bytes()))?;
        return Ok(Outcome::Done);
    }
    let Reply::Actions(actions) = connection.ask(Request::Actions { active: true }).await? else { return Ok(Outcome::Done) };
    let now = chrono::Utc::now();
    if let Some(StatusFormat::Tmux) = format {
        let confirm = actions::countdown(&actions, now).map(|words| words + " ").unwrap_or_default();
        return tmux_line(connection, health, &confirm, actions.len()).await;
    }
    for (action, until) in actions::waiting(&actions) {
        let what = safe(&format!("{} {}", action.kind.verb(), action.target));
        let left = actions::span(until - now);
        let line = format!("CONFIRM   {} {what}: undone in {left} unless you confirm: bartizan confirm {}", action.id, action.id);
        written(writeln!(io::stdout().lock(), "{line}"))?;
    }
    for action in &actions {
        let Some(why) = action.pending_words() else { continue };
        let what = safe(&format!("{} {}: {why}", action.kind.verb(), action.target));
        written(writeln!(io::stdout().lock(), "UNDO      {} {what}", action.id))?;
    }
    reply(&status, json, false)
}

/// One line for a tmux status bar: what a person must know without looking closer.
async fn tmux_line(connection: &mut Connection, health: &Health, confirm: &str, active: usize) -> Result<Outcome, Failure> {
    let Reply::Approvals(approvals) = connection.ask(Request::Approvals { all: false }).await? else { return Ok(Outcome::Done) };
    let Reply::Alerts(alerts) = connection.ask(Request::Alerts).await? else { return Ok(Outcome::Done) };
    let new = alerts.iter().filter(|alert| alert.state == bartizan_model::AlertState::New).count();
    let parts = [(new, "new"), (approvals.len(), "to approve"), (active, "active")];
    let busy: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let state = if busy.is_empty() { "quiet".to_owned() } else { busy.join(", ") };
    let pending = if health.counts.undo_pending > 0 { format!(" {} UNDO PENDING", health.counts.undo_pending) } else { String::new() };
    let closed = if health.posture == Posture::Lockdown { " LOCKDOWN" } else { "" };
    let lost = if health.lost() > 0 { format!(" LOST {}", health.lost()) } else { String::new() };
    let ill = if health.degraded.is_empty() { String::new() } else { format!(" {} degraded", health.degraded.len()) };
    written(writeln!(io::stdout().lock(), "{confirm}{}{closed}{pending} {state}{lost}{ill}", health.mode))?;
    Ok(Outcome::Done)
}

/// A reader that went away (`bartizan events | head`) is nobody's failure.
pub(super) fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::from),
    }
}

/// Text that another program made, safe for a terminal.
pub(super) fn safe(text: &str) -> String {
    sentence(text)
}
