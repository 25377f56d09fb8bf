//! Undoes what a server does to a client's bytes when it writes them: `\xHH`, `\"`, `\\`, `\n` and JSON's `\uHHHH`.
//!
//! nginx writes `\xHH` for quotes, backslashes, controls and bytes above 126 (`ngx_http_log_escape`), Apache the same with C's short forms
//! (`ap_escape_logitem`), and nginx with `escape=json` what RFC 8259 asks for. One reader serves all: no server writes a raw backslash.

use std::borrow::Cow;

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |sum, digit| Some(sum * 16 + (*digit as char).to_digit(16)?))
}

/// The character of `\uHHHH`, with the low half that follows a high surrogate, and how many bytes it took after the `u`.
fn unicode(rest: &[u8]) -> Option<(char, usize)> {
    let first = hex(rest.get(..4)?)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).map(|one| (one, 4));
    }
    let low = rest.get(4..10).filter(|low| low.starts_with(b"\\u")).and_then(|low| hex(low.get(2..)?))?;
    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x10000 + (first - 0xd800) * 0x400 + low).map(|one| (one, 10))
}

/// The bytes that the client sent. Borrowed where the server changed nothing, which is nearly always.
pub(super) fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', text) else { return Cow::Borrowed(text) };
    let mut out = text.get(..first).unwrap_or_default().to_vec();
    let mut rest = text.get(first..).unwrap_or_default();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let Some((kind, after)) = rest.split_first() else {
            out.push(b'\\');
            break;
        };
        let simple = match kind {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            b'"' | b'\\' | b'/' => *kind,
            b'x' => match after.get(..2).and_then(hex).and_then(|value| u8::try_from(value).ok()) {
                Some(value) => {
                    out.push(value);
                    rest = after.get(2..).unwrap_or_default();
                    continue;
                }
                None => b'\\',
            },
            b'u' => match unicode(after) {
                Some((one, used)) => {
                    out.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = after.get(used..).unwrap_or_default();
                    continue;
                }
                None => b'\\',
            },
            _ => b'\\',
        };
        out.push(simple);
        if simple != b'\\' || *kind == b'\\' {
            rest = after;
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_server_escapes_is_read_back() {
        for (written, sent) in [
            (&b"/plain?a=1"[..], &b"/plain?a=1"[..]),
            (b"a\\x22b\\x5Cx22\\xE2", b"a\"b\\x22\xe2"),
            (b"a\\\"b\\\\n\\n\\t", b"a\"b\\n\n\t"),
            ("\\u00e9\\ud83d\\ude00\\/".as_bytes(), "é😀/".as_bytes()),
            (b"\\ud83dx\\xZZ\\q\\", b"\\ud83dx\\xZZ\\q\\"),
        ] {
            assert_eq!(unescape(written).as_ref(), sent, "{}", String::from_utf8_lossy(written));
        }
        assert!(matches!(unescape(b"/plain"), Cow::Borrowed(_)), "nothing is copied when nothing was escaped");
    }
}
