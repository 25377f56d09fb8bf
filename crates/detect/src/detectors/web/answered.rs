//! A web shell or a secret that was asked for and given: it may really be there.

use bartizan_logs::web::{Family as Kind, Place, Strength};
use bartizan_model::{Family, Severity, Stage, Tier};

use super::super::Info;
use super::super::tally::{Folds, Said, mix};
use super::{Scene, Visit, WebDetector, shown};

static INFO: Info = Info {
    name: "web_shell_answered",
    title: "Web shell or secret served",
    technique: &["T1505.003", "T1552.001"],
    family: Family::Web,
    stage: Stage::Persistence,
    tier: Tier::Incubating,
    severity: Severity::High,
    confidence: 0.6,
    meaning: "A request for a script that intruders leave behind, or for a file with secrets, was answered with success: it may be there.",
    false_positives: "A site that answers every path with a page and status 200; a script of the owner's with such a name.",
    quiet: "Remove the file, or let the server answer 404 for what is not there.",
};

pub(super) const DETECTOR: WebDetector = WebDetector { info: &INFO, folds: Folds::Not, judge };

/// Answers remembered: their sizes tell a page that stands for every path from a file.
const REMEMBERED: usize = 16;

/// Sizes of what was answered with success: to searches of attackers, and to the front page.
#[derive(Debug, Default)]
pub(super) struct Answers {
    front: Option<u64>,
    last: [(u64, u64); REMEMBERED],
    next: usize,
}

fn is_success(visit: &Visit<'_>) -> bool {
    visit.status.is_some_and(|status| (200..300).contains(&status))
}

fn named(path: &[u8]) -> u64 {
    path.iter().fold(1, |hash, byte| mix(0x5eed, hash, u64::from(*byte)))
}

impl Answers {
    /// Remembers how the front page was answered.
    pub(super) fn note(&mut self, visit: &Visit<'_>) {
        if visit.path == b"/" && is_success(visit) && visit.access.is_some() {
            self.front = visit.size;
        }
    }

    /// Whether another path was answered with as many bytes: a site of one page answers everything with it. Remembers this one.
    fn is_page_for_all(&mut self, path: &[u8], size: u64) -> bool {
        let name = named(path);
        let same = |(other, its): &(u64, u64)| *other != 0 && *other != name && *its == size;
        let known = self.front == Some(size) || self.last.iter().any(same);
        if !self.last.contains(&(name, size)) {
            if let Some(place) = self.last.get_mut(self.next % REMEMBERED) {
                *place = (name, size);
            }
            self.next = (self.next + 1) % REMEMBERED;
        }
        known
    }
}

fn judge(scene: &mut Scene<'_>) -> Option<Said> {
    let is_it = |kind: Kind| matches!(kind, Kind::Webshell | Kind::SecretsProbe);
    let asked =
        scene.visit.found().find(|attack| is_it(attack.family) && attack.strength == Strength::Strong && attack.place == Place::Path)?;
    // An empty answer gives nothing away.
    let size = scene.visit.size.filter(|size| *size > 0)?;
    if !is_success(&scene.visit) || scene.answers.is_page_for_all(scene.visit.path, size) {
        return None;
    }
    if !scene.client.presence.told.is_news(6, scene.visit.at, scene.limits.attack_within) {
        return None;
    }
    let what = if asked.family == Kind::Webshell { "by the name of a web shell" } else { "in which secrets lie" };
    let (name, path) = (scene.client.name(), shown(scene.visit.path));
    Some(Said::new(format!("{name} asked for {path}, a file {what}, and the server answered with {size} bytes")))
}
