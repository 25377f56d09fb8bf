//! The mouth of the best rung: a thread that takes ordinary records out of their ring from the moment the programs are
//! attached, whether or not somebody makes events of them already (or still, while a new binary takes over).

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Stop;
use super::backlog::Backlog;
use bartizan_model::Unpoisoned as _;
use bartizan_sys::bpf::{CounterMap, Counters, Marks, Programs, Ring, Sensor, append, presses};
use bartizan_sys::{clock, sched};

/// Longest wait, so that an end is seen within half a second.
const MAX_WAIT: Duration = Stop::LOOK;
/// How often the kernel's counters are read.
const ACCOUNT_EVERY: Duration = Duration::from_secs(1);

/// What came and what was lost since the last asking.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) received: u64,
    pub(super) lost: BTreeMap<String, u64>,
    /// Before this moment (nanoseconds since boot) nothing of `lost` was missing.
    pub(super) whole_until: u64,
}

/// The open rings and the thread at the ordinary one.
pub(super) struct Intake {
    pub(super) urgent: Ring,
    pub(super) ordinary: LaidBy,
    pub(super) marks: Marks,
    /// Keeps them attached.
    pub(super) programs: Programs,
}

/// What was taken out of the ordinary ring, and who does it. Dropping it ends the thread.
pub(super) struct LaidBy {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<(Ring, CounterMap)>>,
    /// The ring and its counters when nobody reads them any more: still open, for the next binary.
    left: Option<(Ring, CounterMap)>,
}

struct Shared {
    backlog: Backlog,
    account: Mutex<Account>,
    /// What was already told of the kernel's counters.
    told: Mutex<Counters>,
    /// When the kernel's counters were read last, in nanoseconds since boot.
    counted: AtomicU64,
    end: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Intake {
    /// Begins to take in, after what an earlier binary had taken in and told of.
    pub(super) fn start(sensor: Sensor, earlier: Vec<u8>, told: Counters) -> io::Result<Self> {
        let Sensor { ordinary, urgent, marks, counters, programs } = sensor;
        let backlog = Backlog::new(Instant::now());
        backlog.push(earlier, 0, true, Instant::now());
        let shared = Arc::new(Shared {
            backlog,
            account: Mutex::default(),
            told: Mutex::new(told),
            counted: AtomicU64::new(clock::boot_ns()),
            end: AtomicBool::new(false),
            trouble: Mutex::default(),
        });
        let within = Arc::clone(&shared);
        let reader = std::thread::Builder::new().name("c-intake".to_owned()).spawn(move || within.lay_by(ordinary, counters))?;
        Ok(Self { urgent, ordinary: LaidBy { shared, reader: Some(reader), left: None }, marks, programs })
    }
}

impl LaidBy {
    pub(super) fn backlog(&self) -> &Backlog {
        &self.shared.backlog
    }

    /// What came and what was lost since the last call.
    pub(super) fn account(&self) -> Account {
        std::mem::take(&mut *self.shared.account.lock().unpoisoned())
    }

    /// Why the ring cannot be read any more.
    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().unpoisoned().clone()
    }

    /// Takes what the ring still holds and ends the thread; the backlog then comes to its end.
    pub(super) fn finish(&mut self) {
        self.shared.end.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // One that panicked has ended too.
            self.left = reader.join().ok();
        }
        self.shared.backlog.close();
    }

    /// What is told of the kernel's counters by now.
    pub(super) fn told(&self) -> Counters {
        *self.shared.told.lock().unpoisoned()
    }
}

impl Drop for LaidBy {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    fn lay_by(&self, mut ring: Ring, counters: CounterMap) -> (Ring, CounterMap) {
        // Little work, but in time: on a busy host the ring holds a tenth of a second.
        sched::step_forward();
        let mut accounted = Instant::now();
        while !self.end.load(Ordering::Relaxed) {
            if let Err(error) = ring.wait(MAX_WAIT) {
                *self.trouble.lock().unpoisoned() = Some(format!("waiting for the ring: {error}"));
                return (ring, counters);
            }
            self.take(&mut ring);
            if accounted.elapsed() >= ACCOUNT_EVERY {
                accounted = Instant::now();
                self.count(&counters);
            }
            std::thread::sleep(Sensor::NAP);
        }
        while self.take(&mut ring) > 0 {}
        self.count(&counters);
        (ring, counters)
    }

    fn take(&self, ring: &mut Ring) -> usize {
        if self.backlog.is_full() {
            return 0; // the ring holds some more, and counts what it cannot hold
        }
        let (mut chunk, mut pressing) = (Vec::new(), false);
        let count = ring.take(|record| {
            pressing |= presses(record);
            append(record, &mut chunk);
        });
        self.backlog.push(chunk, count, pressing, Instant::now());
        count
    }

    fn count(&self, counters: &CounterMap) {
        let now = counters.read();
        let mut told = self.told.lock().unpoisoned();
        let mut account = self.account.lock().unpoisoned();
        account.received += now.made().saturating_sub(told.made());
        let before = self.counted.swap(clock::boot_ns(), Ordering::Relaxed);
        if account.lost.is_empty() {
            account.whole_until = before;
        }
        for (kind, count) in now.lost_since(&told) {
            *account.lost.entry(kind).or_default() += count;
        }
        *told = now;
    }
}
