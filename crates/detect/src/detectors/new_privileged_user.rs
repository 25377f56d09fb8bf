//! An account gains root: a second uid 0, or a group that grants it.

use bartizan_model::{Entity, Event, EventKind, Family, HostText, Process, Severity, Stage, Tier, UserChangeKind};

use super::kinship::{by_package_manager, by_person, clip, grown_from, named, named_root, subject};
use super::{Detection, Detector, DetectorContext, Info};

static INFO: Info = Info {
    name: "new_privileged_user",
    title: "Account gains root",
    technique: &["T1136.001", "T1098"],
    family: Family::Auth,
    stage: Stage::Persistence,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.75,
    meaning: "An account became root (uid 0) or entered a group that grants root (sudo, wheel, docker ...): a way to stay.",
    false_positives: "An administrator adding a colleague; a package that adds its user to a group.",
    quiet: "Acknowledge it when it was you; nothing here acts on this alone.",
};

pub(super) struct NewPrivilegedUser;

impl Detector for NewPrivilegedUser {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, _sight: &DetectorContext<'_>) -> Option<Detection> {
        let EventKind::UserChange { account } = &event.kind else {
            return None;
        };
        let user = clip(&account.user.escaped(), 64);
        let group = account
            .group
            .as_ref()
            .map_or("a privileged group".to_owned(), |group| format!("group {}", clip(&HostText::escaped(group), 64)));
        let (said, severity, confidence) = match account.change {
            UserChangeKind::Added if account.uid == Some(0) => (format!("account {user} was added with uid 0"), Severity::Critical, 0.9),
            UserChangeKind::BecameRoot => (format!("account {user} now has uid 0"), Severity::Critical, 0.9),
            UserChangeKind::JoinedPrivilegedGroup => {
                (format!("account {user} joined {group}, which grants root"), INFO.severity, INFO.confidence)
            }
            _ => return None,
        };
        let detection = match event.process.as_deref() {
            Some(process) => weigh(process, said, severity, confidence),
            None => Detection::new(said).rated(severity, confidence),
        };
        Some(detection.about(Entity::User(account.user.clone())))
    }
}

fn weigh(process: &Process, said: String, severity: Severity, confidence: f64) -> Detection {
    if by_package_manager(process) {
        return Detection::new(format!("{said}, by {} of a package manager", named(process))).rated(Severity::Low, 0.2);
    }
    if let Some(service) = grown_from(process) {
        let said = format!("{said}, by {} below {}", named(process), named_root(service));
        return Detection::new(said).rated(Severity::Critical, 0.95).on(subject(process));
    }
    let said = format!("{said}, by {}", named(process));
    if by_person(process) && severity < Severity::Critical {
        return Detection::new(said).rated(Severity::Medium, 0.4);
    }
    Detection::new(said).rated(severity, confidence)
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};
    use super::*;
    use bartizan_model::UserChange;

    fn change(user: &str, uid: u32, change: UserChangeKind) -> EventKind {
        EventKind::UserChange { account: UserChange { user: user.into(), uid: Some(uid), change, group: Some("sudo".into()) } }
    }

    #[test]
    fn an_account_that_gains_root_is_told() {
        let mut scene = Scene::new();
        for (kind, severity) in [
            (change("toor", 0, UserChangeKind::Added), Severity::Critical),
            (change("eve", 0, UserChangeKind::BecameRoot), Severity::Critical),
            (change("mallory", 1001, UserChangeKind::JoinedPrivilegedGroup), Severity::High),
        ] {
            let signals = scene.see(None, kind);
            assert_eq!(by(&signals, "new_privileged_user").severity, severity);
        }
        let nginx = scene.daemon("/usr/sbin/nginx");
        let usermod = scene.child(&nginx, "/usr/sbin/usermod -aG sudo www-data");
        let signals = scene.see(Some(&usermod), change("www-data", 33, UserChangeKind::JoinedPrivilegedGroup));
        let signal = by(&signals, "new_privileged_user");
        assert_eq!(signal.severity, Severity::Critical);
        assert!(signal.entities.contains(&Entity::User("www-data".into())));
    }

    #[test]
    fn ordinary_changes_are_silent_and_explained_ones_low() {
        let mut scene = Scene::new();
        for kind in [
            change("anna", 1001, UserChangeKind::Added),
            change("anna", 1001, UserChangeKind::Removed),
            change("anna", 1001, UserChangeKind::PasswordChanged),
        ] {
            assert_eq!(names(&scene.see(None, kind)), [""; 0]);
        }
        let dpkg = scene.daemon("/usr/bin/dpkg --configure");
        let adduser = scene.child(&dpkg, "/usr/sbin/usermod -aG docker x");
        assert_eq!(
            by(&scene.see(Some(&adduser), change("x", 999, UserChangeKind::JoinedPrivilegedGroup)), "new_privileged_user").severity,
            Severity::Low
        );
        let login = scene.login();
        let sudo = scene.child(&login, "/usr/sbin/usermod -aG sudo bob");
        assert_eq!(
            by(&scene.see(Some(&sudo), change("bob", 1002, UserChangeKind::JoinedPrivilegedGroup)), "new_privileged_user").severity,
            Severity::Medium
        );
    }
}
