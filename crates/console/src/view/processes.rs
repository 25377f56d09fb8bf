//! Living processes as a tree.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{ago, count};
use crate::paint::Paint;
use crate::state::{State, rows};
use crate::widgets::{Branch, Cell, Column, Table, column, fill, right, rule};
use bartizan_model::ProcessKey;
use bartizan_protocol::ProcessRow;

const COLUMNS: [Column; 6] =
    [right("PID", 7, 0), column("USER", 10, 60), right("AGE", 4, 50), column("UNIT", 24, 140), column("MARK", 8, 60), fill("PROGRAM")];

pub(super) fn page(area: Rect, _: &State) -> u16 {
    area.height.saturating_sub(2)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let tree = rows::processes(state);
    let keys: Vec<_> = tree.iter().map(|(branch, _)| crate::state::RowKey::Process(branch.key)).collect();
    let following = if state.follow { ", following the newest" } else { "" };
    let remark = if tree.len() == state.mirror.processes.len() {
        format!("{}{following}", count(tree.len() as u64))
    } else {
        format!("{} shown of {}{following}", count(tree.len() as u64), count(state.mirror.processes.len() as u64))
    };
    let inside = rule(buf, area, "Processes", &remark, paint);
    let place = state.list().place(&keys, usize::from(page(area, state)));
    let table = Table { columns: &COLUMNS, count: tree.len(), place, empty: "no process matches", marked: &|_| false };
    table.draw(buf, inside, paint, |index| tree.get(index).map(|(branch, row)| cells(state, branch, row, paint)).unwrap_or_default());
}

fn cells(state: &State, branch: &Branch<ProcessKey>, row: &ProcessRow, paint: &Paint) -> Vec<Cell> {
    let severity = row.incident.and_then(|id| state.mirror.incidents.get(&id)).map(|incident| paint.severity(incident.severity));
    let style = severity.unwrap_or(paint.base);
    let user = row.user.as_ref().map_or_else(|| row.uid.to_string(), ToString::to_string);
    let mark = match (row.held_by, row.incident) {
        (Some(held), _) => format!("held {held}"),
        (None, Some(incident)) => incident.to_string(),
        (None, None) => String::new(),
    };
    vec![
        Cell::new(row.key.pid.to_string(), style),
        Cell::new(user, paint.muted),
        Cell::new(ago(state, row.since), paint.muted),
        Cell::path(row.unit.as_deref().map(crate::widgets::text::safe).unwrap_or_default(), paint.muted),
        Cell::new(mark, if row.held_by.is_some() { paint.notice } else { style }),
        Cell::new(format!("{}{}", guides(branch, paint), command(row)), style),
    ]
}

/// The lines that show who stands below whom.
pub(super) fn guides(branch: &Branch<ProcessKey>, paint: &Paint) -> String {
    let Some((own, above)) = branch.more.split_last() else { return String::new() };
    let mut out: String = above.iter().skip(1).map(|more| if *more { paint.glyphs.trunk } else { "  " }).collect();
    if !above.is_empty() {
        out.push_str(if *own { paint.glyphs.tee } else { paint.glyphs.elbow });
        out.push(' ');
    }
    if branch.hidden > 0 {
        out.push_str(&format!("{}{} ", paint.glyphs.folded, branch.hidden));
    }
    out
}

/// The program's own name, then its arguments; the kernel's own threads have none.
pub(super) fn command(row: &ProcessRow) -> String {
    let name = bartizan_model::HostText::from(row.exe.basename().as_ref()).escaped();
    let arguments = row.argv.iter().skip(1).take(64).map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let claimed = row.argv.first().map(ToString::to_string).unwrap_or_default();
    let disguise = if disguised(row) { format!(" !{claimed} is a false name!") } else { String::new() };
    match (name.is_empty(), arguments.is_empty()) {
        (true, _) => format!("[{}]", claimed.trim_start_matches('[').trim_end_matches(']')),
        (false, true) => format!("{name}{disguise}"),
        (false, false) => format!("{name}{disguise} {arguments}"),
    }
}

/// Whether a program with a file of its own calls itself a kernel thread.
pub(crate) fn disguised(row: &ProcessRow) -> bool {
    row.exe.as_bytes().starts_with(b"/") && row.argv.first().is_some_and(bartizan_model::HostText::is_bracketed)
}
