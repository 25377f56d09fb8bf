//! Exceptions on request: listed, tried against the archive, added and removed. The ledger keeps them; the pipeline goes by them.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::answer::refusal;
use crate::ingest::Exceptions;
use crate::parts::Parts;
use crate::{rule_packs, switches};
use bartizan_config::RuleFolders;
use bartizan_model::{
    Event, EventId, Exception, ExceptionEnd, ExceptionId, ExceptionPreview, ExceptionScope, HostText, Signal, SignalId, Timestamp,
    Unpoisoned as _, nearest, sentence,
};
use bartizan_protocol::{ErrorCode, EventQuery, ExceptionRequest, Refusal, Reply};
use bartizan_store::ledger::{ExceptionError, LedgerError};
use bartizan_store::{Reader, StoreError};

/// Longest life of an exception: what is harmless for longer is looked at again.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
/// Longest reason, in bytes.
const MAX_REASON: usize = 500;
/// Days that a preview looks back.
const DAYS: u32 = 30;
/// Signals that a preview reads, and events that it looks up for them: some seconds of work.
const MAX_SIGNALS: u32 = 20_000;
const MAX_LOOKED_UP: usize = 2_000;
/// Signals that a preview shows.
const MAX_EXAMPLES: usize = 20;

/// The answer to one question about exceptions.
pub(crate) fn answer(parts: &Parts, request: ExceptionRequest, actor: &str) -> Result<Reply, Refusal> {
    match request {
        ExceptionRequest::List => parts.ledger.exceptions().map(Reply::Exceptions).map_err(|error| away(&error)),
        ExceptionRequest::Preview { scope } => {
            refuse_unfit(parts, &scope)?;
            preview(parts, &scope, actor).map(|preview| Reply::ExceptionPreview(Box::new(preview)))
        }
        ExceptionRequest::Add { scope, reason, lasts } => add(parts, &scope, &reason, lasts, actor),
        ExceptionRequest::Remove { id, reason } => remove(parts, id, reason, actor),
    }
}

/// What the pipeline goes by, from the ledger.
pub(crate) fn in_force(parts: &Parts) -> Exceptions {
    let rows = parts.ledger.exceptions().unwrap_or_else(|error| {
        tracing::warn!(%error, "the exceptions cannot be read: none holds");
        Vec::new()
    });
    Exceptions::new(rows, &parts.settings.policy)
}

/// Gives the pipeline what the ledger holds now. Two who change exceptions at once take turns: else the one who read first could be the
/// last to be heard, and what the other added or removed would not count until the next change.
fn take_into_use(parts: &Parts) {
    let _turn = parts.exceptions_turn.lock().unpoisoned();
    parts.ingest.set_exceptions(in_force(parts));
}

fn add(parts: &Parts, scope: &ExceptionScope, reason: &str, lasts: Duration, actor: &str) -> Result<Reply, Refusal> {
    refuse_unfit(parts, scope)?;
    if reason.trim().is_empty() || reason.len() > MAX_REASON {
        return Err(unfit(&format!("an exception needs a reason of at most {MAX_REASON} bytes"), "say why it is harmless: --reason TEXT"));
    }
    let now = chrono::Utc::now();
    let until = chrono::TimeDelta::from_std(lasts).ok().filter(|_| !lasts.is_zero() && lasts <= LONGEST).map(|lasts| now + lasts);
    let until = until.ok_or_else(|| unfit("an exception lasts at most 366 days", "write --for 30d"))?;
    let added = parts.ledger.add_exception(scope, (actor, reason), (now, until)).map_err(|error| match error {
        ExceptionError::Full => refusal(ErrorCode::Refused, &error.to_string(), ""),
        ExceptionError::Ledger(error) => away(&error),
    })?;
    take_into_use(parts);
    let ends = until.format("%Y-%m-%d %H:%M");
    let undo = format!("`bartizan exceptions remove {}` ends it", added.id);
    Ok(Reply::Done(format!("{} added: {scope}; it ends at {ends} UTC by itself; its signals are recorded as before; {undo}", added.id)))
}

fn remove(parts: &Parts, id: ExceptionId, reason: String, actor: &str) -> Result<Reply, Refusal> {
    if reason.len() > MAX_REASON {
        return Err(unfit(&format!("a reason has at most {MAX_REASON} bytes"), "shorten --reason"));
    }
    let end = ExceptionEnd { at: chrono::Utc::now(), by: actor.to_owned(), reason };
    if parts.ledger.remove_exception(id, &end).map_err(|error| away(&error))?.is_none() {
        return Err(unfit(&format!("no exception {id} is in force"), "`bartizan exceptions list` lists them"));
    }
    take_into_use(parts);
    Ok(Reply::Done(format!("{id} removed: from now on these signals count again")))
}

/// Refuses what hides too much, or what somebody else than root can become.
fn refuse_unfit(parts: &Parts, scope: &ExceptionScope) -> Result<(), Refusal> {
    if let Some(problem) = scope.objection() {
        return Err(unfit(&problem, "`bartizan exceptions add --help` lists what it can be bound to"));
    }
    if let Some(problem) = scope.source.as_deref().and_then(|name| unknown_source(parts, name)) {
        return Err(unfit(&problem, "`bartizan detectors` and `bartizan rules list` name them all"));
    }
    let Some(exe) = &scope.exe else { return Ok(()) };
    let judge = Exceptions::new(Vec::new(), &parts.settings.policy);
    if judge.runs_anything(&exe.last_part().escaped()) && scope.is_by_program_alone() {
        return Err(unfit(&format!("{exe} is a shell or an interpreter, which runs anything"), "add --unit, --user or --address"));
    }
    open_to_others(exe).map_or(Ok(()), |problem| Err(unfit(&problem, "or bind it to the content: --digest SHA256")))
}

/// Why nothing reports under this name, if so: an exception for a mistyped one would hold for nothing, and nobody would know.
fn unknown_source(parts: &Parts, name: &str) -> Option<String> {
    let Some(key) = name.strip_prefix("rule:") else {
        return switches::detector(name).is_none().then(|| switches::unknown(name));
    };
    let rules = rule_packs::load(&RuleFolders::of(&parts.settings), &parts.settings.policy).0;
    // Signals carry the key, not the id.
    let is_key = rules.rules().iter().any(|rule| rule.key == key);
    let meant = || {
        let by_id = rules.rule(key).map(|rule| rule.key.as_str());
        by_id.or_else(|| nearest(key, rules.rules().iter().map(|rule| rule.key.as_str())))
    };
    let shown: String = sentence(key).chars().take(80).collect();
    (!is_key).then(|| {
        let meant = meant().map(|near| format!(" (did you mean rule:{near}?)")).unwrap_or_default();
        format!("no rule is called \"{shown}\"{meant}")
    })
}

/// Why an executable may be replaced by others than root, if so.
fn open_to_others(exe: &HostText) -> Option<String> {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(exe.as_bytes()));
    match path.canonicalize() {
        Ok(real) if real != path => return Some(format!("{exe} is a link to {}: name that", HostText::from(real.as_os_str().as_bytes()))),
        Ok(_) => {}
        Err(error) => return Some(format!("{exe} cannot be found: {error}")),
    }
    let others = |place: &Path| match place.symlink_metadata() {
        Ok(found) => found.uid() != 0 || found.mode() & 0o022 != 0,
        Err(_) => true,
    };
    let place = path.ancestors().find(|place| others(place))?;
    let shown = HostText::from(place.as_os_str().as_bytes());
    Some(format!("others than root may change {shown}, so anything may be run as {exe}"))
}

fn preview(parts: &Parts, scope: &ExceptionScope, actor: &str) -> Result<ExceptionPreview, Refusal> {
    parts.recorder.flush();
    let acted: HashSet<_> = parts.response.all_actions().iter().filter_map(|action| action.incident).collect();
    let archive = parts.archives.lend(actor).map_err(|error| refusal(ErrorCode::Failed, &error.to_string(), "see `bartizan doctor`"))?;
    let trial = Exception {
        id: ExceptionId(0),
        scope: scope.clone(),
        reason: String::new(),
        author: String::new(),
        added: Timestamp::UNIX_EPOCH,
        until: Timestamp::MAX_UTC,
        removed: None,
    };
    let judge = Exceptions::new(Vec::new(), &parts.settings.policy);
    let looked = archive.ask(|reader| {
        let mut acted_on = HashSet::new();
        for id in &acted {
            acted_on.extend(reader.incident(*id)?.into_iter().flat_map(|incident| incident.signals));
        }
        looked_at(reader, &judge, &trial).map(|(counts, hidden)| summary(counts, hidden, &acted_on))
    });
    looked.map_err(|error| refusal(ErrorCode::Failed, &error.to_string(), "see `bartizan doctor`"))
}

/// One signal that would have been hidden, and what ran.
struct Hidden {
    signal: Signal,
    program: HostText,
}

/// Compares the signals of the last days: how many were, how many could not be, and those that it covers.
fn looked_at(reader: &Reader, judge: &Exceptions, trial: &Exception) -> Result<((u64, u64), Vec<Hidden>), StoreError> {
    let since = chrono::Utc::now() - chrono::TimeDelta::days(DAYS.into());
    let is_asked = |signal: &&Signal| signal.at >= since && trial.scope.source.as_ref().is_none_or(|name| *name == signal.detector);
    let found = reader.signals(MAX_SIGNALS)?.records;
    let (mut compared, mut unknown, mut hidden) = (0, 0, Vec::new());
    for (place, signal) in found.iter().filter(is_asked).enumerate() {
        let event = if place < MAX_LOOKED_UP { event_of(reader, signal.id.event)? } else { None };
        let Some(event) = event else {
            unknown += 1;
            continue;
        };
        compared += 1;
        if judge.covers(trial, signal, event.behind().map(|process| &**process)) {
            let program = event.behind().map(|process| process.exe.clone()).unwrap_or_default();
            hidden.push(Hidden { signal: signal.clone(), program });
        }
    }
    Ok(((compared, unknown), hidden))
}

fn event_of(reader: &Reader, id: EventId) -> Result<Option<Event>, StoreError> {
    let query = EventQuery { before: Some(EventId(id.0.saturating_add(1))), limit: 1, ..EventQuery::default() };
    Ok(reader.events(&query)?.records.pop().filter(|event| event.id == id))
}

fn summary((compared, unknown): (u64, u64), mut hidden: Vec<Hidden>, acted_on: &HashSet<SignalId>) -> ExceptionPreview {
    let kind = |one: &Hidden| (one.signal.detector.clone(), one.program.clone(), one.signal.stage);
    let mut kinds: HashMap<_, u64> = HashMap::new();
    hidden.iter().for_each(|one| *kinds.entry(kind(one)).or_default() += 1);
    let usual = kinds.iter().max_by_key(|(kind, count)| (**count, std::cmp::Reverse((*kind).clone()))).map(|(kind, _)| kind.clone());
    let is_acted_on = |one: &Hidden| acted_on.contains(&one.signal.id);
    let is_other = |one: &Hidden| Some(kind(one)) != usual;
    let count = |is: &dyn Fn(&Hidden) -> bool| hidden.iter().filter(|one| is(one)).count() as u64;
    let (acted_on, other_kind, all) = (count(&is_acted_on), count(&is_other), hidden.len() as u64);
    hidden.sort_by_key(|one| (!is_acted_on(one), !is_other(one), std::cmp::Reverse(one.signal.at)));
    let examples = hidden.into_iter().take(MAX_EXAMPLES).map(|one| one.signal).collect();
    ExceptionPreview { days: DAYS, compared, hidden: all, acted_on, other_kind, unknown, examples }
}

fn unfit(problem: &str, mend: &str) -> Refusal {
    refusal(ErrorCode::Usage, problem, mend)
}

fn away(error: &LedgerError) -> Refusal {
    refusal(ErrorCode::Failed, &error.to_string(), "see `bartizan doctor`")
}
