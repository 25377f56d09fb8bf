//! What is open already with an address when it is blocked: counted for the preview, closed, read back.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{ActError, ActionContext};
use bartizan_enforce::nft::conntrack;
use bartizan_enforce::sock_destroy;
use bartizan_model::Direction;
use bartizan_sys::container_addresses;

/// What closing came to; part of the snapshot of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cut {
    /// TCP connections of this host that the kernel closed.
    closed: usize,
    /// Entries that conntrack forgot, those of forwarded connections and of UDP among them.
    forgotten: usize,
    /// What could not be closed or forgotten, and why; safe to show.
    failures: Vec<String>,
}

/// For the preview, in one line.
pub(super) fn foretell(addr: IpAddr, direction: Direction) -> String {
    match sock_destroy::with(addr, false).map(|open| open.len()) {
        Ok(0) => "no TCP connection of this host is open with it now".to_owned(),
        Ok(1) => format!("closes the connection that is open now{}", untold(direction)),
        Ok(n) => format!("closes the {n} connections that are open now{}", untold(direction)),
        Err(why) => format!("open connections with it are dropped, not closed: the kernel does not list them ({why})"),
    }
}

/// Closes what is open and makes conntrack forget it. The block stands already, so what cannot be closed starves: that is
/// told in the outcome and is no error.
///
/// # Errors
/// When the owner's lifeline, read again now, holds the far end of one of them; none is closed after that.
pub(crate) fn cut(context: &ActionContext, addr: IpAddr, by_person: bool) -> Result<Cut, ActError> {
    let allowed = context.may_cut_each(by_person)?;
    allowed(addr)?;
    let mut cut = Cut::default();
    match sock_destroy::close_all(addr, &allowed) {
        Ok(outcome) => {
            let outcome = outcome?;
            cut.closed = outcome.closed;
            if outcome.left > 0 {
                let why = outcome.why.unwrap_or_else(|| "they came as fast as they were closed".to_owned());
                cut.failures.push(format!("{} not closed ({why})", connections(outcome.left)));
            }
        }
        Err(why) => cut.failures.push(format!("what was open could not be closed ({why})")),
    }
    match conntrack::forget(addr) {
        Ok(forgotten) => cut.forgotten = forgotten,
        Err(why) => cut.failures.push(format!("conntrack could not be told to forget ({why})")),
    }
    Ok(cut)
}

/// Whose connections are meant.
pub(super) enum Owner {
    /// Of sockets of this user.
    User(u32),
    /// Of sockets in one of these cgroups, by number.
    Cgroups(BTreeSet<u64>),
    /// All in the network in which this process lives.
    Network(u32),
}

/// As [`cut`], only those of one owner. What conntrack remembers stays: it may belong to others.
///
/// # Errors
/// As [`cut`].
pub(super) fn cut_some(context: &ActionContext, addr: IpAddr, by_person: bool, owner: &Owner) -> Result<Cut, ActError> {
    let allowed = context.may_cut_each(by_person)?;
    allowed(addr)?;
    // A check that can cross to the thread in the other network: the lifeline was asked for this very address.
    let same = |far: IpAddr| if far == addr.to_canonical() { Ok(()) } else { Err(far) };
    let closed = match owner {
        Owner::User(uid) => sock_destroy::close_those(addr, |open| open.uid == *uid, same),
        Owner::Cgroups(numbers) => sock_destroy::close_those(addr, |open| open.cgroup.is_some_and(|n| numbers.contains(&n)), same),
        Owner::Network(pid) => container_addresses::within(*pid, || sock_destroy::close_all(addr, same)).and_then(|outcome| outcome),
    };
    let mut cut = Cut::default();
    match closed {
        Ok(Ok(outcome)) => {
            cut.closed = outcome.closed;
            if outcome.left > 0 {
                let why = outcome.why.unwrap_or_else(|| "they came as fast as they were closed".to_owned());
                cut.failures.push(format!("{} not closed ({why})", connections(outcome.left)));
            }
        }
        Ok(Err(far)) => allowed(far)?,
        Err(why) => cut.failures.push(format!("what was open could not be closed ({why})")),
    }
    Ok(cut)
}

impl Cut {
    /// What was closed and forgotten, without asking the kernel.
    pub(super) fn tally(&self) -> Option<String> {
        let closed = (self.closed > 0).then(|| format!("{} closed", connections(self.closed)));
        let forgotten = (self.forgotten > 0).then(|| format!("{} forgotten by conntrack", self.forgotten));
        let said: Vec<String> = closed.into_iter().chain(forgotten).collect();
        (!said.is_empty()).then(|| said.join(", "))
    }

    /// For the receipt: what was closed, and what could not be.
    pub(super) fn told(&self) -> Option<String> {
        let failures = self.failures.iter().map(|failure| format!("{failure}; their packets are dropped"));
        let said: Vec<String> = self.tally().into_iter().chain(failures).collect();
        (!said.is_empty()).then(|| said.join(", "))
    }

    /// Whether all that was open has been dealt with.
    pub(super) fn is_whole(&self) -> bool {
        self.failures.is_empty()
    }

    /// What to say of the closed ones when the block is undone.
    pub(super) fn farewell(&self) -> Option<String> {
        match self.closed {
            0 => None,
            1 => Some("the connection closed by it stays closed".to_owned()),
            n => Some(format!("the {n} connections closed by it stay closed")),
        }
    }
}

/// What the kernel shows open with it, if anything.
pub(super) fn still_open(addr: IpAddr) -> Option<String> {
    match sock_destroy::with(addr, false).map(|open| open.len()) {
        Ok(0) => None,
        Ok(n) => Some(format!("{} still open; their packets are dropped", connections(n))),
        Err(why) => Some(format!("the kernel does not tell what is still open ({why})")),
    }
}

fn connections(n: usize) -> String {
    format!("{n} {}", if n == 1 { "connection" } else { "connections" })
}

/// The reset that tells the far end goes out before the closing is done, through the block that stands already.
fn untold(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "",
        Direction::Out => " (the far end is not told: the block drops that packet too)",
    }
}
