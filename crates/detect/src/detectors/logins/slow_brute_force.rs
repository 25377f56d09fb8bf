//! Password guessing so slow that no short window sees it: many failed logins by one source over hours.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said, Window};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "login_slow_brute_force",
    title: "Slow password guessing",
    technique: &["T1110.001"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.75,
    meaning: "One address kept failing to log in over hours, each time below the limit for minutes.",
    false_positives: "A program with an old password that tries every few minutes.",
    quiet: "Raise `slow_attempts` in `[logins]`, or give the program its new password.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Attack, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let (at, within) = (scene.at, scene.limits.slow_within);
    let source = scene.source.as_deref_mut()?;
    let failed = source.slow.count(at, within);
    if failed < scene.limits.policy.slow_attempts || !source.is_news(3, scene.at, scene.limits) {
        return None;
    }
    source.slow = Window::default();
    let (name, time) = (source.name(), humantime::format_duration(scene.limits.policy.slow_within));
    Some(Said::new(format!("{name} failed to log in {failed} times within {time}")).by(source.hostile()))
}
