//! The row of views with their number keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::paint::Paint;
use crate::state::State;
use crate::widgets::text::width;
use bartizan_config::{Command, View};

/// Cells between roomy tabs.
const AIR: usize = 3;

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let key = |view: View| state.keymap.key(Command::Show(view)).unwrap_or_default();
    // A letter would read as the first one of the name.
    let is_letter = |view: View| key(view).ends_with(char::is_alphabetic);
    let full: usize = View::ALL.into_iter().map(|view| width(&key(view)) + 1 + view.title().len() + AIR).sum();
    let roomy = full <= usize::from(area.width);
    let named = named(state.view, usize::from(area.width), |view| width(&key(view)), is_letter);
    let keys: usize = View::ALL.into_iter().map(|view| width(&key(view)) + 1).sum();
    // Where not even the keys fit, the view on screen stands alone.
    let shown = if keys > usize::from(area.width) { vec![state.view] } else { View::ALL.to_vec() };
    let mut x = area.x + 1;
    for view in shown {
        let key = key(view);
        let here = view == state.view;
        let (name, key_style) = if here { (paint.selected, paint.selected) } else { (paint.base, paint.muted) };
        let room = usize::from(area.right().saturating_sub(x));
        if here && x > area.x {
            buf.set_stringn(x - 1, area.y, " ", 1, paint.selected);
        }
        let short = if named.contains(&view) || keys > usize::from(area.width) { short(view) } else { "" };
        let air = roomy || !short.is_empty() && is_letter(view);
        let (x1, _) = buf.set_stringn(x, area.y, if air { format!("{key} ") } else { key }, room, key_style);
        let (x2, _) = buf.set_stringn(x1, area.y, if roomy { view.title() } else { short }, room, name);
        if here {
            buf.set_stringn(x2, area.y, " ", usize::from(area.right().saturating_sub(x2)), paint.selected);
        }
        x = x2 + if roomy { 3 } else { 1 };
        if x >= area.right() {
            break;
        }
    }
}

/// Which views have their name where not all fit: the one on screen, then the first ones, so that names stay where they are.
fn named(here: View, cells: usize, key: impl Fn(View) -> usize, letter: impl Fn(View) -> bool) -> Vec<View> {
    let keys: usize = View::ALL.into_iter().map(|view| key(view) + 1).sum();
    let mut room = cells.saturating_sub(1 + keys);
    let mut named = Vec::new();
    for view in std::iter::once(here).chain(View::ALL.into_iter().filter(|view| *view != here)) {
        let Some(left) = room.checked_sub(short(view).len() + usize::from(letter(view))) else { break };
        room = left;
        named.push(view);
    }
    named
}

fn short(view: View) -> &'static str {
    match view {
        View::Processes => "Procs",
        View::Network => "Net",
        View::Approvals => "Approve",
        View::Exceptions => "Except",
        other => other.title(),
    }
}
