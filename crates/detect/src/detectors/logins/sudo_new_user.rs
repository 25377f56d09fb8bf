//! Somebody uses sudo or su who never did.

use bartizan_model::{Family, Severity, Stage, Tier};

use bartizan_logs::What;

use super::super::Info;
use super::super::tally::{Folds, Said, shown};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "privilege_new_user",
    title: "First use of sudo or su",
    technique: &["T1548.003"],
    family: Family::Auth,
    stage: Stage::Privilege,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.5,
    meaning: "An account became another by sudo or su for the first time since this host is watched.",
    false_positives: "A new administrator; a script that now runs sudo.",
    quiet: "Reported once per account.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Not, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let (record, user) = (scene.record, scene.record.user?);
    if record.what != What::PrivilegeUsed || user == b"root" {
        return None;
    }
    let person = scene.people.of(user, scene.at);
    if std::mem::replace(&mut person.known, true) {
        return None;
    }
    let (name, target) = (shown(Some(user)), shown(record.target.or(Some(b"another account"))));
    Some(Said::new(format!("{name} became {target} for the first time")))
}
