//! `%HH`, IIS's `%uHHHH`, overlong UTF-8 and full-width letters: one byte each for what a lenient decoder takes for ASCII.

fn digit(byte: Option<&u8>) -> Option<u8> {
    byte.and_then(|byte| (*byte as char).to_digit(16)).and_then(|value| u8::try_from(value).ok())
}

fn pair(text: &[u8], at: usize) -> Option<u8> {
    Some(digit(text.get(at))? << 4 | digit(text.get(at + 1))?)
}

/// One round, in place. Whether anything changed.
pub(super) fn decode(text: &mut Vec<u8>) -> bool {
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut changed) = (0, false);
    while let Some(byte) = text.get(at) {
        if *byte == b'%' {
            let wide = matches!(text.get(at + 1), Some(b'u' | b'U'));
            if let Some(value) = pair(text, at + 1).filter(|_| !wide) {
                out.push(value);
                (at, changed) = (at + 3, true);
                continue;
            }
            if let Some((high, low)) = wide.then(|| Some((pair(text, at + 2)?, pair(text, at + 4)?))).flatten() {
                let code = char::from_u32(u32::from(high) << 8 | u32::from(low)).unwrap_or('?');
                out.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
                (at, changed) = (at + 6, true);
                continue;
            }
        }
        out.push(*byte);
        at += 1;
    }
    *text = out;
    fold_overlong(text);
    changed
}

/// ASCII in two or three bytes of UTF-8, which only a broken decoder accepts and no encoder writes (RFC 3629, section 3).
fn fold_overlong(text: &mut Vec<u8>) {
    if memchr::memchr3(0xc0, 0xc1, 0xe0, text).is_none() {
        return;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (byte, used) = match rest {
            [first @ (0xc0 | 0xc1), second, ..] if second & 0xc0 == 0x80 => ((first & 1) << 6 | second & 0x3f, 2),
            // What IIS took: any second byte.
            [0xc0, second @ 0x20..=0x7f, ..] => (second & 0x3f, 2),
            [0xe0, second @ (0x80 | 0x81), third, ..] if third & 0xc0 == 0x80 => ((second & 1) << 6 | third & 0x3f, 3),
            [first, ..] => (*first, 1),
            [] => break,
        };
        out.push(byte);
        at += used;
    }
    *text = out;
}

/// Full-width forms, U+FF01 to U+FF5E, are the ASCII that databases and browsers fold them to.
pub(super) fn fold_wide(text: &mut Vec<u8>) {
    if memchr::memchr(0xef, text).is_none() {
        return;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (text.get(at..at + 3), byte) {
            (Some([0xef, 0xbc, low @ 0x81..=0xbf]), _) => {
                out.push(low - 0x81 + 0x21);
                at += 3;
            }
            (Some([0xef, 0xbd, low @ 0x80..=0x9e]), _) => {
                out.push(low - 0x80 + 0x60);
                at += 3;
            }
            (_, byte) => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    *text = out;
}
