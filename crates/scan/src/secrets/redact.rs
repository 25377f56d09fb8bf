//! What may be shown of a secret: how it begins, when that says only what kind it is, and how long it is.

use std::fmt::Write as _;

/// Characters that are shown of a long one.
const SHOWN: usize = 4;
/// A shorter one is not shown at all.
const LONG: usize = 20;

/// `AKIA... (20 characters)`; never more than a fifth of it.
pub(super) fn redacted(secret: &[u8]) -> Vec<u8> {
    let shown = if secret.len() >= LONG { secret.get(..SHOWN).unwrap_or_default() } else { &[] };
    let plain = shown.iter().take_while(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte));
    let mut out: String = plain.collect();
    let _ = write!(out, "... ({} bytes, redacted)", secret.len());
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn a_short_secret_is_not_shown_and_a_long_one_hardly() {
        assert_eq!(redacted(b"hunter2"), b"... (7 bytes, redacted)");
        assert_eq!(redacted(b"AKIAQWERTYUIOPASDFGH"), b"AKIA... (20 bytes, redacted)");
        assert_eq!(redacted(b"\x1b[2Jaaaaaaaaaaaaaaaaaaaaaa"), b"... (26 bytes, redacted)");
    }
}
