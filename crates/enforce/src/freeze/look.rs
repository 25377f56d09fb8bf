//! What the kernel says of a freeze.

use std::collections::BTreeSet;

use super::group::{self, Group, wait};
use super::{FreezeError, Freezer, Frozen, Hold, Method, Place, SETTLING};
use bartizan_model::ProcessKey;
use bartizan_sys::pidfd::{has_stop_pending, key_of};
use bartizan_sys::process_stat::Stat;

impl Freezer {
    /// Groups with frozen processes that neither bear `suffix` nor have a note here: of another agent, or of a ledger that
    /// is no longer read. One sentence each, at most eight.
    pub fn foreign(&self, suffix: &str) -> Vec<String> {
        let noted = self.noted();
        let others = self.groups().into_iter().filter(|name| !name.ends_with(suffix) && !noted.contains(name));
        let said = others.filter_map(|name| {
            let group = Group::named(&self.place, &name);
            let held = group.pids().unwrap_or_default().len();
            (held > 0 && group.is_held()).then(|| group.thawing_by_hand(held))
        });
        said.take(8).collect()
    }

    pub(super) fn confirm(&self, group: &Group, frozen: &Frozen) -> Result<(), FreezeError> {
        let settled = match frozen.method {
            Method::Stop => wait(SETTLING, || self.look(frozen).loose.is_empty()),
            _ => group.wait_held(SETTLING),
        };
        let hold = self.look(frozen);
        if !settled || !hold.frozen {
            return Err(FreezeError::Unconfirmed("some processes did not stop".into()));
        }
        match hold.loose.first() {
            Some(key) => Err(FreezeError::Unconfirmed(format!("pid {} is not held", key.pid))),
            None if hold.held.is_empty() => Err(FreezeError::Nothing),
            None => Ok(()),
        }
    }

    /// What the kernel says now.
    pub fn look(&self, frozen: &Frozen) -> Hold {
        let living = || frozen.members.iter().map(|member| member.key).filter(|key| key_of(key.pid) == Some(*key));
        if frozen.method == Method::Stop {
            let stopped = |key: &ProcessKey| {
                Stat::read(key.pid).is_some_and(|stat| match stat.state {
                    b'T' | b't' => true,
                    // In the kernel, for example waiting for a stopped child that it made by vfork(2): it stops before it
                    // can run one instruction of its own.
                    b'D' => has_stop_pending(key.pid),
                    _ => false,
                })
            };
            let (held, loose): (Vec<_>, Vec<_>) = living().partition(stopped);
            return Hold { frozen: loose.is_empty(), held, loose };
        }
        let group = Group::named(&Place::named(frozen.method, &frozen.root), &frozen.name);
        let inside: BTreeSet<u32> = group.pids().unwrap_or_default().into_iter().collect();
        // Who lives is asked after who is inside: whoever ended in between is no escape. The kernel leaves out of a group's
        // list whoever is on its way out, but not out of the process's own entry.
        let here = format!("/{}/{}", group::PARENT, frozen.name);
        let is_here = |key: &ProcessKey| {
            inside.contains(&key.pid) || group::origin_of(frozen.method, key.pid).is_none_or(|group| group.as_bytes() == here.as_bytes())
        };
        let (held, loose) = living().partition(is_here);
        Hold { held, loose, frozen: group.is_held() }
    }
}
