//! A process takes control of another by ptrace.

use bartizan_model::{Entity, Event, EventKind, Family, PrivilegeKind, Severity, Stage, Tier};

use super::context::{in_system_dir, program};
use super::kinship::{by_package_manager, by_person, clip, grown_from, named, named_root, network_facing, subject};
use super::{Detection, Detector, DetectorContext, Info};

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

    fn observe(&mut self, event: &Event, _sight: &DetectorContext<'_>) -> Option<Detection> {
        let (EventKind::PrivilegeUse { privilege }, Some(process)) = (&event.kind, event.process.as_deref()) else {
            return None;
        };
        let own_pool = network_facing(process).is_some_and(|root| root.key == process.key && root.exe == process.exe)
            && privilege.target_exe.as_ref() == Some(&process.exe);
        if privilege.what != PrivilegeKind::Ptrace || privilege.target == Some(process.key) || own_pool || by_package_manager(process) {
            return None;
        }
        let target = match (&privilege.target_exe, privilege.target) {
            (Some(exe), Some(key)) => {
                format!("{} (pid {})", clip(&exe.basename().chars().flat_map(char::escape_default).collect::<String>(), 60), key.pid)
            }
            (None, Some(key)) => format!("pid {}", key.pid),
            _ => "another process".to_owned(),
        };
        let said = format!("{} took control of {target} by ptrace", named(process));
        let detection = match grown_from(process) {
            Some(service) => Detection::new(format!("{said}, below {}", named_root(service))).rated(Severity::High, 0.85),
            None if privilege.target_uid.is_none_or(|uid| uid == process.uid) => return None,
            None if by_person(process) && DEBUGGERS.contains(&program(&process.exe).as_str()) && in_system_dir(&process.exe) => {
                Detection::new(said).rated(Severity::Low, 0.25)
            }
            None if by_person(process) => Detection::new(said).rated(Severity::Medium, 0.5),
            None => Detection::new(said),
        };
        let detection = detection.on(subject(process));
        Some(match privilege.target {
            Some(key) if key.pid > 1 => detection.about(Entity::Process(key)),
            _ => detection,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};
    use super::*;
    use bartizan_model::{Privilege, Process};

    fn ptrace(target: &Process) -> EventKind {
        EventKind::PrivilegeUse {
            privilege: Privilege {
                target: Some(target.key),
                target_exe: Some(target.exe.clone()),
                target_uid: Some(target.uid),
                ..Privilege::new(PrivilegeKind::Ptrace)
            },
        }
    }

    #[test]
    fn a_service_that_traces_and_a_tracer_of_others_are_told() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let victim = scene.daemon("/usr/bin/ssh-agent");
        let tool = scene.child(&nginx, "/usr/bin/x");
        let signals = scene.see(Some(&tool), ptrace(&victim));
        let signal = by(&signals, "ptrace_other");
        assert_eq!(
            signal.sentence,
            format!("x (pid {}) took control of ssh-agent (pid {}) by ptrace, below nginx (pid {})", tool.pid, victim.pid, nginx.pid)
        );
        let mut other = scene.daemon("/usr/local/bin/inject");
        other.uid = 0;
        assert_eq!(by(&scene.see(Some(&other), ptrace(&victim)), "ptrace_other").severity, Severity::High);
    }

    #[test]
    fn look_alikes_are_silent_or_low() {
        let mut scene = Scene::new();
        let login = scene.login();
        let own = scene.child(&login, "/home/anna/a.out");
        let gdb = scene.child(&login, "/usr/bin/gdb a.out");
        assert_eq!(names(&scene.see(Some(&gdb), ptrace(&own))), [""; 0], "one's own program");
        let nginx = scene.daemon("/usr/sbin/nginx");
        let mut strace = scene.child(&login, "/usr/bin/strace -p 1");
        strace.uid = 0;
        assert_eq!(by(&scene.see(Some(&strace), ptrace(&nginx)), "ptrace_other").severity, Severity::Low);
        let mut master = scene.daemon("/usr/sbin/php-fpm8.2");
        master.uid = 0;
        let worker = scene.child(&master, "/usr/sbin/php-fpm8.2");
        assert_eq!(names(&scene.see(Some(&master), ptrace(&worker))), [""; 0], "slow log");
    }
}
