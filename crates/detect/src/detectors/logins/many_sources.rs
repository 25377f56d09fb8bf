//! Many sources at once, none of which does much: failed logins from more addresses within an hour than background noise has.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "login_many_sources",
    title: "Failed logins from many addresses",
    technique: &["T1110"],
    family: Family::Auth,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.6,
    meaning: "Within an hour failed logins came from many addresses. One alert stands for all of them.",
    false_positives: "Every public host is tried by some; this is more than some.",
    quiet: "Raise `campaign_addresses` in `[logins]`.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Attack, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let addresses = scene.crowd;
    (addresses > scene.limits.policy.campaign_addresses)
        .then(|| Said::new(format!("failed logins came from about {addresses} addresses within an hour")))
}
