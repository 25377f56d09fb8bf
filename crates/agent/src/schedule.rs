//! What happens every so often.

use std::time::{Duration, Instant};

/// Whether something is due that happens every so often; then it is not, for as long.
pub(crate) fn due(last: &mut Instant, every: Duration) -> bool {
    let due = last.elapsed() >= every;
    if due {
        *last = Instant::now();
    }
    due
}
