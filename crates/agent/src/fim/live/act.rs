//! Changes of one act wait a moment for each other and become one line: a package, a tree that was unpacked, a loop of a shell.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bartizan_integrity::Change;
use bartizan_model::{HostText, Process, ProcessKey, ServiceRole};

/// An act is over when nothing more came for so long.
const QUIET: Duration = Duration::from_millis(400);
/// It is reported after so long even if it goes on.
const LONGEST: Duration = Duration::from_secs(3);
/// The same for packages: between unpacking and configuring they rest.
const PACKAGE_QUIET: Duration = Duration::from_secs(2);
const PACKAGE_LONGEST: Duration = Duration::from_secs(60);
/// Changes of one act that wait; with more, it is reported.
const MAX_CHANGES: usize = 20_000;
/// Acts at the same time; with more, the oldest is reported.
const MAX_ACTS: usize = 64;

/// Whose act it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Actor {
    /// Of a package manager: what it leaves behind is looked at when it is done.
    Packages(ProcessKey),
    /// Of what one process started.
    Below(ProcessKey),
    /// Nobody saw who did it.
    Unknown,
    /// Nobody watched when it was done.
    Late,
}

impl Actor {
    /// A process acts for what started it: a loop of a shell is one act.
    pub(super) fn of(process: Option<&Process>) -> Self {
        let Some(process) = process else { return Self::Unknown };
        // Below a service, in a container or in a person's hands it can be told to run anything (GTFOBins).
        let rightful = process.euid == 0 && process.container.is_none() && process.lineage.network_facing().is_none();
        match process.lineage.root(ServiceRole::PackageManager).filter(|_| rightful) {
            Some(_) => Self::Packages(outermost(process)),
            None => Self::Below(process.parent.unwrap_or(process.key)),
        }
    }
}

/// The package manager that a person or a timer started: `apt` for all the `dpkg` below it.
fn outermost(process: &Process) -> ProcessKey {
    let mut managers = process.lineage.roots.iter().filter(|root| root.role == ServiceRole::PackageManager);
    managers.next_back().map_or(process.key, |root| root.key)
}

/// One act under way.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) actor: Actor,
    /// Who was seen first.
    pub(super) by: Option<Arc<Process>>,
    /// It is certain who did all of it.
    pub(super) certain: bool,
    /// What it changed, as far as it was compared.
    pub(super) changes: Vec<Change>,
    /// What it touched and is compared at its end.
    pub(super) touched: BTreeSet<PathBuf>,
    /// Directories that it made, of which all that is below is compared at its end.
    pub(super) below: BTreeSet<PathBuf>,
    begun: Instant,
    last: Instant,
}

impl Act {
    fn is_over(&self, now: Instant) -> bool {
        let (quiet, longest) = match self.actor {
            Actor::Packages(_) => (PACKAGE_QUIET, PACKAGE_LONGEST),
            Actor::Below(_) | Actor::Unknown | Actor::Late => (QUIET, LONGEST),
        };
        now.duration_since(self.last) >= quiet
            || now.duration_since(self.begun) >= longest
            || self.changes.len() + self.touched.len() + self.below.len() >= MAX_CHANGES
    }
}

/// Acts under way, oldest first.
#[derive(Debug, Default)]
pub(super) struct Acts(Vec<Act>);

impl Acts {
    /// The act of this actor, begun now if there is none.
    pub(super) fn of(&mut self, by: Option<&Arc<Process>>, certain: bool, now: Instant) -> &mut Act {
        self.by(Actor::of(by.map(|by| &**by)), by, certain, now)
    }

    /// What was done while nobody watched, as far as it is found now.
    pub(super) fn late(&mut self, now: Instant) -> &mut Act {
        self.by(Actor::Late, None, false, now)
    }

    fn by(&mut self, actor: Actor, by: Option<&Arc<Process>>, certain: bool, now: Instant) -> &mut Act {
        let place = self.0.iter().position(|act| act.actor == actor).unwrap_or_else(|| {
            let (by, changes) = (by.cloned(), Vec::new());
            let (touched, below) = (BTreeSet::new(), BTreeSet::new());
            self.0.push(Act { actor, by, certain: true, changes, touched, below, begun: now, last: now });
            self.0.len() - 1
        });
        #[allow(clippy::indexing_slicing)] // found, or pushed a moment ago
        let act = &mut self.0[place];
        act.last = now;
        act.certain &= certain;
        act
    }

    /// A change that waits to be reported did not last; whether there was one.
    pub(super) fn forget(&mut self, path: &HostText) -> bool {
        let waiting = |acts: &Self| acts.0.iter().map(|act| act.changes.len()).sum::<usize>();
        let before = waiting(self);
        self.0.iter_mut().for_each(|act| act.changes.retain(|change| change.path != *path));
        waiting(self) < before
    }

    /// Those that are over.
    pub(super) fn over(&mut self, now: Instant) -> Vec<Act> {
        let spare = self.0.len().saturating_sub(MAX_ACTS);
        let mut over: Vec<Act> = self.0.drain(..spare).collect();
        over.extend(self.0.extract_if(.., |act| act.is_over(now)));
        over
    }

    /// All, at the end.
    pub(super) fn all(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.0)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::{BootId, Root};

    fn process(pid: u32, parent: u32) -> Process {
        let key = |pid| ProcessKey { boot: BootId(1), pid, start: 1 };
        Process { parent: Some(key(parent)), ..Process::unknown(key(pid), chrono::Utc::now()) }
    }

    #[test]
    fn a_loop_of_a_shell_is_one_act_and_so_is_all_that_apt_starts() {
        let (mut acts, now) = (Acts::default(), Instant::now());
        for pid in 10..20 {
            acts.of(Some(&Arc::new(process(pid, 9))), true, now).touched.insert(format!("/{pid}").into());
        }
        acts.of(Some(&Arc::new(process(30, 29))), true, now);
        acts.of(None, false, now);
        let apt = process(40, 39).key;
        for pid in [50, 51] {
            let mut dpkg = process(pid, 40);
            let root = |key| Root { role: ServiceRole::PackageManager, key, exe: "/usr/bin/dpkg".into() };
            dpkg.lineage.roots = vec![root(dpkg.key), root(apt)].into();
            acts.of(Some(&Arc::new(dpkg)), true, now);
        }
        assert!(acts.over(now).is_empty());
        let over = acts.over(now + QUIET);
        assert_eq!(over.iter().map(|act| (act.touched.len(), act.certain)).collect::<Vec<_>>(), [(10, true), (0, true), (0, false)]);
        let over = acts.over(now + PACKAGE_QUIET);
        assert_eq!(over.iter().map(|act| &act.actor).collect::<Vec<_>>(), [&Actor::Packages(apt)]);
        assert!(acts.is_empty());
    }
}
