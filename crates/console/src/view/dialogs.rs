//! Everything that stands over a view.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::paint::Paint;
use crate::state::dialog::Prompt;
use crate::state::{Dialog, Link, State};
use crate::update::{name_of, palette_rows, read_id};
use crate::widgets::text::{fit, pad, safe, width};
use crate::widgets::{TextLine, Tone, TonedLine, draw_lines, draw_text, popup, wrap_toned};
use bartizan_config::Command;
use bartizan_config::keymap::COMMANDS;

/// Most cells of the keys of a command; longer ones move their text.
const KEYS: usize = 24;

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    match &state.dialog {
        None | Some(Dialog::Filter(_)) => {}
        Some(Dialog::Help { offset }) => page(buf, area, ("Keys", ""), &help(state), *offset, paint),
        Some(Dialog::Page(text)) => {
            let links: Vec<String> = (1..10).zip(&text.links).map(|(at, to)| format!("{at} {}", name_of(to))).collect();
            page(buf, area, (&text.title, &links.join("   ")), &text.lines, text.offset, paint);
        }
        Some(Dialog::Palette { line, at }) => palette(buf, area, state, line, *at, paint),
        Some(Dialog::Confirm(question)) => super::question::draw(buf, area, state, question, paint),
        Some(Dialog::Choose(question)) => super::choose::draw(buf, area, question, paint),
        Some(Dialog::Prompt(question)) => prompt(buf, area, question, paint),
    }
}

/// Before the first snapshot.
pub(super) fn waiting(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let lines = match &state.link {
        Link::Up => vec![TonedLine::new(Tone::Muted, format!("waiting for the agent's first word{}", paint.glyphs.ellipsis))],
        Link::Lost { reason, .. } => vec![
            TonedLine::new(Tone::Danger, "The agent does not answer."),
            TonedLine::new(Tone::Plain, reason.clone()),
            TonedLine::new(Tone::Muted, "Trying again; q leaves the console."),
        ],
    };
    let lines = wrap_toned(&lines, usize::from(area.width.saturating_sub(2)).max(1));
    let y = area.y + area.height / 3;
    draw_lines(
        buf,
        Rect { x: area.x + 1, y, width: area.width.saturating_sub(2), height: area.bottom().saturating_sub(y) },
        &lines,
        0,
        paint,
    );
}

fn high(lines: usize, more: u16) -> u16 {
    u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(more)
}

/// Width of a box, at most what reads well.
fn wide(area: Rect, most: u16) -> u16 {
    most.min(area.width)
}

fn page(buf: &mut Buffer, area: Rect, (title, links): (&str, &str), lines: &[TonedLine], offset: usize, paint: &Paint) {
    let wide = wide(area, 96);
    let lines = wrap_toned(lines, usize::from(wide.saturating_sub(4)));
    let inside = popup(buf, area, wide, high(lines.len(), 3), &safe(title), paint.accent, paint);
    let shown = usize::from(inside.height.saturating_sub(1));
    let last = lines.len().saturating_sub(shown);
    let offset = offset.min(last);
    draw_lines(buf, Rect { height: inside.height.saturating_sub(1), ..inside }, &lines, offset, paint);
    let hint = if last == 0 {
        "esc closes".to_owned()
    } else {
        format!("esc closes   j k scroll   {} of {}", (offset + shown).min(lines.len()), lines.len())
    };
    let y = inside.bottom().saturating_sub(1);
    let (x, _) =
        buf.set_stringn(inside.x, y, if links.is_empty() { hint } else { format!("{hint}   ") }, usize::from(inside.width), paint.muted);
    let room = usize::from(inside.right().saturating_sub(x));
    buf.set_stringn(x, y, fit(&safe(links), room, paint.glyphs.ellipsis), room, paint.accent);
}

fn help(state: &State) -> Vec<TonedLine> {
    let keys = |info: &bartizan_config::keymap::CommandInfo| {
        let keys = state.keymap.keys(info.command).join(" ");
        // Without a key it is typed.
        if keys.is_empty() { format!("{}{}", state.keymap.key(Command::Palette).unwrap_or_default(), info.id) } else { keys }
    };
    let column = COMMANDS.iter().map(|info| width(&keys(info))).max().unwrap_or(0).min(KEYS);
    let row = |info: &bartizan_config::keymap::CommandInfo| {
        TonedLine::labelled(format!("  {}  ", pad(&keys(info), column)), Tone::Plain, info.about)
    };
    let mut lines = vec![TonedLine::new(Tone::Title, format!("In this view: {}", state.view))];
    lines.extend(COMMANDS.iter().filter(|info| !info.views.is_empty() && info.works_in(state.view)).map(row));
    lines.extend([TonedLine::new(Tone::Plain, ""), TonedLine::new(Tone::Title, "Everywhere")]);
    lines.extend(COMMANDS.iter().filter(|info| info.views.is_empty()).map(row));
    lines
}

fn palette(buf: &mut Buffer, area: Rect, state: &State, line: &TextLine, at: usize, paint: &Paint) {
    let found = palette_rows(line.text(), state.view);
    let inside = popup(buf, area, wide(area, 70), area.height.min(16), "Commands", paint.accent, paint);
    line.draw(buf, Rect { height: 1, ..inside }, ": ", paint);
    let shown = usize::from(inside.height.saturating_sub(2));
    let offset = (at + 1).saturating_sub(shown.max(1));
    for ((index, info), y) in found.iter().enumerate().skip(offset).zip(inside.top() + 2..inside.bottom()) {
        let key = state.keymap.key(info.command).unwrap_or_default();
        let text = format!("{} {} {}", pad(info.id, 16), pad(&key, 10), info.about);
        let text = pad(&fit(&text, usize::from(inside.width), paint.glyphs.ellipsis), usize::from(inside.width));
        buf.set_stringn(inside.x, y, text, usize::from(inside.width), if index == at { paint.selected } else { paint.base });
    }
    if let Some(to) = read_id(line.text(), state).filter(|_| inside.height > 1) {
        let text = fit(&safe(&format!("enter goes to {}", name_of(&to))), usize::from(inside.width), paint.glyphs.ellipsis);
        buf.set_stringn(inside.x, inside.y + 1, text, usize::from(inside.width), paint.accent);
    } else if found.is_empty() && inside.height > 2 {
        let words = "no command has such a name; I7, A3, a pid, an address or a path lead there";
        draw_text(buf, Rect { y: inside.y + 2, height: inside.height - 2, ..inside }, words, paint.muted, paint);
    }
}

fn prompt(buf: &mut Buffer, area: Rect, question: &Prompt, paint: &Paint) {
    let wide = wide(area, 70);
    let cells = usize::from(wide.saturating_sub(4));
    let mut lines = wrap_toned(&[TonedLine::new(Tone::Muted, question.about.clone())], cells);
    let about = lines.len();
    if let Some(problem) = &question.problem {
        lines.extend(wrap_toned(&[TonedLine::new(Tone::Danger, problem.clone())], cells));
    }
    let inside = popup(buf, area, wide, high(lines.len(), 5), &safe(&question.title), paint.accent, paint);
    draw_lines(buf, inside, lines.get(..about).unwrap_or_default(), 0, paint);
    let y = inside.y + u16::try_from(about).unwrap_or(0) + 1;
    if y < inside.bottom() {
        question.line.draw(buf, Rect { y, height: 1, ..inside }, "> ", paint);
        draw_lines(
            buf,
            Rect { y: y + 1, height: inside.bottom().saturating_sub(y + 1), ..inside },
            lines.get(about..).unwrap_or_default(),
            0,
            paint,
        );
    }
}
