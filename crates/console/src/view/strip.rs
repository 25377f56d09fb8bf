//! The strip at the top: what must be known at every moment, whatever is on screen below.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::format::{clock, clock_of_minutes, count, left, plural, span};
use crate::paint::Paint;
use crate::state::{Link, State, rows};
use crate::widgets::text::{fit, safe, width};
use bartizan_config::Command;
use bartizan_model::{Health, Rung};

/// One part of the strip; the ones with the highest `rank` go first when room is short.
struct Part {
    text: String,
    style: Style,
    rank: u8,
    /// Stands out from the strip, whatever the theme.
    badge: bool,
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    buf.set_style(area, paint.strip);
    let first = Rect { height: area.height.min(1), ..area };
    line(buf, first, parts(state, paint, area.height < 2), 0, paint);
    if area.height > 1
        && let Some(health) = &state.mirror.health
    {
        let second = Rect { y: area.y + 1, height: 1, ..area };
        let parts = coverage(health, area.width >= ROOMY, paint);
        let x = line(buf, second, parts, super::coverage::LEAST, paint);
        super::coverage::hour(buf, Rect { x, width: second.right().saturating_sub(x + 1), ..second }, health, paint);
    }
}

/// Paints as many parts as there is room for, leaving `reserved` cells free; where the next one would begin.
fn line(buf: &mut Buffer, area: Rect, mut parts: Vec<Part>, reserved: u16, paint: &Paint) -> u16 {
    let room = usize::from(area.width).saturating_sub(2 + usize::from(reserved));
    // Narrow terminals get narrower gaps before anything is left out.
    let gap = if total(&parts, GAP) > room || area.width < ROOMY { GAP - 1 } else { GAP };
    while total(&parts, gap) > room {
        let Some(worst) = parts.iter().map(|part| part.rank).max().filter(|rank| *rank > 0) else { break };
        parts.retain(|part| part.rank != worst);
    }
    let mut x = area.x + 1;
    for part in parts {
        if x >= area.right() {
            break;
        }
        let text = fit(&part.text, usize::from(area.right().saturating_sub(x)), paint.glyphs.ellipsis);
        // Colour of the meaning on the ground of the strip.
        let style = Style { bg: paint.strip.bg, ..part.style }.add_modifier(paint.strip.add_modifier);
        let style = if part.badge { turned(style) } else { style };
        let (end, _) = buf.set_stringn(x, area.y, text, usize::from(area.right().saturating_sub(x)), style);
        x = end + gap;
    }
    x
}

/// The same in reverse: light on dark where the strip is dark on light, also without any colour.
fn turned(style: Style) -> Style {
    let reverse = Modifier::REVERSED;
    let style = style.add_modifier(Modifier::BOLD);
    if style.add_modifier.contains(reverse) { style.remove_modifier(reverse) } else { style.add_modifier(reverse) }
}

/// The countdown: what is undone unless a person confirms it, and the key that does. Its width does not change by the second.
fn countdown(state: &State, paint: &Paint) -> Option<Part> {
    let waiting = rows::awaiting(state);
    let first = waiting.first()?;
    let more = if waiting.len() > 1 { format!(" +{}", waiting.len() - 1) } else { String::new() };
    // Without a connection nobody tells that it was undone; it is no question any more either way.
    let rest = first.ends_at() - state.now;
    let left = if rest > chrono::TimeDelta::zero() { left(rest) } else { "over".to_owned() };
    let key = state.keymap.key(Command::Confirm).map(|key| format!(": {key}")).unwrap_or_default();
    Some(Part { text: format!(" CONFIRM {} {left:>5}{more}{key} ", first.id), style: paint.warning, rank: 0, badge: true })
}

/// Width from which there is air between the parts.
const ROOMY: u16 = 110;
const GAP: u16 = 3;

fn total(parts: &[Part], gap: u16) -> usize {
    parts.iter().map(|part| width(&part.text) + usize::from(gap)).sum::<usize>().saturating_sub(usize::from(gap))
}

fn parts(state: &State, paint: &Paint, alone: bool) -> Vec<Part> {
    let part = |text: String, style: Style, rank: u8| Part { text, style, rank, badge: false };
    let Some(health) = &state.mirror.health else {
        return vec![host(state, state.remote.as_deref().unwrap_or("bartizan"), paint)];
    };
    let (alerts, questions) = rows::waiting(state);
    let lost = health.lost();
    let loud = |n: usize, style: Style| if n > 0 { style } else { paint.muted };
    let mut parts = vec![
        host(state, &health.host, paint),
        part(health.mode.to_string(), paint.mode(health.mode), 0),
        part(health.posture.standing().to_owned(), paint.posture(health.posture), 1),
        part(format!("{} ev/s", count(rate(health.events_per_second))), paint.strip, 6),
        part(format!("lost {}", count(lost)), if lost > 0 { paint.danger } else { paint.strip }, if lost > 0 { 4 } else { 5 }),
        part(plural(alerts, "alert"), loud(alerts, paint.danger), 0),
        part(plural(questions, "approval"), loud(questions, paint.warning), 0),
    ];
    if state.remote.is_some() {
        parts.insert(1, part(fit(&safe(&health.host), 16, paint.glyphs.ellipsis), paint.title, 5));
    }
    let active = state.mirror.actions.values().filter(|row| row.state.is_active()).count();
    if active > 0 {
        parts.push(part(plural(active, "action"), paint.notice, 3));
    }
    parts.push(part(clock_of_minutes(state), paint.muted, 3));
    if alone {
        parts.insert(3, rung(health, paint, 7));
    }
    if let Some(countdown) = countdown(state, paint) {
        parts.insert(0, countdown);
    }
    let pending = state.mirror.actions.values().filter(|row| row.undo_pending().is_some()).count();
    if pending > 0 {
        parts.insert(0, part(format!("{pending} UNDO PENDING"), paint.critical, 0));
    }
    if let Link::Lost { since, .. } = &state.link {
        // All of it is from then: only the countdown, which runs without us, still stands out.
        parts.iter_mut().filter(|part| !part.badge).for_each(|part| part.style = paint.muted);
        parts.insert(0, part(format!("since {}", clock(state, *since)), paint.critical, 1));
        parts.insert(0, part("NOT CONNECTED".to_owned(), paint.critical, 0));
    }
    parts
}

/// Whose host it is. Another host than this one stands out at every width: what is answered here is done there.
fn host(state: &State, name: &str, paint: &Paint) -> Part {
    match &state.remote {
        None => Part { text: fit(&safe(name), 24, paint.glyphs.ellipsis), style: paint.title, rank: 2, badge: false },
        // What the person typed: what that host calls itself, it may choose.
        Some(typed) => {
            Part { text: format!(" ssh {} ", fit(&safe(typed), 24, paint.glyphs.ellipsis)), style: paint.notice, rank: 0, badge: true }
        }
    }
}

fn rung(health: &Health, paint: &Paint, rank: u8) -> Part {
    Part {
        text: health.rung.noun().to_owned(),
        style: if health.rung == Rung::Ebpf { paint.strip } else { paint.warning },
        rank,
        badge: false,
    }
}

/// What is watched, and since when without a gap.
fn coverage(health: &Health, roomy: bool, paint: &Paint) -> Vec<Part> {
    let blind = health.blind_spots.len();
    // As of the agent's last word: what came after it, nobody here knows.
    let whole = span(health.at - health.watching_since);
    let mut parts = vec![
        rung(health, paint, 0),
        Part {
            text: format!("{blind} blind spot{}", if blind == 1 { "" } else { "s" }),
            style: if blind > 0 { paint.warning } else { paint.strip },
            rank: 1,
            badge: false,
        },
        Part {
            text: if roomy { format!("{whole} without a gap") } else { format!("no gap {whole}") },
            style: paint.strip,
            rank: 2,
            badge: false,
        },
    ];
    if health.budget.level > 0 {
        parts.insert(1, Part { text: format!("over budget, level {}", health.budget.level), style: paint.warning, rank: 1, badge: false });
    }
    parts
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a rate; `as` saturates
fn rate(value: f64) -> u64 {
    value.round() as u64
}
