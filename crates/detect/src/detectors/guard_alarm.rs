//! Something was done to the guard, its records, its actions, or the files that let the owner in.

use bartizan_model::{Alarm, AlarmKind, Entity, Event, EventKind, Family, Process, Severity, Stage, Tier};

use super::kinship::{by_package_manager, by_person, clip, grown_from, named, named_root, subject};
use super::{Detection, Detector, DetectorContext, Info};

static INFO: Info = Info {
    name: "guard_alarm",
    title: "Tampers with the guard or its actions",
    technique: &["T1562.001"],
    family: Family::Files,
    stage: Stage::Privilege,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.8,
    meaning: "The guard's records, unit, program, settings, firewall table or warrants were touched by somebody else, it was killed, it acts more than it should, or keys that let people in are gone.",
    false_positives: "An administrator who edits the settings by hand (rated low), a backup that restores files, another firewall program that empties every table.",
    quiet: "Change settings from a login session; exclude /var/lib/bartizan from restores; let firewall programs touch their own tables only.",
};

/// How bad one kind is, and as what it counts.
struct Weight {
    severity: Severity,
    confidence: f64,
    technique: &'static [&'static str],
    family: Family,
}

const fn weight(severity: Severity, confidence: f64, technique: &'static [&'static str], family: Family) -> Weight {
    Weight { severity, confidence, technique, family }
}

/// ATT&CK: T1562 Impair Defenses (.001 tools, .004 firewall), T1070 Indicator Removal, T1098.004 SSH Authorized Keys,
/// T1548 Abuse Elevation Control Mechanism.
fn weigh(what: AlarmKind) -> Option<Weight> {
    use Severity::{High, Medium};
    Some(match what {
        // Its own detector knows who did it.
        AlarmKind::AgentAttacked => return None,
        AlarmKind::WarrantRefused => weight(High, 0.9, &["T1548", "T1562.001"], Family::Auth),
        AlarmKind::ActionRate => weight(Medium, 0.6, &["T1562"], Family::Anomaly),
        AlarmKind::TableChanged => weight(High, 0.8, &["T1562.004"], Family::Tools),
        AlarmKind::ActionUndone => weight(Medium, 0.6, &["T1562.004"], Family::Tools),
        AlarmKind::AgentKilled => weight(High, 0.8, &["T1562.001"], Family::Auth),
        AlarmKind::DataTouched => weight(High, 0.85, &["T1070", "T1562.001"], Family::Files),
        AlarmKind::InstallationTouched => weight(High, 0.75, &["T1562.001"], Family::Files),
        AlarmKind::WatchdogGone => weight(Medium, 0.6, &["T1562.001"], Family::Auth),
        AlarmKind::AccessTouched => weight(High, 0.75, &["T1098.004", "T1531"], Family::Files),
        AlarmKind::SignsWorse => weight(Medium, 0.5, &["T1499"], Family::Anomaly),
    })
}

pub(super) struct GuardAlarm;

impl Detector for GuardAlarm {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, _sight: &DetectorContext<'_>) -> Option<Detection> {
        let EventKind::Alarm { alarm } = &event.kind else { return None };
        let weight = weigh(alarm.what)?;
        let process = event.process.as_deref();
        // A package that brings a newer guard, or a newer sshd, replaces files: that is explained.
        if process.is_some_and(by_package_manager) && matches!(alarm.what, AlarmKind::InstallationTouched | AlarmKind::AccessTouched) {
            return None;
        }
        let detection = rated(alarm, process, &weight).technique(weight.technique).family(weight.family);
        let detection = match &alarm.path {
            Some(path) => detection.about(Entity::File(path.clone())),
            None => detection,
        };
        // Without anybody to hold it to, all of it is one story: what is done to the guard.
        Some(if process.is_none() { detection.about(Entity::Guard) } else { detection })
    }
}

fn rated(alarm: &Alarm, process: Option<&Process>, weight: &Weight) -> Detection {
    let Some(process) = process else {
        return Detection::new(sentence(alarm, None)).rated(weight.severity, weight.confidence);
    };
    let said = sentence(alarm, Some(process));
    match grown_from(process) {
        Some(service) => {
            Detection::new(format!("{said}, below {}", named_root(service))).rated(Severity::Critical, 0.95).on(subject(process))
        }
        None if by_person(process) => {
            let severity = if alarm.what == AlarmKind::InstallationTouched { Severity::Low } else { Severity::Medium };
            Detection::new(said).rated(severity, weight.confidence.min(0.4))
        }
        None => Detection::new(said).rated(weight.severity, weight.confidence).on(subject(process)),
    }
}

/// Who, what, and what the owner can do at once.
fn sentence(alarm: &Alarm, process: Option<&Process>) -> String {
    let detail = clip(&alarm.detail.as_sentence(), 300);
    let said = match (alarm.what, process) {
        (AlarmKind::DataTouched | AlarmKind::InstallationTouched | AlarmKind::AccessTouched, Some(process)) => {
            format!("{} {detail}", named(process))
        }
        (AlarmKind::DataTouched | AlarmKind::InstallationTouched | AlarmKind::AccessTouched, None) => {
            format!("an unknown process {detail}")
        }
        (what, Some(process)) => format!("{}: {detail}, by {}", what.noun(), named(process)),
        (what, None) => format!("{}: {detail}", what.noun()),
    };
    match alarm.what {
        AlarmKind::AccessTouched => format!("{said}; `bartizan copies` lists what can be restored"),
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};
    use super::*;

    fn alarm(what: AlarmKind, detail: &str, path: Option<&str>) -> EventKind {
        EventKind::Alarm { alarm: Alarm { what, detail: detail.into(), action: None, path: path.map(Into::into) } }
    }

    const ALL: [AlarmKind; 11] = [
        AlarmKind::WarrantRefused,
        AlarmKind::ActionRate,
        AlarmKind::TableChanged,
        AlarmKind::ActionUndone,
        AlarmKind::AgentKilled,
        AlarmKind::AgentAttacked,
        AlarmKind::DataTouched,
        AlarmKind::InstallationTouched,
        AlarmKind::WatchdogGone,
        AlarmKind::AccessTouched,
        AlarmKind::SignsWorse,
    ];

    #[test]
    fn every_alarm_is_somebodys_opinion_and_one_alone() {
        let mut scene = Scene::new();
        for what in ALL {
            let signals = scene.see(None, alarm(what, what.noun(), None));
            let wanted = if what == AlarmKind::AgentAttacked { "guard_attacked" } else { "guard_alarm" };
            assert_eq!(names(&signals), [wanted], "{what:?}");
            let signal = by(&signals, wanted);
            assert!(signal.severity >= Severity::Medium && signal.entities == [Entity::Guard] && signal.subject.is_none(), "{signal:?}");
        }
    }

    #[test]
    fn who_touched_the_records_is_named_and_rated_by_whence_they_come() {
        let mut scene = Scene::new();
        let wipe = || alarm(AlarmKind::DataTouched, "removed /var/lib/bartizan/ledger.db", Some("/var/lib/bartizan/ledger.db"));
        let nginx = scene.daemon("/usr/sbin/nginx");
        let rm = scene.child(&nginx, "/usr/bin/rm -rf /var/lib/bartizan");
        let signals = scene.see(Some(&rm), wipe());
        let signal = by(&signals, "guard_alarm");
        let sentence = format!("rm (pid {}) removed /var/lib/bartizan/ledger.db, below nginx (pid {})", rm.pid, nginx.pid);
        assert_eq!((&signal.sentence, signal.severity, signal.subject), (&sentence, Severity::Critical, Some(rm.key)));
        assert_eq!((signal.family, signal.technique[0].to_string().as_str()), (Family::Files, "T1070"));
        let cron = scene.daemon("/usr/local/bin/cleaner");
        assert_eq!(by(&scene.see(Some(&cron), wipe()), "guard_alarm").severity, Severity::High);
        let login = scene.login();
        let edit = alarm(AlarmKind::InstallationTouched, "wrote to /etc/bartizan/policy.toml", Some("/etc/bartizan/policy.toml"));
        let owner = scene.see(Some(&login), edit.clone());
        assert_eq!((by(&owner, "guard_alarm").severity, by(&owner, "guard_alarm").subject), (Severity::Low, None));
        let init = scene.init();
        let dpkg = scene.child(&init, "/usr/bin/dpkg --unpack bartizan.deb");
        assert_eq!(names(&scene.see(Some(&dpkg), edit)), [""; 0], "an upgrade");
    }

    #[test]
    fn lost_keys_name_what_can_be_restored() {
        let mut scene = Scene::new();
        let lost =
            alarm(AlarmKind::AccessTouched, "took 2 of 3 keys out of /root/.ssh/authorized_keys", Some("/root/.ssh/authorized_keys"));
        let said = by(&scene.see(None, lost), "guard_alarm").sentence.clone();
        assert_eq!(
            said,
            "an unknown process took 2 of 3 keys out of /root/.ssh/authorized_keys; `bartizan copies` lists what can be restored"
        );
    }
}
