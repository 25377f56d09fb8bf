//! Settings: defaults, then file, then environment, then flags; each value knows where it came from.

pub mod policy;

pub use policy::Policy;
