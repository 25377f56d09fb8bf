//! A program runs from where anybody may write, from memory, or from a file that is gone.

use crate::model::{Entity, Event, EventKind, Family, Process, Severity, Stage, Tier};

use super::kinship::{by_container_runtime, by_package_manager, by_person, grown_from, named, named_root, path, subject};
use super::sight::in_writable_dir;
use super::{Detector, Info, Opinion, Sight};

static INFO: Info = Info {
    name: "exec_from_writable",
    title: "Program run from a place anybody may write",
    technique: &["T1059", "T1620", "T1070.004"],
    family: Family::Files,
    stage: Stage::Execution,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.85,
    meaning: "Something that grew from a service strangers can talk to ran a program from /tmp, /var/tmp, /dev/shm, from memory only, or from a removed file: a dropped tool.",
    false_positives: "Build tools and installers unpack and run in /tmp; runc and some runtimes run from memory; a program removed by an upgrade while it starts.",
    quiet: "Without a service above it, only memory and removed files count, and little. Set TMPDIR for services that unpack programs.",
};

pub(super) struct ExecFromWritable;

impl Detector for ExecFromWritable {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, _sight: &Sight<'_>) -> Option<Opinion> {
        let (EventKind::Exec, Some(process)) = (&event.kind, event.process.as_deref()) else {
            return None;
        };
        let place = place(process)?;
        let unusual = process.exe_file.memfd || process.exe_file.deleted;
        let said = format!("{} runs from {place} {}", named(process), path(&process.exe));
        let service = grown_from(process).filter(|_| !by_person(process));
        let opinion = match service {
            Some(_) if by_package_manager(process) => return None,
            Some(service) => {
                let (severity, confidence) = if process.exe_file.memfd { (Severity::Critical, 0.95) } else { (INFO.severity, INFO.confidence) };
                Opinion::new(format!("{said}, below {}", named_root(service))).rated(severity, confidence)
            }
            None if !unusual || by_package_manager(process) || by_container_runtime(process) => return None,
            None => Opinion::new(said).rated(Severity::Low, if process.exe_file.memfd { 0.4 } else { 0.2 }),
        };
        // What lies in memory has no path that another file could share.
        let opinion = if process.exe_file.memfd { opinion } else { opinion.about(Entity::File(process.exe.clone())) };
        Some(opinion.on(subject(process)))
    }
}

fn place(process: &Process) -> Option<&'static str> {
    if process.exe_file.memfd {
        Some("memory only,")
    } else if process.exe_file.deleted {
        Some("a removed file,")
    } else {
        in_writable_dir(&process.exe).then_some("where anybody may write,")
    }
}
