//! A secret is opened by a program that is not its rightful reader.

use bartizan_model::{Entity, Event, EventKind, Family, Process, ServiceRole, Severity, Stage, Tier};

use super::context::{in_system_dir, program};
use super::kinship::{by_package_manager, by_person, grown_from, named, named_root, path, subject};
use super::{Detection, Detector, DetectorContext, Info};

static INFO: Info = Info {
    name: "credential_read",
    title: "Wrong program reads a secret",
    technique: &["T1003.008"],
    family: Family::Auth,
    stage: Stage::Privilege,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.75,
    meaning: "A password file was opened by a program that has no business there, or by a rightful one that grew from a service strangers can talk to.",
    false_positives: "Backups, an administrator looking, login programs of other desktops and mail servers.",
    quiet: "Add the program's name under [credentials] readers in policy.toml; it must lie in a system directory.",
};

/// What nightly jobs copy and compare /etc/shadow with (Debian's cron.daily/passwd, backups).
const COPIERS: [&str; 5] = ["cp", "cmp", "diff", "tar", "rsync"];

pub(super) struct CredentialRead;

impl Detector for CredentialRead {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, context: &DetectorContext<'_>) -> Option<Detection> {
        let EventKind::FileOpen { file } = &event.kind else {
            return None;
        };
        // What programs keep for themselves is read by them all day: the rules know who may.
        if file.class.is_some_and(|class| !class.is_system_secret()) {
            return None;
        }
        let detection = match event.process.as_deref() {
            None => Detection::new(format!(
                "{} was opened by a process that could not be identified: it had ended, or is hidden from this host's /proc",
                path(&file.path)
            ))
            .rated(Severity::Low, 0.2),
            Some(process) if is_rightful(process, context) => return None,
            Some(process) if reads_for_itself(process, context) => {
                Detection::new(format!("{} opened {}, which it does for itself", named(process), path(&file.path)))
                    .rated(Severity::Low, 0.15)
                    .on(subject(process))
            }
            Some(process) => weigh(process, format!("{} opened {}", named(process), path(&file.path))),
        };
        Some(detection.about(Entity::File(file.path.clone())))
    }
}

fn is_rightful(process: &Process, context: &DetectorContext<'_>) -> bool {
    if process.container.is_some() || !in_system_dir(&process.exe) {
        // In a container, /usr/bin/sudo is whatever its image says.
        return false;
    }
    if by_package_manager(process) {
        return true;
    }
    let trusted_descent = grown_from(process).is_none_or(|root| root.role == ServiceRole::MailServer);
    let nightly =
        process.uid == 0 && process.lineage.root(ServiceRole::Scheduler).is_some() && COPIERS.contains(&program(&process.exe).as_str());
    trusted_descent && (context.may_read_secrets(&process.exe) || nightly)
}

/// sudo, su, passwd, unix_chkpwd and their kin read it on their own account and show it to nobody, whoever starts them: that
/// says no more than that they were started. They must be the system's own files with the system's rights.
fn reads_for_itself(process: &Process, context: &DetectorContext<'_>) -> bool {
    let systems_own = process.container.is_none() && in_system_dir(&process.exe) && !process.exe_file.deleted;
    let rights = process.euid == 0 || process.uid != process.euid;
    systems_own && rights && context.may_read_secrets(&process.exe) && process.environment.is_empty()
}

fn weigh(process: &Process, said: String) -> Detection {
    if let Some(service) = grown_from(process) {
        return Detection::new(format!("{said}, below {}", named_root(service))).rated(Severity::High, 0.9).on(subject(process));
    }
    if by_person(process) {
        return Detection::new(said).rated(Severity::Medium, 0.4);
    }
    Detection::new(said).on(process.key)
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};
    use super::*;

    const SHADOW: &str = "/etc/shadow";

    #[test]
    fn the_wrong_reader_is_told() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let cat = scene.child(&nginx, "/usr/bin/cat /etc/shadow");
        // Without its rights it is not what it is called.
        let sudo = scene.child(&nginx, "/usr/bin/sudo -l");
        let daemon = scene.daemon("/opt/x/daemon");
        let fake = scene.daemon("/tmp/unix_chkpwd");
        for (process, confidence) in [(&cat, 0.9), (&sudo, 0.9), (&daemon, 0.75), (&fake, 0.75)] {
            let signals = scene.open(process, SHADOW);
            assert_eq!(by(&signals, "credential_read").confidence.get(), confidence, "{}", process.command());
        }
        let mut contained = scene.daemon("/usr/bin/sudo");
        contained.container = Some("0123456789ab".to_owned());
        assert_eq!(names(&scene.open(&contained, SHADOW)), ["credential_read"]);
    }

    #[test]
    fn rightful_readers_are_silent() {
        let mut scene = Scene::new();
        let sshd = scene.daemon("/usr/sbin/sshd");
        let session = scene.child(&sshd, "/usr/lib/openssh/sshd-session");
        let login = scene.login();
        let sudo = scene.child(&login, "/usr/bin/sudo ls");
        let exim = scene.daemon("/usr/sbin/exim4");
        let chkpwd = scene.child(&exim, "/usr/sbin/unix_chkpwd anna");
        let dpkg = scene.daemon("/usr/bin/dpkg --configure");
        let pwck = scene.child(&dpkg, "/usr/bin/perl /usr/sbin/adduser x");
        let cron = scene.daemon("/usr/sbin/cron");
        let mut copy = scene.child(&cron, "/usr/bin/cp -p /etc/shadow /var/backups/shadow.bak");
        copy.uid = 0;
        for process in [sshd, session, sudo, chkpwd, pwck, copy] {
            assert_eq!(names(&scene.open(&process, SHADOW)), [""; 0], "{}", process.command());
        }
    }

    #[test]
    fn what_sudo_reads_for_itself_says_nothing_against_who_ran_it() {
        let mut scene = Scene::new();
        let fcgiwrap = scene.daemon("/usr/sbin/fcgiwrap");
        for line in ["/usr/bin/sudo -n /usr/bin/true", "/usr/bin/su -c id", "/usr/sbin/unix_chkpwd anna", "/usr/bin/passwd"] {
            let mut reader = scene.child(&fcgiwrap, line);
            reader.euid = 0;
            let signals = scene.open(&reader, SHADOW);
            let signal = by(&signals, "credential_read");
            assert!(signal.severity == Severity::Low && signal.confidence.get() < 0.16, "{}", signal.sentence);
            assert!(signal.sentence.ends_with("opened /etc/shadow, which it does for itself"), "{}", signal.sentence);
        }
        let mut false_one = scene.child(&fcgiwrap, "/var/www/sudo -n true");
        false_one.euid = 0;
        let mut preloaded = scene.child(&fcgiwrap, "/usr/bin/sudo -n true");
        preloaded.euid = 0;
        preloaded.environment = vec![bartizan_model::Variable { name: "LD_PRELOAD".into(), value: "/tmp/x.so".into() }];
        for process in [false_one, preloaded] {
            assert_eq!(by(&scene.open(&process, SHADOW), "credential_read").confidence.get(), 0.9, "{}", process.command());
        }
    }

    #[test]
    fn an_administrator_who_looks_is_rated_lower() {
        let mut scene = Scene::new();
        let login = scene.login();
        let mut cat = scene.child(&login, "/usr/bin/cat /etc/shadow");
        cat.uid = 0;
        assert_eq!(by(&scene.open(&cat, SHADOW), "credential_read").severity, Severity::Medium);
        assert_eq!(
            by(
                &scene.see(
                    None,
                    EventKind::FileOpen { file: bartizan_model::FileChange::new(SHADOW.into(), bartizan_model::FileChangeKind::Opened) }
                ),
                "credential_read"
            )
            .severity,
            Severity::Low
        );
    }
}
