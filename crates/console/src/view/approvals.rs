//! What waits for a yes or no, and exactly what a yes would do.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{left, plural, shown_of};
use crate::paint::Paint;
use crate::state::{State, rows};
use crate::update::{essentials, reasons_and_steps};
use crate::widgets::{Cell, Column, Table, Tone, TonedLine, column, draw_lines, fill, right, rule, wrap_toned};
use bartizan_model::{Approval, ApprovalState};

const COLUMNS: [Column; 6] =
    [column("ID", 4, 0), column("STATE", 8, 56), right("LAPSES", 7, 0), column("INCIDENT", 8, 64), right("CONF", 4, 40), fill("WHAT")];

/// Lines that say why something was asked, before what it would do.
const REASONS: usize = 2;

/// Width from which the preview stands beside the list.
const BESIDE: u16 = 150;

fn parts(area: Rect, state: &State) -> (Rect, Rect) {
    if area.width >= BESIDE {
        let list = area.width * 9 / 20;
        return (Rect { width: list, ..area }, Rect { x: area.x + list + 2, width: area.width - list - 2, ..area });
    }
    let rows = u16::try_from(state.mirror.approvals.len()).unwrap_or(u16::MAX).max(1).saturating_add(2);
    let list = if area.height >= 9 { rows.min(area.height * 2 / 5).max(4) } else { area.height };
    (Rect { height: list, ..area }, Rect { y: area.y + list, height: area.height - list, ..area })
}

pub(super) fn page(area: Rect, state: &State) -> u16 {
    parts(area, state).0.height.saturating_sub(2)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let (list, pane) = parts(area, state);
    let approvals = rows::approvals(state);
    let open = approvals.iter().filter(|row| row.state == ApprovalState::Pending).count();
    let remark = shown_of(state, approvals.len(), state.mirror.approvals.len(), format!("{open} waiting"));
    let inside = rule(buf, list, "Approvals", &remark, paint);
    let keys = rows::keys(state);
    let place = state.list().place(&keys, usize::from(page(area, state)));
    let table = Table {
        columns: &COLUMNS,
        count: approvals.len(),
        place,
        empty: "no question: nothing waits for you",
        marked: &|at| state.list().is_marked(keys.get(at)),
    };
    table.draw(buf, inside, paint, |index| approvals.get(index).map(|row| cells(state, row, paint)).unwrap_or_default());
    if let Some(row) = place.cursor.filter(|_| !place.gone).and_then(|at| approvals.get(at)) {
        preview(buf, pane, state, row, paint);
    }
}

fn cells(state: &State, row: &Approval, paint: &Paint) -> Vec<Cell> {
    let open = row.state == ApprovalState::Pending;
    let words = if open { paint.base } else { paint.muted };
    let (noun, style) = match row.state {
        ApprovalState::Pending => ("waiting", paint.warning),
        ApprovalState::Approved => ("approved", paint.good),
        ApprovalState::Rejected => ("rejected", paint.muted),
        ApprovalState::Expired => ("lapsed", paint.muted),
    };
    vec![
        Cell::new(row.id.to_string(), words),
        Cell::new(noun, style),
        Cell::new(if open { left(row.expires_at - state.now) } else { String::new() }, words),
        Cell::new(row.incident.to_string(), words),
        Cell::new(row.confidence.to_string(), words),
        Cell::new(row.action.to_string(), words),
    ]
}

fn preview(buf: &mut Buffer, area: Rect, state: &State, row: &Approval, paint: &Paint) {
    let title = match row.state {
        ApprovalState::Pending => format!("If you approve {}", row.id),
        ApprovalState::Approved => format!("{} was approved", row.id),
        ApprovalState::Rejected => format!("{} was rejected", row.id),
        ApprovalState::Expired => format!("{} lapsed", row.id),
    };
    let open = row.state == ApprovalState::Pending;
    let done = open || row.state == ApprovalState::Approved;
    let remark = if done { format!("for {}", humantime::format_duration(row.action.lasts())) } else { String::new() };
    let inside = rule(buf, area, &title, &remark, paint);
    // What an answer would do, for how long and how it is undone is said while somebody can answer.
    let mut lines: Vec<TonedLine> = essentials(state, &row.action, &row.preview)
        .into_iter()
        .take(if open { usize::MAX } else { 1 })
        .map(|line| TonedLine::labelled(format!("{:<9}", line.label), line.tone, line.full))
        .collect();
    if let Some(by) = &row.answered_by {
        lines.push(TonedLine::labelled("Answered ", Tone::Muted, by.clone()));
    }
    let reasons = reasons_and_steps(row, 9);
    lines.extend(reasons.into_iter().take(if done { usize::MAX } else { REASONS }));
    let lines = wrap_toned(&lines, usize::from(inside.width.saturating_sub(2)));
    let pane = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
    draw_lines(buf, pane, &lines, 0, paint);
    let hidden = lines.len().saturating_sub(usize::from(pane.height));
    if hidden > 0 && pane.height > 0 {
        let key = state.keymap.key(bartizan_config::Command::Approve).unwrap_or_default();
        let rest = usize::from(pane.width);
        let how = if open { format!("{key} shows all before it asks") } else { "a taller window shows them".to_owned() };
        let shown = format!("{}; {how}", plural(hidden + 1, "more line"));
        buf.set_stringn(pane.x, pane.bottom() - 1, crate::widgets::text::pad(&shown, rest), rest, paint.muted);
    }
}
