//! What login detectors remember over restarts of the agent: open attacks, the worst sources, and who did what before.

use bartizan_config::Policy;
use bartizan_model::HostText;
use serde::{Deserialize, Serialize};

use super::super::tally::Campaigns;
use super::first_seen::Habits;
use super::source::Source;
use super::{Limits, LoginDetectors, sources};

/// Sources that are handed on, the worst first: some 100 KiB.
const MAX_SOURCES: usize = 500;

/// All of it, for the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoginMemory {
    /// Of the hashes: campaigns are counted by them.
    seed: u64,
    campaigns: Campaigns,
    sources: Vec<Source>,
    sudo_users: Vec<HostText>,
    habits: Habits,
}

impl LoginDetectors {
    /// What the next run goes on with.
    pub fn remember(&self) -> LoginMemory {
        LoginMemory {
            seed: self.seed,
            campaigns: self.campaigns.clone(),
            sources: sources::remember(&self.sources, MAX_SOURCES),
            sudo_users: self.people.known(),
            habits: self.habits.clone(),
        }
    }

    /// As [`LoginDetectors::new`], and goes on where an earlier run ended.
    pub fn recalling(policy: &Policy, memory: LoginMemory, sudo_users: impl IntoIterator<Item = HostText>) -> Self {
        let LoginMemory { seed, campaigns, sources, sudo_users: known, habits } = memory;
        let mut detectors = Self::new(policy, seed, known.into_iter().chain(sudo_users));
        sources.into_iter().for_each(|one| detectors.sources.put_back(one, one.presence.last));
        detectors.habits = habits.bounded();
        let life = detectors.limits.campaign();
        detectors.campaigns = campaigns.bounded();
        detectors.campaigns.set_life(life);
        detectors
    }

    /// Takes changed thresholds over; what is counted stays.
    pub fn set_policy(&mut self, policy: &Policy) {
        self.limits = Limits::new(policy);
        self.campaigns.set_life(self.limits.campaign());
    }
}
