//! Answers to the questions of the control socket. The role was checked before.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::record::Record;
use super::response::{self, audit};
use super::shared::{Shared, lock};
use super::{doctor, rounds};
use bartizan_enforce::accounts;
use bartizan_guard::file_backups::AccessCopies;
use bartizan_model::{Action, ActionId, ActionPlan, AlertId, AlertState, Approver, HostText, Isolation, Target, nearest};
use bartizan_protocol::{ErrorCode, EventQuery, FeedbackVerdict, Refusal, Reply, Request};
use bartizan_store::ledger::LedgerError;
use bartizan_store::{Found, StoreError};
use bartizan_sys::{bpf, container_api, reexec};

/// Most rows in one answer.
const MOST: u32 = 100_000;

/// The answer to one question of `actor`.
pub(super) fn answer(shared: &Arc<Shared>, request: Request, actor: &str) -> Reply {
    let outcome = match request {
        Request::Status => Ok(Reply::Health(Box::new(rounds::measure(shared)))),
        Request::Doctor => Ok(Reply::Checks(doctor::examine(shared))),
        Request::Events(query) => events(shared, query, actor),
        Request::Signals { limit } => read(shared.ask_archive(|archive| archive.signals(limit.min(MOST)))).map(Reply::Signals),
        Request::Incidents { id } => incidents(shared, id),
        Request::Explain { id } => explain(shared, id),
        Request::Alerts => Ok(Reply::Alerts(lock(&shared.live).alerts.values().cloned().collect())),
        Request::Approvals { all } => Ok(Reply::Approvals(shared.response.approvals(all))),
        Request::Actions { active } => Ok(Reply::Actions(if active { shared.active_actions() } else { shared.all_actions() })),
        Request::Preview { plan } => preview(shared, &plan),
        Request::Copies { path } => copies(shared, path.as_ref()),
        Request::FindAccount { name } => find_account(&name),
        Request::FindContainer { name, isolation } => find_container(&name, isolation),
        Request::AuditShow { limit } => {
            shared.ledger.audit_tail(limit.min(MOST) as usize).map(Reply::Audit).map_err(|error| ledger_failed(&error))
        }
        Request::AuditVerify => shared.ledger.verify().map(Reply::AuditVerdict).map_err(|error| ledger_failed(&error)),
        Request::Hello { .. } | Request::Subscribe { .. } => Err(refusal(ErrorCode::Usage, "that belongs to the connection itself", "")),
        _ if shared.settings.only_watches => Err(refusal(ErrorCode::Refused, "this guard only watches, for a drill", "")),
        decision => {
            let done = decide(shared, decision, actor);
            // Consoles see what was decided before the one who decided hears that it is done.
            rounds::publish(shared);
            done
        }
    };
    outcome.unwrap_or_else(Reply::Refused)
}

/// Copies kept of files that decide who gets in.
fn copies(shared: &Shared, path: Option<&HostText>) -> Result<Reply, Refusal> {
    let listed = AccessCopies::of(&shared.settings.data).list(path);
    listed
        .map(Reply::Copies)
        .map_err(|error| refusal(ErrorCode::Failed, &error.to_string(), "look at the copies directory below the data directory"))
}

/// What a plan would do; for the owner's own access it is refused already here, not only after the yes.
fn preview(shared: &Shared, plan: &ActionPlan) -> Result<Reply, Refusal> {
    let lifeline = shared.owner.lifeline();
    if let Some(why) = lifeline.holds(plan.target()) {
        let message = format!("{plan} is refused: it is {}, and no configuration and no person can override that here", why.noun());
        return Err(refusal(ErrorCode::Refused, &message, ""));
    }
    shared.responder.preview(plan).map(Reply::Preview).map_err(response::failed)
}

/// The account of this name; digits are a user id when no account is called so.
fn find_account(name: &HostText) -> Result<Reply, Refusal> {
    let by_number = |uid: u32| accounts::find_uid(uid).transpose();
    let found = accounts::find(name).transpose().or_else(|| by_number(name.lossy().parse().ok()?)).transpose();
    match found {
        Ok(Some(account)) => Ok(Reply::Target(Target::User { name: account.name, uid: account.uid })),
        Ok(None) => {
            let known: Vec<String> = accounts::all().unwrap_or_default().iter().map(|account| account.name.escaped()).collect();
            let meant = nearest(&name.escaped(), known.iter().map(String::as_str)).map(|near| format!(" (did you mean {near}?)"));
            let message = format!("there is no account {name} in /etc/passwd{}", meant.unwrap_or_default());
            Err(refusal(ErrorCode::Usage, &message, "only accounts of this host itself can be named, not those of a directory service"))
        }
        Err(why) => Err(refusal(ErrorCode::Failed, &why.to_string(), "see `bartizan doctor`")),
    }
}

fn find_container(name: &HostText, isolation: Isolation) -> Result<Reply, Refusal> {
    let mut trouble = Vec::new();
    for runtime in container_api::runtimes() {
        match runtime.named(name) {
            Ok(Some((id, name))) => return Ok(Reply::Target(Target::Container { id, name, isolation })),
            Ok(None) | Err(container_api::ApiError::Absent(..)) => {}
            Err(why) => trouble.push(why.to_string()),
        }
    }
    match trouble.is_empty() {
        true => Err(refusal(ErrorCode::Usage, &format!("there is no container {name}"), "`docker ps` or `podman ps` lists them")),
        false => Err(refusal(ErrorCode::Failed, &trouble.join("; "), "see whether the runtime works: `docker ps`, `podman ps`")),
    }
}

/// Questions that change something.
fn decide(shared: &Arc<Shared>, request: Request, actor: &str) -> Result<Reply, Refusal> {
    let one = |action: Action| Reply::Actions(vec![action]);
    match request {
        Request::Ack { id } => ack(shared, id, actor),
        Request::Approve { id, lasts } => shared.response.approve(shared, id, lasts, actor).map(one),
        Request::Reject { id, reason } => {
            shared.response.reject(id, &reason, actor)?;
            Ok(Reply::Done(format!("{id} rejected")))
        }
        Request::Act { plan, reason } => shared.response.act(shared, plan, &reason, actor).map(one),
        Request::Rollback { ids } => response::rollback(shared, ids, actor),
        Request::Confirm { id } => response::confirm(shared, id, actor),
        Request::EmergencyStop => response::emergency_stop(shared, &Approver::Person(actor.to_owned())),
        Request::SetMode { mode } => {
            response::set_mode(shared, mode, actor)?;
            Ok(Reply::Done(format!("mode is {mode}: {}", mode.meaning())))
        }
        Request::Feedback { id, verdict } => feedback(shared, &id, verdict, actor),
        Request::Reload => super::reload(shared, actor),
        Request::Upgrade => upgrade(shared, actor),
        Request::Stop => {
            audit(shared, chrono::Utc::now(), actor, "agent.stopped", "agent", "asked to end; active actions stay until they expire");
            shared.end();
            Ok(Reply::Done("the agent ends; active actions stay until they expire".to_owned()))
        }
        other => Err(refusal(ErrorCode::Usage, &format!("`{}` is not answered here", other.name()), "use a client of the same version")),
    }
}

/// The newer binary is asked first what it is: one that cannot even say that must not replace a guard that works.
fn upgrade(shared: &Shared, actor: &str) -> Result<Reply, Refusal> {
    if !shared.upgradable.load(Ordering::Relaxed) {
        let message = "this agent has a console of its own in front of it";
        return Err(refusal(ErrorCode::Refused, message, "detach the console (key d), then ask again"));
    }
    let failed = |what: String| refusal(ErrorCode::Failed, &what, "put a working binary there; the old one goes on watching");
    let path = reexec::own_path().map_err(|error| failed(format!("cannot find the program of this agent: {error}")))?;
    let cannot = |error: std::io::Error| failed(format!("{} cannot be run: {error}", path.display()));
    let candidate = reexec::Candidate::at(&path).map_err(cannot)?;
    let said = candidate.ask(&["--version"]).map_err(cannot)?;
    // Only a bartizan that can take over knows the second question, and a name has 16 hex digits.
    let object = candidate.ask(&["kernel-object"]).unwrap_or_default();
    if !said.starts_with("bartizan ") || object.len() != 16 || !object.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let said: String = said.escape_debug().take(60).collect();
        return Err(failed(format!("{} is not a bartizan that can take over: it says \"{said}\"", path.display())));
    }
    let same = object == bpf::object_name();
    *lock(&shared.candidate) = Some(candidate);
    audit(shared, chrono::Utc::now(), actor, "agent.upgraded", "agent", &said);
    shared.same_object.store(same, Ordering::Relaxed);
    shared.upgrade.store(true, Ordering::Relaxed);
    shared.ended.send_replace(true);
    let gap = match same {
        true => "what the kernel reports meanwhile is kept for it",
        false => "its kernel programs are others, so that events of about a second are missed: the coverage strip shows when",
    };
    Ok(Reply::Done(format!("the agent becomes {said}; {gap}")))
}

fn events(shared: &Shared, query: EventQuery, actor: &str) -> Result<Reply, Refusal> {
    if let Some(kind) = query.kind.as_deref().filter(|kind| !bartizan_protocol::is_a_kind(kind)) {
        let known = bartizan_model::EventKind::NAMES.join(", ");
        return Err(refusal(ErrorCode::Usage, &format!("\"{}\" is not a kind of event", kind.escape_debug()), &format!("kinds: {known}")));
    }
    // What was seen before the question is part of the answer.
    shared.recorder.flush();
    let archive = match shared.archive_for(actor) {
        // What happens from now on needs no archive.
        Err(StoreError::Away) if query.follow => return Ok(Reply::Events(Vec::new())),
        archive => archive.map_err(|error| stored_failed(&error))?,
    };
    read(archive.ask(|archive| archive.events(&query))).map(Reply::Events)
}

fn incidents(shared: &Shared, id: Option<bartizan_model::IncidentId>) -> Result<Reply, Refusal> {
    let live = lock(&shared.live);
    match id {
        None => Ok(Reply::Incidents(live.incidents.values().rev().cloned().collect())),
        Some(id) => match live.incidents.get(&id) {
            Some(incident) => Ok(Reply::Incidents(vec![incident.clone()])),
            None => {
                drop(live);
                let stored = shared.ask_archive(|archive| archive.incident(id)).map_err(|e| stored_failed(&e))?;
                stored.map(|incident| Reply::Incidents(vec![incident])).ok_or_else(|| unknown_incident(id))
            }
        },
    }
}

fn explain(shared: &Shared, id: bartizan_model::IncidentId) -> Result<Reply, Refusal> {
    let actions = shared.all_actions();
    let explanation = lock(&shared.correlator).explain(id, &actions);
    explanation.map(|explanation| Reply::Explanation(Box::new(explanation))).ok_or_else(|| unknown_incident(id))
}

fn unknown_incident(id: bartizan_model::IncidentId) -> Refusal {
    refusal(ErrorCode::Usage, &format!("there is no incident {id} that could be explained"), "`bartizan incidents` lists them")
}

fn ack(shared: &Shared, id: AlertId, actor: &str) -> Result<Reply, Refusal> {
    let mut live = lock(&shared.live);
    let Some(mut alert) = live.alerts.get(&id).cloned() else {
        return Err(refusal(ErrorCode::Usage, &format!("there is no alert {id}"), "`bartizan alerts` lists them"));
    };
    alert.state = AlertState::Acknowledged;
    alert.by = Some(actor.to_owned());
    live.alert(&alert);
    drop(live);
    audit(shared, chrono::Utc::now(), actor, "alert.acknowledged", &id.to_string(), &alert.sentence);
    shared.recorder.keep(Record::Alert(Box::new(alert)));
    Ok(Reply::Done(format!("{id} acknowledged")))
}

fn feedback(shared: &Shared, id: &str, verdict: FeedbackVerdict, actor: &str) -> Result<Reply, Refusal> {
    let known = id.parse().is_ok_and(|id| id_is_incident(shared, id)) || id.parse().is_ok_and(|id| id_is_action(shared, id));
    if !known {
        let message = format!("\"{}\" is neither an incident nor an action of this agent", id.escape_debug());
        return Err(refusal(ErrorCode::Usage, &message, "write I7 for an incident, A12 for an action"));
    }
    audit(shared, chrono::Utc::now(), actor, "feedback.given", id, &format!("{verdict:?}"));
    Ok(Reply::Done(format!("recorded for {id}; it does not change scores yet")))
}

fn id_is_incident(shared: &Shared, id: bartizan_model::IncidentId) -> bool {
    lock(&shared.live).incidents.contains_key(&id)
}

fn id_is_action(shared: &Shared, id: ActionId) -> bool {
    shared.all_actions().iter().any(|action| action.id == id)
}

fn read<T>(result: Result<Found<T>, StoreError>) -> Result<Vec<T>, Refusal> {
    let found = result.map_err(|error| stored_failed(&error))?;
    if found.unreadable > 0 {
        tracing::warn!(unreadable = found.unreadable, "the archive holds records that this version cannot read");
    }
    Ok(found.records)
}

fn ledger_failed(error: &LedgerError) -> Refusal {
    refusal(ErrorCode::Failed, &error.to_string(), "see `bartizan doctor`")
}

fn stored_failed(error: &StoreError) -> Refusal {
    refusal(ErrorCode::Failed, &error.to_string(), "see `bartizan doctor`")
}

pub(super) fn refusal(code: ErrorCode, message: &str, mend: &str) -> Refusal {
    Refusal { code, message: message.to_owned(), mend: mend.to_owned() }
}
