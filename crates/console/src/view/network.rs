//! Connections and listeners.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{ago, count, shown_of};
use crate::paint::Paint;
use crate::state::{State, rows};
use crate::widgets::{Cell, Column, Table, column, fill, right, rule};
use bartizan_model::{Protocol, is_public};
use bartizan_protocol::SocketRow;

const CONNECTIONS: [Column; 8] = [
    right("AGE", 4, 50),
    column("PROTO", 5, 60),
    column("REMOTE", 25, 0),
    column("LOCAL", 27, 120),
    column("STATE", 6, 70),
    right("TIMES", 6, 90),
    column("MARK", 6, 60),
    fill("PROGRAM"),
];
const LISTENERS: [Column; 6] =
    [right("AGE", 4, 50), column("PROTO", 5, 0), column("ADDRESS", 28, 0), right("PORT", 5, 0), column("MARK", 6, 60), fill("PROGRAM")];

pub(super) fn page(area: Rect, _: &State) -> u16 {
    area.height.saturating_sub(2)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let sockets = rows::sockets(state);
    let (title, other) = if state.listeners { ("Listeners", "connections") } else { ("Connections", "listeners") };
    let key = state.keymap.key(bartizan_config::Command::Right).unwrap_or_default();
    let all = state.mirror.sockets.values().filter(|row| row.listening == state.listeners).count();
    let shown = shown_of(state, sockets.len(), all, count(sockets.len() as u64));
    let inside = rule(buf, area, title, &format!("{shown} {} {key} shows {other}", paint.glyphs.dot), paint);
    let keys = rows::keys(state);
    let place = state.list().place(&keys, usize::from(page(area, state)));
    let columns: &[Column] = if state.listeners { &LISTENERS } else { &CONNECTIONS };
    let table = Table { columns, count: sockets.len(), place, empty: "none", marked: &|_| false };
    table.draw(buf, inside, paint, |index| {
        sockets
            .get(index)
            .map(|row| if state.listeners { listener(state, row, paint) } else { connection(state, row, paint) })
            .unwrap_or_default()
    });
}

fn connection(state: &State, row: &SocketRow, paint: &Paint) -> Vec<Cell> {
    let style = mark_style(state, row, paint).unwrap_or(if row.open { paint.base } else { paint.muted });
    let far = row.net.dst.map(|dst| endpoint(dst, row.net.dport.unwrap_or(0))).unwrap_or_default();
    let remote = if row.incident.is_some() || !row.net.dst.is_some_and(is_public) { style } else { paint.notice };
    vec![
        Cell::new(ago(state, row.last), paint.muted),
        Cell::new(proto(row.net.proto), paint.muted),
        Cell::path(far, remote),
        Cell::path(endpoint(row.net.src, row.net.sport), paint.muted),
        Cell::new(if row.open { "open" } else { "closed" }, if row.open { paint.base } else { paint.muted }),
        Cell::new(count(row.count), paint.muted),
        Cell::new(mark(row), style),
        Cell::path(program(state, row), style),
    ]
}

fn listener(state: &State, row: &SocketRow, paint: &Paint) -> Vec<Cell> {
    let style = mark_style(state, row, paint).unwrap_or(paint.base);
    let address = if row.net.src.is_unspecified() { "all addresses".to_owned() } else { row.net.src.to_string() };
    vec![
        Cell::new(ago(state, row.since), paint.muted),
        Cell::new(proto(row.net.proto), paint.muted),
        Cell::path(address, if row.net.src.is_loopback() { paint.muted } else { style }),
        Cell::new(row.net.sport.to_string(), style),
        Cell::new(mark(row), style),
        Cell::path(program(state, row), style),
    ]
}

fn endpoint(addr: std::net::IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(addr, port).to_string()
}

fn proto(proto: Protocol) -> &'static str {
    match proto {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

fn mark(row: &SocketRow) -> String {
    row.incident.map(|id| id.to_string()).unwrap_or_default()
}

fn mark_style(state: &State, row: &SocketRow, paint: &Paint) -> Option<ratatui::style::Style> {
    row.incident.and_then(|id| state.mirror.incidents.get(&id)).map(|incident| paint.severity(incident.severity))
}

/// The whole path where there is room, else the program's own name; the pid tells which one.
fn program(state: &State, row: &SocketRow) -> String {
    let name = if state.size.0 >= 110 { row.exe.escaped() } else { bartizan_model::HostText::from(row.exe.basename().as_ref()).escaped() };
    match row.process {
        Some(key) => format!("{name} ({})", key.pid),
        None => name,
    }
}
