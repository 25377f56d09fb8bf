//! An account gains root: a second uid 0, or a group that grants it.

use crate::model::{Entity, Event, EventKind, Family, HostText, Process, Severity, Stage, Tier, UserChangeKind};

use super::kinship::{by_package_manager, by_person, clip, grown_from, named, named_root, subject};
use super::{Detector, Info, Opinion, Sight};

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

    fn observe(&mut self, event: &Event, _sight: &Sight<'_>) -> Option<Opinion> {
        let EventKind::UserChange { account } = &event.kind else {
            return None;
        };
        let user = clip(&account.user.escaped(), 64);
        let group = account.group.as_ref().map_or("a privileged group".to_owned(), |group| format!("group {}", clip(&HostText::escaped(group), 64)));
        let (said, severity, confidence) = match account.change {
            UserChangeKind::Added if account.uid == Some(0) => (format!("account {user} was added with uid 0"), Severity::Critical, 0.9),
            UserChangeKind::BecameRoot => (format!("account {user} now has uid 0"), Severity::Critical, 0.9),
            UserChangeKind::JoinedPrivilegedGroup => (format!("account {user} joined {group}, which grants root"), INFO.severity, INFO.confidence),
            _ => return None,
        };
        let opinion = match event.process.as_deref() {
            Some(process) => weigh(process, said, severity, confidence),
            None => Opinion::new(said).rated(severity, confidence),
        };
        Some(opinion.about(Entity::User(account.user.clone())))
    }
}

fn weigh(process: &Process, said: String, severity: Severity, confidence: f64) -> Opinion {
    if by_package_manager(process) {
        return Opinion::new(format!("{said}, by {} of a package manager", named(process))).rated(Severity::Low, 0.2);
    }
    if let Some(service) = grown_from(process).filter(|_| !by_person(process)) {
        let said = format!("{said}, by {} below {}", named(process), named_root(service));
        return Opinion::new(said).rated(Severity::Critical, 0.95).on(subject(process));
    }
    let said = format!("{said}, by {}", named(process));
    if by_person(process) && severity < Severity::Critical {
        return Opinion::new(said).rated(Severity::Medium, 0.4);
    }
    Opinion::new(said).rated(severity, confidence)
}
