//! How long it is learned, and how much is remembered.

/// How a baseline is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Seconds from the first event of a profile until what it does not do counts as unusual.
    pub learn_for: i64,
    /// Profiles remembered at most; the one that was not seen for longest goes first.
    pub max_profiles: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { learn_for: 48 * HOUR, max_profiles: 10_000 }
    }
}

/// Seconds.
pub(crate) const MINUTE: i64 = 60;
/// Seconds.
pub(crate) const HOUR: i64 = 3600;
/// Seconds.
pub(crate) const DAY: i64 = 24 * HOUR;
