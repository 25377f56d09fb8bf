//! A transaction that may be sent: its own bytes were read back and judged, or it only takes elements of ours away.

use super::decode::{Change, decode};
use super::element::{Place, remove_all};
use super::skeleton::{INET, TABLE, kind};
use super::wire::{Batch, Existing};

/// Who judges a transaction by what its bytes say; the refusal is one sentence, safe to show.
pub type Judge<'a> = &'a dyn Fn(&[Change]) -> Result<(), String>;

/// Bytes that may be sent. Only this file makes one, and nothing adds without a judge.
#[derive(Debug)]
pub(super) struct ValidatedBatch {
    bytes: Vec<u8>,
    changes: usize,
}

impl ValidatedBatch {
    /// Closes a transaction, reads its bytes as the kernel would, and asks the judge.
    pub(super) fn judged(batch: Batch, judge: Judge<'_>) -> Result<Self, String> {
        let (bytes, changes) = batch.close();
        judge(&decode(&bytes)?)?;
        Ok(Self { bytes, changes })
    }

    /// Asks whether the kernel would carry it out: a transaction without its end is checked, and undone again whatever the
    /// answer.
    pub(super) fn rehearsal(batch: Batch) -> Self {
        let (bytes, changes) = batch.leave_open();
        Self { bytes, changes }
    }

    /// Takes elements away.
    pub(super) fn removal(places: &[Place]) -> Self {
        let mut batch = Batch::begin();
        remove_all(&mut batch, places);
        let (bytes, changes) = batch.close();
        Self { bytes, changes }
    }

    /// Takes our whole table away.
    pub(super) fn deletion() -> Self {
        let mut batch = Batch::begin();
        batch.change(kind::DELETE_TABLE, Existing::Need, INET, |b| b.name(1, TABLE));
        let (bytes, changes) = batch.close();
        Self { bytes, changes }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn changes(&self) -> usize {
        self.changes
    }
}
