//! The kill chain of one incident: stages across, signals down.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::format::clock;
use crate::paint::Paint;
use crate::state::{RowKey, State, rows};
use crate::widgets::text::{fit, safe, wrap};
use crate::widgets::{Cell, Column, Table, column, fill, right, rule};
use bartizan_model::{Incident, Signal, Stage};

const COLUMNS: [Column; 6] = [
    column("TIME", 8, 0),
    column("STAGE", 14, 60),
    column("DETECTOR", 26, 110),
    column("SEVERITY", 8, 70),
    right("CONF", 4, 50),
    fill("WHAT"),
];

struct Parts {
    title: Rect,
    sentence: Rect,
    chain: Rect,
    signals: Rect,
    reading: Rect,
}

fn parts(area: Rect) -> Parts {
    let title = 1.min(area.height);
    let sentence = if area.height >= 12 { 3 } else { u16::from(area.height >= 6) };
    let chain = if area.height >= 12 { 3 } else { u16::from(area.height >= 7) };
    let top = title + sentence + chain;
    let reading = super::reading::height(Rect { height: area.height - top, ..area });
    Parts {
        title: Rect { height: title, ..area },
        sentence: Rect { y: area.y + title, height: sentence, ..area },
        chain: Rect { y: area.y + title + sentence, height: chain, ..area },
        signals: Rect { y: area.y + top, height: area.height - top - reading, ..area },
        reading: Rect { y: area.bottom() - reading, height: reading, ..area },
    }
}

pub(super) fn page(area: Rect, _: &State) -> u16 {
    parts(area).signals.height.saturating_sub(2)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let parts = parts(area);
    let Some(incident) = state.timeline_of().and_then(|id| state.mirror.incidents.get(&id)) else {
        let inside = rule(buf, area, "Timeline", "", paint);
        if inside.height > 0 {
            buf.set_stringn(
                inside.x + 1,
                inside.y,
                "no incident: nothing that was seen adds up to an attack",
                usize::from(inside.width),
                paint.muted,
            );
        }
        return;
    };
    heading(buf, parts.title, state, incident, paint);
    let cells = usize::from(area.width.saturating_sub(2));
    for (line, y) in wrap(&safe(&incident.sentence), cells).into_iter().zip(parts.sentence.top()..parts.sentence.bottom()) {
        buf.set_stringn(area.x + 1, y, line, cells, paint.base);
    }
    chain(buf, parts.chain, state, incident, paint);
    list(buf, parts.signals, area, state, incident, paint);
    if let Some(RowKey::Signal(id)) = state.chosen() {
        let chosen = state.mirror.signals.iter().find(|row| row.id == id);
        super::reading::draw(buf, parts.reading, chosen.map_or("", |row| &row.sentence), paint);
    }
}

fn heading(buf: &mut Buffer, area: Rect, state: &State, incident: &Incident, paint: &Paint) {
    let ids: Vec<_> = state.mirror.incidents.keys().collect();
    let at = ids.iter().position(|id| **id == incident.id).map_or(0, |at| at + 1);
    let remark = format!("{} {at} of {} {}", paint.glyphs.left, ids.len(), paint.glyphs.right);
    rule(buf, area, &format!("Incident {}", incident.id), &remark, paint);
    let facts = [
        (incident.severity.to_string(), paint.severity(incident.severity)),
        (format!("confidence {}", incident.confidence), paint.base),
        (super::overview::state_noun(incident.state).to_owned(), paint.incident(incident.state)),
        (incident.posture.to_string(), paint.posture(incident.posture)),
        (if incident.complete { String::new() } else { "evidence incomplete".to_owned() }, paint.warning),
    ];
    let mut x = area.x + u16::try_from(format!("Incident {}", incident.id).len()).unwrap_or(0) + 1;
    let end = area.right().saturating_sub(u16::try_from(remark.chars().count() + 3).unwrap_or(0));
    for (text, style) in facts.into_iter().filter(|(text, _)| !text.is_empty()) {
        if usize::from(x) + text.len() + 3 > usize::from(end) {
            break;
        }
        let (next, _) = buf.set_stringn(x, area.y, format!(" {text} "), usize::from(end - x), style);
        x = next + 1;
    }
}

/// The six stages across the screen; those that were seen are full, with the time of their first signal below.
fn chain(buf: &mut Buffer, area: Rect, state: &State, incident: &Incident, paint: &Paint) {
    if area.height == 0 {
        return;
    }
    if area.height == 1 {
        seen_only(buf, area, incident, paint);
        return;
    }
    let step = area.width.saturating_sub(1) / 6;
    let signals: Vec<&Signal> = state.mirror.signals.iter().filter(|signal| incident.signals.contains(&signal.id)).collect();
    for (at, stage) in (0u16..).zip(Stage::ALL) {
        let seen = incident.stages.contains(&stage);
        let style = if seen { paint.severity(worst(&signals, stage).unwrap_or(incident.severity)) } else { paint.muted };
        let x = area.x + 1 + at * step;
        let cells = usize::from(step);
        let dot = if seen { paint.glyphs.full } else { paint.glyphs.empty };
        if at < 5 {
            let line = if seen && Stage::ALL.get(usize::from(at) + 1).is_some_and(|next| incident.stages.contains(next)) {
                (paint.glyphs.bar[0], paint.base)
            } else {
                (paint.glyphs.rule, paint.border)
            };
            buf.set_stringn(x, area.y, line.0.repeat(cells), cells, line.1);
        }
        buf.set_stringn(x, area.y, dot, 1, style);
        buf.set_stringn(x + 1, area.y, " ", 1, Style::new());
        let name = if cells > stage.noun().len() { stage.noun() } else { short(stage) };
        buf.set_stringn(x, area.y + 1, fit(name, cells.saturating_sub(1), paint.glyphs.ellipsis), cells, style);
        if area.height > 2 {
            let first = signals.iter().filter(|signal| signal.stage == stage).map(|signal| signal.at).min();
            buf.set_stringn(x, area.y + 2, first.map(|time| clock(state, time)).unwrap_or_default(), cells.saturating_sub(1), paint.muted);
        }
    }
}

/// The stages that were seen, in one line: for small screens.
fn seen_only(buf: &mut Buffer, area: Rect, incident: &Incident, paint: &Paint) {
    let names: Vec<_> = Stage::ALL.into_iter().filter(|stage| incident.stages.contains(stage)).map(short).collect();
    let cells = usize::from(area.width.saturating_sub(1));
    let text = fit(&names.join(&format!(" {} ", paint.glyphs.right)), cells, paint.glyphs.ellipsis);
    buf.set_stringn(area.x + 1, area.y, text, cells, paint.severity(incident.severity));
}

fn worst(signals: &[&Signal], stage: Stage) -> Option<bartizan_model::Severity> {
    signals.iter().filter(|signal| signal.stage == stage).map(|signal| signal.severity).max()
}

/// A stage in a few cells.
pub(super) fn short(stage: Stage) -> &'static str {
    match stage {
        Stage::InitialAccess => "access",
        Stage::Persistence => "persist",
        Stage::CommandAndControl => "C2",
        other => other.noun(),
    }
}

fn list(buf: &mut Buffer, area: Rect, body: Rect, state: &State, incident: &Incident, paint: &Paint) {
    let signals = rows::signals(state);
    let remark = if incident.signal_count == signals.len() as u64 {
        incident.signal_count.to_string()
    } else {
        format!("{} shown of {}", signals.len(), incident.signal_count)
    };
    let inside = rule(buf, area, "Signals", &remark, paint);
    let keys: Vec<_> = signals.iter().map(|row| RowKey::Signal(row.id)).collect();
    let place = state.list().place(&keys, usize::from(page(body, state)));
    let table = Table {
        columns: &COLUMNS,
        count: signals.len(),
        place,
        empty: "its signals are too old to be kept here; `bartizan signals` has them",
    };
    table.draw(buf, inside, paint, |index| {
        let Some(row) = signals.get(index) else { return Vec::new() };
        vec![
            Cell::new(clock(state, row.at), paint.muted),
            Cell::new(short(row.stage), paint.base),
            Cell::new(safe(&row.detector), paint.muted),
            Cell::new(row.severity.to_string(), paint.severity(row.severity)),
            Cell::new(row.confidence.to_string(), paint.base),
            Cell::new(safe(&row.sentence), paint.base),
        ]
    });
}
