//! A start-up or access place is changed by something that grew from a service strangers can talk to.

use bartizan_model::{
    Entity, Event, EventKind, Family, FileChange, FileChangeKind, PersistenceKind, Process, ServiceRole, Severity, Stage, Tier,
};

use super::kinship::{by_package_manager, grown_from, named, named_root, network_facing, path, subject};
use super::{Detection, Detector, DetectorContext, Info};

static INFO: Info = Info {
    name: "persistence_by_service",
    title: "Service changes a start-up place",
    technique: &["T1053.003", "T1543.002", "T1098.004", "T1574.006"],
    family: Family::Files,
    stage: Stage::Persistence,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.85,
    meaning: "A service that answers strangers, what it started, or a container wrote a cron job, unit, authorized_keys, ld.so.preload or another place that runs or lets in: a way to come back.",
    false_positives: "Web panels that manage the host (webmin, cockpit); configuration management that listens for its master.",
    quiet: "A change that leaves the content as it was is not counted; other tools belong behind a package or an administrator's session.",
};

pub(super) struct PersistenceByService;

impl Detector for PersistenceByService {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, _sight: &DetectorContext<'_>) -> Option<Detection> {
        let EventKind::PersistenceChange { file } = &event.kind else {
            return None;
        };
        let kind = file.persistence?;
        if is_same(file) || file.change == FileChangeKind::Opened {
            return None;
        }
        let what = format!("{} {} ({})", file.change.verb(), kind.noun(), path(&file.path));
        let preload = kind == PersistenceKind::LdPreload && file.change != FileChangeKind::Deleted;
        // The maker of its directory stands for a writer whom nobody saw, and is not blamed.
        let who = |process: &Process| match event.process {
            Some(_) => format!("{} {what}", named(process)),
            None => format!("somebody unseen {what} in a directory that {} had just made", named(process)),
        };
        let detection = match event.behind() {
            None if preload => Detection::new(format!("somebody {what}")).rated(Severity::High, 0.6),
            None => return None,
            Some(process) if by_package_manager(process) => return None,
            Some(process) => match grown_from(process).or_else(|| network_facing(process)) {
                Some(service) => {
                    let (severity, confidence) = rating(service.role, kind, file.change);
                    Detection::new(format!("{}, below {}", who(process), named_root(service)))
                        .rated(severity, confidence)
                        .on(subject(process))
                }
                None if preload => Detection::new(who(process)).rated(Severity::High, 0.7).on(process.key),
                // By way of a directory of the host that was mounted into it.
                None if process.container.is_some() && file.change != FileChangeKind::Deleted => {
                    Detection::new(format!("{}, inside a container", who(process))).rated(Severity::Medium, 0.6).on(subject(process))
                }
                None => return None,
            },
        };
        Some(detection.technique(technique(kind)).about(Entity::File(file.path.clone())))
    }
}

/// Rewritten with the same content.
fn is_same(file: &FileChange) -> bool {
    file.change != FileChangeKind::Attributes && file.before.is_some() && file.before == file.after
}

fn rating(role: ServiceRole, kind: PersistenceKind, change: FileChangeKind) -> (Severity, f64) {
    if change == FileChangeKind::Deleted {
        return (Severity::Medium, 0.5);
    }
    let grave =
        matches!(kind, PersistenceKind::LdPreload | PersistenceKind::Pam | PersistenceKind::Sudoers | PersistenceKind::AuthorizedKeys);
    match role {
        // Any listener counts as a network service: management tools are among them.
        ServiceRole::NetworkService => (Severity::High, 0.65),
        _ if grave => (Severity::Critical, 0.95),
        _ => (INFO.severity, INFO.confidence),
    }
}

fn technique(kind: PersistenceKind) -> &'static [&'static str] {
    match kind {
        PersistenceKind::Cron => &["T1053.003"],
        PersistenceKind::SystemdUnit => &["T1543.002"],
        PersistenceKind::AuthorizedKeys => &["T1098.004"],
        PersistenceKind::LdPreload => &["T1574.006"],
        PersistenceKind::RcScript => &["T1037.004"],
        PersistenceKind::ShellProfile => &["T1546.004"],
        PersistenceKind::Pam => &["T1556.003"],
        PersistenceKind::Sudoers => &["T1548.003"],
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};
    use super::*;
    use PersistenceKind::{AuthorizedKeys, Cron, LdPreload, SystemdUnit};

    #[test]
    fn a_service_that_writes_a_start_up_place_is_told() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let shell = scene.child(&nginx, "/usr/bin/env sh");
        for (kind, path, technique) in [
            (Cron, "/etc/cron.d/x", "T1053.003"),
            (AuthorizedKeys, "/root/.ssh/authorized_keys", "T1098.004"),
            (SystemdUnit, "/etc/systemd/system/x.service", "T1543.002"),
        ] {
            let signals = scene.persist(Some(&shell), kind, path, Some("aa"), "bb");
            let signal = by(&signals, "persistence_by_service");
            assert_eq!((signal.subject, signal.technique[0].0.as_ref()), (Some(shell.key), technique));
            assert!(signal.severity >= Severity::High && signal.entities.contains(&Entity::File(path.into())));
        }
        assert_eq!(
            names(&scene.persist(Some(&nginx), Cron, "/etc/cron.d/y", None, "bb")),
            ["persistence_by_service"],
            "the service itself"
        );
    }

    /// A key file found in a directory that this process made.
    fn found(scene: &mut Scene, maker: &Process) -> Vec<bartizan_model::Signal> {
        let file = FileChange {
            persistence: Some(AuthorizedKeys),
            after: Some("bb".into()),
            directory_by: Some(std::sync::Arc::new(maker.clone())),
            ..FileChange::new("/var/www/.ssh/authorized_keys".into(), FileChangeKind::Created)
        };
        scene.see(None, EventKind::PersistenceChange { file })
    }

    #[test]
    fn a_writer_whom_nobody_saw_is_not_the_maker_of_the_directory() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let shell = scene.child(&nginx, "/bin/sh -c \"mkdir .ssh; echo key > .ssh/authorized_keys\"");
        let told = scene.exec(&shell);
        let mkdir = scene.child(&shell, "/usr/bin/mkdir .ssh");
        let signals = found(&mut scene, &mkdir);
        let signal = by(&signals, "persistence_by_service");
        let said = format!("in a directory that mkdir (pid {}) had just made, below nginx", mkdir.pid);
        assert!(signal.sentence.starts_with("somebody unseen created") && signal.sentence.contains(&said), "{}", signal.sentence);
        assert_eq!((signal.subject, signal.act), (Some(shell.key), by(&told, "web_server_shell").act), "one act with its shell");
        let login = scene.login();
        assert_eq!(names(&found(&mut scene, &login)), [""; 0]);
    }

    #[test]
    fn ld_so_preload_is_told_whoever_writes_it() {
        let mut scene = Scene::new();
        let login = scene.login();
        assert_eq!(
            by(&scene.persist(Some(&login), LdPreload, "/etc/ld.so.preload", None, "bb"), "persistence_by_service").severity,
            Severity::High
        );
        assert_eq!(
            by(&scene.persist(None, LdPreload, "/etc/ld.so.preload", None, "cc"), "persistence_by_service").severity,
            Severity::High
        );
        let dpkg = scene.daemon("/usr/bin/dpkg --unpack");
        assert_eq!(names(&scene.persist(Some(&dpkg), LdPreload, "/etc/ld.so.preload", None, "dd")), [""; 0]);
    }

    #[test]
    fn a_container_that_writes_where_the_host_starts_things_is_told() {
        let mut scene = Scene::new();
        let mut inside = scene.daemon("/bin/busybox tee");
        inside.container = Some("0123456789ab".into());
        let signals = scene.persist(Some(&inside), Cron, "/etc/cron.d/x", None, "bb");
        let signal = by(&signals, "persistence_by_service");
        assert_eq!((signal.severity, signal.confidence.get()), (Severity::Medium, 0.6));
        assert!(signal.sentence.ends_with(", inside a container"), "{}", signal.sentence);
    }

    #[test]
    fn look_alikes_are_silent() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        assert_eq!(names(&scene.persist(Some(&nginx), Cron, "/etc/cron.d/x", Some("aa"), "aa")), [""; 0], "same content");
        let login = scene.login();
        let crontab = scene.child(&login, "/usr/bin/crontab -e");
        assert_eq!(names(&scene.persist(Some(&crontab), Cron, "/var/spool/cron/crontabs/anna", Some("aa"), "bb")), [""; 0]);
        let dpkg = scene.daemon("/usr/bin/dpkg --configure");
        let postinst = scene.child(&dpkg, "/bin/sh /var/lib/dpkg/info/x.postinst");
        assert_eq!(names(&scene.persist(Some(&postinst), SystemdUnit, "/lib/systemd/system/x.service", None, "bb")), [""; 0]);
        assert_eq!(names(&scene.persist(None, Cron, "/etc/cron.d/x", None, "bb")), [""; 0]);
    }
}
