//! Followed logs and the sources of failed logins, a line each; below a log what is wrong with it.

use std::io::{self, Write};

use super::human::{clock, size};
use super::{actions, safe, table};
use bartizan_model::{Attacker, LogSource, Timestamp};

/// Writes the table of logs.
pub(super) fn write(out: &mut impl Write, logs: &[LogSource], now: Timestamp) -> io::Result<()> {
    if logs.is_empty() {
        return writeln!(out, "no log is followed: none was found; add one to agent.toml with [[logs]]");
    }
    let row = |log: &LogSource| {
        [
            log.state.noun().to_owned(),
            log.lines.to_string(),
            log.parsed.to_string(),
            log.unparsed.to_string(),
            log.records.to_string(),
            log.lag.map_or_else(|| "-".to_owned(), size),
            log.last_line.map_or_else(|| "never".to_owned(), |at| format!("{} ago", actions::span(now - at))),
            safe(&log.format),
            safe(&log.name.to_string()),
        ]
    };
    let rows: Vec<_> = logs.iter().map(row).collect();
    table::write(out, ["STATE", "LINES", "PARSED", "UNPARSED", "RECORDS", "LAG", "LAST", "FORMAT", "LOG"], &rows)?;
    logs.iter().try_for_each(|log| details(out, log))
}

/// Writes the lines that no parser understood.
pub(super) fn write_samples(out: &mut impl Write, logs: &[LogSource]) -> io::Result<()> {
    let mut any = false;
    for (name, sample) in logs.iter().flat_map(|log| log.samples.iter().map(move |sample| (&log.name, sample))) {
        let text: String = safe(&sample.to_string()).chars().take(160).collect();
        writeln!(out, "{}: not understood: {text}", safe(&name.to_string()))?;
        any = true;
    }
    if any { Ok(()) } else { writeln!(out, "every line was understood since the agent began") }
}

fn details(out: &mut impl Write, log: &LogSource) -> io::Result<()> {
    let name = safe(&log.name.to_string());
    if let Some(trouble) = &log.trouble {
        let count = if log.troubles > 1 { format!(" ({} times something)", log.troubles) } else { String::new() };
        writeln!(out, "{name}: {}{count}", safe(trouble))?;
    }
    if log.cut > 0 {
        writeln!(out, "{name}: {} lines are longer than 64 KiB and were not parsed", log.cut)?;
    }
    for line in &log.set_aside {
        writeln!(out, "{name}: the line at byte {} is set aside: {}", line.offset, safe(&line.why))?;
    }
    Ok(())
}

/// Writes the table of those who attack by the logs.
pub(super) fn write_attackers(out: &mut impl Write, attackers: &[Attacker]) -> io::Result<()> {
    if attackers.is_empty() {
        return writeln!(out, "nobody failed to log in or attacked a web server since the logs are followed");
    }
    let when = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), clock);
    let row = |one: &Attacker| {
        [
            one.address.to_string(),
            one.attempts.to_string(),
            one.accounts.to_string(),
            when(one.first),
            when(one.last),
            one.strikes.to_string(),
            standing(one),
        ]
    };
    let rows: Vec<_> = attackers.iter().map(row).collect();
    table::write(out, ["ADDRESS", "ATTEMPTS", "ACCOUNTS", "FIRST (UTC)", "LAST (UTC)", "STRIKES", "WHAT IS DONE"], &rows)
}

fn standing(one: &Attacker) -> String {
    match (&one.held, one.asked) {
        (Some(hold), _) => format!("held until {} UTC ({}, {})", clock(hold.until), hold.kind.verb(), hold.action),
        (None, Some(question)) => format!("asked: {question}"),
        (None, None) => one.elsewhere.as_ref().map_or_else(|| "-".to_owned(), |by| format!("held by {}", safe(by))),
    }
}
