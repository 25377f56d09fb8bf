//! What the detectors judge by beside their code: rules, indicator lists and what a person switched off. Read at the start and at each reload.

use std::collections::HashSet;

use crate::indicator_lists::{self, INDICATORS};
use crate::parts::Parts;
use crate::rule_packs;
use crate::switches::{self, SWITCHED_OFF};
use bartizan_config::{IndicatorFolders, Policy, RuleFolders};
use bartizan_detect::detectors::DetectorSet;
use bartizan_detect::indicators::Indicators;
use bartizan_rules::RuleSet;

/// All of it, ready to be taken into use.
#[derive(Debug)]
pub(crate) struct Knowledge {
    rules: RuleSet,
    most_per_day: u32,
    indicators: Indicators,
    off: HashSet<String>,
}

impl Knowledge {
    /// Reads it for this policy; what cannot be used is named, shown as degraded, and the rest goes on. The sentences say what is in force.
    pub(crate) fn read(parts: &Parts, policy: &Policy) -> (Self, Vec<String>) {
        let now = chrono::Utc::now();
        let (rules, problems) = rule_packs::load(&RuleFolders::of(&parts.settings), policy);
        let folders = IndicatorFolders::of(&parts.settings);
        let indicators = indicator_lists::load(&folders, policy, &parts.response.lifeline(), now);
        let switches = switches::read(&parts.settings, policy);
        let off_rules = (0..rules.rules().len()).filter(|index| rules.is_off(*index)).count();
        let off = switches.told(policy, off_rules);
        let mut said = vec![rule_packs::summary(&rules, &problems), indicator_lists::summary(&indicators, now)];
        said.extend(off.as_ref().map(|off| format!("switched off: {off}")));
        parts.troubles.report(INDICATORS, indicator_lists::trouble(&indicators, now));
        parts.troubles.report(SWITCHED_OFF, off);
        (Self { rules, most_per_day: policy.rules.most_per_day, indicators, off: switches.detectors.into_keys().collect() }, said)
    }

    /// Takes it into use.
    pub(crate) fn teach(self, detectors: &mut DetectorSet) {
        detectors.set_rules(self.rules, self.most_per_day);
        detectors.set_indicators(self.indicators);
        detectors.set_off(self.off);
    }
}
