//! Two ways in which interpreters read past what was put in to break up words: SQL's comments, and the quotes of a shell.

/// A text without `/* */` comments: MySQL's `/*! ... */` is code and stays, the others become a space. `None` when there are none.
pub(in crate::web) fn without_comments(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(text, b"/*")?;
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"/*") {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        let inner = rest.get(at + 2..).unwrap_or_default();
        let end = memchr::memmem::find(inner, b"*/");
        let body = inner.get(..end.unwrap_or(inner.len())).unwrap_or_default();
        out.push(b' ');
        if let Some(code) = body.strip_prefix(b"!") {
            let digits = code.iter().take_while(|byte| byte.is_ascii_digit()).count();
            out.extend_from_slice(code.get(digits..).unwrap_or_default());
            out.push(b' ');
        }
        rest = end.and_then(|end| inner.get(end + 2..)).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Some(out)
}

fn in_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_alphanumeric)
}

/// A text as a shell reads it when quotes, backslashes and empty expansions break up its words: `w'h'o\ami`, `c""at`, `who$@ami`.
/// `None` when no word is broken up.
pub(in crate::web) fn without_quoting(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut broken) = (0, 0);
    while let Some(byte) = text.get(at) {
        let inside = in_word(out.last());
        let used = match (byte, text.get(at + 1)) {
            (b'\'' | b'"' | b'`', Some(next)) if next == byte => 2,
            (b'\'' | b'"', next) if inside && in_word(next) => 1,
            (b'\\', next) if in_word(next) => 1,
            (b'^', next) if inside && in_word(next) => 1,
            (b'$', Some(b'@' | b'*' | b'!')) => 2,
            _ => 0,
        };
        if used == 0 {
            out.push(*byte);
            at += 1;
        } else {
            broken +=
                usize::from(inside && in_word(text.get(at + used)) || text.get(at + used).is_some_and(|next| matches!(next, b'\'' | b'"')));
            at += used;
        }
    }
    (broken > 0).then_some(out)
}
