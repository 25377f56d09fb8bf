//! Reading bytes from the left and from the right: the few moves that every parser is made of. None allocates; all are linear.

use memchr::{memchr, memmem, memrchr};

/// At most so many bytes.
pub(crate) fn clip(bytes: &[u8], max: usize) -> &[u8] {
    bytes.get(..max).unwrap_or(bytes)
}

/// The first word and what follows its space.
pub(crate) fn first_word(bytes: &[u8]) -> (&[u8], &[u8]) {
    split_at(bytes, memchr(b' ', bytes))
}

/// What precedes the last space, and the last word. Without a space all is the word.
pub(crate) fn last_word(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memrchr(b' ', bytes) {
        Some(at) => split_at(bytes, Some(at)),
        None => (&[], bytes),
    }
}

/// What precedes and what follows the first such byte.
pub(crate) fn cut_at(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    memchr(byte, bytes).map(|at| split_at(bytes, Some(at)))
}

/// What precedes and what follows the first such text.
pub(crate) fn cut_once<'a>(bytes: &'a [u8], text: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::find(bytes, text)?;
    Some((bytes.get(..at)?, bytes.get(at + text.len()..)?))
}

/// What precedes and what follows the last such text.
pub(crate) fn cut_last<'a>(bytes: &'a [u8], text: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::rfind(bytes, text)?;
    Some((bytes.get(..at)?, bytes.get(at + text.len()..)?))
}

/// Where such text begins, wherever that is: also where it overlaps with the one before (` from from ` holds ` from ` twice).
pub(crate) fn places<'a>(bytes: &'a [u8], text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let mut next = 0;
    std::iter::from_fn(move || {
        let at = next + memmem::find(bytes.get(next..)?, text)?;
        next = at + 1;
        Some(at)
    })
}

/// Without spaces at either end.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// A decimal number that is the whole text.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    match leading_number(bytes) {
        Some((value, [])) => Some(value),
        _ => None,
    }
}

/// A decimal number of at most 19 digits at the beginning, and what follows it.
pub(crate) fn leading_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take(20).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > 19 {
        return None;
    }
    let (number, rest) = bytes.split_at_checked(digits)?;
    Some((number.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')), rest))
}

/// A port that is the whole text.
pub(crate) fn port(bytes: &[u8]) -> Option<u16> {
    u16::try_from(number(bytes)?).ok()
}

fn split_at(bytes: &[u8], at: Option<usize>) -> (&[u8], &[u8]) {
    match at.and_then(|at| Some((bytes.get(..at)?, bytes.get(at + 1..)?))) {
        Some(parts) => parts,
        None => (bytes, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_the_first_and_at_the_last_space() {
        assert_eq!(first_word(b"a b c"), (&b"a"[..], &b"b c"[..]));
        assert_eq!(last_word(b"a b c"), (&b"a b"[..], &b"c"[..]));
        assert_eq!((first_word(b"a"), last_word(b"a")), ((&b"a"[..], &b""[..]), (&b""[..], &b"a"[..])));
    }

    #[test]
    fn places_that_overlap_are_all_found() {
        assert_eq!(places(b"x from from from y", b" from ").collect::<Vec<_>>(), [1, 6, 11]);
        assert_eq!((places(b"", b" from ").count(), places(b"from", b" from ").count()), (0, 0));
    }

    #[test]
    fn a_number_with_anything_beside_it_is_none() {
        assert_eq!((number(b"22"), number(b"22 "), number(b""), number(b"99999999999999999999")), (Some(22), None, None, None));
        assert_eq!((port(b"65535"), port(b"65536")), (Some(65535), None));
    }
}
