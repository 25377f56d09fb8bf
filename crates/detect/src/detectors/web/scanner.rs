//! A program that looks for weak points and says so itself. Anybody may say it, owners run such programs, too: nobody is named for it.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said};
use super::{Scene, WebDetector};

static INFO: Info = Info {
    name: "web_scanner",
    title: "Scanner at the web server",
    technique: &["T1595.002"],
    family: Family::Web,
    stage: Stage::Recon,
    tier: Tier::Incubating,
    severity: Severity::Low,
    confidence: 0.6,
    meaning: "Requests came from a program that calls itself a scanner for weak points.",
    false_positives: "A security scan that the owner ordered, or a service that looks after the site.",
    quiet: "Raise `scanner_requests` in `[web]`.",
};

pub(super) const DETECTOR: WebDetector = WebDetector { info: &INFO, folds: Folds::Scan, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let (at, within) = (scene.visit.at, scene.limits.attack_within);
    let client = &mut *scene.client;
    let scanned = client.scanned(at, within);
    if scanned < scene.limits.policy.scanner_requests || !client.presence.told.is_news(3, at, within) {
        return None;
    }
    let time = humantime::format_duration(scene.limits.policy.attack_within);
    Some(Said::new(format!("{} sent {scanned} requests within {time} with a program that calls itself a scanner", client.name())))
}
