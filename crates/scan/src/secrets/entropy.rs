//! Shannon's entropy of a text: what was chosen by chance has more of it than words.

/// In bits a byte, 0 to 8.
pub(super) fn of(text: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in text {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = text.len() as f64;
    counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / all).map(|part| -part * part.log2()).sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_have_less_than_chance() {
        assert_eq!(super::of(b""), 0.0);
        assert_eq!(super::of(b"aaaa"), 0.0);
        assert_eq!(super::of(b"abcd"), 2.0);
        assert!(super::of(b"passwordpassword") < 2.8 && super::of(b"7Kq2hZx9Pw4LmT1v") > 3.9);
    }
}
