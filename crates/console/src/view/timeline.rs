//! The kill chain of one incident: stages across, signals down.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::format::clock;
use crate::paint::Paint;
use crate::state::{RowKey, State, held, rows};
use crate::widgets::text::{fit, safe, wrap};
use crate::widgets::{Branch, Cell, Column, Table, branches, column, draw_spans, draw_text, fill, right, rule};
use bartizan_model::{Incident, ProcessKey, Signal, Stage};
use bartizan_protocol::ProcessRow;

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
    hint: Rect,
    sentence: Rect,
    facts: Rect,
    chain: Rect,
    tree: Rect,
    signals: Rect,
    reading: Rect,
}

/// Rows of the sentence of the signal under the cursor, at least.
const READING: u16 = 3;
/// Rows of the sentence of the incident where the signals need all others, and at most.
const SENTENCE: u16 = 3;
const LONGEST: usize = 8;
/// Most rows of the lineage.
const TREE: usize = 14;

fn parts(area: Rect, state: &State) -> Parts {
    let incident = state.timeline_of().and_then(|id| state.mirror.incidents.get(&id));
    let wrapped = |row: &Incident| wrap(&safe(&row.sentence), usize::from(area.width.saturating_sub(2))).len().clamp(1, LONGEST);
    let sentence = u16::try_from(incident.map_or(1, wrapped)).unwrap_or(1);
    let hint = if area.height >= 16 { super::hint::height(state, area.width) } else { u16::from(area.height >= 14) };
    let tall = area.height >= 28;
    // Where the lineage stands as a tree, its line is not needed.
    let facts = if tall {
        2
    } else if area.height >= 16 {
        3
    } else {
        u16::from(area.height >= 13)
    };
    let chain = if area.height >= 12 { 3 } else { u16::from(area.height >= 7) };
    let tree = if tall { incident.map_or(0, |row| tree(state, row).len().min(TREE)) } else { 0 };
    let tree = if tree > 0 { u16::try_from(tree).unwrap_or(0) + 1 } else { 0 };
    // Rows that nothing else needs belong to the sentence.
    let signals = rows::signals(state);
    let listed = u16::try_from(signals.len()).unwrap_or(u16::MAX).saturating_add(2 + READING);
    let free = area.height.saturating_sub(listed.saturating_add(1 + hint + facts + chain + tree));
    let sentence = if area.height >= 12 { sentence.min(free.max(SENTENCE)) } else { u16::from(area.height >= 6) };
    let mut y = area.y;
    let mut take = |height: u16| {
        let height = height.min(area.bottom() - y);
        y += height;
        Rect { y: y - height, height, ..area }
    };
    let (title, hint, sentence, facts, chain, tree) = (take(1), take(hint), take(sentence), take(facts), take(chain), take(tree));
    let rest = area.bottom() - y;
    // A signal's sentence that the list had to cut is read below it.
    let here = if let Some(RowKey::Signal(id)) = state.list().key { signals.iter().find(|row| row.id == id) } else { None };
    let below = Rect { y, height: rest, ..area };
    let reading = super::reading::height(below, 8, signals.len(), here.map_or("", |row| &row.sentence));
    let signals = Rect { height: rest - reading, ..below };
    Parts { title, hint, sentence, facts, chain, tree, signals, reading: Rect { y: area.bottom() - reading, height: reading, ..area } }
}

pub(super) fn page(area: Rect, state: &State) -> u16 {
    parts(area, state).signals.height.saturating_sub(2)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let parts = parts(area, state);
    let Some(incident) = state.timeline_of().and_then(|id| state.mirror.incidents.get(&id)) else {
        let inside = rule(buf, area, "Timeline", "", paint);
        if inside.height > 0 {
            let text = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
            draw_text(buf, text, "no incident: nothing that was seen adds up to an attack", paint.muted, paint);
        }
        return;
    };
    heading(buf, parts.title, state, incident, paint);
    let inside = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..parts.sentence };
    draw_text(buf, inside, &incident.sentence, paint.base, paint);
    super::hint::draw(buf, parts.hint, state, paint);
    facts(buf, parts.facts, state, incident, paint);
    chain(buf, parts.chain, state, incident, paint);
    lineage(buf, parts.tree, state, incident, paint);
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
        (held::standing(state, incident).to_owned(), super::overview::standing_style(state, incident, paint)),
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

/// Score, when it happened, and whose it is, each in one line.
fn facts(buf: &mut Buffer, area: Rect, state: &State, incident: &Incident, paint: &Paint) {
    let cells = usize::from(area.width.saturating_sub(2));
    let lines = super::story::facts(state, incident, cells, paint);
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        draw_spans(buf, Rect { x: area.x + 1, y, width: area.width.saturating_sub(2), height: 1 }, line, paint);
    }
}

/// The process that did it: what started it, and what is below it.
fn tree<'a>(state: &'a State, incident: &Incident) -> Vec<(Branch<ProcessKey>, &'a ProcessRow)> {
    let Some(subject) = incident.subject else { return Vec::new() };
    let mut rows = rows::lineage(state, subject);
    rows.extend(rows::below(state, subject));
    let items: Vec<_> = rows.iter().map(|row| (row.key, row.parent)).collect();
    let nothing = std::collections::HashSet::new();
    branches(&items, &nothing).into_iter().filter_map(|branch| state.mirror.processes.get(&branch.key).map(|row| (branch, row))).collect()
}

fn lineage(buf: &mut Buffer, area: Rect, state: &State, incident: &Incident, paint: &Paint) {
    if area.height < 2 {
        return;
    }
    let rows = tree(state, incident);
    let shown = usize::from(area.height - 1);
    // The end of it did it; what is cut is the start of the host.
    let skipped = rows.len().saturating_sub(shown);
    let remark = if skipped > 0 { format!("{skipped} above are not shown") } else { String::new() };
    let inside = rule(buf, area, "Lineage", &remark, paint);
    for ((branch, row), y) in rows.iter().skip(skipped).zip(inside.top()..inside.bottom()) {
        let hit = row.incident == Some(incident.id);
        let style = if hit { paint.severity(incident.severity) } else { paint.base };
        let held = row.held_by.map(|id| format!("  held by {id}")).unwrap_or_default();
        let spans = vec![
            (super::processes::guides(branch, paint), paint.muted),
            (format!("{} ", row.key.pid), paint.muted),
            (super::processes::command(row), style),
            (held, paint.notice),
        ];
        draw_spans(buf, Rect { x: inside.x + 1, y, width: inside.width.saturating_sub(2), height: 1 }, &spans, paint);
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
        marked: &|_| false,
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
