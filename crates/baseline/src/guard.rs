//! Who may teach us: what is suspect is set aside for a person, and counts for nothing until then (MITRE ATLAS AML.T0020, poisoned
//! training data).

use std::collections::{BTreeMap, HashMap, HashSet};

use bartizan_model::{HabitReason, Login, Process, ProcessKey};

use super::circumstances::Circumstances;
use super::observation::around;
use super::settings::{DAY, MINUTE};

/// Processes remembered of which something was reported; the oldest go first.
const MAX_SUSPECTS: usize = 8192;
/// Networks remembered from which logins failed.
const MAX_FAILED: usize = 8192;
/// What the logs call a login with a key.
const PUBLIC_KEY: &str = "public-key";
/// Evidence is incomplete for so long after a loss, in seconds.
const LOSS_LASTS: i64 = MINUTE;

/// What is remembered of suspicious things.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    suspects: HashSet<ProcessKey>,
    order: BTreeMap<u64, ProcessKey>,
    next: u64,
    failed: HashMap<String, i64>,
    incomplete_until: i64,
}

impl Guard {
    /// Something was reported of this process: neither it nor what descends from it teaches anything.
    pub(crate) fn suspect(&mut self, key: ProcessKey) {
        if key.pid <= 1 || !self.suspects.insert(key) {
            return;
        }
        self.order.insert(self.next, key);
        self.next += 1;
        while self.suspects.len() > MAX_SUSPECTS {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.suspects.remove(&oldest);
        }
    }

    /// Events were lost.
    pub(crate) fn loss(&mut self, at: i64) {
        self.incomplete_until = self.incomplete_until.max(at + LOSS_LASTS);
    }

    /// A login failed.
    pub(crate) fn login_failed(&mut self, login: &Login, at: i64) {
        let Some(from) = login.from else { return };
        if self.failed.len() >= MAX_FAILED {
            self.failed.retain(|_, last| at - *last < DAY);
            if self.failed.len() >= MAX_FAILED {
                // Whoever knocks from everywhere makes every first login wait for a person, which is the safe side.
                return;
            }
        }
        self.failed.insert(around(from), at);
    }

    /// Why a new habit of a process is set aside; `None` when nothing speaks against it.
    pub(crate) fn objection(&self, process: &Process, about: &Circumstances, (complete, at): (bool, i64)) -> Option<HabitReason> {
        let suspect = || {
            let above =
                process.lineage.ancestors.iter().map(|ancestor| ancestor.key).chain(process.lineage.roots.iter().map(|root| root.key));
            self.suspects.contains(&process.key) || above.into_iter().any(|key| self.suspects.contains(&key))
        };
        if about.reported {
            Some(HabitReason::Signal)
        } else if suspect() {
            Some(HabitReason::Suspect)
        } else if about.below_service {
            Some(HabitReason::Service)
        } else if !complete || at < self.incomplete_until {
            Some(HabitReason::Incomplete)
        } else {
            about.writable.then_some(HabitReason::Writable)
        }
    }

    /// Why a new source or key of an account is set aside.
    pub(crate) fn objection_to_login(&self, login: &Login, about: &Circumstances, (complete, at): (bool, i64)) -> Option<HabitReason> {
        let failed = || login.from.is_some_and(|from| self.failed.get(&around(from)).is_some_and(|last| at - last < DAY));
        // Of a key it is the key that was proven; a password may have been guessed or bought, also one that was asked for interactively.
        let by_key = login.key.is_some() || login.method.as_deref() == Some(PUBLIC_KEY);
        if about.reported {
            Some(HabitReason::Signal)
        } else if failed() || self.failed.len() >= MAX_FAILED {
            Some(HabitReason::Failures)
        } else if !complete || at < self.incomplete_until {
            Some(HabitReason::Incomplete)
        } else {
            (!by_key).then_some(HabitReason::Password)
        }
    }
}
