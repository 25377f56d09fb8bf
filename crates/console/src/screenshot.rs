//! A view as a picture: the very cells that a terminal would show, as SVG.

use std::fmt::Write;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::paint::Paint;
use super::state::State;
use super::update::update;
use super::view;
use crate::input::{Input, Question};
use bartizan_config::{Keymap, Theme, View};
use bartizan_model::{AuditEntry, Role, Timestamp};
use bartizan_protocol::{Mirror, Reply, Request};

/// Size of a cell and of the frame around, in SVG units.
const CELL: (u16, u16) = (9, 19);
const FRAME: u16 = 14;

/// A view of what the agent shows, `width` by `height` cells, as an SVG document. The moment is that of the agent's own
/// health, so the same mirror always gives the same picture.
pub fn screenshot(mirror: &Mirror, view: View, width: u16, height: u16, theme: &Theme) -> String {
    screenshot_with_audit(mirror, &[], view, width, height, theme)
}

/// The same, with the lines for the audit view, which the mirror does not hold.
pub fn screenshot_with_audit(mirror: &Mirror, audit: &[AuditEntry], view: View, width: u16, height: u16, theme: &Theme) -> String {
    let paint = Paint::new(theme);
    let buf = painted(mirror, audit, view, width.max(1), height.max(1), &paint);
    svg(&buf, &paint)
}

fn painted(mirror: &Mirror, audit: &[AuditEntry], view: View, width: u16, height: u16, paint: &Paint) -> Buffer {
    let now = mirror.health.as_ref().map_or(Timestamp::UNIX_EPOCH, |health| health.at);
    let utc = chrono::Offset::fix(&chrono::Utc);
    let area = Rect::new(0, 0, width, height);
    let mut buf = Buffer::empty(area);
    // The built-in keymap is valid (a test reads it); without it there is nothing to show.
    let Ok(keymap) = Keymap::built_in() else { return buf };
    let mut state = State::new(keymap, Role::Admin, view, now, utc);
    state.size = (width, height);
    state.mirror = mirror.clone();
    state.note_rate();
    if let Some(health) = &mirror.health {
        let kernel = mirror.processes.keys().find(|key| key.pid == 2).copied();
        state.folded.extend(kernel);
        state.now = health.at;
    }
    if !audit.is_empty() {
        let question = Question { request: Request::AuditShow { limit: 500 }, what: String::new(), plan: None };
        super::update::sent(&mut state, 0, question);
        update(&mut state, Input::Reply { ticket: 0, reply: Box::new(Reply::Audit(audit.to_vec())) }, now);
    }
    update(&mut state, Input::Resize(width, height), now);
    view::draw(&mut buf, area, &state, paint);
    buf
}

/// One run of cells that look alike.
struct Run {
    x: u16,
    cells: u16,
    text: String,
    style: Style,
}

pub(crate) fn svg(buf: &Buffer, paint: &Paint) -> String {
    let area = buf.area;
    let (w, h) = (area.width * CELL.0 + 2 * FRAME, area.height * CELL.1 + 2 * FRAME);
    let ground = hex(paint.base.bg.unwrap_or(Color::Reset), "#11151c");
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\">\n\
         <rect width=\"{w}\" height=\"{h}\" rx=\"8\" fill=\"{ground}\"/>\n\
         <g font-family=\"'JetBrains Mono','DejaVu Sans Mono','Liberation Mono',monospace\" font-size=\"15\" xml:space=\"preserve\">\n"
    );
    for y in area.top()..area.bottom() {
        for run in runs(buf, y) {
            draw_run(&mut out, &run, y, &ground);
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

fn runs(buf: &Buffer, y: u16) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut x = buf.area.left();
    while x < buf.area.right() {
        let Some(cell) = buf.cell((x, y)) else { break };
        let style = cell.style();
        let cells = u16::try_from(super::widgets::text::width(cell.symbol())).unwrap_or(1).max(1);
        match runs.last_mut() {
            // Wide characters begin a run of their own so that what follows stays in its column.
            Some(last) if last.style == style && cells == 1 && cell.symbol().is_ascii() && last.text.is_ascii() => {
                last.text.push_str(cell.symbol());
                last.cells += 1;
            }
            Some(last) if last.style == style && cells == 1 && last.text.ends_with(cell.symbol()) && !cell.symbol().is_ascii() => {
                last.text.push_str(cell.symbol());
                last.cells += 1;
            }
            _ => runs.push(Run { x, cells, text: cell.symbol().to_owned(), style }),
        }
        x = x.saturating_add(cells);
    }
    runs
}

fn draw_run(out: &mut String, run: &Run, y: u16, ground: &str) {
    let (mut fg, mut bg) = (hex(run.style.fg.unwrap_or(Color::Reset), "#d0d4da"), hex(run.style.bg.unwrap_or(Color::Reset), ground));
    if run.style.add_modifier.contains(Modifier::REVERSED) {
        std::mem::swap(&mut fg, &mut bg);
    }
    let (left, top) = (FRAME + run.x * CELL.0, FRAME + y * CELL.1);
    let wide = run.cells * CELL.0;
    if bg != ground {
        let _ = writeln!(out, "<rect x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{}\" fill=\"{bg}\"/>", CELL.1);
    }
    if run.text.trim().is_empty() {
        return;
    }
    let mut extra = String::new();
    for (modifier, attribute) in [
        (Modifier::BOLD, " font-weight=\"bold\""),
        (Modifier::UNDERLINED, " text-decoration=\"underline\""),
        (Modifier::DIM, " opacity=\"0.65\""),
    ] {
        if run.style.add_modifier.contains(modifier) {
            extra.push_str(attribute);
        }
    }
    let text = escape(&run.text);
    let _ = writeln!(
        out,
        "<text x=\"{left}\" y=\"{}\" textLength=\"{wide}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{fg}\"{extra} xml:space=\"preserve\">{text}</text>",
        top + 14
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The sixteen named colours as most terminals show them; the cube and the greys as xterm defines them.
fn hex(colour: Color, default: &str) -> String {
    const NAMED: [&str; 16] = [
        "#1c1f26", "#d0524b", "#6fb36f", "#cfa64a", "#4a78c2", "#a56fc0", "#4fb0b8", "#c5c8cc", "#6b7078", "#f0837b", "#98d898", "#f0d080",
        "#84aef0", "#cfa0e8", "#84dce0", "#ffffff",
    ];
    match colour {
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Indexed(index @ 0..=15) => NAMED.get(usize::from(index)).copied().unwrap_or(default).to_owned(),
        Color::Indexed(index @ 16..=231) => {
            let part = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let n = index - 16;
            format!("#{:02x}{:02x}{:02x}", part(n / 36), part(n / 6 % 6), part(n % 6))
        }
        Color::Indexed(index) => {
            let grey = 8 + 10 * (index - 232);
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
        _ => default.to_owned(),
    }
}
