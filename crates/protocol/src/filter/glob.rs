//! Texts with `*` for any characters and `?` for one, compared byte by byte.

/// One sign of a glob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// This byte.
    Byte(u8),
    /// One character: one byte, or one whole character of UTF-8.
    One,
    /// Any number of bytes.
    Run,
}

/// A compiled glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<Sign>);

impl Glob {
    pub(crate) fn new(mut signs: Vec<Sign>) -> Self {
        signs.dedup_by(|next, before| *next == Sign::Run && *before == Sign::Run);
        Self(signs)
    }

    /// Whether a text is like it. Takes at most the product of both lengths: the last `*` alone is tried again.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let (mut sign, mut at) = (0, 0);
        let mut again: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(sign), text.get(at)) {
                (None, None) => return true,
                (Some(Sign::Run), _) => {
                    sign += 1;
                    again = Some((sign, at));
                    continue;
                }
                (Some(Sign::Byte(byte)), Some(own)) if byte == own => (sign, at) = (sign + 1, at + 1),
                (Some(Sign::One), Some(_)) => (sign, at) = (sign + 1, at + character(text, at)),
                _ => match again {
                    Some((after, from)) if from < text.len() => {
                        again = Some((after, from + 1));
                        (sign, at) = (after, from + 1);
                    }
                    _ => return false,
                },
            }
        }
    }

    /// Whether it is `*` alone.
    pub(crate) fn is_anything(&self) -> bool {
        self.0 == [Sign::Run]
    }

    /// The longest text that stands in whatever it matches.
    pub(crate) fn literal(&self) -> Vec<u8> {
        let runs = self.0.split(|sign| !matches!(sign, Sign::Byte(_)));
        let longest = runs.max_by_key(|run| run.len()).unwrap_or_default();
        longest.iter().filter_map(|sign| if let Sign::Byte(byte) = sign { Some(*byte) } else { None }).collect()
    }

    /// The text, when it is one without `*` and `?`.
    pub(crate) fn exact(&self) -> Option<String> {
        text(&self.0)
    }

    /// What stands before `.*` at its end, when that is all there is to it.
    pub(crate) fn family(&self) -> Option<String> {
        let (end, before) = self.0.split_last_chunk().map(|(before, end)| (end, before))?;
        (*end == [Sign::Byte(b'.'), Sign::Run]).then(|| text(before)).flatten()
    }
}

fn text(signs: &[Sign]) -> Option<String> {
    let bytes: Option<Vec<u8>> = signs.iter().map(|sign| if let Sign::Byte(byte) = sign { Some(*byte) } else { None }).collect();
    String::from_utf8(bytes?).ok()
}

/// Bytes of the character that begins here; a byte that begins none is one of its own.
fn character(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let length = match rest.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    rest.get(..length).filter(|bytes| std::str::from_utf8(bytes).is_ok()).map_or(1, <[u8]>::len)
}
