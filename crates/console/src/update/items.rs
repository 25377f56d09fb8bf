//! The whole truth about a row that its view asked for: the pane beside the list and the page behind enter show the same.

use super::details::{fact, known, time};
use super::way::Goto;
use crate::state::{Item, State, sheet_rows};
use crate::view::format::{bytes, count, moment, span};
use crate::widgets::{Tone, TonedLine};
use bartizan_model::{Attacker, Event, EventKind, Exception, Finding, FindingState, Habit, HostText, LogSource};

/// Its name and all that is known of it; `None` when it is gone.
pub(crate) fn about(state: &State, item: Item) -> Option<(String, Vec<TonedLine>)> {
    let sheets = &state.sheets;
    match item {
        Item::Log(_) => sheets.log(item).map(|row| (row.name.to_string(), log(state, row))),
        Item::Attacker(address) => sheets.attacker(address).map(|row| (row.address.to_string(), attacker(state, row))),
        Item::Habit(id) => sheets.habit(id).map(|row| (format!("Habit {id}"), habit(state, row))),
        Item::File(id) => sheets.file(id).and_then(|row| file(state, row)),
        Item::Finding(number) => sheets.finding(number).map(|row| (format!("Finding {}", row.id), finding(state, row))),
        Item::Exception(id) => sheets.exception(id).map(|row| (format!("Exception {id}"), exception(state, row))),
    }
}

/// Where its page leads.
pub(super) fn links(state: &State, item: Item) -> Vec<Goto> {
    match item {
        Item::Attacker(address) => {
            let row = state.sheets.attacker(address);
            let held = row.and_then(|row| row.held.as_ref()).map(|hold| Goto::Action(hold.action));
            let asked = row.and_then(|row| row.asked).map(Goto::Approval);
            [held, asked, Some(Goto::Address(address))].into_iter().flatten().collect()
        }
        Item::File(id) => {
            let Some(row) = state.sheets.file(id) else { return Vec::new() };
            let incident = sheet_rows::incident_of(state, row).map(Goto::Incident);
            let maker = row.process.as_ref().map(|process| process.key).filter(|key| state.mirror.processes.contains_key(key));
            let path = path(row).map(|path| Goto::Events(path.to_string()));
            [incident, maker.map(Goto::Process), path].into_iter().flatten().collect()
        }
        Item::Finding(number) => {
            let location = state.sheets.finding(number).map(|row| row.location.to_string());
            location.filter(|location| location.starts_with('/')).map(Goto::Events).into_iter().collect()
        }
        Item::Log(_) | Item::Habit(_) | Item::Exception(_) => Vec::new(),
    }
}

/// What a person wants to paste elsewhere.
pub(super) fn copied(state: &State, item: Item) -> Option<String> {
    let sheets = &state.sheets;
    match item {
        Item::Log(_) => sheets.log(item).map(|row| row.name.to_string()),
        Item::Attacker(address) => Some(address.to_string()),
        Item::Habit(id) => sheets.habit(id).map(|row| format!("{id} {}", sheet_rows::said(row))),
        Item::File(id) => sheets.file(id).and_then(path).map(ToString::to_string),
        Item::Finding(number) => sheets.finding(number).map(|row| format!("{} {} {}", row.id, sheet_rows::place(row), row.title)),
        Item::Exception(id) => sheets.exception(id).map(|row| format!("{id} {}", row.scope)),
    }
}

fn log(state: &State, row: &LogSource) -> Vec<TonedLine> {
    let mut lines = Vec::new();
    if let Some(trouble) = &row.trouble {
        let times = if row.troubles > 1 { format!(" ({} times something)", count(row.troubles)) } else { String::new() };
        lines.push(TonedLine::labelled(format!("{:<12}", "trouble"), Tone::Warning, format!("{trouble}{times}")));
    }
    let read =
        format!("{} lines: {} parsed, {} not; {} records", count(row.lines), count(row.parsed), count(row.unparsed), count(row.records));
    lines.extend([
        fact("log", row.name.to_string()),
        fact("state", row.state.noun()),
        fact("format", row.format.clone()),
        fact("read", read),
        fact("unread", row.lag.map_or_else(|| "not known".to_owned(), bytes)),
        fact("last line", row.last_line.map_or_else(|| "never".to_owned(), |at| time(state, at))),
    ]);
    if row.cut > 0 {
        lines.push(fact("too long", format!("{} lines are longer than 64 KiB and were not parsed", count(row.cut))));
    }
    for line in &row.set_aside {
        lines.push(fact("set aside", format!("the line at byte {}: {}", line.offset, line.why)));
    }
    lines.extend(row.samples.iter().map(|sample| fact("not parsed", sample.to_string())));
    lines
}

fn attacker(state: &State, row: &Attacker) -> Vec<TonedLine> {
    let when = |at: Option<_>| at.map_or_else(|| "not known".to_owned(), |at| time(state, at));
    vec![
        fact("address", row.address.to_string()),
        fact("held", sheet_rows::held(state, row)),
        fact("attempts", format!("{} that are remembered", row.attempts)),
        fact("accounts", format!("about {} tried within the last hours", row.accounts)),
        fact("strikes", format!("reported {} times", row.strikes)),
        fact("first", when(row.first)),
        fact("last", when(row.last)),
    ]
}

fn habit(state: &State, row: &Habit) -> Vec<TonedLine> {
    let profile = &row.profile;
    vec![
        TonedLine::new(Tone::Plain, sheet_rows::said(row)),
        fact("state", row.state.name()),
        fact("because", row.reason.sentence()),
        fact("decided by", row.by.clone()),
        fact("seen", format!("{} times on {} days", count(row.count), row.days)),
        fact("first", time(state, row.first)),
        fact("last", time(state, row.last)),
        fact("program", profile.exe.to_string()),
        fact("below", profile.below.map_or("init alone", |role| role.noun())),
        fact("unit", known(profile.unit.as_ref())),
        fact("user", profile.user.to_string()),
        fact("container", known(profile.container.as_ref())),
    ]
}

fn exception(state: &State, row: &Exception) -> Vec<TonedLine> {
    let left = row.until - state.now;
    let until = if row.standing(state.now) == "in force" {
        format!("{}, in {}", moment(state, row.until), span(left))
    } else {
        time(state, row.until)
    };
    let mut lines = vec![
        fact("excepted", row.scope.to_string()),
        fact("state", row.standing(state.now)),
        fact("until", until),
        fact("why", row.reason.clone()),
        fact("by", row.author.clone()),
        fact("added", time(state, row.added)),
    ];
    if let Some(end) = &row.removed {
        lines.push(fact("removed", format!("by {} at {}: {}", end.by, time(state, end.at), end.reason)));
    }
    lines
}

/// The file of a change.
pub(super) fn path(row: &Event) -> Option<&HostText> {
    if let EventKind::FileChange { file } = &row.kind { Some(&file.path) } else { None }
}

fn file(state: &State, row: &Event) -> Option<(String, Vec<TonedLine>)> {
    let EventKind::FileChange { file } = &row.kind else { return None };
    let mut lines = Vec::new();
    for danger in file.integrity.iter().flat_map(|seen| &seen.findings) {
        let text = format!("{} ({})", danger.sentence, danger.technique);
        lines.push(TonedLine::labelled(format!("{:<12}", "DANGER"), Tone::Danger, text));
    }
    if let Some(seen) = &file.integrity {
        let changes = if seen.changes > 1 { format!(" ({} files)", count(seen.changes)) } else { String::new() };
        lines.push(fact("what", format!("{}{changes}", seen.sentence)));
    }
    lines.push(fact("who", sheet_rows::who(row)));
    if let Some(process) = &row.process {
        let below = process.lineage.network_facing().map(|root| format!("{}[{}]", root.exe, root.key.pid));
        lines.push(fact("command", process.command()));
        lines.push(fact("below", below.unwrap_or_else(|| "no service that strangers can talk to".to_owned())));
    }
    lines.push(fact("when", time(state, row.at)));
    lines.push(fact("incident", known(sheet_rows::incident_of(state, row))));
    if let Some(seen) = &file.integrity {
        let packages: Vec<String> = seen.packages.iter().map(ToString::to_string).collect();
        lines.push(fact("package", if packages.is_empty() { "none owns it".to_owned() } else { packages.join(", ") }));
        lines.push(fact("compared", format!("with version {} of the baseline, when it changed", seen.version)));
        if seen.late {
            lines.push(fact("found", "later, after nobody had watched: when it changed is not known"));
        }
    }
    lines.extend(against_the_baseline(state, &file.path));
    Some((file.path.to_string(), lines))
}

/// How the file differs now, when the agent said so.
fn against_the_baseline(state: &State, path: &HostText) -> Vec<TonedLine> {
    let mut lines = vec![TonedLine::new(Tone::Plain, "")];
    let Some(diff) = state.sheets.diff.as_ref().filter(|diff| diff.path == *path) else {
        let why = if state.role < bartizan_model::Role::Admin {
            "the lines that differ are shown to the role admin only"
        } else {
            "comparing it"
        };
        lines.push(TonedLine::new(Tone::Muted, why));
        return lines;
    };
    lines.push(TonedLine::new(Tone::Title, format!("Against the baseline, {}", moment(state, diff.at))));
    match &diff.said {
        Err(why) => lines.push(TonedLine::new(Tone::Muted, why.clone())),
        Ok(said) => {
            lines.push(TonedLine::new(Tone::Plain, said.change.clone().unwrap_or_else(|| "it is as the baseline knows it".to_owned())));
            match &said.diff {
                None => {
                    lines.push(TonedLine::new(Tone::Muted, "the baseline does not hold its former content: only small texts are stored"))
                }
                Some(diff) => lines.extend(diff.lines().map(|line| {
                    let tone = match line.chars().next() {
                        Some('+') => Tone::Good,
                        Some('-') => Tone::Danger,
                        Some('@') => Tone::Muted,
                        _ => Tone::Plain,
                    };
                    // Breaking into lines would take the spaces in front away.
                    let text = line.trim_start_matches(' ');
                    TonedLine::labelled(" ".repeat(line.len() - text.len()), tone, text)
                })),
            }
        }
    }
    lines
}

fn finding(state: &State, row: &Finding) -> Vec<TonedLine> {
    let mut lines = vec![
        TonedLine::new(Tone::Plain, row.title.clone()),
        fact("severity", row.severity.to_string()),
        fact("state", sheet_rows::standing(state, row)),
    ];
    if let FindingState::Accepted { until, reason, by } = &row.state {
        lines.push(fact("accepted", format!("until {} by {by}: {reason}", moment(state, *until))));
    }
    lines.push(fact("where", sheet_rows::place(row)));
    if !row.evidence.is_empty() {
        lines.push(fact("seen", row.evidence.to_string()));
    }
    lines.push(fact("why", row.why.clone()));
    lines.push(fact("fix", row.fix.clone()));
    let names = row.aliases.join(", ");
    lines.push(fact(
        "rule",
        if names.is_empty() { format!("{} {}", row.source, row.rule) } else { format!("{} {} ({names})", row.source, row.rule) },
    ));
    lines.push(fact("first seen", time(state, row.first_seen)));
    lines.push(fact("last seen", time(state, row.last_seen)));
    lines
}
