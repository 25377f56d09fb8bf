//! A revoked key is offered: somebody still has it.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::finding::{Said, shown};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "login_revoked_key",
    title: "Revoked key offered",
    technique: &["T1078", "T1552.004"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.8,
    meaning: "A client offered a key that is on the list of revoked keys. It was refused, and somebody still has it.",
    false_positives: "A colleague with an old machine.",
    quiet: "Find out whose key it was by its fingerprint.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: false, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let from = scene.record.address.map_or_else(|| "a client".to_owned(), |address| address.to_string());
    Some(Said::new(format!("{from} offered the revoked key {}", shown(scene.record.fingerprint))))
}
