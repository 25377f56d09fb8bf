//! Who owns the table of our name: one that was made with `flags owner` (Linux 5.12) takes changes from its maker alone.

use std::fs;

use super::skeleton::{INET, TABLE, kind};
use super::wire::{Socket, attr, text};
use bartizan_model::HostText;

/// `NFTA_TABLE_NAME` and `NFTA_TABLE_OWNER` of <linux/netfilter/nf_tables.h>.
const NAME: u16 = 1;
const OWNER: u16 = 7;

/// The other program that owns it, in words; `None` when nobody does.
pub(super) fn other(socket: &Socket) -> Option<String> {
    let tables = socket.dump(kind::GET_TABLE, INET, |_| {}).ok()?;
    let ours = tables.iter().find(|table| text(attr(table, NAME)) == TABLE)?;
    let port = u32::from_be_bytes(attr(ours, OWNER).try_into().ok()?);
    Some(described(port))
}

/// A program's first netlink socket bears its pid; of a later one the kernel does not tell whose it is.
fn described(port: u32) -> String {
    match fs::read(format!("/proc/{port}/comm")) {
        Ok(name) => format!("{} (pid {port})", HostText::from(name.trim_ascii_end())),
        Err(_) => format!("netlink port {port}"),
    }
}
