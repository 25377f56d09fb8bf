//! Versions of Debian packages (deb-version(7)): epoch, upstream version, revision; letters before signs, a tilde before everything.

use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let ((ea, ua, ra), (eb, ub, rb)) = (parts(a), parts(b));
    ea.cmp(&eb).then_with(|| part(ua, ub)).then_with(|| part(ra, rb))
}

/// Epoch, upstream version, revision; a missing revision is the same as 0.
fn parts(version: &str) -> (u64, &[u8], &[u8]) {
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    };
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream.as_bytes(), revision.as_bytes())
}

/// The weight of a character outside of numbers; `None` is the end.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

fn part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        while a.first().is_some_and(|byte| !byte.is_ascii_digit()) || b.first().is_some_and(|byte| !byte.is_ascii_digit()) {
            match weight(a.first()).cmp(&weight(b.first())) {
                Ordering::Equal => (a, b) = (rest(a), rest(b)),
                different => return different,
            }
        }
        let ((na, ta), (nb, tb)) = (number(a), number(b));
        match na.len().cmp(&nb.len()).then_with(|| na.cmp(nb)) {
            Ordering::Equal => (a, b) = (ta, tb),
            different => return different,
        }
    }
    Ordering::Equal
}

fn rest(text: &[u8]) -> &[u8] {
    text.split_first().map_or(&[][..], |(_, rest)| rest)
}

/// The digits at the beginning without zeros before them, and what follows.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    let zeros = digits.iter().position(|byte| *byte != b'0').unwrap_or(digits.len());
    (digits.get(zeros..).unwrap_or_default(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORDER: &[(&str, Ordering, &str)] = {
        use Ordering::{Equal, Greater, Less};
        &[
            ("1.0", Equal, "1.0-0"),
            ("1:1.0", Greater, "2.0"),
            ("0:1", Equal, "1"),
            ("1.0~rc1", Less, "1.0"),
            ("1.0~~", Less, "1.0~"),
            ("1.0-1", Less, "1.0-1+deb12u1"),
            ("2.36-9+deb12u4", Less, "2.36-9+deb12u10"),
            ("1.0a", Less, "1.0+"),
            ("1.0", Less, "1.0a"),
            ("009", Equal, "9"),
            ("3.0.11-1~deb12u2", Less, "3.0.11-1"),
            ("1.2.3-4-5", Greater, "1.2.3-4-4"),
            ("", Less, "1"),
            ("7.88.1-10+deb12u5", Less, "7.88.1-10+deb12u14"),
            ("1.1.1n-0+deb11u5", Less, "1.1.1w-0+deb11u1"),
        ]
    };

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        for (a, expected, b) in ORDER {
            assert_eq!(compare(a, b), *expected, "{a} and {b}");
            assert_eq!(compare(b, a), expected.reverse(), "{b} and {a}");
        }
    }

    #[test]
    fn dpkg_itself_agrees() {
        let dpkg = |a: &str, sign: &str, b: &str| {
            std::process::Command::new("dpkg").args(["--compare-versions", a, sign, b]).status().is_ok_and(|status| status.success())
        };
        if !dpkg("1", "lt", "2") {
            return eprintln!("skipped: there is no dpkg");
        }
        for (a, expected, b) in ORDER.iter().filter(|(a, _, b)| !a.is_empty() && !b.is_empty()) {
            let sign = match expected {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            assert!(dpkg(a, sign, b), "{a} {sign} {b}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_an_order(a in "[0-9a-c.+~:-]{0,12}", b in "[0-9a-c.+~:-]{0,12}", c in "[0-9a-c.+~:-]{0,12}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b) != Ordering::Greater && compare(&b, &c) != Ordering::Greater {
                prop_assert_ne!(compare(&a, &c), Ordering::Greater);
            }
        }
    }
}
