//! Dice with a seed: the same seed throws the same numbers, so that a failure can be played again.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose by.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// `BARTIZAN_TEST_SEED`, or a new one; printed, because a failure needs it.
    pub fn of_this_run(what: &str) -> (u64, Self) {
        let given = std::env::var("BARTIZAN_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let seed = given.unwrap_or_else(clock);
        eprintln!("{what}: seed {seed} (again with BARTIZAN_TEST_SEED={seed})");
        (seed, Self::new(seed))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `most` - 1.
    pub fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}
