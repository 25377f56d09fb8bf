//! A bounded memory of texts and what they mean.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Longer texts are not worth remembering.
const LONGEST_TEXT: usize = 16 * 1024;

/// What texts mean, by a name for each. A name may be shared: what is remembered is used only where the text is the
/// same, byte for byte.
#[derive(Debug)]
pub(super) struct Memory<V> {
    entries: HashMap<u64, (Box<str>, V), BuildHasherDefault<AsItIs>>,
    bytes: usize,
    most_bytes: usize,
}

impl<V: Clone> Memory<V> {
    /// An empty one that holds at most so many bytes of text (what the texts mean takes about as much again). At the
    /// bound everything is forgotten, which costs time and nothing else.
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { entries: HashMap::default(), bytes: 0, most_bytes }
    }

    /// What is remembered under this name: the text and its meaning.
    pub(super) fn get(&self, name: u64) -> Option<(&str, &V)> {
        self.entries.get(&name).map(|(text, value)| (&**text, value))
    }

    /// What this text means, when it is remembered under this name.
    pub(super) fn like(&self, name: u64, text: &str) -> Option<V> {
        self.get(name).filter(|(known, _)| *known == text).map(|(_, value)| value.clone())
    }

    /// Remembers what a text means, in place of what had the name before.
    pub(super) fn keep(&mut self, name: u64, text: &str, value: V) {
        if text.len() > LONGEST_TEXT {
            return;
        }
        // Each entry costs more than its text: count that too, or many short ones would be free.
        let cost = |text: &str| text.len() + 64;
        if self.bytes + cost(text) > self.most_bytes {
            self.entries.clear();
            self.bytes = 0;
        }
        self.bytes += cost(text);
        if let Some((old, _)) = self.entries.insert(name, (text.into(), value)) {
            self.bytes = self.bytes.saturating_sub(cost(&old));
        }
    }
}

/// Names are mixed well already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |name, byte| name.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, name: u64) {
        self.0 = name;
    }
}

/// A name for texts. Not meant to withstand an enemy: two texts of one name only push each other out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Name(u64);

impl Name {
    /// The name of this text after those before it.
    pub(super) fn then(self, text: &str) -> Self {
        // The multiplier is 2^64 divided by the golden ratio (Knuth, TAOCP vol. 3, 6.4).
        let step = |name: u64, word: u64| (name ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let words = text.as_bytes().chunks_exact(8);
        let rest = words.remainder().iter().fold(text.len() as u64, |word, byte| word << 8 | u64::from(*byte));
        let name = words.fold(self.0, |name, word| step(name, word.try_into().map_or(0, u64::from_le_bytes)));
        Self(step(name, rest))
    }

    /// As a number.
    pub(super) fn get(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_it_may() {
        let mut memory = Memory::new(10_000);
        for number in 0..5_000u64 {
            memory.keep(number, &"x".repeat(usize::try_from(number % 300).unwrap()), number);
            assert!(memory.bytes <= 10_000 && memory.entries.len() <= 10_000 / 64);
        }
        memory.keep(1, &"x".repeat(LONGEST_TEXT + 1), 1);
        assert!(memory.get(4_999).is_some() && memory.get(1).is_none());
    }
}
