//! The short story of one incident: what happened, what waits for an answer, how far it went, whose it is, what was done.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{ago, clock, left, span};
use crate::paint::Paint;
use crate::state::{State, held, rows};
use crate::widgets::text::{fit, safe, wrap};
use crate::widgets::{Spans, draw_spans, meter, rule, spans_width};
use bartizan_model::{HostText, Incident, ProcessKey, Signal, Stage};
use bartizan_protocol::ProcessRow;

/// Cells of the labels.
const LABEL: usize = 9;
/// Most rows of the questions and of the actions, and rows that the sentence always gets.
const ROWS: usize = 3;
/// Most rows of the sentence where there is room.
const LONGEST: usize = 6;

/// Paints it below a rule with its name.
pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, incident: &Incident, paint: &Paint) {
    if area.height < 2 {
        return;
    }
    let whole = if incident.complete { "" } else { ", evidence incomplete" };
    let remark = format!(
        "confidence {}, {}{whole}, began {}, {} ago",
        incident.confidence,
        held::standing(state, incident),
        clock(state, incident.opened),
        ago(state, incident.opened)
    );
    let title = format!("{} {}", incident.id, incident.severity);
    // On small screens the name alone; what it must not hide is in the list above.
    let remark =
        if title.len() + remark.len() + 6 <= usize::from(area.width) { remark } else { format!("confidence {}", incident.confidence) };
    let inside = rule(buf, area, &title, &remark, paint);
    let cells = usize::from(inside.width.saturating_sub(2));
    let lines = lines(state, incident, cells, usize::from(inside.height), paint);
    for (line, y) in lines.iter().zip(inside.top()..inside.bottom()) {
        draw_spans(buf, Rect { x: inside.x + 1, y, width: inside.width.saturating_sub(2), height: 1 }, line, paint);
    }
}

/// The lines, the most important first: what does not fit below is what can wait.
fn lines(state: &State, incident: &Incident, cells: usize, rows: usize, paint: &Paint) -> Vec<Spans> {
    let mut rest = questions(state, incident, paint);
    let stages: Vec<&str> = Stage::ALL.into_iter().filter(|stage| incident.stages.contains(stage)).map(super::timeline::short).collect();
    let arrow = format!(" {} ", paint.glyphs.right);
    rest.push(labelled("Stages", vec![(stages.join(&arrow), paint.severity(incident.severity))], paint));
    if let Some(subject) = incident.subject {
        rest.push(labelled("Lineage", lineage(state, incident, subject, cells.saturating_sub(LABEL), paint), paint));
    }
    rest.extend(actions(state, incident, paint));
    // The sentence gives way to nothing but the smallest screens; what was seen gives way to it.
    let most = rows.saturating_sub(rest.len()).clamp(ROWS, LONGEST).min(rows.max(1));
    let mut out = sentence(incident, cells, most, paint);
    out.extend(rest);
    let room = rows.saturating_sub(out.len());
    let signals: Vec<&Signal> = state.mirror.signals.iter().filter(|row| incident.signals.contains(&row.id)).collect();
    let latest = signals.len().saturating_sub(room);
    for (at, row) in signals.iter().skip(latest).enumerate() {
        let text = vec![(format!("{} ", clock(state, row.at)), paint.muted), (safe(&row.sentence), paint.base)];
        out.push(labelled(if at == 0 { "Seen" } else { "" }, text, paint));
    }
    out
}

/// Score with the families that it rests on, the signals on an axis of time, and the lineage.
pub(super) fn facts(state: &State, incident: &Incident, cells: usize, paint: &Paint) -> Vec<Spans> {
    let families: Vec<&str> = incident.families.iter().map(|family| family.name()).collect();
    let (full, empty) = meter(incident.confidence.get(), METER, &paint.glyphs);
    let score = vec![
        (full, paint.severity(incident.severity)),
        (empty, paint.muted),
        (format!(" {} from {}", incident.confidence, families.join(", ")), paint.base),
    ];
    let mut out = vec![labelled("Score", score, paint), labelled("Time", axis(state, incident, cells.saturating_sub(LABEL), paint), paint)];
    if let Some(subject) = incident.subject {
        out.push(labelled("Lineage", lineage(state, incident, subject, cells.saturating_sub(LABEL), paint), paint));
    }
    out
}

/// Cells of the bar of the score.
const METER: usize = 20;

/// The signals between the first and the last, each where it belongs in time, in the colour of the worst at that place.
fn axis(state: &State, incident: &Incident, cells: usize, paint: &Paint) -> Spans {
    let signals: Vec<&Signal> = state.mirror.signals.iter().filter(|row| incident.signals.contains(&row.id)).collect();
    let (first, last) = (signals.iter().map(|row| row.at).min(), signals.iter().map(|row| row.at).max());
    let (Some(first), Some(last)) = (first, last) else {
        return vec![(format!("{} to {}", clock(state, incident.opened), clock(state, incident.updated)), paint.base)];
    };
    let room = cells.saturating_sub(2 * 9 + 6).clamp(2, 60);
    let whole = (last - first).num_milliseconds().max(1);
    let mut worst: Vec<Option<bartizan_model::Severity>> = vec![None; room];
    for row in &signals {
        let after = (row.at - first).num_milliseconds().clamp(0, whole);
        let at = usize::try_from(after * i64::try_from(room - 1).unwrap_or(0) / whole).unwrap_or(0);
        if let Some(cell) = worst.get_mut(at) {
            *cell = (*cell).max(Some(row.severity));
        }
    }
    let mut out: Spans = vec![(format!("{} ", clock(state, first)), paint.muted)];
    out.extend(worst.into_iter().map(|cell| match cell {
        Some(severity) => (paint.glyphs.full.to_owned(), paint.severity(severity)),
        None => (paint.glyphs.rule.to_owned(), paint.border),
    }));
    out.push((format!(" {}, {}", clock(state, last), span(last - first)), paint.muted));
    out
}

fn labelled(label: &str, mut text: Spans, paint: &Paint) -> Spans {
    text.insert(0, (format!("{label:<LABEL$}"), paint.muted));
    text
}

/// The whole sentence where there is room; where not, it says how to read the rest.
fn sentence(incident: &Incident, cells: usize, most: usize, paint: &Paint) -> Vec<Spans> {
    let mut lines = wrap(&safe(&incident.sentence), cells);
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            let key = format!("{} enter", paint.glyphs.ellipsis);
            *last = format!("{} {key}", fit(last, cells.saturating_sub(key.len() + 1), ""));
        }
    }
    lines.into_iter().map(|line| vec![(line, paint.base)]).collect()
}

fn questions(state: &State, incident: &Incident, paint: &Paint) -> Vec<Spans> {
    let asked = rows::questions_of(state, incident.id);
    let mut out: Vec<Spans> = Vec::new();
    for (at, row) in asked.iter().take(ROWS).enumerate() {
        let more = if at + 1 == ROWS && asked.len() > ROWS { format!(" (and {} more)", asked.len() - ROWS) } else { String::new() };
        let text = vec![
            (format!("{} ", row.id), paint.warning),
            (format!("{} left{more} ", left(row.expires_at - state.now)), paint.muted),
            (safe(&row.action.to_string()), paint.warning),
        ];
        out.push(labelled(if at == 0 { "Asks you" } else { "" }, text, paint));
    }
    out
}

fn actions(state: &State, incident: &Incident, paint: &Paint) -> Vec<Spans> {
    let done = rows::done_for(state, incident.id);
    let line = |(at, row): (usize, &&bartizan_model::Action)| {
        let (noun, end) = match (row.state.is_active(), row.kind.is_reversible()) {
            (true, true) => {
                (row.state.noun(), format!(" {}, {} left ", ago(state, super::actions::since(row)), left(row.ends_at() - state.now)))
            }
            (true, false) => ("done", " for good ".to_owned()),
            (false, _) => ended(state, row),
        };
        let text = vec![
            (format!("{} ", row.id), paint.base),
            (noun.to_owned(), paint.action(row.state)),
            (end, paint.muted),
            (safe(&format!("{} {}", row.kind.verb(), row.target)), paint.base),
        ];
        labelled(if at == 0 { "Done" } else { "" }, text, paint)
    };
    done.iter().take(ROWS).enumerate().map(line).collect()
}

/// How it ended, when, and who undid it: what no longer holds must not vanish.
fn ended(state: &State, row: &bartizan_model::Action) -> (&'static str, String) {
    let undone = row.state == bartizan_model::ActionState::RolledBack;
    let noun = if undone { "undone" } else { row.state.noun() };
    let when = row.ended_at.map(|at| format!("{} ago ", ago(state, at))).unwrap_or_default();
    let by = row.desired.ending().filter(|_| undone).map(|ending| format!("by {} ", safe(&ending.by))).unwrap_or_default();
    (noun, format!(" {when}{by}"))
}

/// From the first ancestor down to the process that did it: those of the incident in its colour, cut in the middle.
fn lineage(state: &State, incident: &Incident, subject: ProcessKey, cells: usize, paint: &Paint) -> Spans {
    let line = rows::lineage(state, subject);
    if line.is_empty() {
        return vec![(format!("pid {} no longer runs", subject.pid), paint.muted)];
    }
    let style = |row: &ProcessRow| if row.incident == Some(incident.id) { paint.severity(incident.severity) } else { paint.base };
    let arrow = format!(" {} ", paint.glyphs.right);
    let below = rows::below(state, subject).len();
    let below = if below > 0 { format!(" and {below} below") } else { String::new() };
    let mut hidden = 0;
    loop {
        let shown = line.iter().enumerate().filter(|(at, _)| *at == 0 || *at > hidden).map(|(_, row)| row);
        let mut out: Spans = Vec::new();
        for (at, row) in shown.enumerate() {
            if at > 0 {
                let gap = if at == 1 && hidden > 0 { format!("{arrow}{}{arrow}", paint.glyphs.ellipsis) } else { arrow.clone() };
                out.push((gap, paint.muted));
            }
            out.push((format!("{} {}", name(row), row.key.pid), style(row)));
        }
        out.push((below.clone(), paint.muted));
        if spans_width(&out) <= cells || hidden + 2 >= line.len() {
            return out;
        }
        hidden += 1;
    }
}

/// What people call a process: the name of its program's file.
pub(crate) fn name(row: &ProcessRow) -> String {
    let own = HostText::from(row.exe.basename().as_ref()).escaped();
    let claimed = || row.argv.first().map(ToString::to_string).unwrap_or_default();
    if own.is_empty() { claimed() } else { own }
}
