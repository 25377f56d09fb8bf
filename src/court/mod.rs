//! May we? Cases, modes, the protected list, the lifeline, blast radius, warrants.

mod warrant;

pub use warrant::{Grant, Verifier, Warrant, WarrantError};
