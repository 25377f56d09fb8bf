//! What a request means to the program behind the server: encodings undone in a bounded number of rounds, then one form of each byte.
//!
//! Each step is linear in the text and none makes it longer; a text that is still encoded after [`MAX_ROUNDS`] is judged as it is then.

mod base64;
mod entities;
mod percent;
mod shapes;

pub(super) use base64::candidate as base64;
pub(super) use shapes::{without_comments, without_quoting};

/// How often one text is decoded: attackers double what proxies and applications decode, nobody decodes more often.
const MAX_ROUNDS: usize = 4;

/// A decoded text, as it is and in small letters; both have the same length.
#[derive(Debug, Clone, Default)]
pub(super) struct Decoded {
    /// With the case that the client sent.
    pub(super) cased: Vec<u8>,
    /// In small letters.
    pub(super) lower: Vec<u8>,
    /// Whether there were NUL bytes, which are left out.
    pub(super) has_nul: bool,
}

/// Decodes a text. With `plus` a `+` is a space, as in a query.
pub(super) fn decode(text: &[u8], plus: bool) -> Decoded {
    let mut out = Decoded { cased: text.to_vec(), ..Decoded::default() };
    if plus {
        out.cased.iter_mut().filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
    }
    for _ in 0..MAX_ROUNDS {
        let mut changed = false;
        if out.cased.contains(&b'%') {
            changed |= percent::decode(&mut out.cased);
        }
        if out.cased.contains(&b'&') {
            changed |= entities::decode(&mut out.cased);
        }
        if !changed {
            break;
        }
    }
    percent::fold_wide(&mut out.cased);
    if out.cased.contains(&0) {
        out.has_nul = true;
        out.cased.retain(|byte| *byte != 0);
    }
    out.lower = out.cased.to_ascii_lowercase();
    out
}

#[cfg(test)]
mod tests;
