//! What is normal here, on request: shown, decided by people, compared, taken back, and learned from elsewhere.

use std::time::Duration;

use crate::answer::refusal;
use crate::ingest::{HabitError, baseline_settings};
use crate::parts::Parts;
use bartizan_baseline::{Adopted, Baseline, Wanted, list, review as review_of, status as status_of};
use bartizan_detect::detectors::{Words, teach};
use bartizan_model::{BaselineVersion, Event, EventId, Habit, HabitChange, HabitId, HabitReason, HabitState, Timestamp};
use bartizan_protocol::{BaselineRequest, ErrorCode, EventQuery, HabitQuery, Refusal, Reply};
use bartizan_store::{Reader, StoreError};

/// Habits of one answer.
const MOST: u32 = 2_000;
/// Habits that one decision or one import names.
const MAX_AT_ONCE: usize = 10_000;
/// Longest stretch that is learned from the archive.
const LONGEST: Duration = Duration::from_secs(60 * 24 * 3600);
/// Events of one page of the archive, and pages that are read: some two million events, a minute of work.
const PAGE: u32 = 20_000;
const MAX_PAGES: usize = 100;
/// Signals that are looked up to know what teaches nothing.
const MAX_SIGNALS: u32 = 100_000;

/// The answer to one question about what is normal.
pub(crate) fn answer(parts: &Parts, request: BaselineRequest, actor: &str) -> Result<Reply, Refusal> {
    let now = chrono::Utc::now();
    match request {
        BaselineRequest::Status => {
            let version = versions(parts)?.pop();
            let status = status_of(&*parts.ingest, now, version);
            status.map(|status| Reply::BaselineStatus(Box::new(status))).map_err(|error| refused(&error))
        }
        BaselineRequest::Show(query) => show(parts, query).map(Reply::Habits),
        BaselineRequest::Review => review(parts, now),
        BaselineRequest::Decide { ids, normal } => decide(parts, ids, normal, (actor, now)),
        BaselineRequest::Versions => versions(parts).map(Reply::BaselineVersions),
        BaselineRequest::Diff { from, to } => diff(parts, from, to).map(Reply::HabitChanges),
        BaselineRequest::Revert { version } => revert(parts, version, (actor, now)),
        BaselineRequest::Import { habits } => import(parts, habits, (actor, now)),
        BaselineRequest::Learn { back } => learn(parts, back, (actor, now)),
    }
}

fn show(parts: &Parts, query: HabitQuery) -> Result<Vec<Habit>, Refusal> {
    let HabitQuery { kind, state, text, after, limit } = query;
    let shown = |habit: &Habit| text.as_ref().is_none_or(|text| format!("{} {}", habit.profile, habit.value).contains(text.as_str()));
    let wanted = Wanted { kind, state, after: after.map_or(0, |after| after.0), ..Wanted::default() };
    list(&*parts.ingest, wanted, &shown, limit.min(MOST) as usize).map_err(|error| refused(&error))
}

/// The last review is the newest version that a person made.
fn review(parts: &Parts, now: Timestamp) -> Result<Reply, Refusal> {
    let versions = versions(parts)?;
    let since = versions.iter().rfind(|version| version.by != "bartizan").map(|version| version.at);
    let newest = versions.last().cloned();
    let review = review_of(&*parts.ingest, now, (newest, since));
    review.map(|review| Reply::BaselineReview(Box::new(review))).map_err(|error| refused(&error))
}

fn decide(parts: &Parts, ids: Vec<HabitId>, normal: bool, (actor, now): (&str, Timestamp)) -> Result<Reply, Refusal> {
    if ids.is_empty() || ids.len() > MAX_AT_ONCE {
        return Err(unfit(&format!("name 1 to {MAX_AT_ONCE} habits"), "`bartizan baseline review` lists those that wait"));
    }
    let by = actor.to_owned();
    let decided = parts.ingest.ask_baseline(move |baseline| baseline.decide(&ids, normal, &by)).map_err(|error| refused(&error))?;
    let decided =
        decided.map_err(|id| unfit(&format!("there is no habit {id}; nothing was changed"), "`bartizan baseline show` lists them"))?;
    let what = match (decided.as_slice(), normal) {
        ([one], true) => format!("approved {} ({} {} {})", one.id, one.profile, one.kind.verb(), one.value),
        ([one], false) => format!("rejected {} ({} {} {})", one.id, one.profile, one.kind.verb(), one.value),
        (many, true) => format!("approved {} habits", many.len()),
        (many, false) => format!("rejected {} habits", many.len()),
    };
    let effect = if normal { "normal from now on" } else { "reported whenever it happens" };
    done(parts, &what, effect, (actor, now))
}

fn diff(parts: &Parts, from: u64, to: u64) -> Result<Vec<HabitChange>, Refusal> {
    for version in [from, to] {
        find(parts, version)?;
    }
    let turns = parts.ingest.habits.ask(|store| store.diff(from, to)).map_err(|error| refused(&error))?;
    let among = turns.iter().map(|(number, ..)| *number).collect();
    let wanted = Wanted { among: Some(std::sync::Arc::new(among)), ..Wanted::default() };
    let habits = list(&*parts.ingest, wanted, &|_| true, MAX_AT_ONCE).map_err(|error| refused(&error))?;
    let change = |habit: Habit| {
        let turn = turns.iter().find(|(number, ..)| *number == habit.id.0)?;
        Some(HabitChange { habit, before: turn.1, after: turn.2 })
    };
    Ok(habits.into_iter().filter_map(change).collect())
}

fn revert(parts: &Parts, version: u64, (actor, now): (&str, Timestamp)) -> Result<Reply, Refusal> {
    find(parts, version)?;
    // What was learned but not written down yet is part of what can be reverted to later.
    parts.ingest.keep_habits(now);
    let states = parts.ingest.habits.ask(|store| store.states_at(version)).map_err(|error| refused(&error))?;
    let by = actor.to_owned();
    let changed = parts.ingest.ask_baseline(move |baseline| baseline.revert(&states, &by)).map_err(|error| refused(&error))?;
    let what = format!("reverted to version {version}: {changed} habits count as they did then");
    done(parts, &what, "what came later waits for a review", (actor, now))
}

fn import(parts: &Parts, habits: Vec<Habit>, (actor, now): (&str, Timestamp)) -> Result<Reply, Refusal> {
    if habits.len() > MAX_AT_ONCE {
        return Err(unfit(&format!("more than {MAX_AT_ONCE} habits at once"), "import them in parts"));
    }
    adopt(parts, habits, HabitReason::Imported, ("imported", actor, now))
}

fn adopt(parts: &Parts, habits: Vec<Habit>, reason: HabitReason, (verb, actor, now): (&str, &str, Timestamp)) -> Result<Reply, Refusal> {
    let by = actor.to_owned();
    let adopted = parts.ingest.ask_baseline(move |baseline| baseline.adopt(habits, reason, &by)).map_err(|error| refused(&error))?;
    let Adopted { adopted, known, left_out } = adopted;
    let what = format!("{verb} {adopted} habits; {known} were known, {left_out} left out");
    done(parts, &what, "`bartizan baseline revert` takes it back", (actor, now))
}

/// A decision is on disk, in the audit log, and a version that can be reverted.
fn done(parts: &Parts, what: &str, effect: &str, (actor, now): (&str, Timestamp)) -> Result<Reply, Refusal> {
    let version = parts.ingest.keep_decision(now, actor, what).map_err(|error| refused(&error))?;
    parts.response.audit(now, actor, "baseline.changed", "baseline", what);
    let before = version.number.saturating_sub(1);
    let undo = if before == 0 { String::new() } else { format!("; undo: `bartizan baseline revert {before}`") };
    Ok(Reply::Done(format!("{what}: {effect}; this is version {}{undo}", version.number)))
}

fn versions(parts: &Parts) -> Result<Vec<BaselineVersion>, Refusal> {
    match parts.ingest.habits.ask(|store| store.versions()) {
        Err(HabitError::Away) => Ok(Vec::new()),
        found => found.map_err(|error| refused(&error)),
    }
}

fn find(parts: &Parts, version: u64) -> Result<(), Refusal> {
    let known = versions(parts)?.iter().any(|known| known.number == version);
    known.then_some(()).ok_or_else(|| unfit(&format!("there is no version {version}"), "`bartizan baseline versions` lists them"))
}

/// Learns from what the archive still has, as if it happened now; what was reported then teaches nothing.
fn learn(parts: &Parts, back: Duration, (actor, now): (&str, Timestamp)) -> Result<Reply, Refusal> {
    let since = chrono::TimeDelta::from_std(back).ok().filter(|_| !back.is_zero() && back <= LONGEST).map(|back| now - back);
    let since = since.ok_or_else(|| unfit("learn from at most 60 days", "write --from 7d"))?;
    let settings = baseline_settings(&parts.settings.policy).ok_or_else(|| refused(&HabitError::Off))?;
    parts.recorder.flush();
    let archive = parts.archives.lend(actor).map_err(|error| stored(&error))?;
    let mut past = Baseline::of_the_past(settings);
    let words = Words::new(&parts.settings.policy);
    let learned = archive.ask(|reader| replay(reader, since, &words, &mut past));
    let (events, complete) = learned.map_err(|error| stored(&error))?;
    let habits = past.habits(|habit| habit.state == HabitState::Learned, HabitId(0), usize::MAX);
    let cut = if complete { "" } else { " (the newest ones: there are more)" };
    adopt(parts, habits, HabitReason::Archive, (&format!("read {events} events{cut}, learned"), actor, now))
}

/// Page by page, the oldest first; tells how many events, and whether these were all.
fn replay(reader: &Reader, since: Timestamp, words: &Words, past: &mut Baseline) -> Result<(u64, bool), StoreError> {
    let reported: std::collections::HashSet<EventId> = reader.signals(MAX_SIGNALS)?.records.iter().map(|signal| signal.id.event).collect();
    let page = |before| reader.events(&EventQuery { since: Some(since), limit: PAGE, before, ..EventQuery::default() });
    let (mut ends, mut before) = (vec![None], None);
    while let Some(first) = page(before)?.records.first().map(|event: &Event| event.id) {
        if ends.len() > MAX_PAGES {
            break;
        }
        before = Some(first);
        ends.push(before);
    }
    let (mut events, complete) = (0, ends.len() <= MAX_PAGES);
    for end in ends.into_iter().rev() {
        for event in page(end)?.records {
            teach(past, words, &event, reported.contains(&event.id));
            events += 1;
        }
    }
    Ok((events, complete))
}

fn unfit(problem: &str, mend: &str) -> Refusal {
    refusal(ErrorCode::Usage, problem, mend)
}

fn stored(error: &StoreError) -> Refusal {
    refusal(ErrorCode::Failed, &error.to_string(), "see `bartizan doctor`")
}

fn refused(error: &HabitError) -> Refusal {
    let mend = match error {
        HabitError::Off => "set learn = true, then restart the agent",
        HabitError::Away | HabitError::Store(_) => "see `bartizan doctor`",
        HabitError::NoAnswer(_) => "ask again in a moment",
    };
    refusal(ErrorCode::Failed, &error.to_string(), mend)
}
