//! Numbers and times as people read them at a glance.

use chrono::TimeDelta;

use crate::state::State;
use bartizan_model::Timestamp;

/// "1,234,567".
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// "1 alert", "2 alerts".
pub(crate) fn plural(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(n as u64), if n == 1 { "" } else { "s" })
}

/// What stands beside the name of a list: under a filter, that it is a part.
pub(crate) fn shown_of(state: &State, shown: usize, all: usize, whole: String) -> String {
    if state.list().filter.is_empty() { whole } else { format!("{} shown of {}", count(shown as u64), count(all as u64)) }
}

/// "12s", "9m", "2h14m", "3d04h": a time that passed. It ticks in minutes once it shows minutes.
pub(crate) fn span(time: TimeDelta) -> String {
    let s = time.num_seconds().unsigned_abs();
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m", s / 60),
        3_600..86_400 => format!("{}h{:02}m", s / 3_600, s % 3_600 / 60),
        _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// "12s", "9m12s", "45m", "2h14m": a time that is left, to the second where seconds may decide; nothing is left below zero.
pub(crate) fn left(time: TimeDelta) -> String {
    let s = time.num_seconds().max(0);
    if (60..600).contains(&s) { format!("{}m{:02}s", s / 60, s % 60) } else { span(TimeDelta::seconds(s)) }
}

/// How long ago, roughly: "12s", "9m", "2h", "3d".
pub(crate) fn ago(state: &State, at: Timestamp) -> String {
    let s = (state.now - at).num_seconds().max(0);
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m", s / 60),
        3_600..86_400 => format!("{}h", s / 3_600),
        _ => format!("{}d", s / 86_400),
    }
}

/// "14:03:22", in the owner's time zone.
pub(crate) fn clock(state: &State, at: Timestamp) -> String {
    at.with_timezone(&state.zone).format("%H:%M:%S").to_string()
}

/// "14:03:22", with the day when it is another one.
pub(crate) fn moment(state: &State, at: Timestamp) -> String {
    let (at, now) = (at.with_timezone(&state.zone), state.now.with_timezone(&state.zone));
    at.format(if at.date_naive() == now.date_naive() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" }).to_string()
}

/// "14:03 UTC", "14:03 +02:00": what time the console has, and in which zone every time on screen is.
pub(crate) fn clock_of_minutes(state: &State) -> String {
    let zone = if state.zone.local_minus_utc() == 0 { "UTC".to_owned() } else { state.zone.to_string() };
    format!("{} {zone}", state.now.with_timezone(&state.zone).format("%H:%M"))
}

/// "12.3 MiB".
pub(crate) fn bytes(n: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // one decimal is shown
    let mut value = n as f64;
    let mut unit = "B";
    for bigger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1_024.0 {
            break;
        }
        value /= 1_024.0;
        unit = bigger;
    }
    if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_at_a_glance() {
        assert_eq!([count(0), count(999), count(1_000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        let seconds = [9, 552, 3_000, 8_040, -7].map(TimeDelta::seconds);
        assert_eq!(seconds.map(span), ["9s", "9m", "50m", "2h14m", "7s"]);
        assert_eq!(seconds.map(left), ["9s", "9m12s", "50m", "2h14m", "0s"]);
        assert_eq!([bytes(512), bytes(1_536), bytes(12_897_484)], ["512 B", "1.5 KiB", "12.3 MiB"]);
    }
}
