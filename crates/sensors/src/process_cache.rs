//! What lives on the host now: the process table that every collector resolves pids in.

use bartizan_sys::process_stat::Stat;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use super::enrichment::Enrichment;
use super::process_family::{self as family, Family};
use super::process_origin;
use super::process_table::{Entry, Table};
use super::roles::RoleBook;
use accepting::Accepting;
use serde::{Deserialize, Serialize};

use bartizan_config::policy::Roles;
use bartizan_model::{BootId, Flow, HostText, Lineage, Process, ProcessKey, Root, ServiceRole, Timestamp, Unpoisoned as _};
use bartizan_sys::sighting::{Image, Who};
use bartizan_sys::user_names::UserNames;
use bartizan_sys::{clock, proc_files};

/// The process table. One is shared by all collectors and read by the engine; every lock is held for microseconds
/// and never over I/O. Exited processes stay for a minute (fewer when there are very many, see [`ProcessCache::evicted`]).
#[derive(Debug)]
pub struct ProcessCache {
    boot: BootId,
    roles: RwLock<Arc<RoleBook>>,
    users: Mutex<UserNames>,
    table: Mutex<Table>,
    listeners: Mutex<Vec<(Flow, Option<ProcessKey>)>>,
    accepting: Accepting,
    enrichment: Arc<Enrichment>,
    /// Processes that turned out to stand at or below a service that strangers can talk to, since somebody asked.
    facing: Mutex<Vec<u32>>,
}

/// Most pids in [`ProcessCache::newly_facing`]; later ones are found when the cache is compared with /proc.
const MAX_FACING: usize = 4096;

impl Default for ProcessCache {
    /// An empty cache in which no program has a role yet.
    fn default() -> Self {
        Self {
            boot: clock::boot_id(),
            roles: RwLock::default(),
            users: Mutex::default(),
            table: Mutex::default(),
            listeners: Mutex::default(),
            accepting: Accepting::default(),
            enrichment: Arc::default(),
            facing: Mutex::default(),
        }
    }
}

/// One entry of the table, as another binary can take it over.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    process: Process,
    inherited: Vec<Root>,
    own: Vec<ServiceRole>,
    copied: bool,
    died: Option<Timestamp>,
}

/// A poisoned lock only means that another thread panicked; the table is whole after every single change.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unpoisoned()
}

impl ProcessCache {
    /// An empty cache that knows these roles.
    pub fn new(roles: &Roles) -> Self {
        let cache = Self::default();
        cache.set_roles(roles);
        cache
    }

    /// Takes over other roles, for processes that appear from now on.
    pub fn set_roles(&self, roles: &Roles) {
        *self.roles.write().unpoisoned() = Arc::new(RoleBook::new(roles));
    }

    /// What is known beyond what the kernel reports.
    pub fn enrichment(&self) -> &Arc<Enrichment> {
        &self.enrichment
    }

    /// Puts what became known into all living processes that it is about: `amend` gives the process anew, or nothing.
    pub(super) fn amend_living(&self, amend: impl Fn(&Process) -> Option<Process>) {
        let mut table = locked(&self.table);
        let amended: Vec<Process> = table.living().filter_map(|process| amend(process)).collect();
        for process in amended {
            if let Some(family) = table.get(process.key).map(|entry| entry.family.clone()) {
                table.put(Arc::new(process), family);
            }
        }
    }

    /// The process that has this pid now, or had it last.
    pub fn by_pid(&self, pid: u32) -> Option<Arc<Process>> {
        locked(&self.table).by_pid(pid).map(|entry| entry.process.clone())
    }

    /// The process, as it is now or was at its end.
    pub fn get(&self, key: ProcessKey) -> Option<Arc<Process>> {
        locked(&self.table).get(key).map(|entry| entry.process.clone())
    }

    /// Whether it is known and has not ended.
    pub fn is_alive(&self, key: ProcessKey) -> bool {
        locked(&self.table).is_alive(key)
    }

    /// The process, if alive, and all its living descendants by true parentage: root first, nearer before farther;
    /// also those that the kernel gave to another parent since.
    pub fn tree(&self, root: ProcessKey) -> Vec<ProcessKey> {
        locked(&self.table).tree(root)
    }

    /// Living processes that this one created itself.
    pub fn children(&self, key: ProcessKey) -> Vec<ProcessKey> {
        locked(&self.table).children(key)
    }

    /// All living processes, in no order.
    pub fn living(&self) -> Vec<Arc<Process>> {
        locked(&self.table).living().cloned().collect()
    }

    /// Processes forgotten before their minute was over, or never taken in, because the table was full.
    pub fn evicted(&self) -> u64 {
        locked(&self.table).evicted()
    }

    /// TCP listeners of our network namespace as last polled, with their oldest holder when it is known.
    pub fn known_listeners(&self) -> Vec<(Flow, Option<ProcessKey>)> {
        locked(&self.listeners).clone()
    }

    /// Takes over the listeners of a poll.
    pub(super) fn set_listeners(&self, listeners: Vec<(Flow, Option<ProcessKey>)>) {
        *locked(&self.listeners) = listeners;
    }

    /// The key of a process of this boot.
    pub fn key(&self, pid: u32, start: u64) -> ProcessKey {
        ProcessKey { boot: self.boot, pid, start }
    }

    /// A process turned out to be a service: it, and its living descendants, carry the root from now on.
    pub fn mark_role(&self, key: ProcessKey, role: ServiceRole) {
        let mut table = locked(&self.table);
        let Some(entry) = table.get(key) else { return };
        if entry.family.own.contains(&role) {
            return;
        }
        let behind = entry.family.inherited.clone();
        let root = Root { role, key, exe: entry.process.exe.clone() };
        let mut own = entry.family.clone();
        own.own.insert(0, role);
        let process = with_roots(&entry.process, &own);
        table.put(process, own);
        if role.is_network_facing() {
            let tree = table.tree(key);
            let mut facing = locked(&self.facing);
            let room = MAX_FACING.saturating_sub(facing.len());
            facing.extend(tree.into_iter().map(|key| key.pid).take(room));
        }
        for below in table.tree(key).into_iter().filter(|below| *below != key) {
            let Some(entry) = table.get(below) else { continue };
            let Some(inherited) = family::insert(&entry.family.inherited, &root, &behind) else { continue };
            let family = Family { inherited, ..entry.family.clone() };
            let process = with_roots(&entry.process, &family);
            table.put(process, family);
        }
    }

    /// The whole table, parents before their children.
    pub(super) fn kept(&self) -> Vec<Kept> {
        let table = locked(&self.table);
        let mut entries: Vec<_> = table.entries().collect();
        entries.sort_by_key(|entry| (entry.process.key.start, entry.process.since));
        let kept = entries.into_iter().map(|entry| Kept {
            process: Process::clone(&entry.process),
            inherited: entry.family.inherited.to_vec(),
            own: entry.family.own.clone(),
            copied: entry.family.copied,
            died: entry.died(),
        });
        kept.collect()
    }

    /// Takes over what another binary kept.
    pub(super) fn restore(&self, kept: Vec<Kept>) {
        let mut table = locked(&self.table);
        for Kept { process, inherited, own, copied, died } in kept {
            let key = process.key;
            table.put(Arc::new(process), Family { inherited: inherited.into(), own, copied });
            if let Some(died) = died {
                table.bury(key, died);
            }
        }
    }

    /// Living processes that turned out to stand at or below a service that strangers can talk to, since the last call.
    pub(super) fn newly_facing(&self) -> Vec<u32> {
        std::mem::take(&mut *locked(&self.facing))
    }

    /// Who began last to listen on this end of a TCP connection, and whether the address fits as well as the port.
    pub(super) fn listener_at(&self, netns: u32, net: &Flow) -> Option<(Arc<Process>, bool)> {
        let (key, certain) = self.accepting.at(netns, net.src, net.sport)?;
        Some((self.get(key)?, certain))
    }

    /// A process listens on this TCP address and port: gives it the role that follows, if any.
    pub(super) fn mark_listener(&self, key: ProcessKey, address: IpAddr, port: u16) {
        let entry = locked(&self.table).get(key).map(|entry| (entry.process.netns, entry.family.own.clone()));
        let (netns, own) = entry.unwrap_or_default();
        self.accepting.put(netns, address, port, key);
        if let Some(role) = self.book().of_listener(key.pid, port, &own) {
            self.mark_role(key, role);
        }
    }

    /// A program was executed.
    pub(super) fn exec(&self, who: &Who, mut image: Image) -> Arc<Process> {
        let key = self.key(who.pid, who.start);
        let user = locked(&self.users).name(who.uid);
        let book = self.book();
        let mut table = locked(&self.table);
        if let Some(old) = table.get(key) {
            // Most programs run where their parents ran: one text for them all.
            share(&mut image.cwd, &old.process.cwd);
            share(&mut image.cgroup, &old.process.cgroup);
        }
        let (parent, ppid, lineage, inherited) = match table.get(key) {
            Some(old) => (
                old.process.parent,
                old.process.ppid,
                family::after_exec(&old.process, old.family.copied, &image.exe),
                behind_next_image(old),
            ),
            None => self.below_parent(&table, who),
        };
        let opened = lineage.ancestors.first().is_some_and(|above| book.opens_sessions(&above.exe)) && !book.opens_sessions(&image.exe);
        let own = if who.pid == std::process::id() { Some(ServiceRole::Agent) } else { book.of_program(&image.exe, &image.argv) };
        let own = own.into_iter().chain(opened.then_some(ServiceRole::LoginSession)).collect();
        let family = Family { inherited, own, copied: false };
        let roots = family::roots(&family, key, &image.exe);
        let mut process = Process {
            key,
            pid: who.pid,
            ppid,
            parent,
            unit: process_origin::unit(&image.cgroup),
            container: process_origin::container(&image.cgroup),
            exe: image.exe,
            exe_file: image.exe_file,
            argv: image.argv,
            argv_truncated: image.argv_truncated,
            cwd: image.cwd,
            uid: who.uid,
            euid: who.euid,
            user,
            loginuid: who.loginuid,
            session: who.session,
            capabilities: who.capabilities,
            cgroup: image.cgroup,
            netns: who.netns,
            namespaces: who.namespaces,
            tty: image.tty,
            environment: image.environment,
            package: None,
            container_name: None,
            stdio_sockets: image.stdio_sockets,
            since: clock::wall(who.at),
            lineage: Lineage { roots, ..lineage },
        };
        self.enrichment.fill(&mut process);
        let process = Arc::new(process);
        table.put(process.clone(), family);
        process
    }

    /// A process was created: it runs a copy of its creator's image.
    pub(super) fn fork(&self, who: &Who) -> Arc<Process> {
        let key = self.key(who.pid, who.start);
        if let Some(known) = self.get(key) {
            return known; // read from /proc before the kernel's report reached us
        }
        let user = locked(&self.users).name(who.uid);
        let book = self.book();
        let mut table = locked(&self.table);
        let Some(creator) = self.parent_entry(&table, who).map(|entry| entry.process.clone()) else {
            drop(table);
            return self.exec(who, proc_files::image(who.pid));
        };
        let family = Family {
            inherited: creator.lineage.roots.clone(),
            own: book.of_program(&creator.exe, &creator.argv).into_iter().collect(),
            copied: true,
        };
        let roots = family::roots(&family, key, &creator.exe);
        let process = Arc::new(Process {
            key,
            pid: who.pid,
            ppid: who.ppid,
            parent: Some(creator.key),
            uid: who.uid,
            euid: who.euid,
            user,
            loginuid: who.loginuid,
            session: who.session,
            capabilities: who.capabilities,
            netns: who.netns,
            namespaces: who.namespaces,
            since: clock::wall(who.at),
            lineage: Lineage { roots, ..table.lineage_below(creator.key).unwrap_or_default() },
            ..Process::clone(&creator)
        });
        table.put(process.clone(), family);
        process
    }

    /// A process ended; what is known of it.
    pub(super) fn exit(&self, pid: u32, start: u64, at: u64) -> Option<Arc<Process>> {
        let key = self.key(pid, start);
        let mut table = locked(&self.table);
        table.bury(key, clock::wall(at));
        table.get(key).map(|entry| entry.process.clone())
    }

    /// A process did something else: the process as it is now, with the identity that it has now.
    pub(super) fn seen(&self, who: &Who) -> Arc<Process> {
        let key = self.key(who.pid, who.start);
        let Some(known) = self.get(key) else { return self.exec(who, proc_files::image(who.pid)) };
        let same = (known.uid, known.euid, known.capabilities, known.netns, known.namespaces)
            == (who.uid, who.euid, who.capabilities, who.netns, who.namespaces);
        if same {
            return known;
        }
        let user = locked(&self.users).name(who.uid);
        let mut table = locked(&self.table);
        let Some(entry) = table.get(key) else { return known };
        let family = entry.family.clone();
        let process = Arc::new(Process {
            uid: who.uid,
            euid: who.euid,
            user,
            capabilities: who.capabilities,
            netns: who.netns,
            namespaces: who.namespaces,
            ..Process::clone(&entry.process)
        });
        table.put(process.clone(), family);
        process
    }

    /// Reads one process from /proc into the table, unless it is there; `None` when it is gone.
    pub(super) fn adopt(&self, pid: u32) -> Option<Arc<Process>> {
        let who = proc_files::who(pid)?;
        self.get(self.key(pid, who.start)).or_else(|| Some(self.exec(&who, proc_files::image(pid))))
    }

    /// Compares with /proc: takes in what is missing, parents first, and buries what is gone. To be called by the
    /// thread that feeds the cache, at start and after a loss. How many entries were wrong.
    pub(super) fn reconcile(&self) -> usize {
        let Ok(pids) = proc_files::pids() else { return 0 };
        let now = clock::boot_ns();
        let stats: HashMap<u32, Stat> = pids.iter().filter_map(|pid| Some((*pid, Stat::read(*pid)?))).collect();
        let gone: Vec<ProcessKey> = self
            .living()
            .iter()
            .map(|p| p.key)
            .filter(|key| stats.get(&key.pid).is_none_or(|s| s.start != key.start || s.is_dead()))
            .collect();
        for key in &gone {
            self.exit(key.pid, key.start, now);
        }
        let mut added = 0;
        for pid in pids {
            let mut above = Vec::new();
            let mut next = Some(pid);
            // Up to the first forebear that is known; the length bounds a line that changes while we read.
            while let Some((pid, stat)) = next.and_then(|pid| stats.get_key_value(&pid)).filter(|_| above.len() < stats.len()) {
                if self.get(self.key(*pid, stat.start)).is_some() {
                    break;
                }
                above.push((*pid, stat.is_dead()));
                next = Some(stat.ppid);
            }
            for (pid, dead) in above.into_iter().rev() {
                if let Some(process) = self.adopt(pid) {
                    added += 1;
                    if dead {
                        self.exit(pid, process.key.start, now);
                    }
                }
            }
        }
        gone.len() + added
    }

    fn book(&self) -> Arc<RoleBook> {
        self.roles.read().unpoisoned().clone()
    }

    fn parent_entry<'t>(&self, table: &'t Table, who: &Who) -> Option<&'t Entry> {
        match who.parent_start {
            Some(start) => table.get(self.key(who.ppid, start)),
            None => table.by_pid(who.ppid).filter(|parent| parent.process.key.start <= who.start),
        }
    }

    fn below_parent(&self, table: &Table, who: &Who) -> (Option<ProcessKey>, u32, Lineage, Arc<[Root]>) {
        match self.parent_entry(table, who) {
            Some(parent) => (Some(parent.process.key), who.ppid, family::above(&parent.process), parent.process.lineage.roots.clone()),
            None => (who.parent_start.map(|start| self.key(who.ppid, start)), who.ppid, Lineage::default(), Arc::default()),
        }
    }
}

/// What stands behind a process's next image: all that stood behind the present one and, unless that was only a
/// copy of the parent's, what it was itself.
fn behind_next_image(old: &Entry) -> Arc<[Root]> {
    if old.family.copied { old.family.inherited.clone() } else { old.process.lineage.roots.clone() }
}

fn share(text: &mut HostText, known: &HostText) {
    if text == known {
        text.clone_from(known);
    }
}

fn with_roots(process: &Process, family: &Family) -> Arc<Process> {
    let roots = family::roots(family, process.key, &process.exe);
    Arc::new(Process { lineage: Lineage { roots, ..process.lineage.clone() }, ..process.clone() })
}

mod accepting;
#[cfg(test)]
mod tests;
