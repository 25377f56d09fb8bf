//! HTML's entities: numbers, and the names of what has a meaning in HTML.

/// The longest entity that is read, with `&` and `;`: `&#x000003c;`.
const MAX_LENGTH: usize = 12;

fn named(name: &[u8]) -> Option<u8> {
    Some(match name.to_ascii_lowercase().as_slice() {
        b"lt" => b'<',
        b"gt" => b'>',
        b"quot" => b'"',
        b"apos" => b'\'',
        b"amp" => b'&',
        b"lpar" => b'(',
        b"rpar" => b')',
        b"colon" => b':',
        b"tab" => b'\t',
        b"newline" => b'\n',
        _ => return None,
    })
}

/// The character of an entity at the start of a text, and its length.
fn entity(text: &[u8]) -> Option<(char, usize)> {
    let head = text.get(1..text.len().min(MAX_LENGTH))?;
    if let Some(number) = head.strip_prefix(b"#") {
        let (digits, radix, skipped) = match number.strip_prefix(b"x").or_else(|| number.strip_prefix(b"X")) {
            Some(hex) => (hex, 16, 3),
            None => (number, 10, 2),
        };
        let length = digits.iter().take_while(|digit| (**digit as char).is_digit(radix)).count();
        let value = std::str::from_utf8(digits.get(..length)?).ok().and_then(|text| u32::from_str_radix(text, radix).ok())?;
        let closed = usize::from(digits.get(length) == Some(&b';'));
        return Some((char::from_u32(value)?, skipped + length + closed));
    }
    let length = memchr::memchr(b';', head)?;
    Some((char::from(named(head.get(..length)?)?), length + 2))
}

/// One round, in place. Whether anything changed.
pub(super) fn decode(text: &mut Vec<u8>) -> bool {
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut changed) = (0, false);
    while let Some(byte) = text.get(at) {
        match (*byte == b'&').then(|| entity(text.get(at..)?)).flatten() {
            Some((one, used)) => {
                out.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes());
                (at, changed) = (at + used, true);
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    *text = out;
    changed
}
