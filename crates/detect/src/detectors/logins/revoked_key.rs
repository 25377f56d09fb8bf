//! A revoked key is offered: somebody still has it.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said, shown};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "login_revoked_key",
    title: "Revoked key offered",
    technique: &["T1078", "T1552.004"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.8,
    meaning: "A client offered a key that is on the list of revoked keys. It was refused. The public half is enough to offer it, so this alone does not mean that the key was stolen.",
    false_positives: "A colleague with an old machine.",
    quiet: "Find out whose key it was by its fingerprint.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Not, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    // Once an hour for each source and key: whoever knows the public half can offer it as often as they like.
    let fingerprint = scene.record.fingerprint.unwrap_or_default();
    let source = scene.record.address.map_or_else(String::new, |address| address.to_string());
    let offered = scene.people.of(&[b"\0revoked ", source.as_bytes(), b" ", fingerprint].concat(), scene.at);
    if scene.at.saturating_sub(offered.reported) < 3600 {
        return None;
    }
    offered.reported = scene.at;
    let from = scene.record.address.map_or_else(|| "a client".to_owned(), |address| address.to_string());
    Some(Said::new(format!("{from} offered the revoked key {}", shown(scene.record.fingerprint))))
}
