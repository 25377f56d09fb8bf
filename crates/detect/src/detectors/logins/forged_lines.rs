//! Lines in a service's name that another sent: somebody on this host writes log entries, to hide or to accuse.

use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said};
use super::{LoginDetector, Scene};

static INFO: Info = Info {
    name: "log_forged",
    title: "Forged log lines",
    technique: &["T1565.001", "T1036"],
    family: Family::Auth,
    stage: Stage::Privilege,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.6,
    meaning: "A process wrote lines into the journal that look like those of a login service, and the journal shows that it was another.",
    false_positives: "A test of log rules with logger(1).",
    quiet: "Reported once an hour; no action is ever based on such a line.",
};

pub(super) const DETECTOR: LoginDetector = LoginDetector { info: &INFO, folds: Folds::Not, judge };

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let person = scene.people.of(b"\0forged", scene.at);
    if scene.at.saturating_sub(person.reported) < 3600 {
        return None;
    }
    person.reported = scene.at;
    let what = format!("{:?}", scene.record.service).to_lowercase();
    let claimed = scene.record.address.map_or_else(String::new, |address| format!(" (it names {address})"));
    Some(Said::new(format!("a line in the name of {what} was written by another process{claimed}")))
}
