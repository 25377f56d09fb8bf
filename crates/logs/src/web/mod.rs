//! Lines of web servers: access logs in any format, error logs, and the servers' own configuration of both.

mod access;
mod client;
pub mod config;
mod decode;
pub mod error;
mod escape;
mod format;
mod json;
mod judge;
mod line;
mod time;

pub use access::{Access, Request};
pub use client::{NetworkError, Proxies};
pub use format::{Escaping, Format};
pub use judge::{Family, Finding, Judge, MAX_EXCERPT, MAX_FINDINGS, Place, Strength, confidence, is_script, judge};
pub use line::AccessReader;
pub use time::TimeShape;
