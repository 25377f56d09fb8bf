//! Bytes from outside are read by a child without rights: it gets descriptors and gives typed, bounded records back, and may crash or hang.
//!
//! [`serve`] is the child: it opens nothing and knows nothing but what it was handed. [`Worker`] is the hand that holds it: it starts the child,
//! waits only so long for an answer, believes none that is out of bounds, starts another when it died, and sets aside the line that
//! killed it twice.

#![forbid(unsafe_code)]

mod caution;
mod format;
mod frame;
mod held;
mod jails;
mod lines;
mod records;
mod serve;

pub use caution::{Caution, Pace, Verdict};
pub use format::LogFormat;
pub use frame::{At, Batch, EVIDENCE, Kind, Position, Reading, Record, SAMPLE, SAMPLES};
pub use held::{Died, Launch, Refused, Worker};
pub use jails::{JailFilter, JailMatch, Jailed, Jails};
pub use lines::{CHUNK, LONGEST, cursor_time};
pub use records::{LogParser, LogRecord, Reader, WebRequest, WebTrouble};
pub use serve::{Heard, Parser, serve};
