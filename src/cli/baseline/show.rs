//! The baseline in words and tables.

use std::io::{self, Write};

use crate::cli::print::table;
use bartizan_model::{BaselineReview, BaselineStatus, BaselineVersion, Habit, HabitChange, HabitState, Timestamp, sentence};

fn day(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

/// How far learning has come.
pub(in crate::cli) fn write_status(out: &mut impl Write, status: &BaselineStatus, now: Timestamp) -> io::Result<()> {
    let BaselineStatus { began, ends, version, profiles, learned, waiting, rejected, crowded, evicted } = status;
    match (began, ends) {
        (Some(began), Some(ends)) if *ends > now => {
            writeln!(out, "learning since {} UTC, until {} UTC; until then nothing counts as unusual", day(*began), day(*ends))?;
        }
        (Some(began), Some(ends)) => writeln!(out, "learned from {} to {} UTC", day(*began), day(*ends))?,
        (None, _) | (_, None) => writeln!(out, "nothing was seen yet")?,
    }
    let each = profiles.iter().map(|(maturity, count)| format!("{count} {}", maturity.name())).collect::<Vec<_>>().join(", ");
    writeln!(out, "profiles: {each}")?;
    writeln!(out, "habits: {learned} learned, {waiting} waiting for you, {rejected} rejected")?;
    if let Some(BaselineVersion { number, at, by, what }) = version {
        writeln!(out, "version {number} of {} UTC by {}: {}", day(*at), sentence(by), sentence(what))?;
    }
    if *evicted > 0 {
        writeln!(out, "{evicted} profiles were forgotten: there was no room")?;
    }
    for (profile, kind) in crowded {
        writeln!(out, "{profile}: too many habits of the kind {} for a new one to stand out", kind.name())?;
    }
    if *waiting > 0 { writeln!(out, "`bartizan baseline review` shows what waits") } else { Ok(()) }
}

/// Habits, a row each.
pub(in crate::cli) fn write_habits(out: &mut impl Write, habits: &[Habit]) -> io::Result<()> {
    let row = |habit: &Habit| {
        [
            habit.id.to_string(),
            habit.state.name().to_owned(),
            habit.count.to_string(),
            habit.days.to_string(),
            day(habit.last),
            said(habit),
            why(habit),
        ]
    };
    let rows: Vec<[String; 7]> = habits.iter().map(row).collect();
    table::write(out, ["ID", "STATE", "TIMES", "DAYS", "LAST (UTC)", "HABIT", "WHY"], &rows)?;
    if habits.is_empty() { writeln!(out, "no habits") } else { Ok(()) }
}

fn said(habit: &Habit) -> String {
    format!("{} {} {}", habit.profile, habit.kind.verb(), habit.value)
}

fn why(habit: &Habit) -> String {
    let by = if habit.by == "bartizan" { String::new() } else { format!(" ({})", sentence(&habit.by)) };
    format!("{}{by}", habit.reason.sentence())
}

/// What waits, by its reason, and what was learned.
pub(in crate::cli) fn write_review(out: &mut impl Write, review: &BaselineReview) -> io::Result<()> {
    let BaselineReview { status: _, since, waiting, more, learned, more_learned } = review;
    let since = since.map_or_else(|| "the beginning".to_owned(), |since| format!("{} UTC", day(since)));
    let all = learned.len() as u64 + more_learned;
    if waiting.is_empty() {
        writeln!(out, "nothing waits for you; {all} habits were learned since {since}")?;
    } else {
        let waiting = waiting.len() as u64 + more;
        writeln!(out, "{waiting} habits wait for you, worst first; {all} were learned since {since}")?;
    }
    let mut reason = None;
    for habit in waiting {
        if reason != Some(habit.reason) {
            reason = Some(habit.reason);
            writeln!(out, "\nset aside because {}:", habit.reason.sentence())?;
        }
        writeln!(
            out,
            "  {:<6} {} ({} times on {} days, last {})",
            habit.id.to_string(),
            said(habit),
            habit.count,
            habit.days,
            day(habit.last)
        )?;
    }
    if *more > 0 {
        writeln!(out, "  and {more} more: `bartizan baseline show --state waiting`")?;
    }
    if !learned.is_empty() {
        writeln!(out, "\nlearned since {since}, newest first:")?;
    }
    for habit in learned {
        writeln!(out, "  {:<6} {}", habit.id.to_string(), said(habit))?;
    }
    if *more_learned > 0 {
        writeln!(out, "  and {more_learned} more: `bartizan baseline show --state learned`")?;
    }
    if !waiting.is_empty() {
        writeln!(out, "\n`bartizan baseline approve H1 H2 ...` makes habits normal, `reject` reports them whenever they happen")?;
    }
    Ok(())
}

/// Versions, a row each.
pub(in crate::cli) fn write_versions(out: &mut impl Write, versions: &[BaselineVersion]) -> io::Result<()> {
    let row = |one: &BaselineVersion| [one.number.to_string(), day(one.at), sentence(&one.by), sentence(&one.what)];
    let rows: Vec<[String; 4]> = versions.iter().map(row).collect();
    table::write(out, ["VERSION", "AT (UTC)", "BY", "WHAT"], &rows)?;
    if versions.is_empty() { writeln!(out, "no versions yet: the first is made when the first day ends") } else { Ok(()) }
}

/// What differs between two versions.
pub(in crate::cli) fn write_changes(out: &mut impl Write, changes: &[HabitChange]) -> io::Result<()> {
    let state = |state: Option<HabitState>| state.map_or("-", HabitState::name).to_owned();
    let row = |change: &HabitChange| [change.habit.id.to_string(), state(change.before), state(change.after), said(&change.habit)];
    let rows: Vec<[String; 4]> = changes.iter().map(row).collect();
    table::write(out, ["ID", "BEFORE", "AFTER", "HABIT"], &rows)?;
    if changes.is_empty() { writeln!(out, "no difference") } else { Ok(()) }
}
