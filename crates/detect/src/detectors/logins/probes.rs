//! Scans: a source that connects again and again and never gets as far as a login.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said, Window};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "login_probes",
    title: "Scanning of a login service",
    technique: &["T1595", "T1046"],
    family: Family::Auth,
    stage: Stage::Recon,
    tier: Tier::Stable,
    severity: Severity::Low,
    confidence: 0.6,
    meaning: "One address opened many connections to a login service without trying to log in.",
    false_positives: "A monitor that only looks whether the port answers.",
    quiet: "Add the monitor to `[protected] addresses`, or raise `probes` in `[logins]`.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Scan, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let (at, within) = (scene.at, scene.limits.brute_force_within);
    let source = scene.source.as_deref_mut()?;
    let probes = source.probes.count(at, within);
    if probes < scene.limits.policy.probes || !source.is_news(4, scene.at, scene.limits) {
        return None;
    }
    source.probes = Window::default();
    let (name, time) = (source.name(), humantime::format_duration(scene.limits.policy.brute_force_within));
    Some(Said::new(format!("{name} connected {probes} times within {time} without trying to log in")))
}
