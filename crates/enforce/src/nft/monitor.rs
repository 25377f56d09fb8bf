//! Who changes our table: the kernel tells of each finished change, and of the process that made it.

use std::io;

use super::skeleton::{INET, TABLE, kind};
use super::wire::{Heard, Socket, attr, text};

/// NFNLGRP_NFTABLES, include/uapi/linux/netfilter/nfnetlink.h
const GROUP: u32 = 7;
/// NFT_MSG_NEWGEN: a transaction has been carried out.
const NEW_GENERATION: u16 = 15;

/// Somebody else changed our table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The process (its thread) that did, by the kernel's account; 0 when it did not tell.
    pub pid: u32,
    /// Its name (`comm`), as the kernel tells it; anybody can choose theirs.
    pub name: String,
    /// What was done, in few words: the first kinds of change.
    pub what: String,
}

/// Hears every change of nftables in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    /// What was done to our table in the transaction whose end has not been heard yet.
    seen: Vec<&'static str>,
    /// Changes were missed: the kernel's queue for us was full.
    missed: u64,
}

impl Monitor {
    /// Begins to listen.
    ///
    /// # Errors
    /// Without nf_tables or CAP_NET_ADMIN.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::listening(GROUP)?, seen: Vec::new(), missed: 0 })
    }

    /// How often the kernel told us more than fits; each time counts as a change of our table by nobody known.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The next change of our table by another process; empty when nothing was heard for half a second or it was our own.
    /// Elements that end by their time are not told by the kernel as anybody's change.
    ///
    /// # Errors
    /// When the kernel no longer tells.
    pub fn hear(&mut self) -> io::Result<Vec<Touched>> {
        let heard = match self.socket.hear() {
            Ok(heard) => heard,
            Err(why) if why.raw_os_error() == Some(libc::ENOBUFS) => {
                self.missed += 1;
                self.seen.clear();
                return Ok(vec![Touched { pid: 0, name: String::new(), what: "more changes than could be followed".to_owned() }]);
            }
            Err(why) => return Err(why),
        };
        Ok(heard.into_iter().filter_map(|message| self.take(&message)).collect())
    }

    fn take(&mut self, message: &Heard) -> Option<Touched> {
        if message.kind == NEW_GENERATION {
            let seen = std::mem::take(&mut self.seen);
            let pid = attr(&message.attributes, 2).first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            let name = text(attr(&message.attributes, 3));
            if seen.is_empty() || is_our_own(pid, &name) {
                return None;
            }
            return Some(Touched { pid, name, what: seen.join(", ") });
        }
        if message.family == INET
            && text(attr(&message.attributes, 1)) == TABLE
            && let Some(what) = words(message.kind)
            && !self.seen.contains(&what)
        {
            self.seen.push(what);
        }
        None
    }
}

/// The kernel names the thread, as the first pid namespace counts. In a nested one numbers say nothing to us: there the
/// names of our threads decide.
fn is_our_own(thread: u32, name: &str) -> bool {
    /// PROC_PID_INIT_INO, include/linux/proc_ns.h
    const FIRST: &str = "pid:[4026531836]";
    if std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == FIRST) {
        return std::path::Path::new(&format!("/proc/self/task/{thread}")).exists();
    }
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok()).any(|comm| comm.trim_end() == name)
}

/// Which orders change what we made. New elements of sets that rules fill are not told of.
fn words(order: u16) -> Option<&'static str> {
    match order {
        kind::NEW_TABLE => Some("table made or changed"),
        kind::DELETE_TABLE => Some("table removed"),
        kind::NEW_CHAIN => Some("chain added or changed"),
        5 => Some("chain removed"),
        kind::NEW_RULE => Some("rule added"),
        8 => Some("rule removed"),
        kind::NEW_SET => Some("set added"),
        11 => Some("set removed"),
        kind::NEW_ELEMENT => Some("element added"),
        kind::DELETE_ELEMENT => Some("element removed"),
        _ => None,
    }
}
