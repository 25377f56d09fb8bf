//! Somebody sends the guard a signal that ends or stops it, or takes control of it.

use bartizan_model::{AlarmKind, Entity, Event, EventKind, Family, Process, Severity, Stage, Tier};

use super::kinship::{by_person, grown_from, named, named_root, subject};
use super::{Detection, Detector, DetectorContext, Info};

static INFO: Info = Info {
    name: "guard_attacked",
    title: "Ends, stops or takes control of the guard",
    technique: &["T1562.001"],
    family: Family::Auth,
    stage: Stage::Privilege,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.8,
    meaning: "A process sent SIGKILL, SIGTERM or SIGSTOP to Bartizan or to a watchdog of it, or attached to one by ptrace: what an intruder with root does first.",
    false_positives: "An administrator who uses kill instead of `bartizan stop` or `systemctl stop bartizan`; a daemon that ends programs when memory is short.",
    quiet: "End the agent by `bartizan stop` or `systemctl stop bartizan`: neither speaks here.",
};

pub(super) struct GuardAttacked;

impl Detector for GuardAttacked {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, _sight: &DetectorContext<'_>) -> Option<Detection> {
        let EventKind::Alarm { alarm } = &event.kind else { return None };
        if alarm.what != AlarmKind::AgentAttacked {
            return None;
        }
        let did = super::kinship::clip(&alarm.detail.as_sentence(), 200);
        let Some(process) = event.process.as_deref() else {
            return Some(Detection::new(format!("somebody {did}")).about(Entity::Guard));
        };
        Some(rated(process, &did))
    }
}

fn rated(process: &Process, did: &str) -> Detection {
    let said = format!("{} {did}", named(process));
    match grown_from(process) {
        Some(service) => {
            Detection::new(format!("{said}, below {}", named_root(service))).rated(Severity::Critical, 0.95).on(subject(process))
        }
        // The owner at the keyboard: told, and nobody is stopped for it.
        None if by_person(process) => Detection::new(said).rated(Severity::Medium, 0.5),
        None => Detection::new(said).on(subject(process)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};
    use super::*;
    use bartizan_model::Alarm;

    fn attack(detail: &str) -> EventKind {
        EventKind::Alarm { alarm: Alarm { what: AlarmKind::AgentAttacked, detail: detail.into(), action: None, path: None } }
    }

    #[test]
    fn who_attacks_the_guard_is_told_by_where_they_come_from() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let shell = scene.child(&nginx, "/bin/sh");
        let signals = scene.see(Some(&shell), attack("sent signal 19 to the agent (pid 700)"));
        assert_eq!(names(&signals), ["guard_attacked"]);
        let signal = by(&signals, "guard_attacked");
        let sentence = format!("sh (pid {}) sent signal 19 to the agent (pid 700), below nginx (pid {})", shell.pid, nginx.pid);
        assert_eq!((signal.sentence.as_str(), signal.severity, signal.subject), (sentence.as_str(), Severity::Critical, Some(shell.key)));
        let daemon = scene.daemon("/usr/sbin/earlyoom");
        assert_eq!(by(&scene.see(Some(&daemon), attack("sent signal 9 to its watchdog")), "guard_attacked").severity, Severity::High);
        let login = scene.login();
        let owner = scene.see(Some(&login), attack("sent signal 15 to the agent"));
        assert_eq!((by(&owner, "guard_attacked").severity, by(&owner, "guard_attacked").subject), (Severity::Medium, None));
        assert_eq!(
            by(&scene.see(None, attack("took control of the agent")), "guard_attacked").sentence,
            "somebody took control of the agent"
        );
    }
}
