//! Docker's `json-file` log: one JSON object a line, with what the container wrote in `log` and the daemon's own stamp in `time`.

use std::borrow::Cow;

use bartizan_model::Timestamp;
use serde::Deserialize;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(default, borrow)]
    time: Option<Cow<'a, str>>,
}

/// What the container wrote, without its line end, into `out`; and when. `None`: not such a line.
pub fn unwrap(line: &[u8], out: &mut Vec<u8>) -> Option<Option<Timestamp>> {
    let entry: Entry<'_> = serde_json::from_slice(line).ok()?;
    out.clear();
    out.extend_from_slice(entry.log.trim_end_matches(['\n', '\r']).as_bytes());
    Some(entry.time.and_then(|time| time.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_inside_is_found_with_the_daemons_stamp() {
        let mut out = Vec::new();
        let line = br#"{"log":"Failed \"x\"\u001b[2J\r\n","stream":"stderr","time":"2026-11-28T10:00:00.5Z"}"#;
        assert_eq!(unwrap(line, &mut out), Some("2026-11-28T10:00:00.5Z".parse().ok()));
        assert_eq!(out, b"Failed \"x\"\x1b[2J");
        assert_eq!((unwrap(b"{\"stream\":1}", &mut out), unwrap(b"", &mut out)), (None, None));
    }
}
