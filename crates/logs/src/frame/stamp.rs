//! Time stamps: RFC 3164 (no year, no zone), RFC 3339 and its kin, ctime(3), TAI64N. What is missing comes from the [`Clock`].

use bartizan_model::Timestamp;

use crate::scan::leading_number;

/// A stamp without a year that would lie further ahead than this belongs to the year before.
const AHEAD: i64 = 24 * 60 * 60;
const DAY: i64 = 24 * 60 * 60;
/// TAI64 labels begin at 2^62 (cr.yp.to/libtai/tai64.html); TAI is 10 s ahead of UTC in the label that multilog writes.
const TAI64: u64 = (1 << 62) + 10;
const MONTHS: [&[u8; 3]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const WEEKDAYS: [&[u8; 4]; 7] = [b"Mon ", b"Tue ", b"Wed ", b"Thu ", b"Fri ", b"Sat ", b"Sun "];

/// What a stamp leaves out: the year, and how local time differs from UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    now: i64,
    year: i64,
    offset: i64,
}

impl Clock {
    /// It is `now`; local time is `offset` seconds ahead of UTC.
    pub(crate) fn new(now: Timestamp, offset: i32) -> Self {
        let (now, offset) = (now.timestamp(), i64::from(offset));
        Self { now, year: year_of(now + offset), offset }
    }

    /// The stamp at the beginning of a line in any of the known forms, and what follows it and its space.
    pub(crate) fn read<'a>(&self, line: &'a [u8]) -> Option<(Timestamp, &'a [u8])> {
        let (at, rest) = match line.first()? {
            b'A'..=b'Z' => match line.first_chunk::<4>() {
                Some(day) if WEEKDAYS.contains(&day) => self.ctime(line.get(4..)?)?,
                _ => self.without_year(line)?,
            },
            b'0'..=b'9' => self.iso(line)?,
            b'@' => tai64n(line.get(1..)?)?,
            _ => return None,
        };
        Some((at, rest.strip_prefix(b" ").unwrap_or(rest)))
    }

    /// `Nov 28 10:55:10`, `Nov  8 ...`, `Nov 8 ...`
    fn without_year<'a>(&self, line: &'a [u8]) -> Option<(Timestamp, &'a [u8])> {
        let (month, day, second, rest) = month_day_time(line)?;
        let (nanos, rest) = fraction(rest);
        let at = |year: i64| Some(days(year, month, day)? * DAY + second - self.offset);
        // The 29th of February exists in some years only: the latest one that had it.
        let (from, limit) = (self.year + 1, self.now + AHEAD);
        let found = (0..=8).find_map(|back| at(from - back).filter(|at| *at <= limit))?;
        Some((Timestamp::from_timestamp(found, nanos)?, rest))
    }

    /// `Jan 19 12:20:33 2007`, after the day of the week.
    fn ctime<'a>(&self, line: &'a [u8]) -> Option<(Timestamp, &'a [u8])> {
        let (month, day, second, rest) = month_day_time(line)?;
        let (nanos, rest) = fraction(rest);
        let (year, rest) = leading_number(rest.strip_prefix(b" ")?)?;
        let at = days(i64::try_from(year).ok()?, month, day)? * DAY + second - self.offset;
        Some((Timestamp::from_timestamp(at, nanos)?, rest))
    }

    /// `2015-04-16T18:02:50.321974+00:00`, `2013-11-16 21:59:30,121`; without a zone it is local time.
    fn iso<'a>(&self, line: &'a [u8]) -> Option<(Timestamp, &'a [u8])> {
        let date = line.first_chunk::<10>()?;
        let (year, month, day) = (digits(&date[..4])?, digits(&date[5..7])?, digits(&date[8..])?);
        if date[4] != b'-' || date[7] != b'-' || !matches!(line.get(10)?, b'T' | b't' | b' ') {
            return None;
        }
        let (second, rest) = time(line.get(11..)?)?;
        let (nanos, rest) = fraction(rest);
        let (offset, rest) = zone(rest).unwrap_or((self.offset, rest));
        let at = days(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)? * DAY + second - offset;
        Some((Timestamp::from_timestamp(at, nanos)?, rest))
    }
}

fn month_day_time(line: &[u8]) -> Option<(u32, u32, i64, &[u8])> {
    let name = line.first_chunk::<3>()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let rest = line.get(3..)?.strip_prefix(b" ")?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let (day, rest) = leading_number(rest)?;
    let (second, rest) = time(rest.strip_prefix(b" ")?)?;
    Some((u32::try_from(month).ok()? + 1, u32::try_from(day).ok()?, second, rest))
}

/// `HH:MM:SS` as seconds of the day; a leap second counts as the second after it.
fn time(line: &[u8]) -> Option<(i64, &[u8])> {
    let (clock, rest) = line.split_first_chunk::<8>()?;
    let (hour, minute, second) = (digits(&clock[..2])?, digits(&clock[3..5])?, digits(&clock[6..])?);
    let valid = clock[2] == b':' && clock[5] == b':' && hour < 24 && minute < 60 && second <= 60;
    valid.then_some((hour * 3600 + minute * 60 + second, rest))
}

/// `.123456` or `,123` in nanoseconds; nothing is zero.
fn fraction(line: &[u8]) -> (u32, &[u8]) {
    let [b'.' | b',', after @ ..] = line else { return (0, line) };
    let count = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let Some((part, rest)) = after.split_at_checked(count).filter(|_| count > 0) else { return (0, line) };
    let nanos = (0..9).fold(0, |sum, at| sum * 10 + part.get(at).map_or(0, |digit| u32::from(digit - b'0')));
    (nanos, rest)
}

/// `Z`, `+02:00`, `+0200`, ` +0200` in seconds.
fn zone(line: &[u8]) -> Option<(i64, &[u8])> {
    if let Some(rest) = line.strip_prefix(b"Z") {
        return Some((0, rest));
    }
    let bare = line.strip_prefix(b" ").unwrap_or(line);
    let sign = match bare.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = (digits(bare.get(1..3)?)?, bare.get(3..)?);
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let minutes = digits(rest.get(..2)?)?;
    Some((sign * (hours * 3600 + minutes * 60), rest.get(2..)?))
}

/// `400000004c91b044077a9e94`
fn tai64n(line: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (label, rest) = line.split_at_checked(24)?;
    let hex = |part: &[u8]| part.iter().try_fold(0_u64, |sum, byte| Some((sum << 4) | u64::from(char::from(*byte).to_digit(16)?)));
    let (seconds, nanos) = label.split_at_checked(16)?;
    let seconds = i64::try_from(hex(seconds)?.checked_sub(TAI64)?).ok()?;
    Some((Timestamp::from_timestamp(seconds, u32::try_from(hex(nanos)?).ok()?)?, rest))
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Days since 1970-01-01 (Howard Hinnant's days_from_civil); none for a day that the month has not, and none beyond the year 9999: a line
/// may name any number.
fn days(year: i64, month: u32, day: u32) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if day == 0 || day > last || year > 9999 {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// The year of a moment (Howard Hinnant's civil_from_days).
fn year_of(seconds: i64) -> i64 {
    let shifted = seconds.div_euclid(DAY) + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // The shifted year begins in March; its days from the 306th on are January and February of the next.
    era * 400 + year + i64::from(of_year >= 306)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(now: &str, offset: i32, line: &str) -> Option<String> {
        let (at, rest) = Clock::new(now.parse().unwrap(), offset).read(line.as_bytes())?;
        assert_eq!(rest, b"host x", "{line}");
        Some(at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }

    #[test]
    fn every_dress_of_a_stamp_is_read_in_the_hosts_own_zone() {
        let summer = 2 * 3600;
        for (line, at) in [
            ("Jun 21 16:47:48 host x", "2005-06-21T14:47:48Z"),
            ("Feb 7 16:01:07 host x", "2005-02-07T14:01:07Z"),
            ("Feb  7 16:01:07 host x", "2005-02-07T14:01:07Z"),
            ("2015-04-16T18:02:50.321974+00:00 host x", "2015-04-16T18:02:50.321974Z"),
            ("2015-04-16T18:02:50-0430 host x", "2015-04-16T22:32:50Z"),
            ("2013-11-16 21:59:30,121 host x", "2013-11-16T19:59:30.121Z"),
            ("Fri Jan 19 12:20:33 2007 host x", "2007-01-19T10:20:33Z"),
            ("@400000004c91b044077a9e94 host x", "2010-09-16T05:50:50.125476500Z"),
        ] {
            assert_eq!(read("2005-08-14T10:00:00Z", summer, line).as_deref(), Some(at), "{line}");
        }
        for line in [
            "Foo 21 16:47:48 host x",
            "Jun 31 16:47:48 host x",
            "Jun 21 24:00:00 host x",
            "2015-13-16T18:02:50Z host x",
            "",
            "@12",
            "Fri Jan 19 12:20:33 10000 host x",
            "Fri Jan 19 12:20:33 9223372036854775807 host x",
            "Fri Jan 19 12:20:33 18446744073709551615 host x",
        ] {
            assert_eq!(read("2005-08-14T10:00:00Z", summer, line), None, "{line}");
        }
    }

    #[test]
    fn a_stamp_without_a_year_belongs_to_the_latest_year_that_is_not_ahead() {
        for (now, line, at) in [
            ("2026-01-01T00:00:05Z", "Dec 31 23:59:59 host x", "2025-12-31T23:59:59Z"),
            ("2025-12-31T23:59:59Z", "Jan  1 00:00:01 host x", "2026-01-01T00:00:01Z"),
            ("2026-08-14T12:00:00Z", "Nov 11 23:33:27 host x", "2025-11-11T23:33:27Z"),
            ("2026-03-01T00:00:00Z", "Feb 29 12:00:00 host x", "2024-02-29T12:00:00Z"),
            ("1970-06-01T00:00:00Z", "Jun  1 00:00:00 host x", "1970-06-01T00:00:00Z"),
        ] {
            assert_eq!(read(now, 0, line).as_deref(), Some(at), "{line}");
        }
    }

    proptest! {
        #[test]
        fn days_and_years_agree_with_chrono(seconds in -2_000_000_000_i64..8_000_000_000) {
            use chrono::Datelike;
            let at = Timestamp::from_timestamp(seconds, 0).unwrap();
            prop_assert_eq!(year_of(seconds), i64::from(at.year()));
            prop_assert_eq!(days(i64::from(at.year()), at.month(), at.day()), Some(seconds.div_euclid(DAY)));
        }
    }
}
