//! A moment in a block: how far it lies from another.

use super::field::{Field, Input};
use bartizan_model::Timestamp;

/// Writes `at` as its distance from `base`.
pub(super) fn put(at: Timestamp, base: Timestamp, out: &mut Vec<u8>) {
    at.timestamp().wrapping_sub(base.timestamp()).put(out);
    (i64::from(at.timestamp_subsec_nanos()) - i64::from(base.timestamp_subsec_nanos())).put(out);
}

/// Reads what [`put`] wrote.
pub(super) fn take(base: Timestamp, input: &mut Input<'_>) -> Option<Timestamp> {
    let seconds = base.timestamp().wrapping_add(Field::take(input)?);
    let nanos = i64::from(base.timestamp_subsec_nanos()).checked_add(Field::take(input)?)?;
    Timestamp::from_timestamp(seconds, nanos.try_into().ok()?)
}
