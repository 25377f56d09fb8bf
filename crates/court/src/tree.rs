//! Which processes a freeze would hold: what an intruder started, never the service itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::guard;
use bartizan_model::{Process, ProcessKey};

/// Trees proposed at most for one case.
const MAX_TREES: usize = 4;

/// The processes to freeze, each with all below it: the subject, or, when that is a service itself, what grew
/// directly below services. The service goes on serving; only what the intruder started stops.
pub(super) fn tops(subject: ProcessKey, tree: &[Arc<Process>]) -> Vec<(&Arc<Process>, Vec<Arc<Process>>)> {
    let find = |key: ProcessKey| tree.iter().find(|process| process.key == key);
    if let Some(root) = find(subject).filter(|root| guard::is_service(root).is_none()) {
        return vec![(root, below(subject, tree))];
    }
    // A parent that has ended (the worker that answered the request, say) hides nobody: who is left of it stands for it.
    let starts_here = |process: &Arc<Process>| process.parent.and_then(find).is_none_or(|parent| guard::is_service(parent).is_some());
    let started = tree.iter().filter(|process| guard::is_service(process).is_none() && starts_here(process));
    started.take(MAX_TREES).map(|top| (top, below(top.key, tree))).collect()
}

/// A process and all of `tree` below it. Whose parent is not in the list counts as below the subject: better to
/// ask about one process too many than to overlook one.
pub(super) fn below(top: ProcessKey, tree: &[Arc<Process>]) -> Vec<Arc<Process>> {
    let known: HashSet<ProcessKey> = tree.iter().map(|process| process.key).collect();
    let parents: HashMap<ProcessKey, ProcessKey> = tree.iter().filter_map(|process| Some((process.key, process.parent?))).collect();
    let mut above = HashSet::from([top]);
    let mut step = top;
    while let Some(parent) = parents.get(&step).filter(|parent| above.insert(**parent)) {
        step = *parent;
    }
    let mut children: HashMap<ProcessKey, Vec<&Arc<Process>>> = HashMap::new();
    for process in tree.iter().filter(|process| !above.contains(&process.key)) {
        let parent = process.parent.filter(|parent| known.contains(parent) && *parent != process.key).unwrap_or(top);
        children.entry(parent).or_default().push(process);
    }
    let mut out: Vec<Arc<Process>> = tree.iter().find(|process| process.key == top).cloned().into_iter().collect();
    let mut next = 0;
    while let Some(key) = out.get(next).map(|process| process.key) {
        out.extend(children.remove(&key).unwrap_or_default().into_iter().cloned());
        next += 1;
    }
    out
}
