//! Since when somebody watches, and every stretch of time in which nobody did or something was lost.

use std::collections::VecDeque;

use chrono::TimeDelta;

use bartizan_model::{Gap, Loss, Timestamp};

/// Meta key of the gaps, as JSON.
pub(crate) const GAPS: &str = "gaps";
/// Meta key of the last moment at which an agent is known to have watched.
pub(crate) const WATCHED_UNTIL: &str = "watched_until";
/// Gaps kept: the newest.
const MOST: usize = 64;
/// The same hop losing again so soon is still the same gap. Where nobody watched, every watched moment counts.
const SAME: TimeDelta = TimeDelta::seconds(5);
/// Why nobody watched between two runs.
const NO_AGENT: &str = "no agent ran";
/// Why nobody watched before the first run.
const NEVER_BEFORE: &str = "no agent had run before";

/// The record of what was not watched.
#[derive(Debug)]
pub(crate) struct Coverage {
    since: Timestamp,
    gaps: VecDeque<Gap>,
    unsaved: bool,
}

impl Coverage {
    /// Begins to watch at `now`. `stored` are the gaps as an earlier run left them, `watched_until` is when it watched last:
    /// from then to now nobody did, which is a loss to be told. `archived` are the newest losses in the archive: a run that
    /// was killed had no time to write its last gaps down.
    pub(crate) fn resume(
        stored: Option<&str>,
        archived: &[(Loss, Timestamp)],
        watched_until: Option<Timestamp>,
        now: Timestamp,
    ) -> (Self, Option<Loss>) {
        let mut gaps: VecDeque<Gap> = stored.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        gaps.truncate(MOST);
        let written = gaps.iter().map(|gap| gap.to).max().unwrap_or(Timestamp::UNIX_EPOCH);
        let mut coverage = Self { since: now, gaps, unsaved: true };
        for (loss, at) in archived.iter().filter(|(_, at)| *at > written) {
            coverage.admit(loss, *at);
        }
        coverage.since = now;
        let Some(until) = watched_until else {
            coverage.add(Gap { from: Timestamp::UNIX_EPOCH, to: now, count: 0, why: NEVER_BEFORE.to_owned() });
            return (coverage, None);
        };
        let loss = Loss { from: Some(until.min(now)), to: Some(now), ..Loss::new(NO_AGENT, 0) };
        (coverage, Some(loss))
    }

    /// This run goes on where a binary of the same process left off: nothing was missed between the two.
    pub(crate) fn go_on(&mut self) {
        self.since = self.gaps.back().map_or(self.since, |gap| gap.to);
    }

    /// A stretch was not watched, or not wholly.
    pub(super) fn admit(&mut self, loss: &Loss, at: Timestamp) {
        let to = loss.to.unwrap_or(at);
        let from = loss.from.unwrap_or(to).min(to);
        let why = if loss.count == 0 { loss.hop.clone() } else { format!("lost at {}", loss.hop) };
        self.add(Gap { from, to, count: loss.count, why });
    }

    fn add(&mut self, gap: Gap) {
        self.since = self.since.max(gap.to);
        self.unsaved = true;
        let slack = if gap.count > 0 { SAME } else { TimeDelta::zero() };
        let same = |known: &&mut Gap| known.why == gap.why && gap.from <= known.to + slack && gap.to + slack >= known.from;
        if let Some(known) = self.gaps.iter_mut().rev().find(same) {
            known.from = known.from.min(gap.from);
            known.to = known.to.max(gap.to);
            known.count += gap.count;
            return;
        }
        if self.gaps.len() >= MOST {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }

    /// Since when nothing is known to be missing.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// The newest gaps, oldest first.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = self.gaps.iter().cloned().collect();
        gaps.sort_by_key(|gap| (gap.to, gap.from));
        gaps
    }

    /// The gaps as the next run should find them, when they changed since this was asked last.
    pub(super) fn unsaved(&mut self) -> Option<String> {
        std::mem::take(&mut self.unsaved).then(|| serde_json::to_string(&self.gaps).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::seconds(1_000_000 + second)
    }

    fn lost(hop: &str, count: u64, from: i64, to: i64) -> Loss {
        Loss { from: Some(at(from)), to: Some(at(to)), ..Loss::new(hop, count) }
    }

    fn short(coverage: &Coverage) -> Vec<(i64, i64, u64, String)> {
        let second = |when: Timestamp| (when - at(0)).num_seconds();
        coverage.gaps().into_iter().map(|gap| (second(gap.from), second(gap.to), gap.count, gap.why)).collect()
    }

    #[test]
    fn the_first_run_says_that_nobody_watched_before() {
        let (coverage, loss) = Coverage::resume(None, &[], None, at(0));
        assert_eq!((loss, coverage.since()), (None, at(0)));
        let gaps = coverage.gaps();
        assert_eq!((gaps.len(), gaps[0].from, gaps[0].to), (1, Timestamp::UNIX_EPOCH, at(0)));
    }

    #[test]
    fn gaps_survive_a_restart_and_the_restart_is_one() {
        let (mut coverage, _) = Coverage::resume(None, &[], None, at(0));
        coverage.admit(&lost("lane-normal", 17, 10, 12), at(12));
        assert_eq!(coverage.since(), at(12));
        let saved = coverage.unsaved().unwrap();
        assert_eq!(coverage.unsaved(), None, "nothing new to write");
        // Told after the gaps were written for the last time, and one that was written.
        let killed = [(lost("lane-normal", 17, 10, 12), at(12)), (lost("kernel-ring", 5, 50, 52), at(52))];
        let (mut again, loss) = Coverage::resume(Some(&saved), &killed, Some(at(60)), at(90));
        let loss = loss.unwrap();
        assert_eq!((loss.hop.as_str(), loss.count, loss.from, loss.to), ("no agent ran", 0, Some(at(60)), Some(at(90))));
        again.admit(&loss, at(91));
        let gaps = short(&again);
        let lost = |from, to, count, hop: &str| (from, to, count, format!("lost at {hop}"));
        assert_eq!(gaps[1..], [lost(10, 12, 17, "lane-normal"), lost(50, 52, 5, "kernel-ring"), (60, 90, 0, "no agent ran".to_owned())]);
        assert_eq!(again.since(), at(90));
    }

    #[test]
    fn a_loss_that_goes_on_is_one_gap_and_only_the_newest_are_kept() {
        let (mut coverage, _) = Coverage::resume(Some("[]"), &[], Some(at(0)), at(0));
        for second in 0..100 {
            coverage.admit(&lost("lane-bulk", 3, second - 2, second), at(second));
            coverage.admit(&lost("store", 1, second - 2, second), at(second));
        }
        assert_eq!(short(&coverage), [(-2, 99, 300, "lost at lane-bulk".to_owned()), (-2, 99, 100, "lost at store".to_owned())]);
        for round in 0..100 {
            coverage.admit(&lost("lane-bulk", 1, 1_000 + round * 60, 1_001 + round * 60), at(0));
        }
        let gaps = short(&coverage);
        assert_eq!((gaps.len(), gaps[63].0), (64, 1_000 + 99 * 60));
    }

    #[test]
    fn two_short_absences_are_two_gaps() {
        let (mut coverage, _) = Coverage::resume(Some("[]"), &[], Some(at(0)), at(0));
        coverage.admit(&lost("no agent ran", 0, 10, 20), at(20));
        coverage.admit(&lost("no agent ran", 0, 22, 30), at(30));
        assert_eq!(short(&coverage).len(), 2, "two seconds between them were watched");
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_backward_gap() {
        let (_, loss) = Coverage::resume(Some("not json"), &[], Some(at(500)), at(0));
        assert_eq!(loss.map(|loss| (loss.from, loss.to)), Some((Some(at(0)), Some(at(0)))));
    }
}
