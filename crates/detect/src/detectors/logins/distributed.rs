//! Guessing spread over many sources: one account is tried from many addresses, a few times each.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "login_distributed",
    title: "Password guessing from many addresses",
    technique: &["T1110.001"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.7,
    meaning: "One account was tried from many addresses within the hour: a botnet shares the work.",
    false_positives: "A shared account whose password was changed.",
    quiet: "Raise `distributed_addresses` in `[logins]`. Turning off passwords for SSH ends the danger.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Attack, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let most = scene.limits.policy.distributed_addresses;
    let target = scene.targets.last()?;
    if !target.is_tried_from(most) || !target.is_news() {
        return None;
    }
    let addresses = target.addresses();
    let name = super::super::kinship::clip(&target.name.escaped(), 64);
    let time = humantime::format_duration(scene.limits.policy.accounts_within);
    // No single address did enough to be acted on.
    Some(Said::new(format!("account {name} was tried from about {addresses} addresses within {time}")))
}
