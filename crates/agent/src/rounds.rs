//! What happens by the clock: the court sits, actions are reconciled, questions lapse, health is measured, the
//! consoles are fed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::anchoring::{self, Anchoring};
use super::governor::Reading;
use super::pulses::Part;
use super::response::{self, Decider};
use super::shared::{Shared, lock};
use super::{start, supervisor};
use bartizan_guard::file_backups::AccessCopies;
use bartizan_guard::watchdog::{EMERGENCY_SIGN, Seen, Standing, WatchdogError};
use bartizan_model::{Alarm, AlarmKind, Approver, Counts, Health, HostText, Posture, Protocol, Timestamp};
use bartizan_protocol::{Refusal, Reply};
use bartizan_sensors::Sink;
use bartizan_sys::sock_diag::{self, Phase};
use bartizan_sys::{own_usage, sched, service_manager};

/// How often every active action is compared with the kernel, and the emergency script's sign is looked for.
const RECONCILE: Duration = Duration::from_secs(2);
/// How often the files that decide who gets in are looked at.
const COPIES: Duration = Duration::from_secs(6);
/// How often confidence decays and quiet incidents close, our files are looked at, and the ledger is read even when no
/// action is known.
const DECAY: Duration = Duration::from_secs(10);
/// How often it is asked whether health probes, questions or rounds are due; each at its own time.
const VITALS: Duration = Duration::from_millis(500);
/// How often it is asked whether what a change needs must be looked up again.
const LOOK_AHEAD: Duration = Duration::from_secs(60);
/// How much longer while no action is watched.
const REST: Duration = Duration::from_secs(1);
/// Between two deltas: fast enough to feel live, slow enough to be cheap over SSH.
const DELTA: Duration = Duration::from_millis(200);
/// How often health is measured while somebody looks.
const HEALTH: Duration = Duration::from_secs(1);
/// How often our own cost is weighed; also how long the publisher sleeps with nobody to tell.
const WEIGH: Duration = Duration::from_secs(5);
/// How often it is written down that we watch: after a crash no more than this counts as unwatched without need.
const REMEMBER: Duration = Duration::from_secs(30);

/// Whether something is due that happens every so often; then it is not, for as long.
fn due(last: &mut Instant, every: Duration) -> bool {
    let due = last.elapsed() >= every;
    if due {
        *last = Instant::now();
    }
    due
}

/// The court's thread: judges what waits, and nothing else. An intruder is stopped as soon as it has judged, so it runs
/// before whatever keeps the host busy.
pub(super) fn sit(shared: &Shared, mut decider: Decider) {
    // Before the first case: else a freeze needs a shell or timer of its own.
    keep_watchdog(shared, &Standing::of(&shared.settings.runtime, &shared.settings.data));
    decider.recall(chrono::Utc::now());
    sched::step_forward();
    let (mut looked, mut rested) = (Instant::now(), Instant::now());
    while !shared.stop.is_set() {
        shared.pulses.beat(Part::Court);
        shared.response.round(&mut decider, RECONCILE, |judge| {
            let begun = Instant::now();
            // However many cases a flood brings, it sprints for no more than a fifth of the time.
            if begun >= rested {
                sched::realtime(judge);
                rested = Instant::now() + begun.elapsed() * 4;
            } else {
                judge();
            }
        });
        if due(&mut looked, VITALS) {
            decider.lapse(chrono::Utc::now());
        }
    }
}

/// The reconcile loop: keeps the actions true, and what ends them alive. Nobody who acts waits for it.
pub(super) fn care(shared: &Arc<Shared>) {
    let (mut reconciled, mut decayed, mut copied) = (Instant::now(), Instant::now(), Instant::now());
    let standing = Standing::of(&shared.settings.runtime, &shared.settings.data);
    let mut copies = AccessCopies::of(&shared.settings.data);
    let acts = !shared.settings.only_watches;
    if acts {
        keep_copies(shared, &mut copies);
    }
    while !shared.stop.is_set() {
        std::thread::sleep(VITALS);
        shared.pulses.beat(Part::Caretaker);
        let now = chrono::Utc::now();
        let quiet = due(&mut decayed, DECAY);
        if acts && due(&mut reconciled, RECONCILE) {
            obey_emergency_script(shared, |by| response::emergency_stop(shared, by));
            keep_watchdog(shared, &standing);
            if due(&mut copied, COPIES) {
                keep_copies(shared, &mut copies);
            }
            // Every action passes over the screen's rows; the ledger itself is asked now and then all the same.
            if quiet || lock(&shared.live).actions.values().any(|action| action.state.is_active()) {
                reconcile(shared, now);
            }
        }
        if quiet {
            let foreign = shared.responder.foreign_freezes();
            let told = foreign.first().map(|first| match foreign.len() {
                1 => format!("frozen by another agent or an earlier ledger: {first}"),
                more => format!("frozen by another agent or an earlier ledger, {more} groups: {first}; all of them: bartizan-emergency"),
            });
            shared.degrade("foreign freezes", told);
            tidy(shared);
            shared.check_files();
            let changed = lock(&shared.correlator).tick(now);
            changed.iter().for_each(|incident| shared.incident_changed(incident, &[]));
        }
    }
}

/// Who ends our actions when we cannot must live: another one at once when it was ended, and the word is out.
fn keep_watchdog(shared: &Shared, standing: &Result<Standing, WatchdogError>) {
    let seen = standing.as_ref().map_or_else(|error| Seen::Missing(error.to_string()), Standing::look);
    let trouble = match seen {
        Seen::Watches | Seen::Started => None,
        // A host that is shut down ends every unit, in an order of its own.
        Seen::StartedAnew(_) if shared.stop.is_set() || service_manager::host_stops() => None,
        Seen::StartedAnew(found) => {
            let detail = HostText::from(format!("{found}; a new one watches").as_str());
            shared.lanes.emit(supervisor::alarmed(Alarm { what: AlarmKind::WatchdogGone, detail, action: None, path: None }));
            None
        }
        Seen::Missing(why) => Some(format!("{why}; each action gets a shell or timer of its own instead")),
    };
    shared.degrade("watchdog", trouble);
    let second = shared.responder.look_after_second_end().err();
    shared.degrade("second end", second.map(|error| error.to_string()));
}

/// Every change of a file that decides who gets in is a version of its own.
fn keep_copies(shared: &Shared, copies: &mut AccessCopies) {
    let taken = copies.look(chrono::Utc::now());
    let trouble = taken.troubles.first().map(|first| match taken.troubles.len() {
        1 => first.clone(),
        more => format!("{first} (and {} more)", more - 1),
    });
    shared.degrade("file backups", trouble);
}

/// The emergency script was run beside us: it wins. What it undid must not be brought back as drift.
pub(super) fn obey_emergency_script(shared: &Shared, stop: impl FnOnce(&Approver) -> Result<Reply, Refusal>) {
    let sign = shared.settings.runtime.join(EMERGENCY_SIGN);
    if !sign.exists() {
        return;
    }
    if let Err(trouble) = stop(&Approver::EmergencyScript) {
        shared.degrade("emergency script", Some(trouble.message));
    }
    if let Err(error) = std::fs::remove_file(&sign) {
        shared.degrade(
            "emergency script",
            Some(format!("cannot remove {}: {error}; remove it, or every action is undone at once", sign.display())),
        );
    }
}

/// Keeps the journal in order, and tells when a full disk makes memory its only copy.
fn tidy(shared: &Shared) {
    let tidied = shared.responder.tidy();
    let owed = |owed: usize| match owed {
        1 => "1 record waits in memory until then".to_owned(),
        owed => format!("{owed} records wait in memory until then"),
    };
    let trouble = match (shared.ledger.trouble(), tidied) {
        (Some(why), Ok(0) | Err(_)) => Some(why),
        (Some(why), Ok(waiting)) => Some(format!("{why}; {}", owed(waiting))),
        (None, Ok(0)) => None,
        (None, Ok(waiting)) => Some(format!("the disk takes nothing: free space on it; no new action is begun; {}", owed(waiting))),
        (None, Err(error)) => Some(error.to_string()),
    };
    shared.degrade("journal", trouble);
    let reserved = shared.ledger.reserve(start::reserve_of(&shared.settings));
    shared.degrade("ledger reserve", reserved.err().map(|error| format!("{error}; free space on its disk")));
    shared.note_ledger();
}

/// What is meant to be gone and is not yet: how many, and what keeps the first of them.
fn tell_pending(shared: &Shared) {
    let active = shared.responder.active().unwrap_or_default();
    let pending: Vec<_> = active.iter().filter_map(|action| Some((action, action.pending_words()?))).collect();
    let trouble = pending.first().map(|(first, why)| {
        let more = if pending.len() > 1 { format!(" (and {} more)", pending.len() - 1) } else { String::new() };
        format!("{} {} {}: {why}{more}", first.id, first.kind.verb(), first.target)
    });
    shared.degrade("undo", trouble);
}

fn reconcile(shared: &Shared, now: Timestamp) {
    // Whoever acts waits until it is done.
    match sched::forward(|| shared.responder.reconcile(now)) {
        Ok(changed) => {
            shared.degrade("reconciler", None);
            changed.iter().for_each(|action| shared.action_changed(action));
            shared.response.watch(&changed, now);
            tell_pending(shared);
        }
        Err(error) => shared.degrade("reconciler", Some(response::failed(error).message)),
    }
    shared.degrade("table of our name", shared.responder.table_trouble());
}

/// The probe loop: runs the host's health probes, and undoes what does harm. Nobody who acts waits for it.
pub(super) fn nurse(shared: &Shared) {
    let mut ahead = Instant::now();
    shared.responder.look_ahead();
    while !shared.stop.is_set() {
        if due(&mut ahead, LOOK_AHEAD) {
            shared.responder.look_ahead();
        }
        let changed = shared.responder.check_vitals(chrono::Utc::now());
        changed.iter().for_each(|action| shared.action_changed(action));
        shared.degrade("health probes", shared.responder.unexplained());
        shared.responder.rest(REST);
        std::thread::sleep(VITALS);
    }
}

/// The publisher: health and deltas, our own cost, and the word for the next run that we still watch.
pub(super) fn cry(shared: &Arc<Shared>) {
    let watchdog = service_manager::watchdog_period();
    // Half of it, so that a round that takes a while is still in time.
    let alone = WEIGH.min(watchdog.map_or(WEIGH, |period| period / 2));
    let begun = Instant::now();
    let (mut measured, mut weighed, mut remembered, mut patted) = (begun, begun, begun, begun);
    // What comes first may take seconds; it is not said that we hang meanwhile.
    service_manager::alive();
    let mut anchoring = Anchoring::default();
    let archived = shared.ask_archive(|archive| archive.meta(anchoring::HEAD)).ok().flatten();
    anchoring::compare(shared, archived.as_deref());
    shared.remember_coverage(chrono::Utc::now());
    while !shared.stop.is_set() {
        // A console that comes rings the notify.
        shared.notify.sleep(if lock(&shared.publisher).consoles() > 0 { DELTA } else { alone });
        if lock(&shared.publisher).consoles() > 0 && due(&mut measured, HEALTH) {
            let health = measure(shared);
            prune(shared);
            lock(&shared.live).health(health);
        }
        if due(&mut weighed, WEIGH) {
            weigh(shared);
            supervisor::tell_of_ended_outages(shared);
            if !shared.settings.only_watches {
                anchoring.tend(shared);
            }
            shared.remember_gaps();
        }
        if due(&mut remembered, REMEMBER) {
            shared.remember_coverage(chrono::Utc::now());
        }
        publish(shared);
        feed(shared, watchdog, &mut patted);
    }
}

/// Tells the service manager that we live, while every thread moves that must.
fn feed(shared: &Shared, period: Option<Duration>, fed: &mut Instant) {
    let Some(period) = period else { return };
    let stuck = shared.pulses.stuck(Instant::now(), shared.responder.moved());
    let moving = stuck.is_none();
    shared.degrade("heartbeat", stuck);
    if moving && due(fed, period) {
        service_manager::alive();
    }
}

/// Compares what we cost with what we may, and gives up or takes up work accordingly.
fn weigh(shared: &Shared) {
    let (_, cpu_percent) = rates(shared);
    let reading = Reading { cpu_percent, rss_bytes: own_usage::resident_bytes() };
    let change = lock(&shared.governor).weigh(reading, Instant::now());
    if let Some(change) = change {
        shared.budget_changed(change);
    }
}

/// Sends consoles what changed since the last time.
pub(super) fn publish(shared: &Shared) {
    let mut live = lock(&shared.live);
    let mut publisher = lock(&shared.publisher);
    live.watch(publisher.consoles() > 0);
    publisher.delta(live.drain());
}

/// Which of the sockets on screen are still open. The kernel lists those of our own network namespace only; for
/// others the process's life decides.
fn prune(shared: &Shared) {
    let Ok(dump) = sock_diag::dump() else { return };
    let listening: HashSet<(Protocol, u16)> =
        dump.sockets.iter().filter(|s| s.phase == Phase::Listening).map(|s| (s.flow.proto, s.flow.sport)).collect();
    let talking: HashSet<_> =
        dump.sockets.iter().filter(|s| s.phase != Phase::Listening).map(|s| (s.flow.proto, s.flow.dst, s.flow.dport)).collect();
    let own = shared.processes.by_pid(std::process::id()).map(|process| process.netns);
    lock(&shared.live).open_sockets(|row| {
        let elsewhere = row.process.and_then(|key| shared.processes.get(key)).is_some_and(|process| Some(process.netns) != own);
        match row.listening {
            _ if elsewhere => row.process.is_some_and(|key| shared.processes.is_alive(key)),
            true => listening.contains(&(row.net.proto, row.net.sport)),
            // The process must live too: the same place may be talked to by another.
            false => {
                row.process.is_none_or(|key| shared.processes.is_alive(key))
                    && talking.contains(&(row.net.proto, row.net.dst, row.net.dport))
            }
        }
    });
}

/// Events a second and percent of a core, over the last ten seconds.
fn rates(shared: &Shared) -> (f64, f64) {
    lock(&shared.gauge).read(Instant::now(), shared.totals.read().events, own_usage::cpu_time())
}

/// Health as of now.
pub(super) fn measure(shared: &Shared) -> Health {
    let hops = shared.hops();
    let totals = shared.totals.read();
    let (events_per_second, cpu_percent) = rates(shared);
    let rung = shared.ladder.rung();
    let at = chrono::Utc::now();
    let open = lock(&shared.outages).open(at);
    let coverage = lock(&shared.coverage);
    let watching_since = if open.is_empty() { coverage.since() } else { at };
    let gaps = coverage.gaps().into_iter().chain(open).collect();
    drop(coverage);
    let mut degraded: Vec<String> = lock(&shared.degraded).iter().map(|(part, trouble)| format!("{part}: {trouble}")).collect();
    degraded.extend(shared.response.age().map(|age| format!("court: {age}")));
    Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        host: own_usage::host_name(),
        kernel: own_usage::kernel_release(),
        watching_since,
        at,
        mode: shared.response.standing().mode,
        posture: posture(shared),
        rung,
        bpf_object: shared.ladder.bpf_object().to_owned(),
        blind_spots: shared.blind_spots(),
        hops,
        events_per_second,
        events_total: totals.events,
        cpu_percent,
        rss_bytes: own_usage::resident_bytes(),
        store_bytes: shared.disk_bytes(),
        learning: None,
        counts: counts(shared),
        gaps,
        budget: lock(&shared.governor).budget(),
        urgent_latency: shared.latency.read(),
        degraded,
    }
}

fn counts(shared: &Shared) -> Counts {
    let live = lock(&shared.live);
    let (open_incidents, new_alerts, pending_approvals) = live.open();
    drop(live);
    let active = shared.active_actions();
    Counts {
        processes: shared.processes.living().len() as u64,
        open_incidents,
        new_alerts,
        pending_approvals,
        active_actions: active.len() as u64,
        undo_pending: active.iter().filter(|action| action.undo_pending().is_some()).count() as u64,
    }
}

/// How far the response has gone: what is live, not what would be allowed.
fn posture(shared: &Shared) -> Posture {
    let active = shared.active_actions();
    if active.iter().any(|action| action.kind == bartizan_model::ActionKind::ContainHost) {
        return Posture::Lockdown;
    }
    if active.is_empty() { Posture::Observe } else { Posture::Contain }
}
