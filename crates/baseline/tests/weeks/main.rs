//! Weeks of a host's life in virtual time: ordinary ones are quiet, attacks stand out, and who would teach us evil teaches nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod attacks;
mod host;
mod ordinary;
mod poison;
