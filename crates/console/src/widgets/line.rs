//! One line of text that a person types.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use tui_textarea::TextArea;

use super::text::{fit, safe, width};
use crate::paint::Paint;
use bartizan_config::{Key, KeyName};

/// Longest text that is taken; more is not typed by people.
const LONGEST: usize = 200;

/// One line of text being typed.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextLine {
    area: TextArea<'static>,
}

impl TextLine {
    pub(crate) fn new(text: &str) -> Self {
        let mut line = Self::default();
        line.paste(text);
        line
    }

    /// What is typed so far.
    pub(crate) fn text(&self) -> &str {
        self.area.lines().first().map_or("", String::as_str)
    }

    /// Takes a key; whether the text changed.
    pub(crate) fn key(&mut self, key: Key) -> bool {
        use tui_textarea::{Input, Key as Typed};
        let typed = match key.name {
            KeyName::Char(_) if self.text().chars().count() >= LONGEST && !key.ctrl => return false,
            KeyName::Char(c) if key.ctrl && matches!(c, 'm' | 'j' | 'y') => return false,
            KeyName::Char(c) => Typed::Char(c),
            KeyName::Backspace => Typed::Backspace,
            KeyName::Delete => Typed::Delete,
            KeyName::Left => Typed::Left,
            KeyName::Right => Typed::Right,
            KeyName::Home => Typed::Home,
            KeyName::End => Typed::End,
            _ => return false,
        };
        self.area.input(Input { key: typed, ctrl: key.ctrl, alt: key.alt, shift: false })
    }

    /// Takes pasted text: one line of it, without what is not text.
    pub(crate) fn paste(&mut self, text: &str) {
        let room = LONGEST.saturating_sub(self.text().chars().count());
        let line: String = text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(room).collect();
        self.area.insert_str(line);
    }

    /// Paints prompt, text and cursor on the first row of `area`.
    pub(crate) fn draw(&self, buf: &mut Buffer, area: Rect, prompt: &str, paint: &Paint) {
        let (x, _) = buf.set_stringn(area.x, area.y, prompt, usize::from(area.width), paint.accent);
        let room = usize::from(area.right().saturating_sub(x));
        let before: String = self.text().chars().take(self.area.cursor().1).collect();
        let shown = safe(self.text());
        // A text longer than its place shows its end: that is where people type.
        let cut = if width(&shown) + 1 > room {
            shown.chars().rev().take(room.saturating_sub(1)).collect::<Vec<_>>().into_iter().rev().collect()
        } else {
            shown.clone()
        };
        buf.set_stringn(x, area.y, fit(&cut, room, paint.glyphs.ellipsis), room, paint.base);
        let at = width(&safe(&before)).min(room.saturating_sub(1));
        if let Some(cell) = buf.cell_mut((x.saturating_add(u16::try_from(at).unwrap_or(0)), area.y)) {
            cell.set_style(paint.base.add_modifier(Modifier::REVERSED));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_text_and_never_a_second_line() {
        let mut line = TextLine::default();
        for c in "web".chars() {
            assert!(line.key(Key::char(c)));
        }
        assert!(!line.key(Key::plain(KeyName::Enter)));
        line.paste("-1\nrm -rf\u{1b}");
        assert_eq!(line.text(), "web-1");
        assert!(line.key(Key::plain(KeyName::Backspace)));
        assert_eq!(line.text(), "web-");
        line.paste(&"x".repeat(1_000));
        assert_eq!(line.text().len(), LONGEST);
    }
}
