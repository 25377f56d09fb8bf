//! Who is on the owner's lifeline: whoever logged in and what carries their session, and nobody who only connects. With real
//! servers, proxies and tunnels; what an agent says to a block or a freeze is the proof.

#![allow(unreachable_pub, missing_docs)] // parts of one test program
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

#[path = "lifeline/carriers.rs"]
mod carriers;
#[path = "lifeline/host.rs"]
mod host;
#[path = "lifeline/knocks.rs"]
mod knocks;
#[path = "lifeline/records.rs"]
mod records;
