//! Which part answers which question of the control socket. The role was checked before.

use crate::knowledge::Knowledge;
use crate::switches::SWITCHED_OFF;
use bartizan_enforce::accounts;
use bartizan_guard::file_backups::AccessCopies;
use bartizan_model::{Action, ActionPlan, AlertId, Approver, Hold, HostText, IncidentId, Isolation, Role, SinkTest, Target, nearest};
use bartizan_protocol::{ErrorCode, EventQuery, FeedbackVerdict, Refusal, Reply, Request};
use bartizan_store::ledger::LedgerError;
use bartizan_store::{Found, StoreError};
use bartizan_sys::{bpf, container_api, own_usage, reexec};

use crate::parts::Parts;
use crate::response::failed;
use crate::{baseline, doctor, exceptions, file_diff, findings, health};

/// Most rows in one answer.
const MOST: u32 = 100_000;

/// The answer to one question of `actor`.
pub(crate) fn answer(parts: &Parts, request: Request, actor: &str) -> Reply {
    let changes = request.needs() > Role::Viewer;
    if changes && parts.settings.only_watches {
        return Reply::Refused(refusal(ErrorCode::Refused, "this guard only watches, for a drill", ""));
    }
    let outcome = by_its_part(parts, request, actor);
    if changes {
        // Consoles see what was decided before the one who decided hears that it is done.
        parts.console.publish();
    }
    outcome.unwrap_or_else(Reply::Refused)
}

/// Every question, and the part that owns the answer.
fn by_its_part(parts: &Parts, request: Request, actor: &str) -> Result<Reply, Refusal> {
    let Parts { ingest, response, console, upkeep: _, accounting: _, ledger, archives, .. } = parts;
    let one = |action: Action| Reply::Actions(vec![action]);
    match request {
        Request::Hello { .. } | Request::Renew { .. } | Request::Subscribe { .. } => {
            Err(refusal(ErrorCode::Usage, "that belongs to the connection itself", ""))
        }
        Request::Status => Ok(Reply::Health(Box::new(health::measure(parts)))),
        Request::Logs => Ok(Reply::Logs(ingest.log_rows().to_vec())),
        Request::Attackers { limit } => attackers(parts, limit.min(MOST)),
        Request::Doctor => Ok(Reply::Checks(doctor::examine(parts))),
        Request::Events(query) => events(parts, query, actor),
        Request::Signals { limit } => read(archives.ask(|archive| archive.signals(limit.min(MOST)))).map(Reply::Signals),
        Request::Incidents { id } => incidents(parts, id),
        Request::Explain { id } => match ingest.explain(id, response.all_actions()) {
            Ok(explanation) => explanation.map(|why| Reply::Explanation(Box::new(why))).ok_or_else(|| unknown_incident(id)),
            Err(why) => Err(refusal(ErrorCode::Failed, &format!("the ingest {why}"), "ask again in a moment")),
        },
        Request::Alerts => Ok(Reply::Alerts(console.alerts())),
        Request::Sinks => Ok(Reply::Sinks(parts.alerts.rows())),
        Request::TestSinks { sink } => test_sinks(parts, sink.as_deref(), actor),
        Request::Ack { id } => acknowledge(parts, id, actor),
        Request::Approvals { all } => Ok(Reply::Approvals(response.approvals(all))),
        Request::Approve { id, lasts } => response.approve(id, lasts, actor).map(one),
        Request::Reject { id, reason } => response.reject(id, &reason, actor).map(|()| Reply::Done(format!("{id} rejected"))),
        Request::Actions { active: true } => Ok(Reply::Actions(response.active_actions())),
        Request::Actions { active: false } => Ok(Reply::Actions(response.all_actions())),
        Request::Preview { plan } => preview(parts, &plan),
        Request::Act { plan, reason } => response.act(plan, &reason, actor).map(one),
        Request::Rollback { ids } => response.rollback(ids, actor).map(Reply::Actions),
        Request::Confirm { id } => response.confirm(id, actor).map(one),
        Request::Copies { path } => copies(parts, path.as_ref()),
        Request::FileDiff { path } => file_diff::answer(parts, &path),
        Request::Findings(request) => findings::answer(parts, *request, actor),
        Request::FindAccount { name } => find_account(&name),
        Request::FindContainer { name, isolation } => find_container(&name, isolation),
        Request::Exceptions(request) => exceptions::answer(parts, *request, actor),
        Request::Baseline(request) => baseline::answer(parts, *request, actor),
        Request::EmergencyStop => response.emergency_stop(&Approver::Person(actor.to_owned())).map(Reply::Done),
        Request::SetMode { mode } => response.set_mode(mode, actor).map(|()| Reply::Done(format!("mode is {mode}: {}", mode.meaning()))),
        Request::Feedback { id, verdict } => feedback(parts, &id, verdict, actor),
        Request::AuditShow { limit } => ledger.audit_tail(limit.min(MOST) as usize).map(Reply::Audit).map_err(|e| ledger_failed(&e)),
        Request::AuditVerify => ledger.verify().map(Reply::AuditVerdict).map_err(|error| ledger_failed(&error)),
        Request::Reload => reload(parts, actor),
        Request::Upgrade => upgrade(parts, actor),
        Request::Stop => Ok(stop(parts, actor)),
    }
}

fn stop(parts: &Parts, actor: &str) -> Reply {
    let what = "the agent ends; active actions stay until they expire";
    parts.response.audit(chrono::Utc::now(), actor, "agent.stopped", "agent", "asked to end; active actions stay until they expire");
    parts.end();
    Reply::Done(what.to_owned())
}

/// Reads the policy again; what is wrong with it is told and nothing changes.
pub(crate) fn reload(parts: &Parts, actor: &str) -> Result<Reply, Refusal> {
    match parts.settings.read_policy() {
        Ok(policy) => {
            parts.set_policy(&policy);
            let was_off = parts.troubles.all().remove(SWITCHED_OFF);
            let (knowledge, said) = Knowledge::read(parts, &policy);
            parts.ingest.set_knowledge(knowledge);
            let (now, off) = (chrono::Utc::now(), parts.troubles.all().remove(SWITCHED_OFF));
            parts.response.audit(now, actor, "policy.reloaded", "policy", "");
            if off != was_off {
                let off = off.unwrap_or_else(|| "nothing".to_owned());
                parts.response.audit(now, actor, "switches.changed", "policy", &format!("switched off now: {off}"));
            }
            Ok(Reply::Done(format!(
                "policy reloaded: scores, thresholds, protection and limits; {}; roles and agent.toml need a restart",
                said.join("; ")
            )))
        }
        Err(error) => Err(refusal(ErrorCode::Failed, &error.to_string(), "correct the file and reload; the old policy is still in force")),
    }
}

/// Sources of failed logins with what holds them, or the question that waits about them.
fn attackers(parts: &Parts, limit: u32) -> Result<Reply, Refusal> {
    let mut sources = parts
        .ingest
        .attackers(limit as usize)
        .map_err(|why| refusal(ErrorCode::Failed, &format!("the ingest {why}"), "ask again in a moment"))?;
    let (active, questions) = (parts.response.active_actions(), parts.response.approvals(false));
    for source in &mut sources {
        let is_it = |target: &Target| target.addresses().iter().any(|address| address.to_canonical() == source.address);
        let hold = active.iter().filter(|action| is_it(&action.target)).max_by_key(|action| action.ends_at());
        source.held = hold.map(|action| Hold { action: action.id, kind: action.kind, until: action.ends_at() });
        source.asked = questions.iter().find(|question| is_it(question.action.target())).map(|question| question.id);
    }
    let addrs: Vec<_> = sources.iter().map(|source| source.address).collect();
    let elsewhere = parts.response.held_elsewhere(&addrs, chrono::Utc::now());
    sources.iter_mut().zip(elsewhere).for_each(|(source, by)| source.elsewhere = by);
    Ok(Reply::Attackers(sources))
}

/// Copies kept of files that decide who gets in.
fn copies(parts: &Parts, path: Option<&HostText>) -> Result<Reply, Refusal> {
    let listed = AccessCopies::of(&parts.settings.data).list(path);
    listed
        .map(Reply::Copies)
        .map_err(|error| refusal(ErrorCode::Failed, &error.to_string(), "look at the copies directory below the data directory"))
}

/// What a plan would do; for the owner's own access it is refused already here, not only after the yes.
fn preview(parts: &Parts, plan: &ActionPlan) -> Result<Reply, Refusal> {
    if let Some(why) = parts.response.holds(plan) {
        let message = format!("{plan} is refused: it is {}, and no configuration and no person can override that here", why.noun());
        return Err(refusal(ErrorCode::Refused, &message, ""));
    }
    parts.response.preview(plan).map(Reply::Preview).map_err(failed)
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

/// The newer binary is asked first what it is: one that cannot even say that must not replace a guard that works.
fn upgrade(parts: &Parts, actor: &str) -> Result<Reply, Refusal> {
    if !parts.life.may_upgrade() {
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
    parts.response.audit(chrono::Utc::now(), actor, "agent.upgraded", "agent", &said);
    parts.life.become_newer(candidate, same);
    let gap = match same {
        true => "what the kernel reports meanwhile is kept for it",
        false => "its kernel programs differ, so about a second of events is missed: the coverage strip shows when",
    };
    Ok(Reply::Done(format!("the agent becomes {said}; {gap}")))
}

fn events(parts: &Parts, query: EventQuery, actor: &str) -> Result<Reply, Refusal> {
    if let Some(kind) = query.kind.as_deref().filter(|kind| !bartizan_protocol::is_a_kind(kind)) {
        let known = bartizan_model::EventKind::NAMES.join(", ");
        return Err(refusal(ErrorCode::Usage, &format!("\"{}\" is not a kind of event", kind.escape_debug()), &format!("kinds: {known}")));
    }
    // What was seen before the question is part of the answer.
    parts.recorder.flush();
    let archive = match parts.archives.lend(actor) {
        // What happens from now on needs no archive.
        Err(StoreError::Away) if query.follow => return Ok(Reply::Events(Vec::new())),
        archive => archive.map_err(|error| stored_failed(&error))?,
    };
    read(archive.ask(|archive| archive.events(&query))).map(Reply::Events)
}

fn incidents(parts: &Parts, id: Option<IncidentId>) -> Result<Reply, Refusal> {
    let shown = parts.console.incidents(id);
    match id {
        Some(id) if shown.is_empty() => {
            let stored = parts.archives.ask(|archive| archive.incident(id)).map_err(|error| stored_failed(&error))?;
            stored.map(|incident| Reply::Incidents(vec![incident])).ok_or_else(|| unknown_incident(id))
        }
        Some(_) | None => Ok(Reply::Incidents(shown)),
    }
}

fn unknown_incident(id: IncidentId) -> Refusal {
    refusal(ErrorCode::Usage, &format!("there is no incident {id} that could be explained"), "`bartizan incidents` lists them")
}

/// Sends a test message to one sink or to all, past rules and limits, each from a thread of its own.
fn test_sinks(parts: &Parts, sink: Option<&str>, actor: &str) -> Result<Reply, Refusal> {
    let chosen = parts.settings.alerts.chosen(sink).map_err(|(why, mend)| refusal(ErrorCode::Usage, &why, &mend))?;
    // One at a time, so that those who ask often hold no more than one of the threads that answer everybody.
    let Some(_turn) = parts.alerts.test_turn() else {
        return Err(refusal(ErrorCode::Failed, "another test of the sinks is under way", "wait until it has ended, at most half a minute"));
    };
    let tests = bartizan_outbound::test_all(&chosen, &own_usage::host_name(), chrono::Utc::now());
    tests.iter().filter(|test| test.taken).for_each(|test| parts.alerts.reached(&test.name));
    let took = |test: &SinkTest| format!("{} {}", test.name, if test.taken { "took it" } else { "did not take it" });
    let outcome = tests.iter().map(took).collect::<Vec<_>>().join(", ");
    parts.response.audit(chrono::Utc::now(), actor, "alerts.tested", sink.unwrap_or("all sinks"), &outcome);
    Ok(Reply::SinkTests(tests))
}

fn acknowledge(parts: &Parts, id: AlertId, actor: &str) -> Result<Reply, Refusal> {
    let Some(alert) = parts.console.acknowledge(id, actor) else {
        return Err(refusal(ErrorCode::Usage, &format!("there is no alert {id}"), "`bartizan alerts` lists them"));
    };
    parts.response.audit(chrono::Utc::now(), actor, "alert.acknowledged", &id.to_string(), &alert.sentence);
    Ok(Reply::Done(format!("{id} acknowledged")))
}

fn feedback(parts: &Parts, id: &str, verdict: FeedbackVerdict, actor: &str) -> Result<Reply, Refusal> {
    let is_action = |id| parts.response.all_actions().iter().any(|action| action.id == id);
    let known = id.parse().is_ok_and(|id| !parts.console.incidents(Some(id)).is_empty()) || id.parse().is_ok_and(is_action);
    if !known {
        let message = format!("\"{}\" is neither an incident nor an action of this agent", id.escape_debug());
        return Err(refusal(ErrorCode::Usage, &message, "write I7 for an incident, A12 for an action"));
    }
    parts.response.audit(chrono::Utc::now(), actor, "feedback.given", id, &format!("{verdict:?}"));
    Ok(Reply::Done(format!("recorded for {id}; it does not change scores yet")))
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

pub(crate) fn refusal(code: ErrorCode, message: &str, mend: &str) -> Refusal {
    Refusal { code, message: message.to_owned(), mend: mend.to_owned() }
}
