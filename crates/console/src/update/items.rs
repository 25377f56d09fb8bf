//! The whole truth about a row that its view asked for: the pane beside the list and the page behind enter show the same.

use super::details::{fact, known, time};
use super::way::Goto;
use crate::state::{Item, State, sheet_rows};
use crate::view::format::{bytes, count, moment, span};
use crate::widgets::{Tone, TonedLine};
use bartizan_model::{Attacker, Exception, Habit, LogSource};

/// Its name and all that is known of it; `None` when it is gone.
pub(crate) fn about(state: &State, item: Item) -> Option<(String, Vec<TonedLine>)> {
    let sheets = &state.sheets;
    match item {
        Item::Log(_) => sheets.log(item).map(|row| (row.name.to_string(), log(state, row))),
        Item::Attacker(address) => sheets.attacker(address).map(|row| (row.address.to_string(), attacker(state, row))),
        Item::Habit(id) => sheets.habit(id).map(|row| (format!("Habit {id}"), habit(state, row))),
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
