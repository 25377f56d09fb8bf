//! Different attacks by one client: of two kinds, or one kind again and again in other words.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said};
use super::{Scene, WebDetector, shown};

static INFO: Info = Info {
    name: "web_attacks",
    title: "Attacks on the web server",
    technique: &["T1190"],
    family: Family::Web,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.8,
    meaning: "One address sent many different requests with attacks in them within minutes. Whether one of them worked is not known from the log.",
    false_positives: "A security scan that the owner ordered; an application whose own parameters hold SQL, markup or commands.",
    quiet: "Raise `attack_requests` in `[web]`, or add the address of the scan to `[protected] addresses`.",
};

pub(super) const DETECTOR: WebDetector = WebDetector { info: &INFO, folds: Folds::Attack, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let (at, within, many) = (scene.visit.at, scene.limits.attack_within, scene.limits.policy.attack_requests);
    let client = &mut *scene.client;
    let (different, kinds) = (client.different_attacks(), client.kinds());
    // People write one kind into their own pages: who teaches SQL saves the same words again and again.
    let enough = if kinds > 1 { many } else { 4 * many };
    if !scene.visit.is_attack() || different < enough || !client.presence.told.is_news(0, at, within) {
        return None;
    }
    let is_sure = 2 * client.strong_attacks() >= enough;
    client.forget_attacks();
    let last = scene.visit.found().find(|attack| !attack.family.is_probe());
    let last = last.map_or_else(String::new, |attack| format!("; last: {} in {}", attack.family.title(), shown(scene.visit.path)));
    let kinds = if kinds > 1 { format!("{kinds} kinds") } else { "one kind".to_owned() };
    let time = humantime::format_duration(scene.limits.policy.attack_within);
    let said = Said::new(format!("{} sent about {different} different attacks of {kinds} within {time}{last}", client.name()));
    Some(said.by(client.hostile().filter(|_| is_sure)))
}
