//! The known word that a mistyped one comes nearest to.

/// Longer words are not compared: the time grows with the product of both lengths.
const LONGEST: usize = 64;

/// The nearest of these, when a person may well have meant it: at most a third of the letters differ.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(LONGEST + 1).collect();
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let most = (word.len() / 3).max(1);
    let near = known.filter(|other| !other.is_empty() && other.len() <= 4 * LONGEST).map(|other| (distance(&word, other), other));
    near.filter(|(far, other)| *far <= most && *far < other.chars().count()).min().map(|(_, other)| other)
}

/// Letters put in, taken out, changed, or swapped with their neighbour (optimal string alignment).
fn distance(word: &[char], other: &str) -> usize {
    let other: Vec<char> = other.chars().take(LONGEST + 1).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in word.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let at = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j) + usize::from(a != b)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && word.get(i - 1) == Some(b) && other.get(j - 1) == Some(a);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_none() {
        let known = ["postgres", "postfix", "www-data", "sshd.service", "ssh.service", "a"];
        let near = |word: &str| nearest(word, known.into_iter());
        assert_eq!(near("postgre"), Some("postgres"));
        assert_eq!(near("psotfix"), Some("postfix"));
        assert_eq!(near("ssh.servce"), Some("ssh.service"));
        assert_eq!((near("mysql"), near(""), near("b"), near(&"x".repeat(100))), (None, None, None, None));
    }
}
