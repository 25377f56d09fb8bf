//! fail2ban's jails and filters as they are installed: read as fail2ban reads them, and run over lines.
//!
//! [`Installed`] holds the texts below `/etc/fail2ban`, [`import`] makes jails of them and names everything that is not understood, and
//! [`Filter`] runs the filter of a jail over lines. Settings are read as jail.conf(5) describes them. fail2ban's own files are read where
//! they are installed, and none of them is part of this program.

#![forbid(unsafe_code)]

mod config;
mod dates;
mod expression;
mod filter;
mod import;
mod installed;
mod jail;
mod merge;
mod problem;
mod spec;
mod taken;
mod units;

pub use filter::{Filter, Line, MAX_LINE, Trouble};
pub use import::{Import, import, own_parser};
pub use installed::{Installed, Unreadable};
pub use jail::{Jail, Source, filter_of};
pub use merge::Failure;
pub use problem::Problem;
pub use spec::FilterSpec;
pub use taken::{Invalid, JailKind, TakenJail, TakenOver};
pub use units::seconds;
