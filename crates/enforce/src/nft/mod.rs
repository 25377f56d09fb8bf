//! Our own nftables table, by netlink and without the `nft` program: the shape that live actions need, and elements with a
//! time that the kernel itself keeps, so that each ends although we may be dead.

pub mod conntrack;
mod decode;
mod element;
mod foreign;
pub mod monitor;
mod owner;
mod page;
mod piece;
mod rehearsal;
mod rules;
mod skeleton;
mod validated;
mod wire;

use std::collections::HashMap;
use std::io;

pub use decode::{Added, Change, decode};
pub use element::{Element, Kept, Key, Member, Place, Set};
pub use foreign::ForeignBans;
pub use page::{SKELETON, lines, pieces_of};
pub use piece::{Piece, Pieces};
pub use rehearsal::in_words;
pub use skeleton::TABLE;
use skeleton::{INET, Layout, kind};
pub use validated::Judge;
use validated::ValidatedBatch;
use wire::{Batch, Existing, Socket, attr, attrs};

/// Why nftables could not be used.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The kernel has no nf_tables: a degraded mode, blocks are impossible here.
    #[error(
        "this kernel has no nf_tables ({0}): nothing can be blocked or limited here; load it with `modprobe nf_tables` or use a kernel that has it"
    )]
    Missing(io::Error),
    /// We may not.
    #[error("the kernel refused to {what}: {why}; run the agent as root or with CAP_NET_ADMIN")]
    Denied {
        /// What was tried.
        what: &'static str,
        /// errno in words.
        why: io::Error,
    },
    /// Another program made the table of our name its own.
    #[error(
        "could not {what}: another program owns table inet {TABLE}, {who}, and the kernel takes changes of it from that program alone; end it, or let it give up the table"
    )]
    Owned {
        /// What was tried.
        what: &'static str,
        /// That program.
        who: String,
    },
    /// It is there already, by us or by someone who uses our table.
    #[error("it is already in table inet {TABLE}")]
    Exists,
    /// The change was judged by its own bytes, and refused: nothing was sent.
    #[error("the change to table inet {TABLE} was refused before it was sent: {0}")]
    Refused(String),
    /// The kernel is too old or built without something: what that takes from us, action by action.
    #[error("this kernel cannot do that: {0}")]
    Lacks(String),
    /// Anything else.
    #[error("could not {what} in table inet {TABLE}: {why}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// errno in words.
        why: io::Error,
    },
}

impl NftError {
    /// Whether the kernel says that something named is not there.
    fn is_absent(&self) -> bool {
        matches!(self, Self::Kernel { why, .. } if why.raw_os_error() == Some(libc::ENOENT))
    }
}

/// Whether our table is there and as we made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableState {
    /// There is no table of our name.
    Absent,
    /// Every set, chain and rule is as we made it, for these pieces.
    Intact(Pieces),
    /// Somebody changed it; the first difference, safe to show.
    Altered(String),
}

/// What shall become of the table's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// It has all that is needed.
    Keep,
    /// It is made with these pieces.
    Make(Pieces),
    /// Pieces come or go; elements of those that stay are not touched.
    Reshape {
        /// What it has now.
        from: Pieces,
        /// What it shall have.
        to: Pieces,
    },
    /// Whatever bears our name is removed with all in it, and it is made anew with these pieces.
    Replace(Pieces),
}

impl Table {
    /// The pieces that are written.
    fn written(self) -> Pieces {
        match self {
            Self::Keep => Pieces::default(),
            Self::Make(pieces) | Self::Replace(pieces) | Self::Reshape { to: pieces, .. } => pieces,
        }
    }
}

/// The door to nftables, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Nft(Socket);

impl Nft {
    /// Opens the door. Whether nf_tables is behind it shows with the first question.
    ///
    /// # Errors
    /// [`NftError::Missing`] without netfilter's netlink.
    pub fn open() -> Result<Self, NftError> {
        Socket::open().map(Self).map_err(|why| classify("open a netlink socket", why))
    }

    /// Whether nothing waits to be read: an answer to an earlier question, which came late, would be taken for the next one's.
    pub fn is_quiet(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a table of our name exists.
    ///
    /// # Errors
    /// [`NftError::Missing`] without nf_tables, [`NftError::Denied`] without the right.
    pub fn table_exists(&self) -> Result<bool, NftError> {
        Ok(!self.lines(kind::GET_TABLE, decode::table_line)?.is_empty())
    }

    /// Whether the table is as we made it: flags, sets, hooks, priorities, policies, and every rule in its order.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn table_state(&self) -> Result<TableState, NftError> {
        let mut found = self.lines(kind::GET_TABLE, decode::table_line)?;
        if found.is_empty() {
            return Ok(TableState::Absent);
        }
        found.extend(self.lines(kind::GET_SET, decode::set_line)?);
        found.extend(self.lines(kind::GET_CHAIN, decode::chain_line)?);
        found.extend(self.lines(kind::GET_RULE, decode::rule_line)?);
        Ok(pieces_of(&found).map_or_else(|how| TableState::Altered(how + &page::effect(&found)), TableState::Intact))
    }

    fn lines(&self, what: u16, line: fn(&[u8]) -> Option<String>) -> Result<Vec<String>, NftError> {
        let named = what != kind::GET_TABLE;
        let listing = self.0.dump(what, INET, |b| {
            if named {
                b.name(1, TABLE);
            }
        });
        match listing {
            Ok(answers) => Ok(answers.iter().filter_map(|bytes| line(bytes)).collect()),
            // It went while we looked.
            Err(why) if why.raw_os_error() == Some(libc::ENOENT) => Ok(Vec::new()),
            // A kernel whose nfnetlink does not know the subsystem answers EINVAL to a harmless listing.
            Err(why) if why.raw_os_error() == Some(libc::EINVAL) && !named => Err(NftError::Missing(why)),
            Err(why) => Err(classify("list tables, sets, chains and rules", why)),
        }
    }

    /// The only way to add anything: in one transaction the shape (if so), what goes, and what comes. `judge` is given
    /// what the finished bytes say, read by other code than wrote them; nothing is sent that it refuses.
    ///
    /// # Errors
    /// [`NftError::Refused`] by the judge; [`NftError::Exists`] when an element (or, to make it, the table) is there
    /// already; others when the kernel refuses. Then nothing changed.
    pub fn change(&self, table: Table, go: &[Place], come: &[Element], judge: Judge<'_>) -> Result<(), NftError> {
        let mut batch = Batch::begin();
        match table {
            Table::Keep => {}
            Table::Make(pieces) => skeleton::make(&mut batch, TABLE, &Layout::of(pieces)),
            Table::Reshape { from, to } => skeleton::reshape(&mut batch, from, to),
            Table::Replace(pieces) => {
                if self.table_exists()? {
                    batch.change(kind::DELETE_TABLE, Existing::Need, INET, |b| b.name(1, TABLE));
                }
                skeleton::make(&mut batch, TABLE, &Layout::of(pieces));
            }
        }
        element::remove_all(&mut batch, go);
        element::write_all(&mut batch, TABLE, come);
        let sealed = ValidatedBatch::judged(batch, judge).map_err(NftError::Refused)?;
        match self.0.commit(&sealed) {
            Err(why) if why.raw_os_error() == Some(libc::EEXIST) => Err(NftError::Exists),
            Err(why) if table != Table::Keep && !matches!(why.raw_os_error(), Some(libc::EPERM | libc::EACCES)) => {
                Err(self.lacking(table.written()).unwrap_or_else(|| self.denied("change the table", why)))
            }
            done => done.map_err(|why| self.denied("change elements", why)),
        }
    }

    /// Why the kernel refused a change: to root it does so when the table belongs to another program.
    fn denied(&self, what: &'static str, why: io::Error) -> NftError {
        let is_refusal = matches!(why.raw_os_error(), Some(libc::EPERM | libc::EACCES));
        match is_refusal.then(|| owner::other(&self.0)).flatten() {
            Some(who) => NftError::Owned { what, who },
            None => classify(what, why),
        }
    }

    /// Takes elements away, all of them in one transaction. `false`: one was not there, and nothing changed.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&self, places: &[Place]) -> Result<bool, NftError> {
        match self.0.commit(&ValidatedBatch::removal(places)).map_err(|why| self.denied("remove elements", why)) {
            Err(absent) if absent.is_absent() => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Every element of one set, with the time it still has. Empty without a table.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn list(&self, set: Set) -> Result<HashMap<Key, Kept>, NftError> {
        let dump = self.0.dump(kind::GET_ELEMENT, INET, |b| {
            b.name(1, TABLE);
            b.name(2, set.name());
        });
        match dump {
            Ok(answers) => Ok(answers.iter().flat_map(|answer| attrs(attr(answer, 3))).filter_map(|(_, one)| element::read(one)).collect()),
            Err(why) if why.raw_os_error() == Some(libc::ENOENT) => Ok(HashMap::new()),
            Err(why) => Err(classify("list elements", why)),
        }
    }

    /// Whether one element is there now.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn holds(&self, place: Place) -> Result<bool, NftError> {
        match self.0.ask(kind::GET_ELEMENT, INET, |b| element::write_name(b, place)) {
            Ok(()) => Ok(true),
            Err(why) if why.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(why) => Err(classify("look for an element", why)),
        }
    }

    /// Removes our table with everything in it. `false`: there was none.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn delete_table(&self) -> Result<bool, NftError> {
        match self.0.commit(&ValidatedBatch::deletion()).map_err(|why| self.denied("delete the table", why)) {
            Err(absent) if absent.is_absent() => Ok(false),
            // As above: no such subsystem in this kernel.
            Err(NftError::Kernel { why, .. }) if why.raw_os_error() == Some(libc::EINVAL) => Err(NftError::Missing(why)),
            done => done.map(|()| true),
        }
    }
}

fn classify(what: &'static str, why: io::Error) -> NftError {
    match why.raw_os_error() {
        Some(libc::EPROTONOSUPPORT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT) => NftError::Missing(why),
        Some(libc::EPERM | libc::EACCES) => NftError::Denied { what, why },
        _ => NftError::Kernel { what, why },
    }
}

#[cfg(test)]
mod tests;
