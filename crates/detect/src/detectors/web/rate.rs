//! Requests of one client beyond what a visitor sends. A search engine or an office does the same: nobody is named for it.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said};
use super::{Scene, WebDetector};

static INFO: Info = Info {
    name: "web_rate",
    title: "Flood of requests at the web server",
    technique: &["T1499.002"],
    family: Family::Web,
    stage: Stage::Recon,
    tier: Tier::Experimental,
    severity: Severity::Low,
    confidence: 0.4,
    meaning: "One address sent more requests within a minute than visitors do.",
    false_positives: "A search engine, a load test, a proxy that the configuration does not name, many people behind one address.",
    quiet: "Raise `requests` in `[web]`, or name the proxy.",
};

pub(super) const DETECTOR: WebDetector = WebDetector { info: &INFO, folds: Folds::Scan, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let (at, within) = (scene.visit.at, scene.limits.burst_within);
    let client = &mut *scene.client;
    let (requests, _) = client.burst(at, within);
    if requests < scene.limits.policy.requests || !client.presence.told.is_news(5, at, scene.limits.attack_within) {
        return None;
    }
    let time = humantime::format_duration(scene.limits.policy.burst_within);
    Some(Said::new(format!("{} sent {requests} requests within {time}", client.name())))
}
