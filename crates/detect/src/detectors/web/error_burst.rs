//! A burst of errors: nearly all that one client asks for is refused or not there. A broken page does the same: nobody is named for it.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said};
use super::{Scene, WebDetector};

static INFO: Info = Info {
    name: "web_error_burst",
    title: "Burst of errors at the web server",
    technique: &["T1595.003"],
    family: Family::Web,
    stage: Stage::Recon,
    tier: Tier::Experimental,
    severity: Severity::Low,
    confidence: 0.4,
    meaning: "Nearly all requests of one address failed within a minute: it searches by guessing, or something is broken.",
    false_positives: "A broken page or client; a crawler or link checker after the site moved.",
    quiet: "Raise `errors` or `error_percent` in `[web]`.",
};

pub(super) const DETECTOR: WebDetector = WebDetector { info: &INFO, folds: Folds::Scan, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let (at, within, policy) = (scene.visit.at, scene.limits.burst_within, &scene.limits.policy);
    let client = &mut *scene.client;
    let (requests, errors) = client.burst(at, within);
    let is_burst = errors >= policy.errors && errors * 100 >= requests * policy.error_percent;
    if !is_burst || !scene.visit.is_error() || !client.presence.told.is_news(4, at, scene.limits.attack_within) {
        return None;
    }
    let time = humantime::format_duration(policy.burst_within);
    Some(Said::new(format!("{} got {errors} errors for {requests} requests within {time}", client.name())))
}
