//! Scanners on bytes handed in: hardening of the host, secrets, known vulnerabilities; reports and what earlier scans found.
//! No files, no clock.

#![forbid(unsafe_code)]

pub mod deps;
pub mod findings;
pub mod history;
pub mod host;
pub mod report;
pub mod secrets;
