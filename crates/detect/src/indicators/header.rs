//! What a list says of itself in its comments: where it comes from, how old it is, when it expires.

use bartizan_model::{Timestamp, sentence};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta};

/// Longest source that is kept, in characters.
const MAX_SOURCE: usize = 160;

/// When a list expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    At(Timestamp),
    /// So long after its date.
    After(TimeDelta),
}

impl Until {
    pub(super) fn at(self, dated: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::After(age) => dated.checked_add_signed(age).unwrap_or(Timestamp::MAX_UTC),
        }
    }
}

/// The keys that were found; the first word on each counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) source: Option<String>,
    pub(super) dated: Option<Timestamp>,
    pub(super) expires: Option<Until>,
}

impl Header {
    /// Reads one comment, `KEY: VALUE`; anything else is a remark.
    pub(super) fn read(&mut self, comment: &str) {
        let Some((key, value)) = comment.split_once(':') else { return };
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "source" => {
                let source = sentence(value).chars().take(MAX_SOURCE).collect::<String>();
                self.source = self.source.take().or(Some(source).filter(|source| !source.is_empty()));
            }
            "fetched" | "updated" | "last updated" | "last-modified" | "last modified" | "date" | "generated" => {
                self.dated = self.dated.or_else(|| moment(value));
            }
            "expires" | "expiry" | "valid until" => {
                let age = || humantime::parse_duration(value).ok().and_then(|age| TimeDelta::from_std(age).ok()).map(Until::After);
                self.expires = self.expires.or_else(|| moment(value).map(Until::At).or_else(age));
            }
            _ => {}
        }
    }
}

/// A moment as lists write it: RFC 3339, RFC 2822 (Spamhaus), `2026-11-28 10:30:12 UTC` (abuse.ch), or a day.
fn moment(text: &str) -> Option<Timestamp> {
    let zoned = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text));
    if let Ok(at) = zoned {
        return Some(at.to_utc());
    }
    let text = text.trim_end_matches("UTC").trim_end_matches("(UTC)").trim();
    let plain = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"].into_iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0));
    plain.or_else(day).map(|at| at.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(lines: &[&str]) -> Header {
        let mut header = Header::default();
        lines.iter().for_each(|line| header.read(line));
        header
    }

    fn at(text: &str) -> Timestamp {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn the_headers_of_well_known_lists_are_read() {
        let spamhaus = header(&["Last-Modified: Thu, 26 Nov 2026 14:03:07 GMT", "Expires: Fri, 27 Nov 2026 15:12:01 GMT"]);
        assert_eq!(spamhaus.dated, Some(at("2026-11-26T14:03:07Z")));
        assert_eq!(spamhaus.expires, Some(Until::At(at("2026-11-27T15:12:01Z"))));
        let abuse = header(&["Last updated: 2026-11-28 10:30:12 UTC", "Terms Of Use: https://feodotracker.abuse.ch/blocklist/"]);
        assert_eq!((abuse.dated, abuse.source), (Some(at("2026-11-28T10:30:12Z")), None));
        let own = header(&["source: incident 7 of 2026", "fetched: 2026-11-01", "expires: 90d"]);
        assert_eq!((own.source.as_deref(), own.dated), (Some("incident 7 of 2026"), Some(at("2026-11-01T00:00:00Z"))));
        assert_eq!(own.expires.unwrap().at(own.dated.unwrap()), at("2027-01-30T00:00:00Z"));
    }

    #[test]
    fn hostile_headers_are_bounded_and_safe_to_show() {
        let long = format!("source: {}", "x".repeat(5000));
        assert_eq!(header(&[&long]).source.unwrap().len(), MAX_SOURCE);
        let escape = header(&["source: a\u{1b}[2Jb\u{202e}", "expires: 99999999999999999999y", "fetched: soon"]);
        assert!(escape.source.unwrap().chars().all(|c| !c.is_control() && c != '\u{202e}'));
        assert_eq!((escape.dated, escape.expires), (None, None));
    }
}
