//! What is known of executables by content: asked for, told, or not to be had. Bounded; the oldest is forgotten first.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bartizan_model::{HostText, Sha256};
use bartizan_sys::exe_hash::Content;

/// Contents kept; some 200 bytes each.
const MOST: usize = 8_192;
/// A content without a known moment of change, or one that could not be read, is not asked for again for this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became known of one content of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learnt {
    /// Which content, its moment of change included.
    pub content: Content,
    /// SHA-256 of it.
    pub sha256: Sha256,
    /// The package that owns the path at which the host has it.
    pub package: Option<HostText>,
}

/// How far one content is known.
#[derive(Debug, Clone)]
enum Known {
    /// Somebody is at it, or it cannot be told until then.
    NotBefore(Option<Instant>),
    /// It is known.
    Told(Learnt),
}

/// What a look into the book says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look<'a> {
    /// It is known.
    Told(&'a Learnt),
    /// It was asked for.
    Asked,
    /// Nobody has asked for it.
    New,
}

#[derive(Debug, Default)]
pub(super) struct DigestBook {
    known: HashMap<Content, Known>,
    /// In the order in which they were asked for.
    order: VecDeque<Content>,
}

impl DigestBook {
    /// How far this content is known.
    pub(super) fn look(&self, content: Content, now: impl Fn() -> Instant) -> Look<'_> {
        match self.known.get(&content) {
            Some(Known::Told(learnt)) => Look::Told(learnt),
            Some(Known::NotBefore(Some(until))) if now() >= *until => Look::New,
            Some(Known::NotBefore(_)) => Look::Asked,
            None => Look::New,
        }
    }

    /// It is asked for now.
    pub(super) fn ask(&mut self, content: Content) {
        self.put(content, Known::NotBefore(None));
    }

    /// Nobody could be asked, or nobody is at it any more: the next one may ask at once.
    pub(super) fn forget(&mut self, content: Content) {
        self.put(content, Known::NotBefore(Some(Instant::now())));
    }

    /// It cannot be told for now: the process ended, the file is too long, its moment of change is not known ...
    pub(super) fn later(&mut self, content: Content) {
        self.put(content, Known::NotBefore(Some(Instant::now() + PATIENCE)));
    }

    /// It is known.
    pub(super) fn tell(&mut self, learnt: Learnt) {
        self.put(learnt.content, Known::Told(learnt));
    }

    fn put(&mut self, content: Content, known: Known) {
        if self.known.insert(content, known).is_none() {
            self.order.push_back(content);
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_is_bounded_and_a_refusal_is_no_sentence_for_life() {
        let mut book = DigestBook::default();
        let content = |inode| Content { device: 1, inode, changed: 7 };
        for inode in 0..(MOST as u64 + 5) {
            book.ask(content(inode));
            book.ask(content(inode));
        }
        assert_eq!((book.known.len(), book.order.len()), (MOST, MOST));
        assert_eq!(book.look(content(0), Instant::now), Look::New);
        assert_eq!(book.look(content(5), Instant::now), Look::Asked);
        book.later(content(5));
        assert_eq!(book.look(content(5), Instant::now), Look::Asked);
        assert_eq!(book.look(content(5), || Instant::now() + PATIENCE), Look::New);
        let learnt = Learnt { content: content(5), sha256: Sha256([1; 32]), package: None };
        book.tell(learnt.clone());
        assert_eq!(book.look(content(5), Instant::now), Look::Told(&learnt));
    }
}
