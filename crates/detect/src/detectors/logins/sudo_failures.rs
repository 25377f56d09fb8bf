//! sudo refuses somebody: wrong passwords, or an account that may not use it.

use bartizan_model::{Family, Severity, Stage, Tier};

use bartizan_logs::{Service, What};

use super::super::Info;
use super::super::tally::{Folds, Said, shown};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "privilege_sudo_refused",
    title: "sudo refused",
    technique: &["T1548.003"],
    family: Family::Auth,
    stage: Stage::Privilege,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.5,
    meaning: "An account tried to use sudo and was refused: too many wrong passwords, or not allowed at all.",
    false_positives: "A person who mistypes; a colleague who does not know that they may not.",
    quiet: "Raise `sudo_failures` in `[logins]`.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Not, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let record = scene.record;
    if record.service != Service::Sudo || record.what != What::PrivilegeDenied {
        return None;
    }
    let (user, within) = (record.user?, scene.limits.brute_force_within);
    let person = scene.people.of(user, scene.at);
    person.denied.add(scene.at, within, record.attempts.max(1));
    let failed = person.denied.count(scene.at, within);
    // Not allowed at all is news at once; a wrong password is after some.
    if (record.attempts > 0 && failed < scene.limits.policy.sudo_failures) || scene.at.saturating_sub(person.reported) < 3600 {
        return None;
    }
    person.reported = scene.at;
    let name = shown(Some(user));
    Some(Said::new(match record.attempts {
        0 => format!("sudo refused {name}: {}", shown(record.detail)),
        _ => format!("sudo refused {failed} passwords of {name}"),
    }))
}
