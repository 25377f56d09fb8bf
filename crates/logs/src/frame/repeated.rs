//! `message repeated 3 times: [ ... ]`: what rsyslog writes in place of equal lines (`$RepeatedMsgReduction`).

use super::Frame;
use crate::scan::leading_number;

/// One line stands for at most so many: more is a broken or forged number.
const MAX_REPEATED: u64 = 10_000;

/// The message that was repeated, and how often.
pub(crate) fn unwrap(frame: Frame<'_>) -> Frame<'_> {
    let inside = || {
        let (count, rest) = leading_number(frame.message.strip_prefix(b"message repeated ")?)?;
        let message = rest.strip_prefix(b" times: [ ")?.strip_suffix(b"]")?;
        let repeated = u32::try_from(count.clamp(1, MAX_REPEATED)).ok()?;
        Some(Frame { message, repeated, ..frame })
    };
    inside().unwrap_or(frame)
}
