//! Names behind addresses, from resolver answers seen on this host: a bounded book, and the thread that fills it.
//!
//! A name here is a hint for people, never an identity: whoever can send this host a packet chooses it. No decision may
//! rest on it alone.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Collector, CollectorError, ProcessCache, Sink, Stop};
use bartizan_model::HostText;
use bartizan_sys::dns_tap::{Answer, DnsTap};
use bartizan_sys::sched;

/// Addresses kept.
const MOST: usize = 8_192;
/// A name is kept for as long as the resolver may keep it, but at least and at most so long.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3_600);

/// Longest wait, so that a stop is seen within half a second.
const MAX_WAIT: Duration = Stop::LOOK;
/// While paused.
const NAP: Duration = Duration::from_millis(100);
/// Packets taken at once.
const BATCH: usize = 64;
/// Time spent on answers in each second; under a flood the rest is left to the kernel, which drops and counts.
const MAX_SPENT: Duration = Duration::from_millis(20);
/// How often lost answers are counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// The latest name of each address.
#[derive(Debug, Default)]
pub(super) struct NameBook {
    by_address: HashMap<IpAddr, Entry>,
    /// By age: the oldest first.
    by_age: BTreeMap<u64, IpAddr>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    name: HostText,
    until: Instant,
    age: u64,
}

impl NameBook {
    /// Takes an answer in.
    fn learn(&mut self, answer: &Answer, now: Instant) {
        for (address, seconds) in &answer.addresses {
            let kept = Duration::from_secs(u64::from(*seconds)).clamp(SHORTEST, LONGEST);
            let entry = Entry { name: answer.name.clone(), until: now + kept, age: self.next };
            self.by_age.insert(self.next, *address);
            self.next += 1;
            if let Some(before) = self.by_address.insert(*address, entry) {
                self.by_age.remove(&before.age);
            }
        }
        while self.by_address.len() > MOST
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.by_address.remove(&oldest);
        }
    }

    /// The name for which a resolver lately told this address.
    pub(super) fn name_of(&self, address: IpAddr, now: Instant) -> Option<HostText> {
        let entry = self.by_address.get(&address.to_canonical())?;
        (now <= entry.until).then(|| entry.name.clone())
    }
}

/// The thread that listens to resolvers.
pub(super) struct ResolverNames {
    cache: Arc<ProcessCache>,
    open: fn() -> std::io::Result<DnsTap>,
}

impl ResolverNames {
    /// Of the host's own network.
    pub(super) fn new(cache: Arc<ProcessCache>) -> Self {
        Self { cache, open: DnsTap::open }
    }

    /// Listens until told to stop or to pause.
    fn listen(&self, stop: &Stop) -> std::io::Result<()> {
        let enrichment = self.cache.enrichment();
        let counts = &enrichment.counts;
        let mut tap = (self.open)()?;
        let (mut second, mut spent, mut counted) = (Instant::now(), Duration::ZERO, Instant::now());
        while !stop.is_set() && !enrichment.names_are_paused() {
            let ready = tap.wait(MAX_WAIT)?;
            let begun = Instant::now();
            if ready && !enrichment.names_are_paused() {
                let mut answers = Vec::new();
                let packets = tap.drain(BATCH, |answer| answers.push(answer))?;
                counts.answers.fetch_add(packets as u64, Ordering::Relaxed);
                let mut names = enrichment.names();
                answers.iter().for_each(|answer| names.learn(answer, begun));
            }
            if counted.elapsed() >= COUNT_EVERY {
                counted = Instant::now();
                let lost = tap.lost();
                counts.answers.fetch_add(lost, Ordering::Relaxed);
                counts.answers_lost.fetch_add(lost, Ordering::Relaxed);
            }
            spent += begun.elapsed();
            if second.elapsed() >= Duration::from_secs(1) {
                (second, spent) = (Instant::now(), Duration::ZERO);
            } else if spent > MAX_SPENT {
                std::thread::sleep((second + Duration::from_secs(1)).saturating_duration_since(Instant::now()).min(MAX_WAIT));
            }
        }
        Ok(())
    }
}

impl Collector for ResolverNames {
    fn name(&self) -> &'static str {
        "names"
    }

    fn run(&mut self, _sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        // The connection follows its answer within microseconds, and sleeps are long here.
        sched::step_forward();
        while !stop.is_set() {
            if self.cache.enrichment().names_are_paused() {
                stop.sleep(NAP);
                continue;
            }
            self.listen(stop).map_err(|why| CollectorError {
                what: "names of destinations (packet socket)".to_owned(),
                why: why.to_string(),
                mend: "run as root, with CAP_NET_RAW, on a kernel with CONFIG_PACKET".to_owned(),
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
