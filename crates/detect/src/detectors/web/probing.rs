//! Searches by one client: for secrets, web shells, administration pages and ways into products with known holes.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said};
use super::{Scene, WebDetector, shown};

static INFO: Info = Info {
    name: "web_probing",
    title: "Search for weak points",
    technique: &["T1595.003"],
    family: Family::Web,
    stage: Stage::Recon,
    tier: Tier::Stable,
    severity: Severity::Low,
    confidence: 0.8,
    meaning: "One address asked for many different pages and files that only attackers look for: keys, backups, web shells, panels that are not here.",
    false_positives: "A security scan that the owner ordered.",
    quiet: "Raise `probed_paths` in `[web]`, or add the address of the scan to `[protected] addresses`.",
};

pub(super) const DETECTOR: WebDetector = WebDetector { info: &INFO, folds: Folds::Attack, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let (at, within, many) = (scene.visit.at, scene.limits.attack_within, scene.limits.policy.probed_paths);
    let client = &mut *scene.client;
    let (probed, sure) = client.probed();
    if !scene.visit.is_attack() || probed < many || !client.presence.told.is_news(1, at, within) {
        return None;
    }
    // Old links lead to a panel that was here once; nobody follows a link to as many as these, or to a key.
    let is_sure = 2 * sure >= many || probed >= 2 * many;
    client.forget_probes();
    let time = humantime::format_duration(scene.limits.policy.attack_within);
    let last = shown(scene.visit.path);
    let said =
        Said::new(format!("{} searched for about {probed} things that only attackers look for within {time}; last: {last}", client.name()));
    Some(said.by(client.hostile().filter(|_| is_sure)))
}
