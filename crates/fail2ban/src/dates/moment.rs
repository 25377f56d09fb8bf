//! What was found of a date made into a time: missing years, days and zones are filled in from now.

use std::collections::BTreeMap;

use bartizan_model::Timestamp;
use chrono::{DateTime, Datelike, Days, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};

/// A stamp without a year that would lie further ahead than this is one of an earlier year.
const AHEAD: TimeDelta = TimeDelta::days(1);
/// TAI64 labels begin at 2^62 (cr.yp.to/libtai/tai64.html); the labels that programs write are ten seconds ahead of UTC.
const TAI_BEGIN: i64 = (1 << 62) + 10;

/// The fields by name; numbers behind the names only tell branches apart.
struct Fields<'a>(&'a BTreeMap<String, String>);

impl Fields<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        let is = |key: &str| key.trim_end_matches(|c: char| c.is_ascii_digit()) == name;
        self.0.iter().find(|(key, _)| is(key)).map(|(_, value)| value.trim())
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.text(name)?.parse().ok()
    }

    fn month(&self) -> Option<u32> {
        const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        let named = || {
            let name = self.text("name")?.get(..3)?.to_ascii_lowercase();
            MONTHS.iter().position(|month| *month == name).and_then(|at| u32::try_from(at + 1).ok())
        };
        self.number("month").or_else(named)
    }

    /// Python's rule: 69 to 99 are of the last century.
    fn year(&self) -> Option<i32> {
        let short = || self.text("short")?.parse::<i32>().ok().map(|year| if year < 69 { 2000 + year } else { 1900 + year });
        self.text("year").and_then(|year| year.parse().ok()).or_else(short)
    }

    fn time(&self) -> Option<NaiveTime> {
        let half = || {
            let afternoon = self.text("noon").is_some_and(|noon| noon.eq_ignore_ascii_case("pm"));
            Some(self.number("half")? % 12 + if afternoon { 12 } else { 0 })
        };
        let hour = self.number("hour").or_else(half).unwrap_or(0);
        NaiveTime::from_hms_opt(hour, self.number("minute").unwrap_or(0), self.number("second").unwrap_or(0).min(59))
    }

    /// Seconds ahead of UTC, if the stamp says so.
    fn offset(&self) -> Option<i32> {
        let Some(text) = self.text("offset") else {
            return self.text("zone").and_then(named_zone);
        };
        let Some(digits) = text.strip_prefix(['+', '-']) else { return Some(0) };
        let digits = digits.replace(':', "");
        let hours: i32 = digits.get(..2)?.parse().ok()?;
        let minutes: i32 = digits.get(2..).filter(|rest| !rest.is_empty()).map_or(Some(0), |rest| rest.parse().ok())?;
        let seconds = hours * 3600 + minutes * 60;
        Some(if text.starts_with('-') { -seconds } else { seconds })
    }
}

/// Seconds ahead of UTC of the zones that RFC 822 (5.1) names, and of those of Europe; the names of others mean several zones.
fn named_zone(name: &str) -> Option<i32> {
    let hours = match name.to_ascii_uppercase().as_str() {
        "UT" | "UTC" | "GMT" | "Z" | "WET" => 0,
        "CET" | "WEST" => 1,
        "CEST" | "EET" => 2,
        "EEST" | "MSK" => 3,
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        _ => return None,
    };
    Some(hours * 3600)
}

/// The time of these fields; `None` when there is no such day.
pub(super) fn of_fields(fields: &BTreeMap<String, String>, now: Timestamp, zone: i32) -> Option<Timestamp> {
    if fields.is_empty() {
        return None;
    }
    let fields = Fields(fields);
    let zone = FixedOffset::east_opt(fields.offset().unwrap_or(zone))?;
    let time = fields.time()?;
    let here = now.with_timezone(&zone).date_naive();
    let at = |date: NaiveDate| -> Option<DateTime<Utc>> {
        zone.from_local_datetime(&NaiveDateTime::new(date, time)).single().map(|at| at.with_timezone(&Utc))
    };
    let day = |year: i32| match (fields.month(), fields.number("ordinal")) {
        (Some(month), _) => NaiveDate::from_ymd_opt(year, month, fields.number("day").unwrap_or(1)),
        (None, Some(ordinal)) => NaiveDate::from_yo_opt(year, ordinal),
        (None, None) => NaiveDate::from_ymd_opt(year, here.month(), fields.number("day").unwrap_or(here.day())),
    };
    if let Some(year) = fields.year() {
        return at(day(year)?);
    }
    if fields.month().is_none() && fields.number("day").is_none() && fields.number("ordinal").is_none() {
        let today = at(here)?;
        return if today > now + TimeDelta::minutes(1) { at(here.checked_sub_days(Days::new(1))?) } else { Some(today) };
    }
    // The 29th of February may be up to eight years ago.
    (0..9).filter_map(|back| at(day(here.year() + 1 - back)?)).find(|at| *at <= now + AHEAD)
}

/// Seconds, or as many digits more as make it milli- or microseconds.
pub(super) fn of_epoch(text: &str) -> Option<Timestamp> {
    let whole: String = text.chars().take_while(char::is_ascii_digit).collect();
    let number: i64 = whole.parse().ok()?;
    let seconds = match whole.len() {
        0..=11 => number,
        12..=14 => number / 1_000,
        _ => number / 1_000_000,
    };
    DateTime::from_timestamp(seconds, 0)
}

/// `@` and sixteen hexadecimal digits of seconds.
pub(super) fn of_tai(text: &str) -> Option<Timestamp> {
    let seconds = i64::from_str_radix(text.get(1..17)?, 16).ok()?;
    DateTime::from_timestamp(seconds.checked_sub(TAI_BEGIN)?, 0)
}
