//! Whether descendants of a frozen tree go on outside of it: those that ran from us while it was caught, one generation
//! after another, each given to init when its parent ended.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ActionContext;
use super::freeze_tree::tree;
use bartizan_model::ProcessKey;
use bartizan_sys::pidfd::key_of;

/// Between two looks at a family that may change faster than it can be caught.
const PAUSE: Duration = Duration::from_millis(20);

/// Says so in words, if so. `held` are those that the freeze holds.
pub(super) fn by(context: &ActionContext, root: ProcessKey, held: &BTreeSet<ProcessKey>) -> Option<String> {
    let outside = || tree(context, root).into_iter().filter(|key| !held.contains(key)).collect::<BTreeSet<_>>();
    let alive = |keys: &BTreeSet<ProcessKey>| keys.iter().find(|key| key_of(key.pid) == Some(**key)).copied();
    let first = outside();
    if first.is_empty() {
        return None;
    }
    if let Some(key) = alive(&first) {
        return Some(format!("pid {}, which grew from it, runs outside of the frozen group", key.pid));
    }
    // Known as living and gone already: told late, or a chain that is faster than we are told. Then others follow.
    std::thread::sleep(PAUSE);
    let then = outside();
    let followed = then.iter().any(|key| !first.contains(key));
    (followed || alive(&then).is_some()).then(|| {
        "descendants of it go on outside of the frozen group and fork faster than they can be caught: stop the service or container that they run in"
            .to_owned()
    })
}
