//! Paint: the state in, cells out. Nothing here changes anything.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::paint::Paint;
use super::state::{Dialog, Link, State};
use bartizan_config::View;

mod actions;
mod alerts;
mod approvals;
mod audit;
mod baseline;
mod choose;
mod coverage;
mod dialogs;
mod exceptions;
mod files;
mod findings;
mod footer;
pub(crate) mod format;
pub(crate) mod health;
mod hint;
mod logs;
mod network;
mod overview;
mod presence;
pub(crate) mod processes;
mod question;
mod reading;
mod sheet;
mod story;
mod strip;
mod summary;
mod tabs;
mod timeline;

pub(crate) use story::name as process_name;

/// One view: how to paint it and how many rows of its list fit into a body.
struct Screen {
    draw: fn(&mut Buffer, Rect, &State, &Paint),
    page: fn(Rect, &State) -> u16,
}

/// The registry: one line a view.
fn screen(view: View) -> Screen {
    match view {
        View::Overview => Screen { draw: overview::draw, page: overview::page },
        View::Processes => Screen { draw: processes::draw, page: processes::page },
        View::Network => Screen { draw: network::draw, page: network::page },
        View::Timeline => Screen { draw: timeline::draw, page: timeline::page },
        View::Alerts => Screen { draw: alerts::draw, page: alerts::page },
        View::Approvals => Screen { draw: approvals::draw, page: approvals::page },
        View::Actions => Screen { draw: actions::draw, page: actions::page },
        View::Health => Screen { draw: health::draw, page: health::page },
        View::Audit => Screen { draw: audit::draw, page: audit::page },
        View::Files => Screen { draw: files::draw, page: files::page },
        View::Logs => Screen { draw: logs::draw, page: logs::page },
        View::Baseline => Screen { draw: baseline::draw, page: baseline::page },
        View::Findings => Screen { draw: findings::draw, page: findings::page },
        View::Exceptions => Screen { draw: exceptions::draw, page: exceptions::page },
    }
}

/// Parts of the screen.
struct Regions {
    strip: Rect,
    tabs: Rect,
    body: Rect,
    message: Rect,
    footer: Rect,
}

fn regions(area: Rect, single: bool) -> Regions {
    let row = |y: u16, height: u16| Rect { y: area.y + y.min(area.height), height: height.min(area.height.saturating_sub(y)), ..area };
    let tabs = u16::from(!single && area.height >= 8);
    // On a small screen the message takes the place of the keys while it lasts.
    let message = u16::from(area.height >= 14);
    // The line of coverage: on small screens the health view alone has it.
    let strip = 1 + u16::from(!single && area.height >= 20);
    let top = strip + tabs;
    let bottom = 1 + message;
    let body = row(top, area.height.saturating_sub(top + bottom));
    let margin = u16::from(area.width > 20);
    Regions {
        strip: row(0, strip),
        tabs: row(strip, tabs),
        body: Rect { x: body.x + margin, width: body.width.saturating_sub(2 * margin), ..body },
        message: row(area.height.saturating_sub(2), message),
        footer: row(area.height.saturating_sub(1), 1),
    }
}

/// The least screen that everything is laid out for; of it a smaller terminal shows the upper left part.
const LEAST: (u16, u16) = (24, 8);

/// Paints the screen, however small it is.
pub(crate) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let least = Rect { width: area.width.max(LEAST.0), height: area.height.max(LEAST.1), ..area };
    if least == area {
        return whole(buf, area, state, paint);
    }
    let mut canvas = Buffer::empty(least);
    whole(&mut canvas, least, state, paint);
    for position in area.positions() {
        if let (Some(cell), Some(painted)) = (buf.cell_mut(position), canvas.cell(position)) {
            cell.clone_from(painted);
        }
    }
}

fn whole(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    buf.set_style(area, paint.base);
    let parts = regions(area, state.single);
    strip::draw(buf, parts.strip, state, paint);
    if parts.tabs.height > 0 {
        tabs::draw(buf, parts.tabs, state, paint);
    }
    if state.mirror.health.is_none() {
        dialogs::waiting(buf, parts.body, state, paint);
    } else {
        (screen(state.view).draw)(buf, parts.body, state, paint);
        if matches!(state.link, Link::Lost { .. }) {
            // What nobody vouches for any more must not shine like what is.
            buf.set_style(Rect { y: area.y + 1, height: parts.body.bottom().saturating_sub(area.y + 1), ..area }, paint.muted);
        }
        if state.away {
            presence::draw(buf, parts.body, state, paint);
        }
    }
    footer::draw(buf, parts.message, parts.footer, state, paint);
    dialogs::draw(buf, parts.body, state, paint);
}

fn screen_of(state: &State) -> Rect {
    Rect::new(0, 0, state.size.0, state.size.1)
}

fn body(state: &State) -> Rect {
    regions(screen_of(state), state.single).body
}

/// Whether a question that is open has all its essential lines on screen.
pub(crate) fn question_fits(state: &State) -> bool {
    match &state.dialog {
        Some(Dialog::Confirm(question)) => question::fits(screen_of(state), body(state), question),
        _ => true,
    }
}

/// Rows of the list that are on screen now.
pub(crate) fn page(state: &State) -> usize {
    usize::from((screen(state.view).page)(body(state), state).max(1))
}

/// Rows that one page key moves over.
pub(crate) fn span(state: &State) -> usize {
    if state.view == View::Health { usize::from(body(state).height.max(2)) } else { page(state) }
}
