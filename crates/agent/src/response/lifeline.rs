//! The owner's own access: derived by a thread of its own, often while something may be decided and rarely on a quiet
//! host, and read anew whenever somebody may be cut off.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::accepted_logins::{self, AcceptedLogins};
use super::seen_logins::{self, SeenLogins};
use bartizan_guard::lifeline::{self, Known, Snapshot, Waker};
use bartizan_model::{HostText, Lifeline, LifelineReason, Timestamp, Unpoisoned as _, is_same_place};

/// Sources from which consoles were attached, remembered while the agent lives.
const CONSOLES: usize = 64;
/// Consoles and askers at once; of more, the latest ones count.
const ATTACHED: usize = 256;
/// How often everything is derived anew while something may be decided, changes of the network and arriving consoles apart.
const EVERY: Duration = Duration::from_millis(2_500);
/// How often on a quiet host: a derivation reads every process, and was half of what an idle agent cost.
const QUIET: Duration = Duration::from_secs(30);
/// Something may be decided for so long after a signal or a question.
const ALERT: Duration = Duration::from_secs(60);
/// Whoever asks derives it, unless it is younger than this.
const FRESH: Duration = Duration::from_millis(4_500);
/// Deriving may take no more than this part of the time: on a host with a great many processes it is done less often.
const SHARE: u32 = 50;
/// ... but never less often than this, so that it is not stale (`lifeline::STALE`).
const AT_LEAST: Duration = Duration::from_millis(3_500);
/// At most so often, however fast addresses and routes change.
const PAUSE: Duration = Duration::from_millis(200);
/// An answer serves for so long: one decision asks several times. Whoever connects within it is seen by the responder's
/// own look at the target (`host::lifeline::check`); an arriving console ends it.
const ONE_DECISION: Duration = Duration::from_millis(5);
/// So often it is read anew because somebody arrived meanwhile; of whom arrives while it is read for the last time, only what
/// can be seen of them is added.
const READINGS: usize = 3;
/// How often names of time servers are asked for.
const NAMES: Duration = Duration::from_secs(600);

/// The last answer, and how often it was thrown away: an answer that was being made meanwhile is none.
#[derive(Debug, Default)]
struct Recent {
    turn: u64,
    answer: Option<(Instant, Lifeline)>,
}

/// Knows whom never to cut.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    /// Sources of consoles, the latest last.
    sources: Mutex<Vec<IpAddr>>,
    /// Processes of the consoles that are attached now.
    attached: Mutex<VecDeque<u32>>,
    /// Addresses that the policy adds.
    listed: Vec<IpAddr>,
    /// Accounts that agent.toml lets use the guard.
    accounts: Vec<u32>,
    /// To what the names of time servers resolved.
    time_servers: Mutex<Arc<BTreeSet<IpAddr>>>,
    /// Which names were asked for, and when.
    asked: Mutex<Option<(BTreeSet<String>, Instant)>>,
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    /// Whom we saw logged in.
    seen: Mutex<SeenLogins>,
    /// Whom the daemons let in, by their logs.
    accepted: Mutex<AcceptedLogins>,
    /// The last answer.
    recent: Mutex<Recent>,
    /// When something was last about to be decided.
    alerted: Mutex<Option<Instant>>,
    waker: Option<Waker>,
}

impl Owner {
    pub(crate) fn new(listed: Vec<IpAddr>) -> Self {
        // Without a waker time alone wakes.
        Self { listed, waker: Waker::new().ok(), ..Self::default() }
    }

    /// With the accounts that agent.toml lets use the guard: they must be able to log in.
    pub(crate) fn used_by(self, accounts: Vec<u32>) -> Self {
        Self { accounts, ..self }
    }

    /// With whom an earlier run saw logged in, and whom the daemons let in.
    pub(crate) fn remembering(self, seen: SeenLogins, accepted: AcceptedLogins) -> Self {
        Self { seen: Mutex::new(seen), accepted: Mutex::new(accepted), ..self }
    }

    /// A daemon let this account in from there, by its own log.
    pub(crate) fn accepted(&self, account: &HostText, addr: IpAddr, at: Timestamp) {
        self.accepted.lock().unpoisoned().note(account, addr, at);
    }

    /// Whom the daemons let in, to be kept, when that has changed since it was asked last.
    pub(crate) fn unsaved_logins(&self) -> Option<String> {
        self.accepted.lock().unpoisoned().unsaved(chrono::Utc::now())
    }

    /// Who logged in from there within thirty days, in one sentence. Whoever it is may share the address with an attacker.
    pub(crate) fn login_from(&self, addr: IpAddr, now: Timestamp) -> Option<String> {
        let by_log = self.accepted.lock().unpoisoned().from(addr, now);
        by_log.or_else(|| {
            let seen = self.seen.lock().unpoisoned().lately(now);
            let (account, _) = seen.into_iter().find(|(_, known)| is_same_place(*known, addr))?;
            Some(
                account.map_or_else(|| "somebody was logged in from there".to_owned(), |uid| format!("uid {uid} was logged in from there")),
            )
        })
    }

    /// A console attached; `ssh_connection` is what sshd(8) put in its environment: client, port, server, port.
    pub(crate) fn arrived(&self, pid: Option<u32>, ssh_connection: Option<&str>) {
        if let Some(pid) = pid {
            let mut attached = self.attached.lock().unpoisoned();
            if attached.len() >= ATTACHED {
                attached.pop_front();
            }
            attached.push_back(pid);
            drop(attached);
            self.forget();
        }
        let client = ssh_connection.and_then(|text| text.split_whitespace().next()).and_then(|text| text.parse::<IpAddr>().ok());
        let Some(client) = client else { return };
        let mut sources = self.sources.lock().unpoisoned();
        sources.retain(|known| *known != client);
        if sources.len() >= CONSOLES {
            sources.remove(0);
        }
        sources.push(client);
        drop(sources);
        self.forget();
        self.nudge();
    }

    /// A console left; where it came from stays protected.
    pub(crate) fn left(&self, pid: Option<u32>) {
        let mut attached = self.attached.lock().unpoisoned();
        if let Some(at) = attached.iter().position(|known| Some(*known) == pid) {
            attached.remove(at);
        }
    }

    /// The lifeline at this moment. Nobody who asks waits for another who does: on a busy host the other may be made to wait.
    pub(crate) fn lifeline(&self) -> Lifeline {
        *self.alerted.lock().unpoisoned() = Some(Instant::now());
        let mut readings = 0;
        loop {
            let snapshot = self.snapshot.lock().unpoisoned().clone();
            // On a quiet host, and before the thread has begun, whoever asks derives it.
            let snapshot = snapshot.filter(|snapshot| snapshot.age() < FRESH).unwrap_or_else(|| self.derive());
            let recent = self.recent.lock().unpoisoned();
            if let Some((_, lifeline)) = recent.answer.as_ref().filter(|(at, _)| at.elapsed() < ONE_DECISION) {
                return lifeline.clone();
            }
            let (turn, asked) = (recent.turn, Instant::now());
            drop(recent);
            let mut lifeline = self.with_known(|known| snapshot.read(known));
            lifeline.accounts.extend(self.accounts.iter().map(|uid| (*uid, LifelineReason::OwnAccount)));
            let mut recent = self.recent.lock().unpoisoned();
            // A console that arrived meanwhile counts: then all of it is asked again.
            if recent.turn == turn {
                recent.answer = Some((asked, lifeline.clone()));
                return lifeline;
            }
            drop(recent);
            readings += 1;
            // Whoever asks us again and again does not keep the court from its decision.
            if readings >= READINGS {
                return self.with_known(|known| lifeline::hold_attached(lifeline, known));
            }
        }
    }

    fn forget(&self) {
        let mut recent = self.recent.lock().unpoisoned();
        (recent.turn, recent.answer) = (recent.turn.wrapping_add(1), None);
    }

    /// Established TCP connections by far end, some seconds old at most.
    pub(crate) fn connections(&self) -> Vec<(IpAddr, u32)> {
        self.snapshot.lock().unpoisoned().as_ref().map(|snapshot| snapshot.connections.clone()).unwrap_or_default()
    }

    /// Derives everything now.
    fn derive(&self) -> Arc<Snapshot> {
        let snapshot = Arc::new(self.with_known(lifeline::derive));
        *self.snapshot.lock().unpoisoned() = Some(Arc::clone(&snapshot));
        self.forget();
        snapshot
    }

    fn with_known<T>(&self, ask: impl FnOnce(Known<'_>) -> T) -> T {
        let mut consoles = self.sources.lock().unpoisoned().clone();
        consoles.extend(&self.listed);
        let attached: Vec<u32> = self.attached.lock().unpoisoned().iter().copied().collect();
        let time_servers = Arc::clone(&self.time_servers.lock().unpoisoned());
        let seen = self.seen.lock().unpoisoned().lately(chrono::Utc::now());
        ask(Known { consoles: &consoles, attached: &attached, time_servers: &time_servers, users: &self.accounts, seen: &seen })
    }

    /// Something was seen about which may soon be decided: from now on the lifeline is kept fresh, so that the decision
    /// need not wait for it.
    pub(crate) fn alert(&self) {
        *self.alerted.lock().unpoisoned() = Some(Instant::now());
        if self.snapshot.lock().unpoisoned().as_ref().is_some_and(|snapshot| snapshot.age() >= between(snapshot.took)) {
            self.nudge();
        }
    }

    /// How long the thread may rest after a derivation that took so long.
    fn rest(&self, took: Duration) -> Duration {
        if self.alerted.lock().unpoisoned().is_some_and(|at| at.elapsed() < ALERT) { between(took) } else { QUIET }
    }

    /// Wakes the thread before its time.
    pub(crate) fn nudge(&self) {
        if let Some(waker) = &self.waker {
            waker.ring();
        }
    }

    /// The thread: derives until told to end. Gives what is unknown of the lifeline to `tell`, and who was seen logged in to
    /// `keep` when that has changed.
    pub(crate) fn keep(&self, is_over: impl Fn() -> bool, tell: impl Fn(Option<String>), keep: impl Fn(&'static str, String)) {
        let keep_accepted = || self.unsaved_logins().into_iter().for_each(|changed| keep(accepted_logins::KEY, changed));
        while !is_over() {
            let snapshot = self.derive();
            if let Some(changed) = self.seen.lock().unpoisoned().note(&snapshot.sessions, chrono::Utc::now()) {
                keep(seen_logins::KEY, changed);
            }
            keep_accepted();
            let now = self.with_known(|known| snapshot.read(known));
            tell(now.unknown.first().cloned());
            let rest = self.rest(snapshot.took);
            match &self.waker {
                Some(waker) => {
                    std::thread::sleep(PAUSE);
                    waker.sleep(rest.saturating_sub(PAUSE));
                }
                None => std::thread::sleep(rest),
            }
        }
        keep_accepted();
    }

    /// Asks for the names of time servers when it is time to. A resolver that does not answer takes seconds, which the
    /// lifeline must not wait for: call it from a thread of its own.
    pub(crate) fn ask_names(&self) {
        let names = self.snapshot.lock().unpoisoned().as_ref().map(|snapshot| snapshot.time_names.clone()).unwrap_or_default();
        let before = self.asked.lock().unpoisoned().clone();
        if names.is_empty() || before.is_some_and(|(before, at)| before == names && at.elapsed() < NAMES) {
            return;
        }
        let found = lifeline::resolve(&names);
        // A resolver that is down for a while does not make us forget.
        if !found.is_empty() {
            *self.time_servers.lock().unpoisoned() = Arc::new(found);
        }
        *self.asked.lock().unpoisoned() = Some((names, Instant::now()));
    }
}

/// From one derivation to the next while something may be decided.
fn between(took: Duration) -> Duration {
    (took * SHARE).clamp(EVERY, AT_LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::LifelineReason;
    use bartizan_sys::pidfd::key_of;

    #[test]
    fn several_questions_of_one_decision_cost_one_look() {
        let owner = Owner::new(Vec::new());
        owner.lifeline();
        let begun = Instant::now();
        let answers: Vec<Lifeline> = (0..10).map(|_| owner.lifeline()).collect();
        eprintln!("ten answers within one decision: {:?}", begun.elapsed());
        assert!(answers.windows(2).all(|two| two[0].addresses == two[1].addresses));
        assert!(owner.recent.lock().unpoisoned().answer.is_some());
        owner.arrived(Some(std::process::id()), None);
        assert!(owner.recent.lock().unpoisoned().answer.is_none(), "a console that comes is seen at once");
    }

    #[test]
    fn who_arrives_again_and_again_does_not_keep_the_lifeline_from_being_read() {
        let (owner, over) = (Arc::new(Owner::new(vec![])), Arc::new(std::sync::atomic::AtomicBool::new(false)));
        let (busy, until) = (Arc::clone(&owner), Arc::clone(&over));
        let arrives = std::thread::spawn(move || {
            while !until.load(std::sync::atomic::Ordering::Relaxed) {
                busy.arrived(Some(std::process::id()), None);
                busy.left(Some(std::process::id()));
            }
        });
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || (0..20).for_each(|_| drop(tell.send(owner.lifeline()))));
        let read = (0..20).filter(|_| told.recv_timeout(Duration::from_secs(20)).is_ok()).count();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        arrives.join().unwrap();
        assert_eq!(read, 20);
    }

    #[test]
    fn a_console_is_held_from_the_moment_it_arrives() {
        let owner = Owner::new(vec!["198.51.100.200".parse().unwrap()]);
        let mut child = std::process::Command::new("sleep").arg("20").spawn().unwrap();
        let key = key_of(child.id()).unwrap();
        assert_eq!(owner.lifeline().holds_process(key), None);
        owner.arrived(Some(child.id()), Some("203.0.113.44 50000 198.51.100.1 22"));
        let lifeline = owner.lifeline();
        assert_eq!(lifeline.holds_process(key), Some(LifelineReason::LoginPath));
        assert_eq!(lifeline.holds_address("203.0.113.44".parse().unwrap()), Some(LifelineReason::RecentLogin));
        assert!(lifeline.holds_address("198.51.100.200".parse().unwrap()).is_some(), "the policy lists it");
        owner.left(Some(child.id()));
        assert!(owner.lifeline().holds_address("203.0.113.44".parse().unwrap()).is_some(), "where it came from stays");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_quiet_host_is_looked_at_rarely_and_whoever_asks_gets_a_fresh_answer() {
        let owner = Owner::new(Vec::new());
        assert_eq!(owner.rest(Duration::from_millis(10)), QUIET);
        let old = owner.derive();
        std::thread::sleep(FRESH + Duration::from_millis(100));
        assert!(!owner.lifeline().unknown.iter().any(|line| line.contains("last read")), "an old derivation served");
        assert!(owner.snapshot.lock().unpoisoned().as_ref().unwrap().age() < FRESH && old.age() >= FRESH);
        assert_eq!(owner.rest(Duration::from_millis(10)), EVERY, "and for a while it is kept fresh");
    }

    #[test]
    fn the_thread_derives_again_while_something_may_be_decided_and_ends_when_told() {
        let owner = Arc::new(Owner::new(Vec::new()));
        owner.alert();
        let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (keeper, flag) = (Arc::clone(&owner), Arc::clone(&over));
        let thread = std::thread::spawn(move || keeper.keep(|| flag.load(std::sync::atomic::Ordering::Relaxed), |_| {}, |_, _| {}));
        std::thread::sleep(EVERY + Duration::from_millis(800));
        let snapshot = owner.snapshot.lock().unpoisoned().clone().unwrap();
        assert!(snapshot.age() < EVERY + Duration::from_millis(700), "{:?}", snapshot.age());
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        owner.nudge();
        thread.join().unwrap();
    }
}
