//! Versions of Python packages (PEP 440): epoch, numbers, then dev, a, b, rc, release, post.

use std::cmp::Ordering;

pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let ((ea, na, sa), (eb, nb, sb)) = (parts(a), parts(b));
    let count = na.len().max(nb.len());
    let at = |numbers: &[u64], place: usize| numbers.get(place).copied().unwrap_or(0);
    let numbers = || (0..count).map(|place| at(&na, place).cmp(&at(&nb, place))).find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
    ea.cmp(&eb).then_with(numbers).then_with(|| sa.cmp(&sb))
}

/// Epoch, release numbers, and the rank of what follows: of each stage, and the number in it.
fn parts(version: &str) -> (u64, Vec<u64>, Vec<(i8, u64)>) {
    let lower = version.trim_start_matches(['v', 'V', '=']).to_ascii_lowercase();
    let public = lower.split('+').next().unwrap_or_default();
    let (epoch, rest) = public.split_once('!').map_or((0, public), |(epoch, rest)| (epoch.parse().unwrap_or(0), rest));
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (release, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let numbers = release.split('.').filter_map(|part| part.parse().ok()).collect();
    (epoch, numbers, stages(after))
}

fn stages(mut text: &str) -> Vec<(i8, u64)> {
    const STAGES: [(&str, i8); 12] = [
        ("dev", -4),
        ("alpha", -3),
        ("a", -3),
        ("beta", -2),
        ("b", -2),
        ("preview", -1),
        ("pre", -1),
        ("rc", -1),
        ("c", -1),
        ("post", 1),
        ("rev", 1),
        ("r", 1),
    ];
    let mut found = Vec::new();
    while found.len() < 4 {
        text = text.trim_start_matches(['.', '-', '_']);
        let stage = STAGES.iter().find_map(|(word, rank)| text.strip_prefix(word).map(|rest| (*rank, rest)));
        // 1.0-1 is 1.0.post1.
        let is_number = found.is_empty() && text.starts_with(|c: char| c.is_ascii_digit());
        let Some((rank, rest)) = stage.or_else(|| is_number.then_some((1, text))) else { break };
        let rest = rest.trim_start_matches(['.', '-', '_']);
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        found.push((rank, digits.parse().unwrap_or(0)));
        text = after;
    }
    // The release itself, so that what comes before it is less and what comes after it more.
    found.push((0, 0));
    found
}

#[cfg(test)]
mod tests {
    use super::compare;
    use std::cmp::Ordering::{Equal, Less};

    #[test]
    fn versions_are_ordered_as_pep_440_says() {
        let rising = ["1.0.dev1", "1.0a1.dev2", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.post1", "1.1", "1.10", "1!0.1"];
        rising.windows(2).for_each(|pair| assert_eq!(compare(pair[0], pair[1]), Less, "{pair:?}"));
        assert_eq!(compare("1.0", "1.0.0"), Equal);
        assert_eq!(compare("1.0-1", "1.0.post1"), Equal);
        assert_eq!(compare("1.0+local", "1.0"), Equal);
    }
}
