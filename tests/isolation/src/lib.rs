//! For tests alone: namespaces, mounts and users of their own, so that no test touches what belongs to the machine.
//!
//! A crate of its own, because the tests of several crates need it and no program may contain it; with `unsafe`, because `fork` and
//! credentials of one thread have no safe form.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panic

pub mod forked;
pub mod other_user;
pub mod own_mounts;
pub mod own_netns;
