//! What is known beyond what the kernel reports: digests and packages of executables, names of addresses and containers.
//!
//! The hot path only looks into maps and leaves questions in a bounded queue; threads of their own answer them.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use super::container_book::ContainerBook;
use super::digest_book::{DigestBook, Learnt, Look};
use super::listening_units::ListeningUnits;
use super::resolver_names::NameBook;
use bartizan_model::{Flow, HopDrops, HostText, ListeningUnit, Process, Unpoisoned as _};
use bartizan_sys::exe_hash::{Content, Wanted};

/// Executables that wait to be read.
const WAITING: usize = 1_024;

/// Told of every digest as it becomes known.
type OnDigest = Box<dyn Fn(&Learnt) + Send + Sync>;

/// Shared by the cache, which asks, and by the collectors that answer.
pub struct Enrichment {
    digests: Mutex<DigestBook>,
    ask: SyncSender<Wanted>,
    asked: Mutex<Receiver<Wanted>>,
    names: Mutex<NameBook>,
    containers: Mutex<ContainerBook>,
    units: Mutex<ListeningUnits>,
    on_digest: OnceLock<OnDigest>,
    hashing_paused: AtomicBool,
    names_paused: AtomicBool,
    /// Somebody could not ask: when there is time, all living processes are looked through.
    missed: AtomicBool,
    pub(super) counts: Counts,
}

/// Since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Executables asked for.
    pub(super) wanted: AtomicU64,
    /// Of those, not taken because too many waited or reading was paused.
    pub(super) skipped: AtomicU64,
    /// Resolver answers that came.
    pub(super) answers: AtomicU64,
    /// Of those, lost.
    pub(super) answers_lost: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unpoisoned()
}

impl Default for Enrichment {
    fn default() -> Self {
        let (ask, asked) = sync_channel(WAITING);
        Self {
            digests: Mutex::default(),
            ask,
            asked: Mutex::new(asked),
            names: Mutex::default(),
            containers: Mutex::default(),
            units: Mutex::default(),
            on_digest: OnceLock::new(),
            hashing_paused: AtomicBool::new(false),
            names_paused: AtomicBool::new(false),
            missed: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }
}

impl fmt::Debug for Enrichment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrichment").field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl Enrichment {
    /// Pauses or resumes reading executables and looking up their packages. At once: also in the middle of a file. What was
    /// missed meanwhile is made up for as far as it still runs.
    pub fn pause_hashing(&self, pause: bool) {
        self.hashing_paused.store(pause, Ordering::Relaxed);
    }

    /// Pauses or resumes listening to resolvers and container runtimes. At once; names known so far stay until they lapse.
    pub fn pause_names(&self, pause: bool) {
        self.names_paused.store(pause, Ordering::Relaxed);
    }

    /// Whom to tell of each digest as it becomes known, from a background thread. Only the first one counts.
    pub fn on_digest(&self, tell: impl Fn(&Learnt) + Send + Sync + 'static) {
        if self.on_digest.set(Box::new(tell)).is_err() {
            tracing::warn!("digests already have a listener; the second one is not told");
        }
    }

    /// The name for which a resolver lately answered with this address on this host. A hint: whoever can send a packet to
    /// this host chooses it.
    pub fn name_of(&self, address: IpAddr) -> Option<HostText> {
        locked(&self.names).name_of(address, Instant::now())
    }

    /// What was asked and what could not be taken. No event is lost by it, so no evidence is incomplete.
    pub fn hops(&self) -> Vec<HopDrops> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let hop = |name: &str, received, dropped| HopDrops { hop: name.to_owned(), received: read(received), dropped: read(dropped) };
        let (kept, refused) = locked(&self.containers).counts();
        vec![
            hop("executables", &self.counts.wanted, &self.counts.skipped),
            hop("resolver-answers", &self.counts.answers, &self.counts.answers_lost),
            HopDrops { hop: "containers".to_owned(), received: kept + refused, dropped: refused },
        ]
    }

    /// Fills in what is known of a process that was just executed, and asks for what is not.
    pub(super) fn fill(&self, process: &mut Process) {
        if let Some(id) = &process.container {
            process.container_name = locked(&self.containers).name_of(id);
        }
        let content = Content::from(&process.exe_file);
        if content.inode == 0 {
            return; // a thread of the kernel, or a process that was gone at once
        }
        let mut book = locked(&self.digests);
        match book.look(content, Instant::now) {
            Look::Told(learnt) => {
                process.exe_file.sha256 = Some(learnt.sha256);
                process.package = learnt.package.clone();
            }
            Look::Asked => {}
            Look::New => {
                book.ask(content);
                drop(book);
                self.ask(process, content);
            }
        }
    }

    /// Fills in the name of a destination.
    pub(super) fn named(&self, flow: Flow) -> Flow {
        let name = flow.dst.and_then(|address| self.name_of(address));
        Flow { name, ..flow }
    }

    /// The unit of systemd for which this process listens there, where that can be told.
    pub(super) fn listening_unit(&self, process: &Process, net: &Flow) -> Option<ListeningUnit> {
        locked(&self.units).look(process, net)
    }

    fn ask(&self, process: &Process, content: Content) {
        self.counts.wanted.fetch_add(1, Ordering::Relaxed);
        let wanted = Wanted { pid: process.pid, start: process.key.start, path: process.exe.clone(), content };
        if self.hashing_is_paused() || self.ask.try_send(wanted).is_err() {
            self.counts.skipped.fetch_add(1, Ordering::Relaxed);
            self.missed();
            locked(&self.digests).forget(content);
        }
    }

    /// Asks again for what could not be asked for, if there was such a thing.
    pub(super) fn catch_up(&self, living: impl FnOnce() -> Vec<std::sync::Arc<Process>>) {
        if !self.missed.swap(false, Ordering::Relaxed) {
            return;
        }
        for process in living().iter().filter(|process| process.exe_file.sha256.is_none()) {
            self.fill(&mut Process::clone(process));
        }
    }

    /// Somebody who asked was not answered.
    pub(super) fn missed(&self) {
        self.missed.store(true, Ordering::Relaxed);
    }

    pub(super) fn hashing_is_paused(&self) -> bool {
        self.hashing_paused.load(Ordering::Relaxed)
    }

    pub(super) fn names_are_paused(&self) -> bool {
        self.names_paused.load(Ordering::Relaxed)
    }

    /// The next executable to read; `None` after `patience` without one.
    pub(super) fn next_wanted(&self, patience: Duration) -> Option<Wanted> {
        locked(&self.asked).recv_timeout(patience).ok()
    }

    pub(super) fn digests(&self) -> MutexGuard<'_, DigestBook> {
        locked(&self.digests)
    }

    pub(super) fn names(&self) -> MutexGuard<'_, NameBook> {
        locked(&self.names)
    }

    pub(super) fn containers(&self) -> MutexGuard<'_, ContainerBook> {
        locked(&self.containers)
    }

    /// A digest is known: for whoever executes it later, and for whoever listens.
    pub(super) fn learn(&self, learnt: &Learnt) {
        self.digests().tell(learnt.clone());
        if let Some(tell) = self.on_digest.get() {
            tell(learnt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::{BootId, ExeFile, ProcessKey};

    fn process(inode: u64) -> Process {
        let key = ProcessKey { boot: BootId(1), pid: 7, start: 7 };
        Process { exe_file: ExeFile { device: 1, inode, changed: 5, ..ExeFile::default() }, ..Process::unknown(key, chrono::Utc::now()) }
    }

    #[test]
    fn the_queue_is_bounded_and_what_does_not_fit_is_counted_and_made_up_for() {
        let enrichment = Enrichment::default();
        let most = WAITING as u64;
        for inode in 1..=most + 10 {
            enrichment.fill(&mut process(inode));
            enrichment.fill(&mut process(inode)); // asked for once
        }
        let hop = enrichment.hops().remove(0);
        assert_eq!((hop.received, hop.dropped), (most + 20, 20), "the last ten asked twice");
        while enrichment.next_wanted(Duration::ZERO).is_some() {}
        enrichment.catch_up(|| (1..=most + 10).map(|inode| std::sync::Arc::new(process(inode))).collect());
        let again: Vec<u64> = std::iter::from_fn(|| enrichment.next_wanted(Duration::ZERO)).map(|wanted| wanted.content.inode).collect();
        assert_eq!(again, (most + 1..=most + 10).collect::<Vec<_>>());
        enrichment.catch_up(|| panic!("nothing was missed since"));
    }

    #[test]
    fn a_pause_takes_effect_at_once() {
        let enrichment = Enrichment::default();
        enrichment.pause_hashing(true);
        enrichment.fill(&mut process(1));
        assert!(enrichment.next_wanted(Duration::ZERO).is_none());
        enrichment.pause_hashing(false);
        enrichment.catch_up(|| vec![std::sync::Arc::new(process(1))]);
        assert!(enrichment.next_wanted(Duration::ZERO).is_some());
    }
}
