//! Remembers what clients call themselves where nothing was found in it: a handful of browsers make most requests of a site.

/// Names that are remembered. A newcomer takes the place of whoever has its slot.
const SLOTS: usize = 64;
/// A longer name is judged each time.
const MAX_LENGTH: usize = 512;

/// Names of clients (`User-Agent`) in which nothing was found; at most 32 KiB.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownAgents(Vec<Box<[u8]>>);

impl KnownAgents {
    /// Whether this name was judged before and nothing was found in it.
    pub(super) fn knows(&self, agent: &[u8]) -> bool {
        self.0.get(slot(agent)).is_some_and(|known| !known.is_empty() && **known == *agent)
    }

    /// Nothing was found in this name.
    pub(super) fn learn(&mut self, agent: &[u8]) {
        if agent.len() > MAX_LENGTH {
            return;
        }
        if self.0.is_empty() {
            self.0.resize_with(SLOTS, Box::default);
        }
        if let Some(place) = self.0.get_mut(slot(agent)) {
            *place = agent.into();
        }
    }
}

/// By its length and its last bytes, in which versions of browsers differ. Whoever chooses them pushes others out, which costs them a look.
fn slot(agent: &[u8]) -> usize {
    let tail = agent.last_chunk::<8>().map_or(0, |tail| u64::from_le_bytes(*tail));
    let middle = agent.get(agent.len() / 2..).and_then(|rest| rest.first_chunk::<8>()).map_or(0, |part| u64::from_le_bytes(*part));
    let mixed = (tail ^ middle.rotate_left(29) ^ agent.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 58) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_judged_is_known_and_memory_is_bounded() {
        let mut known = KnownAgents::default();
        assert!(!known.knows(b"") && !known.knows(b"curl/8"));
        known.learn(b"curl/8");
        assert!(known.knows(b"curl/8") && !known.knows(b"curl/9") && !known.knows(b""));
        known.learn(&[b'x'; MAX_LENGTH + 1]);
        assert!(!known.knows(&[b'x'; MAX_LENGTH + 1]));
        for n in 0..10_000 {
            known.learn(format!("agent {n}").as_bytes());
        }
        assert_eq!(known.0.len(), SLOTS);
        assert!(known.0.iter().all(|one| one.len() <= MAX_LENGTH));
    }
}
