//! Mechanisms of change, without an opinion: how a thing is done to this host, verified and put back, never whether.

#![forbid(unsafe_code)]

pub mod accounts;
pub mod containers;
pub mod freeze;
pub mod nft;
pub mod probes;
pub mod sock_destroy;
