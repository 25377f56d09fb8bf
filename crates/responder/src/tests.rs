//! The hand on the real kernel: own network namespaces, own groups, own processes.

use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use bartizan_court::Warrant;
use bartizan_court::{ApprovalRequest, Court};
use bartizan_enforce::freeze::{Method, Purpose};
use bartizan_isolation::own_netns::{alone_on_this_host, in_own_network, killed_in_a_child};
use bartizan_model::{ActionKind, ActionState, Approver, Direction, HostText, LifelineReason, Mode, Target, WarrantId};
use bartizan_sys::pidfd::key_of;

pub(super) struct Bench {
    pub(super) dir: tempfile::TempDir,
    /// In memory: a process in the middle of a write to a busy disk can be held by nobody.
    memory: tempfile::TempDir,
    pub(super) lifeline: Lifeline,
    pub(super) alarms: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn new() -> Self {
        let addresses =
            vec![("203.0.113.9".parse().unwrap(), LifelineReason::SshSession), ("2001:db8::9".parse().unwrap(), LifelineReason::Gateway)];
        let processes = vec![(key_of(std::process::id()).unwrap(), LifelineReason::Agent)];
        let lifeline = Lifeline { addresses, processes, ..Lifeline::default() };
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        Self { dir: tempfile::tempdir().unwrap(), memory, lifeline, alarms: Arc::default() }
    }

    /// The file that a lively tree writes to.
    pub(super) fn out(&self) -> PathBuf {
        self.memory.path().join("out")
    }

    pub(super) fn runtime(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub(super) fn responder(&self) -> Responder {
        let ledger = Arc::new(Ledger::open(&self.dir.path().join("data"), now()).unwrap());
        let (lifeline, alarms) = (self.lifeline.clone(), Arc::clone(&self.alarms));
        let alarm: RaiseAlarm = Box::new(move |alarm| alarms.lock().unwrap().push(alarm.to_string()));
        Responder::new(ledger, &self.runtime(), Ties { alarm, ..ties(lifeline) }).unwrap()
    }

    /// What the responder was alarmed about.
    pub(super) fn alarms(&self) -> Vec<String> {
        self.alarms.lock().unwrap().clone()
    }
}

impl Responder {
    /// The same hand when so much time has passed by the clock that nobody can set.
    pub(super) fn later(self, passed: Duration) -> Self {
        let (clock, ns) = (self.clock.clone(), u64::try_from(passed.as_nanos()).unwrap());
        let ahead = bartizan_sys::clock::Clock::new(clock.boot(), move || clock.now() + ns);
        self.with_clock(ahead)
    }
}

/// The row of an action, once its evidence is on record.
pub(super) fn with_evidence(responder: &Responder, id: ActionId) -> bartizan_model::Action {
    assert!(until(|| responder.ledger.action(id).unwrap().unwrap().evidence.is_some()));
    responder.ledger.action(id).unwrap().unwrap()
}

pub(super) fn ties(lifeline: Lifeline) -> Ties {
    Ties {
        lifeline: Box::new(move || lifeline.clone()),
        again: super::harm_stage::among_ourselves(),
        tree: Box::new(|root| vec![root]),
        alarm: Box::new(|_| {}),
        policy: Policy::built_in().unwrap(),
    }
}

pub(super) fn now() -> Timestamp {
    chrono::Utc::now()
}

pub(super) fn person(name: &str) -> Approver {
    Approver::Person(name.to_owned())
}

pub(super) fn order(plan: ActionPlan) -> Warrant {
    by(person("root via uid 0"), plan)
}

pub(super) fn by(approver: Approver, plan: ActionPlan) -> Warrant {
    Warrant::forge(plan, approver)
}

pub(super) fn block(addr: &str, direction: Direction, lasts: Duration) -> Warrant {
    let target = Target::Address { addr: addr.parse().unwrap(), direction };
    order(ActionPlan::new(ActionKind::BlockAddress, target, lasts).unwrap())
}

pub(super) fn on_tree(kind: ActionKind, child: &Tree) -> Warrant {
    let target = Target::ProcessTree { root: key_of(child.id()).unwrap(), exe: HostText::from("/bin/sh") };
    order(ActionPlan::new(kind, target, Duration::from_secs(60)).unwrap())
}

pub(super) fn ruleset() -> String {
    String::from_utf8(Command::new("nft").args(["list", "ruleset"]).output().unwrap().stdout).unwrap()
}

pub(super) fn nft(command: &str) {
    assert!(Command::new("nft").args(command.split(' ')).status().unwrap().success(), "{command}");
}

fn reaches(address: &str) -> bool {
    let listener = TcpListener::bind((address, 0)).unwrap();
    TcpStream::connect_timeout(&listener.local_addr().unwrap(), Duration::from_millis(300)).is_ok()
}

/// A shell with children that come and go, all of which write to a file.
pub(super) fn lively_tree(out: &std::path::Path) -> Tree {
    let script = r#"(while :; do printf a >> "$0"; sleep 0.01; done) & while :; do (printf b >> "$0"); sleep 0.01; done"#;
    let child =
        Command::new("sh").args(["-c", script]).arg(out).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
    let tree = Tree(child);
    assert!(until(|| size(out) > 10));
    tree
}

/// A process that does nothing.
pub(super) fn sleeping_tree() -> Tree {
    Tree(Command::new("sleep").arg("1000").process_group(0).spawn().unwrap())
}

/// Ended with all of it when a test is over, however it ends.
pub(super) struct Tree(pub(super) Child);

impl Tree {
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let group = self.0.id();
        for stat in bartizan_sys::pidfd::everything().unwrap_or_default().iter().filter(|stat| stat.group == group) {
            let _ = bartizan_sys::pidfd::PidFd::open(stat.key()).and_then(|hold| hold.signal(9));
        }
        let _ = self.0.wait();
    }
}

fn size(path: &std::path::Path) -> u64 {
    std::fs::metadata(path).map(|meta| meta.len()).unwrap_or(0)
}

pub(super) fn stands_still(out: &std::path::Path) -> bool {
    let before = size(out);
    std::thread::sleep(Duration::from_millis(200));
    size(out) == before
}

pub(super) fn until(mut done: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !done() && began.elapsed() < Duration::from_secs(6) {
        std::thread::sleep(Duration::from_millis(20));
    }
    done()
}

pub(super) fn cgroup(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap()
}

/// Runs a test in a network of its own, in a directory of its own; skips aloud without root.
pub(super) fn on_bench(body: impl FnOnce(Bench) + Send) {
    let _alone = alone_on_this_host();
    in_own_network(|| body(Bench::new()));
}

#[test]
fn a_block_is_live_in_the_kernel_and_gone_without_a_trace() {
    on_bench(|bench| {
        nft("add table inet other");
        let (before, responder) = (ruleset(), bench.responder());
        for (addr, direction) in [("127.0.0.5", Direction::Out), ("::1", Direction::In)] {
            // Loopback is never a stranger: only the kernel side is under test here, so the shape check is passed by hand.
            let plan = block(addr, direction, Duration::from_secs(60));
            assert!(matches!(responder.execute(plan, now()), Err(ActError::Lifeline { why: LifelineReason::NotAStranger, .. })));
        }
        assert!(Command::new("ip").args(["addr", "add", "198.51.100.1/24", "dev", "lo"]).status().unwrap().success());
        assert!(reaches("198.51.100.1"));
        let first = responder.execute(block("198.51.100.1", Direction::In, Duration::from_secs(60)), now()).unwrap();
        assert_eq!((first.state, first.id), (ActionState::Live, ActionId(1)));
        assert!(!reaches("198.51.100.1"));
        let second = responder.execute(block("198.51.100.2", Direction::Out, Duration::from_secs(60)), now()).unwrap();
        let again = responder.execute(block("::ffff:198.51.100.2", Direction::Out, Duration::from_secs(60)), now()).unwrap_err();
        assert!(matches!(again, ActError::Duplicate { id: ActionId(2), .. }), "{again}");
        assert!(ruleset().contains("198.51.100.2 timeout "), "{}", ruleset());
        responder.rollback(first.id, "root", now()).unwrap();
        assert!(reaches("198.51.100.1"));
        assert!(ruleset().contains("198.51.100.2"), "the other stays");
        let undone = responder.rollback(second.id, "root", now()).unwrap();
        assert_eq!(responder.rollback(second.id, "root", now()).unwrap(), undone, "undoing twice is harmless");
        assert_eq!(ruleset(), before);
        let what: Vec<String> = responder.ledger.audit_tail(20).unwrap().into_iter().map(|entry| entry.body.what).collect();
        for step in ["action.refused", "action.intended", "action.applied", "action.rolled_back"] {
            assert!(what.iter().any(|found| found == step), "{step} is in {what:?}");
        }
        assert!(responder.ledger.verify().unwrap().intact);
    });
}

#[test]
fn the_owners_path_is_refused_in_every_spelling_and_leaves_no_row() {
    on_bench(|bench| {
        let responder = bench.responder();
        for spelling in [
            "203.0.113.9", "::ffff:203.0.113.9", "::ffff:cb00:7109", "2001:db8::9", "2001:0db8:0:0:0:0:0:9", "127.0.0.1", "0.0.0.0",
            "255.255.255.255", "::", "ff02::1", "224.0.0.1", "::ffff:127.0.0.2",
        ] {
            for direction in [Direction::In, Direction::Out] {
                let refused = responder.execute(block(spelling, direction, Duration::from_secs(60)), now());
                assert!(matches!(refused, Err(ActError::Lifeline { .. })), "{spelling}: {refused:?}");
            }
        }
        let target = Target::ProcessTree { root: key_of(std::process::id()).unwrap(), exe: HostText::from("x") };
        let me = order(ActionPlan::new(ActionKind::KillTree, target, Duration::from_secs(9)).unwrap());
        assert!(matches!(responder.execute(me, now()), Err(ActError::Lifeline { why: LifelineReason::Agent, .. })));
        assert_eq!((ruleset().as_str(), responder.actions(9).unwrap().len()), ("", 0));
    });
}

#[test]
fn an_incomplete_lifeline_leaves_the_decision_to_a_person() {
    on_bench(|mut bench| {
        bench.lifeline.unknown.push("routes could not be read".into());
        let responder = bench.responder();
        let alone = by(Approver::Mode(Mode::Balanced), block("198.51.100.2", Direction::In, Duration::from_secs(60)).plan().clone());
        assert!(matches!(responder.execute(alone, now()), Err(ActError::LifelineUnknown(_))));
        assert!(responder.execute(block("198.51.100.2", Direction::In, Duration::from_secs(60)), now()).is_ok());
        // A name decides nothing, not even that of a mode.
        let named = by(person("BALANCED"), block("198.51.100.3", Direction::In, Duration::from_secs(60)).plan().clone());
        let done = responder.execute(named, now()).unwrap();
        assert_eq!(responder.ledger.action(done.id).unwrap().unwrap().by, person("BALANCED"));
    });
}

#[test]
fn a_block_ends_by_the_kernel_and_tampering_is_mended() {
    on_bench(|bench| {
        let responder = bench.responder();
        let short = responder.execute(block("198.51.100.3", Direction::In, Duration::from_secs(1)), now()).unwrap();
        let long = responder.execute(block("198.51.100.4", Direction::In, Duration::from_secs(60)), now()).unwrap();
        for tampering in [
            "delete element inet bartizan block_in4 {198.51.100.4}",
            "flush chain inet bartizan input",
            "delete table inet bartizan",
            "flush ruleset",
        ] {
            nft(tampering);
            let mended = responder.reconcile(now()).unwrap();
            let long = mended.iter().find(|action| action.id == long.id).unwrap();
            assert!(long.state == ActionState::Live && long.note.contains("brought back"), "{tampering}: {}", long.note);
            assert!(ruleset().contains("198.51.100.4") && ruleset().contains("@block_in4 counter"), "{tampering}");
        }
        std::thread::sleep(Duration::from_millis(1300));
        assert!(!ruleset().contains("198.51.100.3"), "the kernel ended it by itself");
        responder.reconcile(now()).unwrap();
        assert_eq!(responder.ledger.action(short.id).unwrap().unwrap().state, ActionState::Expired);
        let ahead = responder.later(Duration::from_secs(70));
        ahead.reconcile(now()).unwrap();
        let responder = ahead;
        assert_eq!(responder.ledger.action(long.id).unwrap().unwrap().state, ActionState::Expired);
        assert_eq!(ruleset(), "", "with the last block the table goes");
    });
}

#[test]
fn a_frozen_tree_stands_still_and_comes_back_exactly() {
    on_bench(|bench| {
        let responder = bench.responder();
        let out = bench.out();
        let child = lively_tree(&out);
        let before = cgroup(child.id());
        let frozen = responder.execute(on_tree(ActionKind::FreezeTree, &child), now()).unwrap();
        assert_eq!(frozen.state, ActionState::Live, "{}", frozen.note);
        assert!(stands_still(&out));
        assert_eq!(responder.reconcile(now()).unwrap().first().map(|action| action.state), Some(ActionState::Live));
        assert!(matches!(responder.execute(on_tree(ActionKind::FreezeTree, &child), now()), Err(ActError::Duplicate { .. })));
        responder.rollback(frozen.id, "root", now()).unwrap();
        assert_eq!(cgroup(child.id()), before);
        assert!(!stands_still(&out));
        let leftovers: Vec<_> = std::fs::read_dir(bench.runtime().join("freeze")).unwrap().collect();
        assert!(leftovers.is_empty(), "{leftovers:?}");
        drop(child);
    });
}

#[test]
fn a_thaw_by_somebody_else_is_alarmed_and_the_tree_is_held_again_as_policy_says() {
    on_bench(|bench| {
        let responder = bench.responder();
        let out = bench.out();
        let child = lively_tree(&out);
        let frozen = responder.execute(on_tree(ActionKind::FreezeTree, &child), now()).unwrap();
        if let Some(dir) = responder.context.freezer.group_dir(&group_name(frozen.id, responder.ledger.instance())) {
            let (file, word) =
                if responder.context.freezer.method() == Method::V2 { ("cgroup.freeze", "0") } else { ("freezer.state", "THAWED") };
            let let_go = || {
                std::fs::write(dir.join(file), word).unwrap();
                assert!(until(|| !stands_still(&out)));
                responder.reconcile(now()).unwrap()
            };
            let seen = let_go();
            assert_eq!(seen.first().unwrap().state, ActionState::Live, "{seen:?}");
            assert!(seen.first().unwrap().note.contains("somebody thawed the group") && stands_still(&out), "{seen:?}");
            let mut policy = Policy::built_in().unwrap();
            policy.actions.drifted_freeze = bartizan_config::policy::DriftPolicy::Alarm;
            responder.set_policy(&policy);
            let seen = let_go();
            assert_eq!(seen.first().unwrap().state, ActionState::Drifted, "{seen:?}");
            assert!(!stands_still(&out));
        }
        responder.rollback(frozen.id, "root", now()).unwrap();
        drop(child);
    });
}

#[test]
fn death_at_any_point_leaves_nothing_without_an_owner() {
    for (point, adopted) in [("after intent", false), ("after apply", true), ("before receipt", true)] {
        on_bench(|bench| {
            assert!(killed_in_a_child(|| {
                let responder = bench.responder();
                *responder.die_at.lock().unwrap() = Some(point);
                let _ = responder.execute(block("198.51.100.5", Direction::In, Duration::from_secs(60)), now());
            }));
            assert_eq!(ruleset().contains("198.51.100.5"), adopted, "{point}");
            let responder = bench.responder();
            assert_eq!(responder.active().unwrap().len(), 1, "{point}: the intent is on disk");
            let settled = responder.recover(now()).unwrap();
            let wanted = if adopted { ActionState::Live } else { ActionState::Failed };
            assert_eq!(settled.first().map(|action| action.state), Some(wanted), "{point}: {settled:?}");
            assert_eq!(ruleset().contains("198.51.100.5"), adopted, "{point}: never done again");
            assert!(responder.ledger.verify().unwrap().intact);
            if adopted {
                responder.rollback(ActionId(1), "root", now()).unwrap();
            }
            assert_eq!(ruleset(), "");
        });
    }
}

#[test]
fn death_in_the_middle_of_a_freeze_is_undone_or_adopted() {
    for (point, adopted) in [("after intent", false), ("after apply", false), ("before receipt", true)] {
        on_bench(|bench| {
            let out = bench.out();
            let child = lively_tree(&out);
            let before = cgroup(child.id());
            assert!(killed_in_a_child(|| {
                let responder = bench.responder();
                *responder.die_at.lock().unwrap() = Some(point);
                let _ = responder.execute(on_tree(ActionKind::FreezeTree, &child), now());
            }));
            let responder = bench.responder();
            let settled = responder.recover(now()).unwrap();
            let wanted = if adopted { ActionState::Live } else { ActionState::Failed };
            assert_eq!(settled.first().map(|action| action.state), Some(wanted), "{point}: {settled:?}");
            assert_eq!(stands_still(&out), adopted, "{point}");
            if adopted {
                responder.rollback(ActionId(1), "root", now()).unwrap();
            }
            assert_eq!(cgroup(child.id()), before, "{point}");
            assert!(std::fs::read_dir(bench.runtime().join("freeze")).unwrap().next().is_none(), "{point}");
            drop(child);
        });
    }
}

#[test]
fn what_nobody_owns_is_removed_at_start() {
    on_bench(|bench| {
        let responder = bench.responder();
        responder.execute(block("198.51.100.6", Direction::In, Duration::from_secs(60)), now()).unwrap();
        nft("add element inet bartizan block_in4 {198.51.100.7 timeout 1h}");
        let out = bench.out();
        let child = lively_tree(&out);
        let root = key_of(child.id()).unwrap();
        let name = format!("A77-{}", responder.ledger.instance());
        responder.context.freezer.freeze(&name, Purpose::Hold, &|| vec![root], &|_| Ok(())).unwrap();
        assert!(stands_still(&out));
        responder.recover(now()).unwrap();
        assert!(ruleset().contains("198.51.100.6") && !ruleset().contains("198.51.100.7"));
        assert!(!stands_still(&out));
        let said: Vec<String> = responder
            .ledger
            .audit_tail(9)
            .unwrap()
            .into_iter()
            .filter(|entry| entry.body.what == "orphan.removed")
            .map(|entry| entry.body.detail)
            .collect();
        assert_eq!(said.len(), 2, "{said:?}");
        drop(child);
    });
}

#[test]
fn the_emergency_stop_leaves_nothing() {
    on_bench(|bench| {
        let responder = bench.responder();
        let out = bench.out();
        let child = lively_tree(&out);
        let before = cgroup(child.id());
        responder.execute(block("198.51.100.8", Direction::In, Duration::from_secs(60)), now()).unwrap();
        responder.execute(on_tree(ActionKind::FreezeTree, &child), now()).unwrap();
        let target: IpAddr = "198.51.100.9".parse().unwrap();
        nft(&format!("add element inet bartizan block_in4 {{{target} timeout 1h}}"));
        let report = responder.emergency_stop(&person("root"), now());
        assert_eq!((report.rolled_back.len(), report.failures.len()), (2, 0), "{report:?}");
        assert_eq!((ruleset().as_str(), cgroup(child.id())), ("", before));
        assert!(!stands_still(&out));
        assert_eq!(responder.active().unwrap(), vec![]);
        drop(child);
    });
}

#[test]
fn only_a_timely_warrant_moves_the_hand() {
    on_bench(|bench| {
        let mut ours = Court::new(&Policy::built_in().unwrap(), WarrantId(1));
        let ledger = Arc::new(Ledger::open(&bench.dir.path().join("data"), now()).unwrap());
        let lifeline = bench.lifeline.clone();
        let responder = Responder::new(ledger, &bench.runtime(), ties(lifeline)).unwrap();
        let warrant = |court: &mut Court| {
            let plan = block("198.51.100.20", Direction::Out, Duration::from_secs(60)).plan().clone();
            let (reason, person, lifeline) = ("a test".to_owned(), "root via uid 0".to_owned(), &bench.lifeline);
            court.grant(ApprovalRequest { plan, incident: None, reason, person, lifeline, tree: &[], active: &[], now: now() }).unwrap()
        };
        let (late, good) = (warrant(&mut ours), warrant(&mut ours));
        assert!(matches!(responder.execute(late, now() + chrono::Duration::minutes(6)), Err(ActError::Warrant(_))));
        assert_eq!(ruleset(), "");
        let done = responder.execute(good, now()).unwrap();
        assert_eq!((done.state, done.by.clone()), (ActionState::Live, person("root via uid 0")));
        assert!(ruleset().contains("198.51.100.20"));
        responder.rollback(done.id, "root", now()).unwrap();
    });
}
