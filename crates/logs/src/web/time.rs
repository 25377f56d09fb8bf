//! Time stamps of web servers: the common log format's, ISO 8601, seconds since 1970, and Apache's `%{strftime}t`.

use bartizan_model::Timestamp;
use chrono::DateTime;
use serde::{Deserialize, Serialize};

/// How a format writes the time of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeShape {
    /// `28/Nov/2026:10:00:00 +0000`: `$time_local`, `%t` without its brackets.
    Common,
    /// RFC 3339: `$time_iso8601`.
    Iso,
    /// Seconds since 1970, with a fraction or without: `$msec`, `%{sec}t`.
    Seconds,
    /// Milliseconds since 1970: `%{msec}t`.
    Milliseconds,
    /// Microseconds since 1970: `%{usec}t`.
    Microseconds,
    /// A `strftime` pattern: `%{%F %T %z}t`. Without a zone in it the moment is unknown.
    Pattern(Box<str>),
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |sum, digit| Some(sum * 10 + i64::from((*digit as char).to_digit(10)?)))
}

fn month(name: &[u8]) -> Option<u32> {
    const NAMES: [&[u8]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    NAMES.iter().position(|own| *own == name).and_then(|at| u32::try_from(at + 1).ok())
}

/// The moment of these parts in a zone this many seconds east of Greenwich.
fn moment(date: (i64, u32, i64), clock: (i64, i64, i64), east: i64) -> Option<Timestamp> {
    let (year, month, day) = date;
    let date = chrono::NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, u32::try_from(day).ok()?)?;
    // A leap second is the last one of its minute.
    let (hour, minute, second) = (clock.0, clock.1, clock.2.min(59));
    let at = date.and_hms_opt(u32::try_from(hour).ok()?, u32::try_from(minute).ok()?, u32::try_from(second).ok()?)?;
    DateTime::from_timestamp(at.and_utc().timestamp() - east, 0)
}

/// `28/Nov/2026:10:00:00 +0000`.
fn common(text: &[u8]) -> Option<Timestamp> {
    let [d1, d2, b'/', m1, m2, m3, b'/', y1, y2, y3, y4, b':', h1, h2, b':', n1, n2, b':', s1, s2, b' ', sign, z1, z2, z3, z4] = text
    else {
        return None;
    };
    let east = number(&[*z1, *z2])? * 3600 + number(&[*z3, *z4])? * 60;
    let east = if *sign == b'-' { -east } else { east };
    let date = (number(&[*y1, *y2, *y3, *y4])?, month(&[*m1, *m2, *m3])?, number(&[*d1, *d2])?);
    moment(date, (number(&[*h1, *h2])?, number(&[*n1, *n2])?, number(&[*s1, *s2])?), east)
}

/// Seconds with at most nine digits after the point.
fn seconds(text: &[u8]) -> Option<Timestamp> {
    let point = memchr::memchr(b'.', text).unwrap_or(text.len());
    let (whole, fraction) = text.split_at_checked(point)?;
    let fraction = fraction.get(1..).unwrap_or_default();
    if whole.is_empty() || whole.len() > 12 || fraction.len() > 9 {
        return None;
    }
    let scale = 10_i64.pow(9 - u32::try_from(fraction.len()).ok()?);
    DateTime::from_timestamp(number(whole)?, u32::try_from(number(fraction)? * scale).ok()?)
}

impl TimeShape {
    /// The moment that this text names; `None` when it is not of this shape.
    pub fn read(&self, text: &[u8]) -> Option<Timestamp> {
        match self {
            Self::Common => common(text),
            Self::Iso => DateTime::parse_from_rfc3339(std::str::from_utf8(text).ok()?).ok().map(|at| at.to_utc()),
            Self::Seconds => seconds(text),
            Self::Milliseconds if text.len() <= 15 => DateTime::from_timestamp_millis(number(text)?),
            Self::Microseconds if text.len() <= 18 => DateTime::from_timestamp_micros(number(text)?),
            Self::Milliseconds | Self::Microseconds => None,
            Self::Pattern(pattern) => DateTime::parse_from_str(std::str::from_utf8(text).ok()?, pattern).ok().map(|at| at.to_utc()),
        }
    }

    /// The moment in a text whose shape is not known, as in JSON lines: the first shape that fits.
    pub(super) fn guess(text: &[u8]) -> Option<Timestamp> {
        if text.first().is_some_and(u8::is_ascii_digit) && text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') {
            let digits = memchr::memchr(b'.', text).unwrap_or(text.len());
            let shape = match digits {
                ..=11 => Self::Seconds,
                12..=14 => Self::Milliseconds,
                _ => Self::Microseconds,
            };
            return shape.read(if digits > 11 { text.get(..digits)? } else { text });
        }
        common(text).or_else(|| Self::Iso.read(text))
    }
}

/// `2026/11/28 10:00:00`, local time of the server: nginx's error log. `east` is how many seconds its zone is east of Greenwich.
pub(super) fn nginx_error(text: &[u8], east: i64) -> Option<Timestamp> {
    let [y1, y2, y3, y4, b'/', m1, m2, b'/', d1, d2, b' ', h1, h2, b':', n1, n2, b':', s1, s2] = text else { return None };
    let date = (number(&[*y1, *y2, *y3, *y4])?, u32::try_from(number(&[*m1, *m2])?).ok()?, number(&[*d1, *d2])?);
    moment(date, (number(&[*h1, *h2])?, number(&[*n1, *n2])?, number(&[*s1, *s2])?), east)
}

/// `Sat Nov 28 10:00:00.123456 2026`, local time of the server: Apache's error log.
pub(super) fn apache_error(text: &[u8], east: i64) -> Option<Timestamp> {
    let mut words = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (_, name, day, clock, year) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let [h1, h2, b':', n1, n2, b':', s1, s2, ..] = clock else { return None };
    if day.len() > 2 || year.len() != 4 {
        return None;
    }
    moment((number(year)?, month(name)?, number(day)?), (number(&[*h1, *h2])?, number(&[*n1, *n2])?, number(&[*s1, *s2])?), east)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_time_names_the_same_moment() {
        let at = "2026-11-28T10:00:00Z".parse::<Timestamp>().unwrap();
        for (shape, text) in [
            (TimeShape::Common, "28/Nov/2026:10:00:00 +0000"),
            (TimeShape::Common, "28/Nov/2026:05:30:00 -0430"),
            (TimeShape::Iso, "2026-11-28T11:00:00+01:00"),
            (TimeShape::Seconds, "1795860000"),
            (TimeShape::Seconds, "1795860000.000"),
            (TimeShape::Milliseconds, "1795860000000"),
            (TimeShape::Microseconds, "1795860000000000"),
            (TimeShape::Pattern("%F %T %z".into()), "2026-11-28 10:00:00 +0000"),
        ] {
            assert_eq!(shape.read(text.as_bytes()), Some(at), "{text}");
        }
        for text in ["28/Nov/2026:10:00:00 +0000", "2026-11-28T10:00:00+00:00", "1795860000", "1795860000000", "1795860000.0"] {
            assert_eq!(TimeShape::guess(text.as_bytes()), Some(at), "{text}");
        }
        assert_eq!(nginx_error(b"2026/11/28 11:00:00", 3600), Some(at));
        assert_eq!(apache_error(b"Sat Nov 28 10:00:00.123456 2026", 0), Some(at));
    }

    #[test]
    fn a_time_that_cannot_be_is_none_and_no_panic() {
        for text in
            ["", "-", "99/Nov/2026:10:00:00 +0000", "28/Xxx/2026:10:00:00 +0000", "28/Nov/2026:25:00:00 +9999", "28/Nov/2026:10:00:00"]
        {
            assert_eq!(TimeShape::Common.read(text.as_bytes()), None, "{text}");
        }
        for text in ["99999999999999999999", "1.1.1", "9999999999999999999.1234567890"] {
            for shape in [TimeShape::Seconds, TimeShape::Milliseconds, TimeShape::Microseconds] {
                assert_eq!(shape.read(text.as_bytes()), None, "{text}");
            }
            assert_eq!(TimeShape::guess(text.as_bytes()), None, "{text}");
        }
    }
}
