//! One access line in whatever format: the configured one, else JSON, else the usual ones.

use super::access::Access;
use super::format::Format;

/// Reads the access lines of one source.
#[derive(Debug, Clone)]
pub struct AccessReader {
    formats: Vec<Format>,
    json: bool,
}

impl AccessReader {
    /// Lines of exactly this format, as the server's configuration or ours has it.
    pub fn of(format: Format) -> Self {
        Self { formats: vec![format], json: false }
    }

    /// Lines of JSON, `combined`, `common`, or `combined` behind the name of the host, whatever follows them.
    pub fn guessing() -> Self {
        Self { formats: Format::usual(), json: true }
    }

    /// What one line says; `None` when it is of none of the formats.
    pub fn read<'l>(&self, line: &'l [u8]) -> Option<Access<'l>> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.json && line.first() == Some(&b'{') {
            return super::json::read(line);
        }
        let mut unnamed = None;
        for access in self.formats.iter().filter_map(|format| format.read(line)) {
            if access.peer.is_some() {
                return Some(access);
            }
            unnamed = unnamed.or(Some(access));
        }
        unnamed
    }
}
