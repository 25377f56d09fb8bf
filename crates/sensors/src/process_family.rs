//! How a lineage grows: at a fork, at an exec, and when a process turns out to be a service.

use std::sync::Arc;

use bartizan_model::{Ancestor, HostText, Lineage, Process, ProcessKey, Root, ServiceRole};

/// What the table keeps of one process's family besides its public image.
#[derive(Debug, Clone, Default)]
pub(super) struct Family {
    /// Services behind it, itself as it is now excluded: nearest first, one per role.
    pub(super) inherited: Arc<[Root]>,
    /// What it is itself.
    pub(super) own: Vec<ServiceRole>,
    /// It still runs its parent's image: created, but nothing executed since.
    pub(super) copied: bool,
}

/// The lineage above a child of `parent`.
pub(super) fn above(parent: &Process) -> Lineage {
    let mut lineage = parent.lineage.clone();
    push(&mut lineage, Ancestor { key: parent.key, exe: parent.exe.clone() });
    lineage
}

/// The lineage above a process's next image: its present image becomes the nearest ancestor, unless that was only a
/// copy of the parent's or the same program.
pub(super) fn after_exec(old: &Process, copied: bool, exe: &HostText) -> Lineage {
    let mut lineage = old.lineage.clone();
    if !copied && old.exe != *exe {
        push(&mut lineage, Ancestor { key: old.key, exe: old.exe.clone() });
    }
    lineage
}

fn push(lineage: &mut Lineage, nearest: Ancestor) {
    let known = lineage.ancestors.iter().take(Lineage::SHOWN - 1).cloned();
    let cut = u32::from(lineage.ancestors.len() >= Lineage::SHOWN);
    lineage.ancestors = std::iter::once(nearest).chain(known).collect();
    lineage.elided = lineage.elided.saturating_add(cut);
}

/// Services behind a process: what it is itself, then what it inherited; one per role.
pub(super) fn roots(family: &Family, key: ProcessKey, exe: &HostText) -> Arc<[Root]> {
    if family.own.is_empty() {
        return family.inherited.clone();
    }
    let own = family.own.iter().map(|role| Root { role: *role, key, exe: exe.clone() });
    let behind = family.inherited.iter().filter(|root| !family.own.contains(&root.role)).cloned();
    own.chain(behind).collect()
}

/// A process above turned out to be a service: its place is before the services that stand behind that process.
pub(super) fn insert(inherited: &Arc<[Root]>, new: &Root, behind_new: &[Root]) -> Option<Arc<[Root]>> {
    if inherited.iter().any(|root| root.role == new.role) {
        return None;
    }
    let mut roots = inherited.to_vec();
    let place = roots.iter().position(|root| behind_new.contains(root)).unwrap_or(roots.len());
    roots.insert(place, new.clone());
    Some(roots.into())
}
