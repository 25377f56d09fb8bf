//! Lengths of time as fail2ban writes them: `600`, `10m`, `1d 12h`, `-1`.

/// Seconds of this text: a number, or numbers with units, added up (jail.conf(5), "time abbreviation format"). Negative values mean
/// "for ever". `None` when it is no length of time.
pub fn seconds(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    let (mut sum, mut any) = (0_f64, false);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || (c == '-' && !any))).unwrap_or(rest.len());
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?.trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        sum += number * unit(&rest.get(..letters)?.to_ascii_lowercase())?;
        rest = rest.get(letters..)?.trim_start();
        any = true;
    }
    // `as` saturates, and what is no number is 0.
    any.then_some(sum as i64)
}

fn unit(name: &str) -> Option<f64> {
    const DAY: f64 = 86_400.0;
    Some(match name {
        "" | "s" | "ss" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "mm" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hh" | "hou" | "hour" | "hours" => 3600.0,
        "d" | "dd" | "da" | "day" | "days" => DAY,
        "w" | "ww" | "wee" | "week" | "weeks" => 7.0 * DAY,
        "mo" | "mon" | "month" | "months" => 365.25 / 12.0 * DAY,
        "y" | "yy" | "yea" | "year" | "years" => 365.25 * DAY,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn lengths_of_time_mean_what_the_manual_says() {
        let cases =
            [("600", 600), ("10m", 600), ("1d12h", 129_600), ("1d 12h", 129_600), ("-1", -1), ("2 weeks", 1_209_600), ("1mo", 2_629_800)];
        for (text, wanted) in cases {
            assert_eq!(seconds(text), Some(wanted), "{text}");
        }
        for none in ["", "soon", "10 parsecs", "--", "1.2.3"] {
            assert_eq!(seconds(none), None, "{none}");
        }
        assert_eq!(seconds("99999999999999999999999999y"), Some(i64::MAX));
    }
}
