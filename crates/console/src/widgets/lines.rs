//! Lines of text in a few tones: explanations, details, help.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text::{clip, safe, width, wrap};
use crate::paint::Paint;

/// How a line sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Title,
    Plain,
    Muted,
    Good,
    Warning,
    Danger,
}

impl Tone {
    pub(crate) fn style(self, paint: &Paint) -> Style {
        match self {
            Self::Title => paint.title,
            Self::Plain => paint.base,
            Self::Muted => paint.muted,
            Self::Good => paint.good,
            Self::Warning => paint.warning,
            Self::Danger => paint.danger,
        }
    }
}

/// One paragraph: a label in front (may be empty), then text that hangs beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TonedLine {
    pub tone: Tone,
    pub label: String,
    pub text: String,
}

impl TonedLine {
    pub(crate) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, label: String::new(), text: text.into() }
    }

    pub(crate) fn labelled(label: impl Into<String>, tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, label: label.into(), text: text.into() }
    }
}

/// The paragraphs broken into lines of at most `cells`; each label stands once.
pub(crate) fn wrap_toned(lines: &[TonedLine], cells: usize) -> Vec<TonedLine> {
    let mut out = Vec::new();
    for line in lines {
        let label = safe(&line.label);
        let indent = width(&label);
        let pieces = wrap(&safe(&line.text), cells.saturating_sub(indent).max(8));
        for (at, piece) in pieces.into_iter().enumerate() {
            let label = if at == 0 { label.clone() } else { " ".repeat(indent) };
            out.push(TonedLine { tone: line.tone, label, text: piece });
        }
    }
    out
}

/// Paints a text, broken at spaces; what does not fit is cut, visibly.
pub(crate) fn draw_text(buf: &mut Buffer, area: Rect, text: &str, style: Style, paint: &Paint) {
    let cells = usize::from(area.width);
    let lines = clip(wrap(&safe(text), cells), usize::from(area.height), cells, paint.glyphs.ellipsis);
    for (line, y) in lines.into_iter().zip(area.top()..area.bottom()) {
        buf.set_stringn(area.x, y, line, cells, style);
    }
}

/// Paints already broken lines from `offset` on.
pub(crate) fn draw_lines(buf: &mut Buffer, area: Rect, lines: &[TonedLine], offset: usize, paint: &Paint) {
    for (line, y) in lines.iter().skip(offset).zip(area.top()..area.bottom()) {
        let (x, _) = buf.set_stringn(area.x, y, &line.label, usize::from(area.width), paint.muted);
        buf.set_stringn(x, y, &line.text, usize::from(area.right().saturating_sub(x)), line.tone.style(paint));
    }
}
