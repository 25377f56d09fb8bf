//! Verbs that ask the running agent: one question, one answer, printed.

use std::path::PathBuf;
use std::time::Duration;

use super::acting;
use super::alerts;
use super::args::{AuditVerb, EventsArgs, Global, Verb, Verdict};
use super::exceptions;
use super::logs;
use super::outcome::{Failure, Outcome};
use super::print;
use bartizan_client::{ClientError, Connection};
use bartizan_config::{Flags, Settings};
use bartizan_model::{Event, HostText, Timestamp};
use bartizan_protocol::{EventQuery, FeedbackVerdict, Filter, FilterError, Push, Reply, Request};
use bartizan_store::ledger::Ledger;
use bartizan_sys::closed_output;

/// Settings as flags, environment and files give them.
pub(super) fn settings(global: &Global) -> Result<Settings, Failure> {
    let flags = Flags {
        config: global.config.clone(),
        data: global.data.clone(),
        socket: global.socket.clone(),
        rung: global.rung.map(Into::into),
    };
    Ok(Settings::load(&flags)?)
}

/// The socket to ask; needs no readable configuration when it is given.
pub(super) fn socket(global: &Global) -> Result<PathBuf, Failure> {
    match &global.socket {
        Some(socket) => Ok(socket.clone()),
        None => Ok(settings(global)?.socket),
    }
}

/// A runtime for one conversation.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Asks what the verb stands for and prints the answer.
pub(super) fn ask(global: &Global, verb: Verb) -> Result<Outcome, Failure> {
    check(&verb)?;
    let path = socket(global)?;
    runtime()?.block_on(async {
        let mut connection = Connection::open(&path).await?;
        if let Verb::Events(args) = &verb
            && args.follow
        {
            let json = global.json;
            return follow(&mut connection, query(args)?, &|event| print::event(event, json)).await;
        }
        if let Verb::Events(args) = &verb {
            let events = pages(&mut connection, query(args)?).await?;
            return print::reply(&Reply::Events(events), global.json, false);
        }
        let request = request(&mut connection, &verb, global.json).await?;
        match connection.ask(request).await? {
            Reply::Refused(refusal) => Err(refusal.into()),
            reply => {
                if matches!(verb, Verb::Stop) {
                    ended(&path).await;
                }
                if let Verb::Status { format } = &verb {
                    return print::status(&mut connection, reply, *format, global.json).await;
                }
                let outcome = print::reply(&reply, global.json, single(&verb))?;
                if matches!(&verb, Verb::Logs(args) if args.samples) && !global.json {
                    print::samples(&reply)?;
                }
                if matches!(verb, Verb::Act(_) | Verb::Confirm { .. } | Verb::Approve { .. }) {
                    print::to_confirm(&reply, global.json);
                }
                Ok(outcome)
            }
        }
    })
}

/// Waits until nobody answers any more, so that another agent can be started at once.
async fn ended(path: &std::path::Path) {
    for _ in 0..120 {
        if tokio::net::UnixStream::connect(path).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// As many events as were asked for, page by page: one answer holds only so many bytes.
async fn pages(connection: &mut Connection, mut query: EventQuery) -> Result<Vec<Event>, Failure> {
    let mut pages = Vec::new();
    loop {
        let page = match connection.ask(Request::Events(query.clone())).await? {
            Reply::Events(page) => page,
            Reply::Refused(refusal) => return Err(refusal.into()),
            _ => return Err(Failure::failed("unexpected answer from the agent: use the client of the same version")),
        };
        let weight: usize = page.iter().map(Event::weight).sum();
        query.limit = query.limit.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        query.before = page.first().map(|event| event.id);
        pages.push(page);
        // A page that is not nearly full is the last one. One huge event fills half of it at the most.
        if weight < Event::PAGE / 2 || query.limit == 0 || query.before.is_none() {
            return Ok(pages.into_iter().rev().flatten().collect());
        }
    }
}

/// What is wrong with the words themselves is told before anybody is asked.
fn check(verb: &Verb) -> Result<(), Failure> {
    if let Verb::Events(args) = verb {
        return query(args).map(drop);
    }
    if let Verb::Act(verb) = verb { acting::check(verb) } else { Ok(()) }
}

/// Whether the answer to a verb is one thing rather than a list.
fn single(verb: &Verb) -> bool {
    matches!(verb, Verb::Act(_) | Verb::Confirm { .. } | Verb::Incidents { id: Some(_) } | Verb::Approve { .. })
}

async fn request(connection: &mut Connection, verb: &Verb, json: bool) -> Result<Request, Failure> {
    Ok(match verb {
        Verb::Act(verb) => acting::request(connection, verb, json).await?,
        Verb::Status { .. } | Verb::Mode { mode: None } => Request::Status,
        Verb::Logs(args) => logs::request(args).ok_or_else(|| no_question(verb))?,
        Verb::Events(args) => Request::Events(query(args)?),
        Verb::Signals { limit } => Request::Signals { limit: *limit },
        Verb::Incidents { id } => Request::Incidents { id: *id },
        Verb::Explain { id } => Request::Explain { id: *id },
        Verb::Alerts(args) => alerts::request(args),
        Verb::Ack { id } => Request::Ack { id: *id },
        Verb::Approvals { all } => Request::Approvals { all: *all },
        Verb::Approve { id, lasts } => Request::Approve { id: *id, lasts: *lasts },
        Verb::Reject { id, reason } => Request::Reject { id: *id, reason: reason.clone() },
        Verb::Actions { active } => Request::Actions { active: *active },
        Verb::Rollback { ids, .. } => Request::Rollback { ids: ids.clone() },
        Verb::EmergencyStop => Request::EmergencyStop,
        Verb::Confirm { id } => Request::Confirm { id: *id },
        Verb::Copies { path } => Request::Copies { path: path.as_deref().map(acting::path).transpose()? },
        Verb::Exceptions(args) => exceptions::request(args),
        Verb::Mode { mode: Some(mode) } => Request::SetMode { mode: *mode },
        Verb::Feedback { id, verdict } => Request::Feedback { id: id.clone(), verdict: opinion(*verdict) },
        Verb::Audit { verb } => Request::AuditShow { limit: if let Some(AuditVerb::Show { limit }) = verb { *limit } else { 50 } },
        Verb::Reload => Request::Reload,
        Verb::Upgrade => Request::Upgrade,
        Verb::Stop => Request::Stop,
        // Done without an agent.
        Verb::Attach(_)
        | Verb::Relay
        | Verb::Doctor
        | Verb::Fim(_)
        | Verb::Baseline(_)
        | Verb::Scan(_)
        | Verb::Findings(_)
        | Verb::Report(_)
        | Verb::Hook(_)
        | Verb::Replay(_)
        | Verb::Rules(_)
        | Verb::Indicators(_)
        | Verb::Detectors(_)
        | Verb::Theme(_)
        | Verb::Redteam { .. }
        | Verb::KernelObject
        | Verb::Screenshots { .. }
        | Verb::EmergencyScript
        | Verb::Completions { .. }
        | Verb::Man
        | Verb::Watchdog { .. }
        | Verb::Worker
        | Verb::Stage => return Err(no_question(verb)),
    })
}

fn no_question(verb: &Verb) -> Failure {
    Failure::usage(format!("{verb:?} is no request to an agent"), "see `bartizan --help`")
}

fn opinion(verdict: Verdict) -> FeedbackVerdict {
    match verdict {
        Verdict::Correct => FeedbackVerdict::Correct,
        Verdict::FalsePositive => FeedbackVerdict::FalsePositive,
        Verdict::TooAggressive => FeedbackVerdict::TooAggressive,
        Verdict::Missed => FeedbackVerdict::Missed,
    }
}

fn query(args: &EventsArgs) -> Result<EventQuery, Failure> {
    let since = args.since.as_deref().map(moment).transpose()?;
    Ok(EventQuery {
        since,
        kind: args.kind.clone(),
        filter: args.filter.as_deref().map(filter).transpose()?,
        limit: args.limit,
        before: None,
        follow: args.follow,
    })
}

fn filter(text: &str) -> Result<Filter, Failure> {
    text.parse().map_err(|error: FilterError| Failure::usage(error.to_string(), error.mend))
}

fn moment(text: &str) -> Result<Timestamp, Failure> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let bad = || {
        Failure::usage(format!("\"{}\" is not a time", HostText::from(text)), "write 2026-01-31T03:00:00Z, or 10m for the last ten minutes")
    };
    let ago = humantime::parse_duration(text).map_err(|_| bad())?;
    chrono::Duration::from_std(ago).ok().and_then(|ago| chrono::Utc::now().checked_sub_signed(ago)).ok_or_else(bad)
}

/// Shows what there is, and what comes, until the reader or the agent is gone.
pub(super) async fn follow(
    connection: &mut Connection,
    query: EventQuery,
    show: &dyn Fn(&Event) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    // The agent pushes all of them.
    let wanted = query.clone();
    match connection.ask(Request::Events(query)).await? {
        Reply::Events(events) => {
            events.iter().try_for_each(show)?;
        }
        Reply::Refused(refusal) => return Err(refusal.into()),
        _ => return Err(Failure::failed("unexpected answer from the agent: use the client of the same version")),
    }
    let (gone, mut closed) = tokio::sync::oneshot::channel();
    // It sleeps in the kernel and ends with the process.
    std::thread::spawn(move || {
        closed_output::wait();
        let _ = gone.send(());
    });
    loop {
        let push = tokio::select! {
            push = connection.next_push() => push?,
            _ = &mut closed => return Ok(Outcome::Done),
        };
        match push {
            Push::Events(events) => {
                events.iter().filter(|event| wanted.fits(event)).try_for_each(show)?;
            }
            Push::Missed(count) => print::missed(count),
            Push::Goodbye { reason } => return Err(Failure::failed(format!("the agent stopped: {reason}"))),
            Push::Snapshot(_) | Push::Delta { .. } => {}
        }
    }
}

/// How long an agent may take to undo everything; one that hangs is not waited for.
const EMERGENCY_PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to greet.
const EMERGENCY_GREETING: Duration = Duration::from_secs(3);

/// `emergency-stop` also works without an agent, and with one that hangs or dies meanwhile: then everything under our name
/// is removed from here, and a sign is left that keeps an agent from bringing it back.
pub(super) fn emergency_stop(global: &Global) -> Result<Outcome, Failure> {
    let path = socket(global)?;
    let asked = runtime()?.block_on(async {
        let silent = |request, after| ClientError::Silent { request, after };
        let greeted = tokio::time::timeout(EMERGENCY_GREETING, Connection::open(&path)).await;
        let mut connection = greeted.unwrap_or_else(|_| Err(silent("hello", EMERGENCY_GREETING)))?;
        let answer = tokio::time::timeout(EMERGENCY_PATIENCE, connection.ask(Request::EmergencyStop)).await;
        answer.unwrap_or_else(|_| Err(silent("emergency-stop", EMERGENCY_PATIENCE)))
    });
    match asked {
        Ok(Reply::Refused(refusal)) => Err(refusal.into()),
        Ok(reply) => print::reply(&reply, global.json, true),
        Err(error @ (ClientError::Refused(_) | ClientError::Denied { .. })) => Err(error.into()),
        Err(error) => by_ourselves(global, &error),
    }
}

fn by_ourselves(global: &Global, why: &ClientError) -> Result<Outcome, Failure> {
    let report = bartizan_responder::sweep(&settings(global)?.runtime);
    if let Some(trouble) = report.failures.first() {
        let message = format!("{why}; tried to undo everything without the agent, and failed: {trouble}");
        return Err(Failure::new(super::outcome::FAILED, message, "run the emergency script: bartizan emergency-script | sh"));
    }
    let removed = if report.removed.is_empty() { "nothing was left".to_owned() } else { report.removed.join("; ") };
    print::done(&format!("{why}; removed everything of ours without the agent: {removed}"), global.json)?;
    Ok(Outcome::Done)
}

/// `audit verify` also works without an agent: the file is the evidence, not the process.
pub(super) fn audit_verify(global: &Global) -> Result<Outcome, Failure> {
    let asked = runtime()?.block_on(async {
        let mut connection = Connection::open(&socket(global)?).await?;
        Ok::<Reply, Failure>(connection.ask(Request::AuditVerify).await?)
    });
    let verdict = match asked {
        Ok(Reply::AuditVerdict(verdict)) => verdict,
        Ok(Reply::Refused(refusal)) => return Err(refusal.into()),
        Ok(_) => return Err(Failure::failed("unexpected answer from the agent: use the client of the same version")),
        Err(failure) if failure.code == super::outcome::NO_AGENT => {
            let settings = settings(global)?;
            Ledger::verify_file(&settings.data).map_err(Failure::failed)?
        }
        Err(failure) => return Err(failure),
    };
    let intact = verdict.intact;
    print::reply(&Reply::AuditVerdict(verdict), global.json, false)?;
    Ok(if intact { Outcome::Done } else { Outcome::Found })
}
