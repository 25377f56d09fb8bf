//! A terminal that says it is larger than any screen is taken to be as large as one: its picture must fit into memory.

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

/// Most columns, and most cells in all: more than the largest screens with the smallest letters have.
const COLUMNS: u16 = 1_024;
const CELLS: u32 = 200_000;

/// A size of which a picture is kept.
pub(super) fn bounded(size: Size) -> Size {
    let width = size.width.min(COLUMNS);
    let rows = CELLS / u32::from(width.max(1));
    Size { width, height: u16::try_from(rows).unwrap_or(u16::MAX).min(size.height) }
}

/// A backend whose size is bounded.
pub(crate) struct Bounded<B>(pub(crate) B);

impl<B: Backend> Backend for Bounded<B> {
    type Error = B::Error;
    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> Result<(), B::Error> {
        self.0.draw(content)
    }
    fn hide_cursor(&mut self) -> Result<(), B::Error> {
        self.0.hide_cursor()
    }
    fn show_cursor(&mut self) -> Result<(), B::Error> {
        self.0.show_cursor()
    }
    fn get_cursor_position(&mut self) -> Result<Position, B::Error> {
        self.0.get_cursor_position()
    }
    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), B::Error> {
        self.0.set_cursor_position(position)
    }
    fn clear(&mut self) -> Result<(), B::Error> {
        self.0.clear()
    }
    fn clear_region(&mut self, clear_type: ClearType) -> Result<(), B::Error> {
        self.0.clear_region(clear_type)
    }
    fn size(&self) -> Result<Size, B::Error> {
        self.0.size().map(bounded)
    }
    fn window_size(&mut self) -> Result<WindowSize, B::Error> {
        self.0.window_size()
    }
    fn flush(&mut self) -> Result<(), B::Error> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_without_end_is_bounded_and_a_real_one_is_not() {
        for (width, height) in [(65_535, 65_535), (65_535, 1), (1, 65_535), (0, 65_535), (2_000, 2_000)] {
            let size = bounded(Size { width, height });
            assert!(u32::from(size.width) * u32::from(size.height) <= CELLS, "{size:?}");
        }
        for (width, height) in [(80, 24), (640, 180), (80, 0), (0, 0), (40, 10)] {
            assert_eq!(bounded(Size { width, height }), Size { width, height });
        }
    }
}
