//! Which logs nginx and Apache write, and in which format, out of the text of their configuration.
//!
//! The caller reads the files, with all that they include ([`WebLogs::includes`] says which); nothing here opens anything.

mod apache;
mod nginx;
#[cfg(test)]
mod tests;

use super::format::Format;

pub use apache::read as read_apache;
pub use nginx::read as read_nginx;

/// One file of a configuration.
#[derive(Debug, Clone, Copy)]
pub struct ConfigText<'a> {
    /// Its name, for what is reported.
    pub name: &'a str,
    /// All of it.
    pub text: &'a str,
}

/// What a log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogKind {
    /// Requests, in this format; `None` when the configuration does not give it: then it is guessed line by line.
    Access(Option<Format>),
    /// nginx's errors.
    NginxError,
    /// Apache's errors.
    ApacheError,
}

/// A log that a server writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebLog {
    /// As configured; a relative one counts from the server's own directory.
    pub path: String,
    /// What is in it.
    pub kind: LogKind,
}

/// What a configuration says of logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebLogs {
    /// Every file that is written, each once.
    pub logs: Vec<WebLog>,
    /// Files and patterns that the configuration includes, as written.
    pub includes: Vec<String>,
    /// Addresses and ranges of the proxies that the server itself trusts (`set_real_ip_from`, `RemoteIPTrustedProxy`).
    pub proxies: Vec<String>,
    /// What cannot be followed, in a sentence each: pipes, syslog, paths with variables, unknown formats.
    pub notes: Vec<String>,
}

/// Logs, includes and notes that are kept of one configuration, each.
const MAX_KEPT: usize = 4096;

impl WebLogs {
    fn log(&mut self, path: &str, kind: LogKind) {
        match self.logs.iter().position(|log| log.path == path) {
            // Two formats in one file: every line is tried with the usual ones.
            Some(at) => {
                let differs = self.logs.get(at).is_some_and(|log| log.kind != kind);
                if let Some(LogKind::Access(format)) = self.logs.get_mut(at).map(|log| &mut log.kind).filter(|_| differs) {
                    *format = None;
                    self.note(format!("{path} is written in several formats; each line is read by what it looks like"));
                }
            }
            None if self.logs.len() < MAX_KEPT => self.logs.push(WebLog { path: path.to_owned(), kind }),
            None => {}
        }
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_KEPT && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn include(&mut self, pattern: &str) {
        if self.includes.len() < MAX_KEPT {
            self.includes.push(pattern.to_owned());
        }
    }
}

/// A text of the configuration, short enough for a sentence and free of controls.
fn shown(text: &str) -> String {
    text.chars().filter(|one| !one.is_control()).take(120).collect()
}
