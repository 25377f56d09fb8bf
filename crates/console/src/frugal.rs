//! A backend that keeps the pen: colours and attributes stay as the last cell left them, also between two pictures, so that one
//! digit that changes costs little more than its place. Over SSH most bytes of a console are colours.

use std::io::{self, Write};

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};

/// The attributes of ECMA-48 that themes use, with the number that turns each on.
const ATTRIBUTES: [(Modifier, u8); 9] = [
    (Modifier::BOLD, 1),
    (Modifier::DIM, 2),
    (Modifier::ITALIC, 3),
    (Modifier::UNDERLINED, 4),
    (Modifier::SLOW_BLINK, 5),
    (Modifier::RAPID_BLINK, 6),
    (Modifier::REVERSED, 7),
    (Modifier::HIDDEN, 8),
    (Modifier::CROSSED_OUT, 9),
];

/// How the terminal writes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pen {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

/// As a terminal is after SGR 0.
const PLAIN: Pen = Pen { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };

/// Writes pictures for a terminal of the ANSI kind.
pub(crate) struct Frugal<W: Write> {
    inner: CrosstermBackend<W>,
    /// Nobody knows it at first, and after the terminal was cleared or lent.
    pen: Option<Pen>,
}

impl<W: Write> Frugal<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self { inner: CrosstermBackend::new(writer), pen: None }
    }

    fn take_pen(&mut self, wanted: Pen) -> io::Result<()> {
        let (from, reset) = match self.pen {
            Some(pen) if pen == wanted => return Ok(()),
            // Turning attributes off one by one is said differently by different terminals.
            Some(pen) if wanted.modifier.contains(pen.modifier) => (pen, false),
            Some(_) | None => (PLAIN, true),
        };
        let mut codes: Vec<String> = Vec::new();
        if reset {
            codes.push("0".to_owned());
        }
        let on = |(attribute, _): &&(Modifier, u8)| wanted.modifier.contains(*attribute) && !from.modifier.contains(*attribute);
        codes.extend(ATTRIBUTES.iter().filter(on).map(|(_, code)| code.to_string()));
        if from.fg != wanted.fg {
            codes.push(colour(wanted.fg, 30));
        }
        if from.bg != wanted.bg {
            codes.push(colour(wanted.bg, 40));
        }
        self.pen = Some(wanted);
        write!(self.inner, "\x1b[{}m", codes.join(";"))
    }
}

/// The parameters of SGR for a colour, of the letters (`base` 30) or the ground (40): the first sixteen as every terminal knows
/// them.
fn colour(colour: Color, base: u8) -> String {
    let numbered = |n: u8| match n {
        0..8 => (base + n).to_string(),
        8..16 => (base + 52 + n).to_string(),
        _ => format!("{};5;{n}", base + 8),
    };
    match colour {
        Color::Reset => (base + 9).to_string(),
        Color::Black => numbered(0),
        Color::Red => numbered(1),
        Color::Green => numbered(2),
        Color::Yellow => numbered(3),
        Color::Blue => numbered(4),
        Color::Magenta => numbered(5),
        Color::Cyan => numbered(6),
        Color::Gray => numbered(7),
        Color::DarkGray => numbered(8),
        Color::LightRed => numbered(9),
        Color::LightGreen => numbered(10),
        Color::LightYellow => numbered(11),
        Color::LightBlue => numbered(12),
        Color::LightMagenta => numbered(13),
        Color::LightCyan => numbered(14),
        Color::White => numbered(15),
        Color::Indexed(n) => numbered(n),
        Color::Rgb(r, g, b) => format!("{};2;{r};{g};{b}", base + 8),
    }
}

impl<W: Write> Backend for Frugal<W> {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        // Where the cursor was left by the last picture is not relied upon: not every terminal stops alike at the right edge.
        let mut last: Option<(u16, u16)> = None;
        for (x, y, cell) in content {
            match last {
                Some((before, row)) if row == y && before.checked_add(1) == Some(x) => {}
                Some((_, row)) if row == y => write!(self.inner, "\x1b[{}G", u32::from(x) + 1)?,
                Some(_) | None => write!(self.inner, "\x1b[{};{}H", u32::from(y) + 1, u32::from(x) + 1)?,
            }
            last = Some((x, y));
            self.take_pen(Pen { fg: cell.fg, bg: cell.bg, modifier: cell.modifier })?;
            self.inner.write_all(cell.symbol().as_bytes())?;
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.inner.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.inner.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        // Most terminals clear in the colour of the pen.
        self.inner.write_all(b"\x1b[0m")?;
        self.pen = Some(PLAIN);
        self.inner.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        self.inner.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        Backend::flush(&mut self.inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use ratatui::style::Style;

    #[derive(Clone, Default)]
    struct Line(Arc<Mutex<Vec<u8>>>);

    impl Write for Line {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sent(line: &Line) -> String {
        String::from_utf8(std::mem::take(&mut *line.0.lock().unwrap())).unwrap()
    }

    fn cell(symbol: &str, style: Style) -> Cell {
        let mut cell = Cell::default();
        cell.set_symbol(symbol).set_style(style);
        cell
    }

    #[test]
    fn a_digit_that_changes_costs_its_place_and_no_colour_again() {
        let line = Line::default();
        let mut screen = Frugal::new(line.clone());
        let style = Style::new().fg(Color::Rgb(122, 162, 247)).bg(Color::Rgb(26, 27, 38));
        let (one, two) = (cell("1", style), cell("2", style));
        screen.draw([(10, 4, &one), (11, 4, &two)].into_iter()).unwrap();
        assert_eq!(sent(&line), "\x1b[5;11H\x1b[0;38;2;122;162;247;48;2;26;27;38m12");
        screen.draw([(11, 4, &one)].into_iter()).unwrap();
        assert_eq!(sent(&line), "\x1b[5;12H1", "the pen stays");
        screen.draw([(3, 4, &one), (30, 4, &two)].into_iter()).unwrap();
        assert_eq!(sent(&line), "\x1b[5;4H1\x1b[31G2", "in one row the column is enough");
    }

    #[test]
    fn attributes_are_taken_off_and_a_cleared_terminal_begins_anew() {
        let line = Line::default();
        let mut screen = Frugal::new(line.clone());
        let (plain, bold) = (cell("a", Style::new()), cell("b", Style::new().fg(Color::Indexed(9)).add_modifier(Modifier::BOLD)));
        screen.draw([(0, 0, &bold), (1, 0, &plain)].into_iter()).unwrap();
        assert_eq!(sent(&line), "\x1b[1;1H\x1b[0;1;91mb\x1b[0ma");
        screen.draw([(0, 0, &bold)].into_iter()).unwrap();
        assert_eq!(sent(&line), "\x1b[1;1H\x1b[1;91mb");
        screen.clear().unwrap();
        assert_eq!(sent(&line), "\x1b[0m\x1b[2J");
        screen.draw([(0, 0, &plain)].into_iter()).unwrap();
        assert_eq!(sent(&line), "\x1b[1;1Ha");
    }

    #[test]
    fn sixteen_colours_are_those_that_every_terminal_knows() {
        let codes = [0, 7, 8, 15, 16, 255].map(|n| colour(Color::Indexed(n), 30));
        assert_eq!(codes, ["30", "37", "90", "97", "38;5;16", "38;5;255"]);
        assert_eq!([colour(Color::Indexed(1), 40), colour(Color::White, 40), colour(Color::Reset, 40)], ["41", "107", "49"]);
    }
}
