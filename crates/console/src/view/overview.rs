//! How things stand, in one screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::format::{ago, bytes, clock, count, span};
use crate::paint::Paint;
use crate::state::{State, rows};
use crate::widgets::text::{fit, safe};
use crate::widgets::{Cell, Column, Place, Table, column, fill, right, rule, sparkline};
use bartizan_model::{ApprovalState, IncidentState};

const COLUMNS: [Column; 6] =
    [column("ID", 4, 0), column("SEVERITY", 8, 50), right("CONF", 4, 0), column("STATE", 12, 70), right("AGE", 4, 40), fill("WHAT")];

const SIGNALS: [Column; 4] = [column("TIME", 8, 0), column("SEVERITY", 8, 0), column("DETECTOR", 30, 110), fill("WHAT")];

struct Parts {
    summary: Rect,
    incidents: Rect,
    signals: Rect,
    questions: Rect,
}

fn parts(area: Rect, state: &State) -> Parts {
    let waiting = u16::try_from(rows::waiting(state).1).unwrap_or(u16::MAX);
    let summary = if area.height >= 14 {
        6
    } else if area.height >= 9 {
        3
    } else {
        0
    };
    let questions = if area.height >= 12 && waiting > 0 { waiting.min(4) + 2 } else { 0 };
    let middle = area.height - summary - questions;
    // Tall terminals also show the newest signals.
    let signals = if middle >= 24 { middle / 2 } else { 0 };
    let middle = middle - signals;
    Parts {
        summary: Rect { height: summary, ..area },
        incidents: Rect { y: area.y + summary, height: middle, ..area },
        signals: Rect { y: area.y + summary + middle, height: signals, ..area },
        questions: Rect { y: area.y + summary + middle + signals, height: questions, ..area },
    }
}

pub(super) fn page(area: Rect, state: &State) -> u16 {
    parts(area, state).incidents.height.saturating_sub(2)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let parts = parts(area, state);
    summary(buf, parts.summary, state, paint);
    let incidents = rows::incidents(state);
    let open = incidents.iter().filter(|row| row.state == IncidentState::Open).count();
    let inside = rule(buf, parts.incidents, "Incidents", &format!("{open} open of {}", incidents.len()), paint);
    let keys = rows::keys(state);
    let place = state.list().place(&keys, usize::from(page(area, state)));
    let table =
        Table { columns: &COLUMNS, count: incidents.len(), place, empty: "no incident: nothing that was seen adds up to an attack" };
    table.draw(buf, inside, paint, |index| {
        let Some(row) = incidents.get(index) else { return Vec::new() };
        let words = if row.state == IncidentState::Closed { paint.muted } else { paint.base };
        vec![
            Cell::new(row.id.to_string(), words),
            Cell::new(row.severity.to_string(), paint.severity(row.severity)),
            Cell::new(row.confidence.to_string(), words),
            Cell::new(state_noun(row.state), paint.incident(row.state)),
            Cell::new(ago(state, row.updated), paint.muted),
            Cell::new(safe(&row.sentence), words),
        ]
    });
    signals(buf, parts.signals, state, paint);
    questions(buf, parts.questions, state, paint);
}

/// As people read it.
pub(super) fn state_noun(state: IncidentState) -> &'static str {
    match state {
        IncidentState::Open => "open",
        IncidentState::Contained => "contained",
        IncidentState::Acknowledged => "acknowledged",
        IncidentState::Closed => "closed",
    }
}

fn signals(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    if area.height < 4 {
        return;
    }
    let inside = rule(buf, Rect { height: area.height - 1, ..area }, "Latest signals", &count(state.mirror.signals.len() as u64), paint);
    let latest: Vec<_> = state.mirror.signals.iter().rev().collect();
    let table = Table { columns: &SIGNALS, count: latest.len(), place: Place::default(), empty: "none" };
    table.draw(buf, inside, paint, |index| {
        let Some(row) = latest.get(index) else { return Vec::new() };
        vec![
            Cell::new(clock(state, row.at), paint.muted),
            Cell::new(row.severity.to_string(), paint.severity(row.severity)),
            Cell::new(safe(&row.detector), paint.muted),
            Cell::new(safe(&row.sentence), paint.base),
        ]
    });
}

fn questions(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    if area.height < 2 {
        return;
    }
    let key = state.keymap.key(bartizan_config::Command::Show(bartizan_config::View::Approvals)).unwrap_or_default();
    let inside = rule(buf, Rect { height: area.height - 1, ..area }, "Waiting for your yes or no", &format!("{key} decides"), paint);
    let open = state.mirror.approvals.values().filter(|row| row.state == ApprovalState::Pending);
    for (row, y) in open.zip(inside.top()..inside.bottom()) {
        let text = format!("{:<4}  {}, lapses in {}", row.id, row.action, span(row.expires_at - state.now));
        let cells = usize::from(inside.width).saturating_sub(1);
        buf.set_stringn(inside.x + 1, y, fit(&safe(&text), cells, paint.glyphs.ellipsis), cells, paint.warning);
    }
}

fn summary(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
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
