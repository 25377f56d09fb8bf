//! Password guessing by one source: many failed logins within minutes.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said, Window, shown};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "login_brute_force",
    title: "Password guessing",
    technique: &["T1110.001"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.8,
    meaning: "One address failed to log in many times within minutes, by what the daemon wrote.",
    false_positives: "A program with an old password; a person who forgot it and keeps trying.",
    quiet: "Raise `brute_force_attempts` in `[logins]`, or add the address to `[protected] addresses`.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Attack, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let (at, within) = (scene.at, scene.limits.brute_force_within);
    let source = scene.source.as_deref_mut()?;
    let failed = source.fast.count(at, within);
    if failed < scene.limits.policy.brute_force_attempts || !source.is_news(0, scene.at, scene.limits) {
        return None;
    }
    source.fast = Window::default();
    let (name, accounts) = (source.name(), source.accounts.count());
    let who = if accounts > 1 { format!("{accounts} accounts, last {}", shown(scene.record.user)) } else { shown(scene.record.user) };
    let time = humantime::format_duration(scene.limits.policy.brute_force_within);
    Some(Said::new(format!("{name} failed to log in {failed} times within {time} (as {who})")).by(source.hostile()))
}
