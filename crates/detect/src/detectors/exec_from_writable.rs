//! A program runs from where anybody may write, from memory, or from a file that is gone.

use bartizan_model::{Entity, Event, EventKind, Family, Process, Severity, Stage, Tier};

use super::context::in_writable_dir;
use super::kinship::{by_container_runtime, by_package_manager, grown_from, named, named_root, path, subject};
use super::{Detection, Detector, DetectorContext, Info};

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

    fn observe(&mut self, event: &Event, _sight: &DetectorContext<'_>) -> Option<Detection> {
        let (EventKind::Exec, Some(process)) = (&event.kind, event.process.as_deref()) else {
            return None;
        };
        let place = place(process)?;
        let unusual = process.exe_file.memfd || process.exe_file.deleted;
        let service = grown_from(process);
        if service.is_none() && !unusual {
            return None; // most of what runs in /tmp: not worth a sentence
        }
        let said = format!("{} runs from {place} {}", named(process), path(&process.exe));
        let detection = match service {
            Some(_) if by_package_manager(process) => return None,
            Some(service) => {
                let (severity, confidence) =
                    if process.exe_file.memfd { (Severity::Critical, 0.95) } else { (INFO.severity, INFO.confidence) };
                Detection::new(format!("{said}, below {}", named_root(service))).rated(severity, confidence)
            }
            None if by_package_manager(process) || by_container_runtime(process) => return None,
            None => Detection::new(said).rated(Severity::Low, if process.exe_file.memfd { 0.4 } else { 0.2 }),
        };
        // What lies in memory has no path that another file could share.
        let detection = if process.exe_file.memfd { detection } else { detection.about(Entity::File(process.exe.clone())) };
        Some(detection.on(subject(process)))
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

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, as_role, by, names};
    use super::*;
    use bartizan_model::ServiceRole;

    #[test]
    fn a_dropped_program_below_a_service_is_told() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let shell = scene.child(&nginx, "/usr/bin/env sh");
        for exe in ["/tmp/x", "/var/tmp/.x/y", "/dev/shm/z"] {
            let dropped = scene.child(&shell, exe);
            let signals = scene.exec(&dropped);
            let signal = by(&signals, "exec_from_writable");
            assert_eq!((signal.severity, signal.subject), (Severity::High, Some(shell.key)));
            assert!(signal.entities.contains(&Entity::File(exe.into())));
        }
        let mut memfd = scene.child(&shell, "memfd:kworker");
        memfd.exe_file.memfd = true;
        assert_eq!(by(&scene.exec(&memfd), "exec_from_writable").severity, Severity::Critical);
    }

    #[test]
    fn without_a_service_only_memory_and_removed_files_count_and_little() {
        let mut scene = Scene::new();
        let cron = scene.daemon("/usr/sbin/cron");
        let build = scene.child(&cron, "/tmp/cargo-install/build-script");
        assert_eq!(names(&scene.exec(&build)), [""; 0]);
        let mut memfd = scene.child(&cron, "memfd:x");
        memfd.exe_file.memfd = true;
        let mut gone = scene.child(&cron, "/usr/bin/gone");
        gone.exe_file.deleted = true;
        for process in [memfd, gone] {
            let signals = scene.exec(&process);
            let signal = by(&signals, "exec_from_writable");
            assert!(signal.severity == Severity::Low && signal.confidence.get() <= 0.4);
        }
    }

    #[test]
    fn look_alikes_are_silent() {
        let mut scene = Scene::new();
        let apt = scene.daemon("/usr/bin/apt-get install x");
        let debconf = scene.child(&apt, "/tmp/x.config.1234 configure");
        let dockerd = scene.daemon("/usr/bin/dockerd");
        let mut runc = scene.child(&dockerd, "memfd:runc_cloned:/proc/self/exe init");
        runc.exe_file.memfd = true;
        let login = scene.login();
        let installer = scene.child(&login, "/tmp/installer.sh");
        let own_server = as_role(scene.child(&login, "/tmp/server"), ServiceRole::NetworkService);
        for process in [debconf, runc, installer, own_server] {
            assert_eq!(names(&scene.exec(&process)), [""; 0], "{}", process.command());
        }
    }
}
