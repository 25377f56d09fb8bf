//! A source that tries accounts that do not exist: it guesses names.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Distinct, Folds, Said, shown};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "login_invalid_users",
    title: "Guessing of account names",
    technique: &["T1110.001", "T1087.001"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::Low,
    confidence: 0.8,
    meaning: "One address tried several accounts that do not exist on this host.",
    false_positives: "A person who cannot remember their account name tries two or three.",
    quiet: "Raise `unknown_accounts` in `[logins]`.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Attack, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let source = scene.source.as_deref_mut()?;
    let accounts = source.unknown_accounts.count();
    if accounts < scene.limits.policy.unknown_accounts || !source.is_news(2, scene.at, scene.limits) {
        return None;
    }
    source.unknown_accounts = Distinct::default();
    let (name, last) = (source.name(), shown(scene.record.user));
    Some(Said::new(format!("{name} tried {accounts} accounts that do not exist (last {last})")).by(source.hostile()))
}
