//! What this kernel can do, found out by trying it: each piece of our table is offered in a transaction that is taken back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::element::{self, Element, Member};
use super::piece::{Piece, Pieces};
use super::skeleton::{self, Layout};
use super::validated::ValidatedBatch;
use super::wire::Batch;
use super::{Nft, NftError, classify};
use bartizan_model::Direction;

/// The name of a table that never comes to be.
const TRIAL: &str = "bartizan_trial";
/// One of the addresses for documentation (RFC 5737, RFC 3849).
const ADDR4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ADDR6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// One element of the kind that the piece is for.
fn example(piece: Piece) -> Member {
    match piece {
        Piece::BlockIn4 => Member::Block(ADDR4, Direction::In),
        Piece::BlockIn6 => Member::Block(ADDR6, Direction::In),
        Piece::BlockOut4 => Member::Block(ADDR4, Direction::Out),
        Piece::BlockOut6 => Member::Block(ADDR6, Direction::Out),
        Piece::Limit4 => Member::Limit(ADDR4, 1),
        Piece::Limit6 => Member::Limit(ADDR6, 1),
        Piece::DenyUid4 => Member::DenyUser(65_534, ADDR4),
        Piece::DenyUid6 => Member::DenyUser(65_534, ADDR6),
        Piece::DenyCgroup4 => Member::DenyCgroup(1, ADDR4),
        Piece::DenyCgroup6 => Member::DenyCgroup(1, ADDR6),
        Piece::DenyFrom4 => Member::DenyFrom(ADDR4, ADDR4),
        Piece::DenyFrom6 => Member::DenyFrom(ADDR6, ADDR6),
        Piece::Contain => Member::ContainIn(6, 1),
    }
}

impl Nft {
    /// What this kernel refuses of the pieces, each tried alone and for real; nothing is changed. The kernel may load
    /// modules that a piece needs.
    ///
    /// # Errors
    /// When nothing can be tried: no nf_tables, or not the right.
    pub fn refused(&self, pieces: Pieces) -> Result<Vec<(Piece, io::Error)>, NftError> {
        self.refused_of(pieces.iter().map(|piece| (piece, Layout::of([piece].into_iter().collect()))))
    }

    pub(super) fn refused_of(&self, layouts: impl Iterator<Item = (Piece, Layout)>) -> Result<Vec<(Piece, io::Error)>, NftError> {
        self.rehearse(&Layout::default(), &[]).map_err(|why| classify("try whether a table can be made", why))?;
        let mut refused = Vec::new();
        for (piece, layout) in layouts {
            let one = Element { member: example(piece), lasts: Duration::from_secs(60) };
            if let Err(why) = self.rehearse(&layout, &[one]) {
                refused.push((piece, why));
            }
        }
        Ok(refused)
    }

    fn rehearse(&self, layout: &Layout, come: &[Element]) -> io::Result<()> {
        let mut batch = Batch::begin();
        skeleton::make(&mut batch, TRIAL, layout);
        element::write_all(&mut batch, TRIAL, come);
        self.0.commit(&ValidatedBatch::rehearsal(batch))
    }

    /// Whether this kernel takes all of the pieces: tried together, and one by one only when it does not.
    ///
    /// # Errors
    /// [`NftError::Lacks`] with what it does not take; others when nothing can be tried.
    pub fn able(&self, pieces: Pieces) -> Result<(), NftError> {
        let examples: Vec<Element> =
            pieces.iter().map(|piece| Element { member: example(piece), lasts: Duration::from_secs(60) }).collect();
        if self.rehearse(&Layout::of(pieces), &examples).is_ok() {
            return Ok(());
        }
        let refused = self.refused(pieces)?;
        if refused.is_empty() { Ok(()) } else { Err(NftError::Lacks(in_words(&refused))) }
    }

    /// In words, which actions this kernel cannot take because it refuses their pieces; `None` when it takes all of them.
    pub(super) fn lacking(&self, pieces: Pieces) -> Option<NftError> {
        let refused = self.refused(pieces).ok().filter(|refused| !refused.is_empty())?;
        Some(NftError::Lacks(in_words(&refused)))
    }
}

/// One sentence for each action that is impossible, not one for each family.
pub fn in_words(refused: &[(Piece, io::Error)]) -> String {
    let mut said: Vec<String> = Vec::new();
    for (piece, why) in refused {
        let (action, needs) = piece.words();
        let sentence = format!("no {action}, which needs {needs}; the kernel says: {why}");
        if !said.contains(&sentence) {
            said.push(sentence);
        }
    }
    said.join(". ")
}
