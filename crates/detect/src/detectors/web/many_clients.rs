//! Many clients at once, none of which does much: attacks from more addresses within an hour than background noise has.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said};
use super::{Scene, WebDetector};

static INFO: Info = Info {
    name: "web_many_clients",
    title: "Attacks on the web server from many addresses",
    technique: &["T1595", "T1190"],
    family: Family::Web,
    stage: Stage::Recon,
    tier: Tier::Stable,
    severity: Severity::Low,
    confidence: 0.6,
    meaning: "Attack requests or failed logins came from more addresses within an hour than is usual. No single address did enough to be named.",
    false_positives: "A large site has as much background noise every hour.",
    quiet: "Raise `campaign_addresses` in `[web]`.",
};

pub(super) const DETECTOR: WebDetector = WebDetector { info: &INFO, folds: Folds::Attack, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let addresses = scene.crowd;
    (scene.visit.weight() > 1 && addresses > scene.limits.policy.campaign_addresses)
        .then(|| Said::new(format!("attacks on the web server came from about {addresses} addresses within an hour")))
}
