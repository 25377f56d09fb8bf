//! Room for profiles: when there is none, what was seen least goes first.

use std::sync::Arc;

use bartizan_model::{HabitReason, Profile};

use super::baseline::Baseline;
use super::known::Known;

/// The part of all profiles that goes at once: looking for the least one each time would cost too much.
const AT_ONCE: usize = 64;

impl Baseline {
    /// A new profile; gives its number.
    pub(crate) fn add(&mut self, who: Profile, at: i64, trusted: bool) -> u64 {
        if self.profiles.len() >= self.settings.max_profiles {
            self.evict();
        }
        let id = self.next_profile;
        self.next_profile += 1;
        let who = Arc::new(who);
        self.by_who.insert(Arc::clone(&who), id);
        self.profiles.insert(id, Known::new(who, at, trusted));
        id
    }

    /// Forgets those seen on one day only first, of them the oldest: whoever invents thousands of programs pushes out their own. What a
    /// person decided about goes last.
    fn evict(&mut self) {
        let mut order: Vec<(bool, bool, i64, u64)> = self
            .profiles
            .iter()
            .map(|(id, known)| {
                let reviewed = known.habits.iter().any(|entry| entry.reason == HabitReason::Reviewed);
                (reviewed, known.days > 1, known.last, *id)
            })
            .collect();
        order.sort_unstable();
        let leaving = (self.profiles.len() / AT_ONCE).max(1);
        for (.., id) in order.into_iter().take(leaving) {
            self.forget(id);
            self.evicted += 1;
        }
    }

    pub(crate) fn forget(&mut self, id: u64) {
        if let Some(known) = self.profiles.remove(&id) {
            self.by_who.remove(&known.who);
            self.gone.profile(id);
        }
    }
}
