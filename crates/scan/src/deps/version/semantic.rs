//! Semantic versions (semver.org), with any count of numbers, as Cargo, npm, Go, Composer and RubyGems have them.

use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let ((na, pa), (nb, pb)) = (parts(a), parts(b));
    let count = na.len().max(nb.len());
    let at = |numbers: &[u64], place: usize| numbers.get(place).copied().unwrap_or(0);
    let numbers = (0..count).map(|place| at(&na, place).cmp(&at(&nb, place))).find(|order| order.is_ne());
    numbers.unwrap_or_else(|| before(&pa, &pb))
}

/// Numbers, and the words of what comes before the release. Build metadata does not count.
fn parts(version: &str) -> (Vec<u64>, Vec<String>) {
    let version = version.trim_start_matches(['v', 'V', '=']).split('+').next().unwrap_or_default();
    let (release, before) = version.split_once('-').unwrap_or((version, ""));
    let mut numbers = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for part in release.split('.') {
        match part.parse() {
            Ok(number) if words.is_empty() => numbers.push(number),
            // RubyGems writes 1.0.rc1.
            _ if !part.is_empty() => words.push(part.to_owned()),
            _ => {}
        }
    }
    words.extend(before.split('.').filter(|word| !word.is_empty()).map(str::to_owned));
    (numbers, words)
}

/// A version with words comes before the one without; numbers among them before words.
fn before(a: &[String], b: &[String]) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let word = |a: &String, b: &String| match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    };
    a.iter().zip(b).map(|(a, b)| word(a, b)).find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}

#[cfg(test)]
mod tests {
    use super::compare;
    use std::cmp::Ordering::{Equal, Less};

    #[test]
    fn versions_are_ordered_as_the_specification_says() {
        let rising = [
            "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0",
            "1.0.1", "1.10.0",
        ];
        rising.windows(2).for_each(|pair| assert_eq!(compare(pair[0], pair[1]), Less, "{pair:?}"));
        assert_eq!(compare("v1.2.3+build", "1.2.3"), Equal);
        assert_eq!(compare("1.2", "1.2.0"), Equal);
        assert_eq!(compare("1.0.rc1", "1.0"), Less);
        assert_eq!(compare("0", "0.0.1"), Less);
    }
}
