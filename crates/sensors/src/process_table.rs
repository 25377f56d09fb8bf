//! The table of living and lately dead processes, bounded, linked by true parentage.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use chrono::TimeDelta;

use super::process_family::{self as family, Family};
use bartizan_model::{Lineage, Process, ProcessKey, Timestamp};

/// Processes kept, dead ones included. A host with more living ones than this loses lineages, and it is counted.
const MOST: usize = 65_536;
/// Dead ones kept.
const MAX_DEAD: usize = 8_192;
/// Bytes of arguments and variables of all processes, from which on dead ones are forgotten early: whoever starts a
/// program chooses how long they are.
const MAX_BYTES: usize = 16 << 20;
/// How long a dead process is kept, so that a late event still finds who did it.
const DEAD_KEPT: TimeDelta = TimeDelta::seconds(60);

/// One process and its place in the tree.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) process: Arc<Process>,
    pub(super) family: Family,
    /// Nearest forebear that is still in the table.
    up: Option<ProcessKey>,
    children: BTreeSet<ProcessKey>,
    /// The lineage of its children, made for the first of them.
    below: Option<Lineage>,
    died: Option<Timestamp>,
}

impl Entry {
    pub(super) fn died(&self) -> Option<Timestamp> {
        self.died
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<ProcessKey, Entry>,
    /// Who has a pid now, or had it last.
    by_pid: HashMap<u32, ProcessKey>,
    /// In the order of their deaths.
    dead: VecDeque<(ProcessKey, Timestamp)>,
    /// Of all entries, dead ones included ([`weight`]).
    bytes: usize,
    evicted: u64,
}

/// Bytes of what a process was given to read.
fn weight(process: &Process) -> usize {
    let arguments: usize = process.argv.iter().map(|argument| argument.as_bytes().len()).sum();
    arguments + process.environment.iter().map(|variable| variable.value.as_bytes().len()).sum::<usize>()
}

impl Table {
    pub(super) fn get(&self, key: ProcessKey) -> Option<&Entry> {
        self.entries.get(&key)
    }

    pub(super) fn by_pid(&self, pid: u32) -> Option<&Entry> {
        self.entries.get(self.by_pid.get(&pid)?)
    }

    pub(super) fn is_alive(&self, key: ProcessKey) -> bool {
        self.entries.get(&key).is_some_and(|entry| entry.died.is_none())
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn living(&self) -> impl Iterator<Item = &Arc<Process>> {
        self.entries.values().filter(|entry| entry.died.is_none()).map(|entry| &entry.process)
    }

    /// The lineage of children of this process: one for them all, so that a thousand siblings share it.
    pub(super) fn lineage_below(&mut self, key: ProcessKey) -> Option<Lineage> {
        let entry = self.entries.get_mut(&key)?;
        let Entry { process, below, .. } = entry;
        Some(below.get_or_insert_with(|| family::above(process)).clone())
    }

    /// Puts a new process in, or a new image in place of an old one.
    pub(super) fn put(&mut self, process: Arc<Process>, family: Family) {
        let (key, now) = (process.key, process.since);
        let weight = weight(&process);
        if let Some(entry) = self.entries.get_mut(&key) {
            self.bytes = (self.bytes + weight).saturating_sub(self::weight(&entry.process));
            (entry.process, entry.family, entry.below) = (process, family, None);
            self.make_room();
            return;
        }
        if self.entries.len() >= MOST && !self.evict_oldest_dead() {
            self.evicted += 1;
            return;
        }
        if let Some(before) = self.by_pid.insert(key.pid, key) {
            self.bury(before, now); // its exit was missed: a pid has one holder
        }
        let up = process.parent.filter(|up| *up != key);
        if let Some(parent) = up.and_then(|up| self.entries.get_mut(&up)) {
            parent.children.insert(key);
        }
        self.bytes += weight;
        self.entries.insert(key, Entry { process, family, up, children: BTreeSet::new(), below: None, died: None });
    }

    /// Notes a death.
    pub(super) fn bury(&mut self, key: ProcessKey, at: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.died.is_none()) {
            entry.died = Some(at);
            self.dead.push_back((key, at));
        }
        while self.dead.front().is_some_and(|(_, died)| at - *died > DEAD_KEPT) {
            if let Some((old, _)) = self.dead.pop_front() {
                self.remove(old);
            }
        }
        self.make_room();
    }

    fn make_room(&mut self) {
        while (self.dead.len() > MAX_DEAD || self.bytes > MAX_BYTES) && self.evict_oldest_dead() {}
    }

    /// The process if alive, then all living descendants, also those whose parents died in between.
    pub(super) fn tree(&self, root: ProcessKey) -> Vec<ProcessKey> {
        let (mut found, mut ahead) = (Vec::new(), VecDeque::from([root]));
        while let Some(entry) = ahead.pop_front().and_then(|key| self.entries.get(&key)) {
            if entry.died.is_none() {
                found.push(entry.process.key);
            }
            ahead.extend(entry.children.iter().filter(|child| self.entries.contains_key(child)));
        }
        found
    }

    /// Living processes that it created itself.
    pub(super) fn children(&self, key: ProcessKey) -> Vec<ProcessKey> {
        let children = self.entries.get(&key).into_iter().flat_map(|entry| &entry.children);
        children
            .filter(|child| self.entries.get(child).is_some_and(|c| c.died.is_none() && c.process.parent == Some(key)))
            .copied()
            .collect()
    }

    fn evict_oldest_dead(&mut self) -> bool {
        let oldest = self.dead.pop_front();
        if let Some((key, _)) = oldest {
            self.remove(key);
            self.evicted += 1;
        }
        oldest.is_some()
    }

    /// Takes an entry out; its children go to its own forebear, so that the tree stays whole.
    fn remove(&mut self, key: ProcessKey) {
        let Some(entry) = self.entries.remove(&key) else { return };
        self.bytes = self.bytes.saturating_sub(weight(&entry.process));
        if self.by_pid.get(&key.pid) == Some(&key) {
            self.by_pid.remove(&key.pid);
        }
        for child in &entry.children {
            if let Some(child) = self.entries.get_mut(child) {
                child.up = entry.up;
            }
        }
        if let Some(up) = entry.up.and_then(|up| self.entries.get_mut(&up)) {
            up.children.remove(&key);
            up.children.extend(entry.children);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::BootId;

    fn process(pid: u32, parent: Option<ProcessKey>, since: Timestamp) -> Arc<Process> {
        let key = ProcessKey { boot: BootId(1), pid, start: u64::from(pid) };
        Arc::new(Process { parent, exe: "/x".into(), ..Process::unknown(key, since) })
    }

    fn put(table: &mut Table, pid: u32, parent: Option<ProcessKey>, at: Timestamp) -> ProcessKey {
        let process = process(pid, parent, at);
        let key = process.key;
        table.put(process, Family::default());
        key
    }

    #[test]
    fn a_tree_stays_whole_when_the_middle_is_forgotten() {
        let (mut table, t0) = (Table::default(), Timestamp::UNIX_EPOCH);
        let root = put(&mut table, 1, None, t0);
        let middle = put(&mut table, 2, Some(root), t0);
        let leaf = put(&mut table, 3, Some(middle), t0);
        table.bury(middle, t0);
        assert_eq!((table.tree(root), table.by_pid(2).is_some()), (vec![root, leaf], true));
        let other = put(&mut table, 4, Some(root), t0);
        table.bury(other, t0 + TimeDelta::seconds(61));
        assert!(table.by_pid(2).is_none());
        assert_eq!((table.tree(root), table.children(root), table.evicted()), (vec![root, leaf], vec![], 0));
    }

    #[test]
    fn the_dead_are_bounded_and_counted() {
        let (mut table, t0) = (Table::default(), Timestamp::UNIX_EPOCH);
        for pid in 1..=(MAX_DEAD as u32 + 10) {
            let key = put(&mut table, pid, None, t0);
            table.bury(key, t0);
        }
        assert_eq!((table.entries.len(), table.evicted()), (MAX_DEAD, 10));
    }

    #[test]
    fn long_arguments_of_the_dead_are_bounded_and_counted() {
        let (mut table, t0) = (Table::default(), Timestamp::UNIX_EPOCH);
        let long = bartizan_model::HostText::from(vec![b'x'; 1 << 20]);
        for pid in 1..=40 {
            let process = process(pid, None, t0);
            let process = Arc::new(Process { argv: vec![long.clone()], ..Process::clone(&process) });
            let key = process.key;
            table.put(process.clone(), Family::default());
            table.put(process, Family::default());
            table.bury(key, t0);
        }
        assert_eq!((table.entries.len(), table.evicted(), table.bytes), (16, 24, 16 << 20));
    }

    #[test]
    fn the_living_are_bounded_and_counted() {
        let (mut table, t0) = (Table::default(), Timestamp::UNIX_EPOCH);
        for pid in 1..=(MOST as u32 + 5) {
            put(&mut table, pid, None, t0);
        }
        assert_eq!((table.entries.len(), table.evicted()), (MOST, 5));
    }
}
