//! Logs that are followed and how each is; who attacks by them and what is done about it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{ago, bytes, count, moment, plural};
use super::sheet::{self, Listing};
use crate::paint::Paint;
use crate::state::{State, sheet_rows};
use crate::widgets::text::safe;
use crate::widgets::{Cell, Column, column, fill, right};
use bartizan_config::{Command, View};
use bartizan_model::{Attacker, LogSource, LogState};

const SOURCES: [Column; 9] = [
    column("STATE", 14, 0),
    right("LINES", 9, 50),
    right("PARSED", 9, 130),
    right("UNPARSED", 8, 60),
    right("RECORDS", 7, 100),
    right("LAG", 9, 90),
    right("LAST", 5, 70),
    column("FORMAT", 12, 80),
    fill("LOG"),
];
const ATTACKERS: [Column; 7] = [
    column("ADDRESS", 22, 0),
    right("ATTEMPTS", 8, 0),
    right("ACCOUNTS", 8, 70),
    column("FIRST", 16, 130),
    right("LAST", 5, 50),
    right("STRIKES", 7, 80),
    fill("WHAT IS DONE"),
];

pub(super) fn page(area: Rect, state: &State) -> u16 {
    sheet::page(area, state)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let key = state.keymap.key(Command::Right).unwrap_or_default();
    let dot = paint.glyphs.dot;
    if state.second.contains(&View::Logs) {
        let rows = sheet_rows::attackers(state);
        let all = state.sheets.attackers.data.as_ref().map_or(0, Vec::len);
        let held = rows.iter().filter(|row| row.held.is_some() || row.elsewhere.is_some()).count();
        let listing = Listing {
            title: "Attackers",
            old: sheet::OLD,
            sheet: &state.sheets.attackers,
            columns: &ATTACKERS,
            all,
            remark: format!("{}, {held} held {dot} {key} shows logs", count(all as u64)),
            none: "nobody failed to log in or attacked a web server since the logs are followed",
        };
        listing.draw(buf, area, state, paint, |at| rows.get(at).map(|row| attacker(state, row, paint)).unwrap_or_default());
        return;
    }
    let rows = sheet_rows::logs(state);
    let all = state.sheets.logs.data.as_ref().map_or(0, Vec::len);
    let dead = rows.iter().filter(|row| row.state.is_dead()).count();
    let unread = if dead > 0 { format!(", {dead} not read") } else { String::new() };
    let listing = Listing {
        title: "Logs",
        old: sheet::OLD,
        sheet: &state.sheets.logs,
        columns: &SOURCES,
        all,
        remark: format!("{}{unread} {dot} {key} shows attackers", plural(all, "log")),
        none: "no log is followed: none was found; add one to agent.toml with [[logs]]",
    };
    listing.draw(buf, area, state, paint, |at| rows.get(at).map(|row| source(state, row, paint)).unwrap_or_default());
}

fn source(state: &State, row: &LogSource, paint: &Paint) -> Vec<Cell> {
    let style = match row.state {
        LogState::Following => paint.good,
        LogState::Behind => paint.warning,
        LogState::Off => paint.muted,
        LogState::Missing
        | LogState::Unreadable
        | LogState::NotAFile
        | LogState::ForeignLink
        | LogState::SetAside
        | LogState::Failed
        | LogState::NotUnderstood => paint.danger,
    };
    vec![
        Cell::new(row.state.noun(), style),
        Cell::new(count(row.lines), paint.base),
        Cell::new(count(row.parsed), paint.muted),
        Cell::new(count(row.unparsed), if row.unparsed > 0 { paint.notice } else { paint.muted }),
        Cell::new(count(row.records), paint.muted),
        Cell::new(row.lag.map_or_else(|| "-".to_owned(), bytes), paint.muted),
        Cell::new(row.last_line.map_or_else(|| "never".to_owned(), |at| ago(state, at)), paint.muted),
        Cell::new(safe(&row.format), paint.muted),
        Cell::path(safe(&row.name.to_string()), paint.base),
    ]
}

fn attacker(state: &State, row: &Attacker, paint: &Paint) -> Vec<Cell> {
    let held = row.held.is_some() || row.elsewhere.is_some();
    let style = if held {
        paint.good
    } else if row.asked.is_some() {
        paint.warning
    } else {
        paint.muted
    };
    vec![
        Cell::path(row.address.to_string(), paint.base),
        Cell::new(count(u64::from(row.attempts)), paint.base),
        Cell::new(count(u64::from(row.accounts)), paint.muted),
        Cell::new(row.first.map_or_else(|| "-".to_owned(), |at| moment(state, at)), paint.muted),
        Cell::new(row.last.map_or_else(|| "-".to_owned(), |at| ago(state, at)), paint.muted),
        Cell::new(row.strikes.to_string(), paint.muted),
        Cell::new(safe(&sheet_rows::held(state, row)), style),
    ]
}
