//! The row of views with their number keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::paint::Paint;
use crate::state::State;
use bartizan_config::{Command, View};

/// Width from which every title is written in full with air around.
const ROOMY: u16 = 110;

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let roomy = area.width >= ROOMY;
    // Where not all names fit, only the view on screen has its name.
    let all: usize = View::ALL.into_iter().map(|view| short(view).len() + 2).sum();
    let narrow = all > usize::from(area.width);
    let mut x = area.x + 1;
    for view in View::ALL {
        let key = state.keymap.key(Command::Show(view)).unwrap_or_default();
        let here = view == state.view;
        let (name, key_style) = if here { (paint.selected, paint.selected) } else { (paint.base, paint.muted) };
        let room = usize::from(area.right().saturating_sub(x));
        if here && x > area.x {
            buf.set_stringn(x - 1, area.y, " ", 1, paint.selected);
        }
        let named = if narrow && !here { "" } else { short(view) };
        let (x1, _) = buf.set_stringn(x, area.y, if roomy { format!("{key} ") } else { key }, room, key_style);
        let (x2, _) = buf.set_stringn(x1, area.y, if roomy { view.title() } else { named }, room, name);
        if here {
            buf.set_stringn(x2, area.y, " ", usize::from(area.right().saturating_sub(x2)), paint.selected);
        }
        x = x2 + if roomy { 3 } else { 1 };
        if x >= area.right() {
            break;
        }
    }
}

fn short(view: View) -> &'static str {
    match view {
        View::Processes => "Procs",
        View::Network => "Net",
        View::Approvals => "Approve",
        other => other.title(),
    }
}
