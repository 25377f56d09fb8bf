//! The cursor of a list: it sits on a row, whatever comes and goes around it.

use super::sheets::Item;
use crate::widgets::Place;
use bartizan_model::{ActionId, AlertId, ApprovalId, IncidentId, ProcessKey, SignalId};

/// Which row, whatever list it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RowKey {
    Process(ProcessKey),
    Socket(u64),
    Incident(IncidentId),
    Signal(SignalId),
    Alert(AlertId),
    Approval(ApprovalId),
    Action(ActionId),
    Line(u64),
    Item(Item),
}

/// A movement of the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    By(isize),
    First,
    Last,
}

/// A list's cursor and filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct List {
    /// The row under the cursor.
    pub key: Option<RowKey>,
    /// Where that row was when it was last seen.
    near: usize,
    /// On which line of the screen it is.
    line: usize,
    /// The person put the cursor there; otherwise it only began there.
    moved: bool,
    /// The row under the cursor when the filter began.
    before: Option<RowKey>,
    /// Only rows that fit this are shown ([`super::query::Query`]).
    pub filter: String,
    /// By which of its values the rows are sorted, and whether the largest comes first.
    pub sort: Option<(&'static str, bool)>,
    /// Rows that the next answer is about, all of them.
    pub marks: std::collections::HashSet<RowKey>,
}

impl List {
    /// Remembers where the row under the cursor is now; puts the cursor on the first row when it was nowhere.
    pub(crate) fn settle(&mut self, rows: &[RowKey]) {
        match self.key {
            None => self.key = rows.first().copied(),
            Some(key) => {
                if let Some(at) = rows.iter().position(|row| *row == key) {
                    self.near = at;
                }
            }
        }
    }

    /// Whether the next answer is about this row.
    pub(crate) fn is_marked(&self, row: Option<&RowKey>) -> bool {
        row.is_some_and(|row| self.marks.contains(row))
    }

    /// Puts the cursor on a row.
    pub(crate) fn choose(&mut self, key: RowKey) {
        self.key = Some(key);
        self.moved = true;
    }

    /// Begins at the first row that an answer is for, unless the person had put the cursor on such a row.
    pub(crate) fn enter(&mut self, rows: &[RowKey], is_answerable: impl Fn(RowKey) -> bool) {
        if self.moved && self.chosen(rows).is_some_and(&is_answerable) {
            return;
        }
        if let Some(first) = rows.iter().copied().find(|row| is_answerable(*row)) {
            (self.key, self.moved) = (Some(first), false);
        }
    }

    /// Filters otherwise; the row that the cursor was on when filtering began is remembered.
    pub(crate) fn refilter(&mut self, filter: String) {
        if self.filter.is_empty() && !filter.is_empty() {
            self.before = self.key;
        }
        self.filter = filter;
        if self.filter.is_empty() {
            let before = self.before.take();
            // Nothing fitted: the cursor is where it was.
            self.key = self.key.or(before);
        }
    }

    /// The row under the cursor, if it is still there: what commands work on.
    pub(crate) fn chosen(&self, rows: &[RowKey]) -> Option<RowKey> {
        self.key.filter(|key| rows.contains(key))
    }

    /// Moves the cursor; `page` is how many rows the screen shows.
    pub(crate) fn go(&mut self, rows: &[RowKey], page: usize, step: Move) {
        let before = self.place(rows, page);
        let Some(from) = before.cursor else { return };
        let last = rows.len().saturating_sub(1);
        let to = match step {
            Move::By(by) => from.saturating_add_signed(by).min(last),
            Move::First => 0,
            Move::Last => last,
        };
        self.key = rows.get(to).copied();
        (self.near, self.moved) = (to, true);
        // The window follows only as far as it must.
        let offset = before.offset.clamp((to + 1).saturating_sub(page.max(1)), to);
        self.line = to - offset;
    }

    /// What is on screen now. The row under the cursor keeps its line while rows come and go above it.
    pub(crate) fn place(&self, rows: &[RowKey], page: usize) -> Place {
        if rows.is_empty() {
            return Place::default();
        }
        let last = rows.len() - 1;
        let found = self.key.and_then(|key| rows.iter().position(|row| *row == key));
        let at = found.unwrap_or(self.near).min(last);
        let line = self.line.min(page.saturating_sub(1)).min(at);
        let offset = (at - line).min(rows.len().saturating_sub(page)).max((at + 1).saturating_sub(page.max(1)));
        Place { offset, cursor: Some(at), gone: self.key.is_some() && found.is_none() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(ids: impl IntoIterator<Item = u64>) -> Vec<RowKey> {
        ids.into_iter().map(RowKey::Line).collect()
    }

    #[test]
    fn a_row_that_is_gone_is_not_acted_on() {
        let mut list = List::default();
        list.settle(&rows(0..5));
        list.go(&rows(0..5), 10, Move::By(2));
        assert_eq!(list.chosen(&rows(0..5)), Some(RowKey::Line(2)));
        let without = rows([0, 1, 3, 4]);
        list.settle(&without);
        assert_eq!(list.chosen(&without), None);
        assert!(list.place(&without, 10).gone);
        list.go(&without, 10, Move::By(1));
        assert_eq!(list.chosen(&without), Some(RowKey::Line(4)));
    }

    proptest! {
        #[test]
        fn rows_that_arrive_never_move_what_is_under_the_cursor(
            start in prop::collection::btree_set(1u64..500, 1..60), steps in prop::collection::vec(-7isize..8, 0..20),
            arriving in prop::collection::btree_set(0u64..1000, 0..80), page in 1usize..30,
        ) {
            let before = rows(start.iter().copied());
            let mut list = List::default();
            list.settle(&before);
            for step in steps {
                list.go(&before, page, Move::By(step));
                let place = list.place(&before, page);
                let cursor = place.cursor.unwrap();
                prop_assert!(place.offset <= cursor && cursor < place.offset + page, "the cursor is on screen");
            }
            let (key, was) = (list.chosen(&before), list.place(&before, page));
            let after = rows(start.union(&arriving).copied());
            list.settle(&after);
            prop_assert_eq!(list.chosen(&after), key);
            let is = list.place(&after, page);
            let line = |place: Place| place.cursor.unwrap() - place.offset;
            if is.offset > 0 && is.offset + page < after.len() {
                prop_assert_eq!(line(is), line(was), "same line of the screen");
            }
            prop_assert!(is.offset <= is.cursor.unwrap() && is.cursor.unwrap() < is.offset + page);
        }
    }
}
