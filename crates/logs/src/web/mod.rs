//! Lines of web servers: access logs in any format, error logs, and the servers' own configuration of both.

mod access;
mod client;
pub mod config;
pub mod error;
mod escape;
mod format;
mod json;
mod line;
mod time;

pub use access::{Access, Request};
pub use client::{NetworkError, Proxies};
pub use format::{Escaping, Format};
pub use line::AccessReader;
pub use time::TimeShape;
