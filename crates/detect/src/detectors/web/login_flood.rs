//! Password guessing at the web server: by pages that refuse, by HTTP authentication, or by the server's error log.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said};
use super::{Scene, WebDetector, shown};

static INFO: Info = Info {
    name: "web_login_flood",
    title: "Password guessing at the web server",
    technique: &["T1110.001"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.8,
    meaning: "The web server refused many names and passwords of one address within minutes.",
    false_positives: "A program with an old password; an office behind one address after a password change.",
    quiet: "Raise `failed_logins` in `[web]`, or add the address to `[protected] addresses`.",
};

pub(super) const DETECTOR: WebDetector = WebDetector { info: &INFO, folds: Folds::Attack, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let (at, within) = (scene.visit.at, scene.limits.attack_within);
    let client = &mut *scene.client;
    let failed = client.failed_logins(at, within);
    if !scene.visit.failed_login || failed < scene.limits.policy.failed_logins || !client.presence.told.is_news(2, at, within) {
        return None;
    }
    client.forget_logins();
    let time = humantime::format_duration(scene.limits.policy.attack_within);
    let place = if scene.visit.path.is_empty() { "the web server".to_owned() } else { shown(scene.visit.path) };
    Some(Said::new(format!("{} failed to log in {failed} times within {time} at {place}", client.name())).by(client.hostile()))
}
