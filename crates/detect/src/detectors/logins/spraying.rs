//! Password spraying: one source tries many accounts, a few times each.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Distinct, Folds, Said};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "login_spraying",
    title: "Password spraying",
    technique: &["T1110.003"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.85,
    meaning: "One address failed to log in as many different accounts: no person has so many.",
    false_positives: "A gateway or jump host behind which many people log in.",
    quiet: "Raise `spraying_accounts` in `[logins]`, or add the gateway to `[protected] addresses`.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Attack, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let source = scene.source.as_deref_mut()?;
    let accounts = source.accounts.count();
    if accounts < scene.limits.policy.spraying_accounts || !source.is_news(1, scene.at, scene.limits) {
        return None;
    }
    source.accounts = Distinct::default();
    let (name, time) = (source.name(), humantime::format_duration(scene.limits.policy.accounts_within));
    Some(Said::new(format!("{name} failed to log in as about {accounts} accounts within {time}")).by(source.hostile()))
}
