//! A process takes control of another by ptrace.

use crate::model::{Entity, Event, EventKind, Family, PrivilegeKind, Severity, Stage, Tier};

use super::kinship::{by_package_manager, by_person, clip, grown_from, named, named_root, network_facing, subject};
use super::sight::{in_system_dir, program};
use super::{Detector, Info, Opinion, Sight};

static INFO: Info = Info {
    name: "ptrace_other",
    title: "Takes control of another process",
    technique: &["T1055.008"],
    family: Family::Auth,
    stage: Stage::Privilege,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.7,
    meaning: "A process attached to one of another user, or something below a service attached to anything: reading secrets from memory, or running code under another name.",
    false_positives: "Debuggers and tracers used by an administrator, crash handlers, php-fpm's slow log (which is known and not counted).",
    quiet: "Debug from a login session: that is rated low.",
};

/// Debuggers and tracers.
const DEBUGGERS: [&str; 9] = ["gdb", "gdbserver", "strace", "ltrace", "perf", "lldb", "lldb-server", "dlv", "rr"];

pub(super) struct PtraceOther;

impl Detector for PtraceOther {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, _sight: &Sight<'_>) -> Option<Opinion> {
        let (EventKind::PrivilegeUse { privilege }, Some(process)) = (&event.kind, event.process.as_deref()) else {
            return None;
        };
        let own_pool = network_facing(process).is_some_and(|root| root.key == process.key && root.exe == process.exe) && privilege.target_exe.as_ref() == Some(&process.exe);
        if privilege.what != PrivilegeKind::Ptrace || privilege.target == Some(process.key) || own_pool || by_package_manager(process) {
            return None;
        }
        let target = match (&privilege.target_exe, privilege.target) {
            (Some(exe), Some(key)) => format!("{} (pid {})", clip(&exe.basename().chars().flat_map(char::escape_default).collect::<String>(), 60), key.pid),
            (None, Some(key)) => format!("pid {}", key.pid),
            _ => "another process".to_owned(),
        };
        let said = format!("{} took control of {target} by ptrace", named(process));
        let opinion = match grown_from(process).filter(|_| !by_person(process)) {
            Some(service) => Opinion::new(format!("{said}, below {}", named_root(service))).rated(Severity::High, 0.85),
            None if privilege.target_uid.is_none_or(|uid| uid == process.uid) => return None,
            None if by_person(process) && DEBUGGERS.contains(&program(&process.exe).as_str()) && in_system_dir(&process.exe) => Opinion::new(said).rated(Severity::Low, 0.25),
            None if by_person(process) => Opinion::new(said).rated(Severity::Medium, 0.5),
            None => Opinion::new(said),
        };
        let opinion = opinion.on(subject(process));
        Some(match privilege.target {
            Some(key) if key.pid > 1 => opinion.about(Entity::Process(key)),
            _ => opinion,
        })
    }
}
