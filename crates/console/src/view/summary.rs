//! How host and agent are: numbers that need no decision.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::format::{bytes, count, span};
use crate::paint::Paint;
use crate::state::{State, rows};
use crate::widgets::text::{fit, safe};
use crate::widgets::{rule, sparkline};
use bartizan_model::IncidentState;

/// Rows that it takes.
pub(super) const HEIGHT: u16 = 6;

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let Some(health) = &state.mirror.health else { return };
    if area.height == 0 {
        return;
    }
    let inside = rule(
        buf,
        area,
        "Guard",
        &format!("bartizan {} {} kernel {}", safe(&health.version), paint.glyphs.dot, safe(&health.kernel)),
        paint,
    );
    let active = state.mirror.actions.values().filter(|row| row.state.is_active()).count();
    let open = state.mirror.incidents.values().filter(|row| row.state == IncidentState::Open).count();
    let listeners = state.mirror.sockets.values().filter(|row| row.listening).count();
    let connections = state.mirror.sockets.values().filter(|row| !row.listening && row.open).count();
    let (alerts, questions) = rows::waiting(state);
    let loud = |n: usize, style: Style| if n > 0 { style } else { paint.good };
    let facts: [(&str, String, Style); 12] = [
        ("watching", span(state.now - health.watching_since), paint.base),
        ("sensors", health.rung.noun().to_owned(), if health.rung == bartizan_model::Rung::Ebpf { paint.good } else { paint.warning }),
        (
            "lost",
            format!("{} of {}", count(health.lost()), count(health.events_total + health.lost())),
            if health.lost() > 0 { paint.danger } else { paint.good },
        ),
        ("degraded", health.degraded.len().to_string(), loud(health.degraded.len(), paint.warning)),
        ("incidents", open.to_string(), loud(open, paint.danger)),
        ("alerts", alerts.to_string(), loud(alerts, paint.danger)),
        ("approvals", questions.to_string(), loud(questions, paint.warning)),
        ("actions", active.to_string(), if active > 0 { paint.notice } else { paint.base }),
        ("processes", count(state.mirror.processes.len() as u64), paint.base),
        ("connections", count(connections as u64), paint.base),
        ("listeners", count(listeners as u64), paint.base),
        ("cost", format!("{:.1}% cpu, {}", health.cpu_percent, bytes(health.rss_bytes)), paint.base),
    ];
    let (columns, labels) = if inside.width >= 110 { ([0, 44, 74], 13) } else { ([0, 30, 47], 12) };
    let rows = inside.height.saturating_sub(1).min(4);
    for (index, (label, value, style)) in facts.into_iter().enumerate() {
        let (column, row) = (u16::try_from(index / 4).unwrap_or(0), u16::try_from(index % 4).unwrap_or(0));
        if row >= rows {
            continue;
        }
        let x = inside.x + 1 + columns.get(usize::from(column)).copied().unwrap_or(0);
        let next = columns.get(usize::from(column) + 1).map_or(inside.right(), |next| inside.x + next);
        let cells = usize::from(next.min(inside.right()).saturating_sub(x));
        buf.set_stringn(x, inside.y + row, fit(label, cells, ""), cells, paint.muted);
        let room = cells.saturating_sub(labels);
        buf.set_stringn(x + u16::try_from(labels).unwrap_or(0), inside.y + row, fit(&value, room, paint.glyphs.ellipsis), room, style);
    }
    let line = inside.bottom().saturating_sub(1);
    let (x, _) = buf.set_stringn(inside.x + 1, line, format!("{:<labels$}", "events/s"), usize::from(inside.width), paint.muted);
    let cells = usize::from(inside.right().saturating_sub(x));
    buf.set_stringn(x, line, sparkline(state.rates.iter(), cells, &paint.glyphs), cells, paint.accent);
}
