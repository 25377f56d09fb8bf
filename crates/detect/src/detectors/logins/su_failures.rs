//! su refuses somebody several times.

use bartizan_model::{Family, Severity, Stage, Tier};

use bartizan_logs::{Service, What};

use super::super::Info;
use super::super::tally::{Folds, Said, shown};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "privilege_su_refused",
    title: "su refused",
    technique: &["T1548", "T1110.001"],
    family: Family::Auth,
    stage: Stage::Privilege,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.5,
    meaning: "An account tried to become another by su, and was refused several times.",
    false_positives: "A person who mistypes.",
    quiet: "Raise `sudo_failures` in `[logins]`, which counts for su too.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Not, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let record = scene.record;
    if record.service != Service::Su || record.what != What::PrivilegeDenied {
        return None;
    }
    let (user, within) = (record.user?, scene.limits.brute_force_within);
    let person = scene.people.of(user, scene.at);
    person.denied.add(scene.at, within, record.repeated);
    let failed = person.denied.count(scene.at, within);
    if failed < scene.limits.policy.sudo_failures || scene.at.saturating_sub(person.reported) < 3600 {
        return None;
    }
    person.reported = scene.at;
    Some(Said::new(format!("su refused {} {failed} times (last to become {})", shown(Some(user)), shown(record.target))))
}
