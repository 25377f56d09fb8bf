//! Hours of a day, in UTC: when it is quiet, and when the digest is due.

use chrono::{Days, NaiveTime};

use super::Timestamp;

/// From one time of day to another, the end excluded; over midnight when it begins later than it ends, never when both are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// When it begins.
    pub from: NaiveTime,
    /// When it ends.
    pub to: NaiveTime,
}

impl Hours {
    /// Parses `22:00-07:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        Some(Self { from: Self::time(from)?, to: Self::time(to)? })
    }

    /// Parses one time of day, `08:00`.
    pub fn time(text: &str) -> Option<NaiveTime> {
        NaiveTime::parse_from_str(text.trim(), "%H:%M").ok()
    }

    /// When this time of day comes next, never now.
    pub fn next(time: NaiveTime, now: Timestamp) -> Timestamp {
        let today = now.date_naive().and_time(time).and_utc();
        if today > now { today } else { today.checked_add_days(Days::new(1)).unwrap_or(today) }
    }

    /// When they end, if this moment is in them.
    pub fn end_of(&self, now: Timestamp) -> Option<Timestamp> {
        let at = now.time();
        let inside = if self.from <= self.to { self.from <= at && at < self.to } else { self.from <= at || at < self.to };
        inside.then(|| Self::next(self.to, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_go_over_midnight_and_end_at_the_next_end() {
        let at = |text: &str| format!("2026-03-01T{text}:00Z").parse::<Timestamp>().unwrap();
        let night = Hours::parse("22:00-07:00").unwrap();
        assert_eq!(night.end_of(at("23:00")).map(|end| end.to_rfc3339()), Some("2026-03-02T07:00:00+00:00".to_owned()));
        assert_eq!(night.end_of(at("06:59")).map(|end| end.to_rfc3339()), Some("2026-03-01T07:00:00+00:00".to_owned()));
        assert_eq!((night.end_of(at("07:00")), night.end_of(at("21:59"))), (None, None));
        let noon = Hours::parse("12:00 - 13:00").unwrap();
        assert!(noon.end_of(at("12:00")).is_some() && noon.end_of(at("13:00")).is_none());
        assert!(Hours::parse("05:00-05:00").unwrap().end_of(at("05:00")).is_none());
        for bad in ["", "22:00", "25:00-07:00", "22:00-", "a-b"] {
            assert!(Hours::parse(bad).is_none(), "{bad}");
        }
    }
}
