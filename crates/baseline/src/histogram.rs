//! Counts of amounts in buckets that grow with the amount: medians and maxima of any amount in a few dozen bytes.

/// Buckets of one power of two: amounts of one bucket differ by at most a quarter.
const STEPS: u32 = 4;

/// How often which amount was seen, by bucket. Robust against outliers: it gives medians, not means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// Bucket and count, by bucket.
    buckets: Vec<(u8, u16)>,
}

/// Bucket of an amount: 0 for 0, then four for each power of two; at most 4 * 64.
fn bucket(amount: u64) -> u8 {
    // What is longer than 2^63 is that.
    let amount = amount.min(u64::MAX >> 1);
    let Some(power) = amount.checked_ilog2() else { return 0 };
    let within = if power >= 2 { (amount >> (power - 2)) & 3 } else { (amount << (2 - power)) & 3 };
    u8::try_from(1 + power * STEPS + within as u32).unwrap_or(u8::MAX)
}

/// The least amount of a bucket.
fn least(bucket: u8) -> u64 {
    let Some(place) = u32::from(bucket).checked_sub(1) else { return 0 };
    let (power, within) = (place / STEPS, u64::from(place % STEPS));
    if power >= 2 { (4 + within) << (power - 2).min(60) } else { 1 << power }
}

impl Histogram {
    /// From what was kept; what makes no sense is left out.
    pub(crate) fn from_parts(parts: &[(u8, u16)]) -> Self {
        let mut buckets: Vec<(u8, u16)> = parts.iter().copied().filter(|(_, count)| *count > 0).collect();
        buckets.sort_unstable_by_key(|(bucket, _)| *bucket);
        buckets.dedup_by_key(|(bucket, _)| *bucket);
        Self { buckets }
    }

    pub(crate) fn parts(&self) -> &[(u8, u16)] {
        &self.buckets
    }

    pub(crate) fn add(&mut self, amount: u64) {
        let bucket = bucket(amount);
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => {
                if let Some((_, count)) = self.buckets.get_mut(place) {
                    *count = count.saturating_add(1);
                    if *count == u16::MAX {
                        self.halve();
                    }
                }
            }
            Err(place) => self.buckets.insert(place, (bucket, 1)),
        }
    }

    /// What is long ago counts for less.
    fn halve(&mut self) {
        self.buckets.iter_mut().for_each(|(_, count)| *count = count.div_ceil(2));
    }

    /// How many amounts it has counted, about.
    pub(crate) fn total(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// The least amount of the bucket in which the median lies; `None` when nothing was counted.
    pub(crate) fn median(&self) -> Option<u64> {
        self.quantile(1, 2)
    }

    /// The least amount of the bucket in which the most lies.
    pub(crate) fn most(&self) -> Option<u64> {
        self.buckets.last().map(|(bucket, _)| least(*bucket))
    }

    /// Least amount of the bucket below which `part` of `whole` lie.
    pub(crate) fn quantile(&self, part: u64, whole: u64) -> Option<u64> {
        let rank = self.total() * part / whole.max(1);
        let mut below = 0;
        for (bucket, count) in &self.buckets {
            below += u64::from(*count);
            if below > rank {
                return Some(least(*bucket));
            }
        }
        self.most()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_is_at_most_a_quarter_wide(amount in 0..=u64::MAX >> 1) {
            let least_of_it = least(bucket(amount));
            prop_assert!(least_of_it <= amount, "{least_of_it} {amount}");
            prop_assert!(amount - least_of_it <= least_of_it / 4 + 1);
        }

        #[test]
        fn the_median_is_near_the_true_one(mut amounts in prop::collection::vec(0u64..1_000_000_000, 1..200)) {
            let mut histogram = Histogram::default();
            amounts.iter().for_each(|amount| histogram.add(*amount));
            amounts.sort_unstable();
            let (found, exact) = (histogram.median().unwrap(), amounts[amounts.len() / 2]);
            prop_assert!(found <= exact && exact - found <= found / 4 + 1, "{found} {exact}");
            prop_assert_eq!(Histogram::from_parts(histogram.parts()), histogram);
        }
    }

    #[test]
    fn an_outlier_does_not_move_the_median() {
        let mut histogram = Histogram::default();
        (0..50).for_each(|_| histogram.add(100));
        histogram.add(1_000_000_000);
        assert_eq!(histogram.median(), Some(96));
        assert!(histogram.most() > Some(900_000_000));
        assert_eq!(Histogram::default().median(), None);
    }

    #[test]
    fn a_full_bucket_halves_all() {
        let mut histogram = Histogram::default();
        (0..200_000).for_each(|_| histogram.add(7));
        assert!(histogram.total() < u64::from(u16::MAX) && histogram.median() == Some(7));
    }
}
