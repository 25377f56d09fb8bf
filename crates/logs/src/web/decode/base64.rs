//! Text hidden in base64: a value is decoded only when all of it is base64 and all that comes out is text.

/// Shorter ones hide nothing, and many ordinary words are valid base64.
const MIN_LENGTH: usize = 12;
/// Longer ones are not decoded.
const MAX_LENGTH: usize = 8192;

fn six(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' | b' ' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

/// The text in it; `None` when it is no base64 or holds no text, as tokens and digests do.
pub(in crate::web) fn candidate(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let body = text.get(..end)?;
    if !(MIN_LENGTH..=MAX_LENGTH).contains(&text.len()) || text.len() - end > 3 || body.len() % 4 == 1 {
        return None;
    }
    // Words are base64, too, and mostly end here with their first letters: no room is taken before.
    let mut out = Vec::new();
    for group in body.chunks(4) {
        let mut bits = 0_u32;
        for byte in group {
            bits = bits << 6 | six(*byte)?;
        }
        bits <<= 6 * (4 - u32::try_from(group.len()).ok()?);
        let [_, bytes @ ..] = bits.to_be_bytes();
        for byte in bytes.get(..group.len() - 1)? {
            if !(byte.is_ascii_graphic() || matches!(byte, b' ' | b'\n' | b'\r' | b'\t')) {
                return None;
            }
            out.push(*byte);
        }
    }
    Some(out)
}
