//! Docker's `json-file` log: one JSON object a line, with what the container wrote in `log` and the daemon's own stamp in `time`.

use std::borrow::Cow;

use bartizan_model::Timestamp;
use serde::Deserialize;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(default, borrow)]
    stream: Cow<'a, str>,
    #[serde(default, borrow)]
    time: Option<Cow<'a, str>>,
}

/// Which of the container's streams is within a line that was broken into several entries: the daemon breaks lines of more than 16 KiB, and a
/// client chooses what stands behind the break.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Broken {
    output: bool,
    error: bool,
}

/// What the container wrote, without its line end, into `out`; and when. `None`: not such a line, or not a whole one.
pub fn unwrap(line: &[u8], broken: &mut Broken, out: &mut Vec<u8>) -> Option<Option<Timestamp>> {
    let entry: Entry<'_> = serde_json::from_slice(line).ok()?;
    let within = if entry.stream == "stderr" { &mut broken.error } else { &mut broken.output };
    let ends = entry.log.ends_with('\n');
    let whole = !std::mem::replace(within, !ends) && ends;
    out.clear();
    out.extend_from_slice(entry.log.trim_end_matches(['\n', '\r']).as_bytes());
    whole.then(|| entry.time.and_then(|time| time.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_inside_is_found_with_the_daemons_stamp() {
        let (mut out, mut broken) = (Vec::new(), Broken::default());
        let line = br#"{"log":"Failed \"x\"\u001b[2J\r\n","stream":"stderr","time":"2026-11-28T10:00:00.5Z"}"#;
        assert_eq!(unwrap(line, &mut broken, &mut out), Some("2026-11-28T10:00:00.5Z".parse().ok()));
        assert_eq!(out, b"Failed \"x\"\x1b[2J");
        assert_eq!((unwrap(b"{\"stream\":1}", &mut broken, &mut out), unwrap(b"", &mut broken, &mut out)), (None, None));
    }

    #[test]
    fn no_part_of_a_broken_line_is_taken_for_a_line() {
        let (mut out, mut broken) = (Vec::new(), Broken::default());
        let mut is_line = |stream: &str, log: &str| {
            let line = format!(r#"{{"log":"{log}","stream":"{stream}","time":"2026-11-28T10:00:00Z"}}"#);
            unwrap(line.as_bytes(), &mut broken, &mut out).is_some()
        };
        assert!(!is_line("stdout", "GET /aaaa"));
        assert!(is_line("stderr", r"the other stream\n"), "has lines of its own");
        assert!(!is_line("stdout", r"203.0.113.9 - - what a client chose\n"));
        assert!(is_line("stdout", r"the next\n"));
    }
}
