//! Settings: defaults, then file, then environment, then flags; each value knows where it came from.

pub mod agent;
mod layers;
pub mod policy;
mod policy_check;

pub use agent::{Access, Flags, LaneSizes, LogLevel, Settings};
pub use layers::{ConfigError, Origin};
pub use policy::Policy;
