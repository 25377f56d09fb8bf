//! Confirmation, clocks that jump, a disk that is full: on the real kernel, in network namespaces.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::tests::{Bench, block, by, now, on_bench, order, person, ruleset};
use super::*;
use bartizan_court::Warrant;
use bartizan_isolation::own_netns::{ip, killed_in_a_child};
use bartizan_model::{ActionKind, ActionState, Approver, BootId, Direction, Mode, Target};
use bartizan_sys::clock::Clock;

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// A clock that tests move.
#[derive(Clone, Default)]
pub(super) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(super) fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
    }

    pub(super) fn on(&self, responder: Responder) -> Responder {
        let (passed, real) = (Arc::clone(&self.0), Clock::of_this_host());
        responder.with_clock(Clock::new(real.boot(), move || real.now() + passed.load(Ordering::SeqCst)))
    }
}

pub(super) fn contain() -> Warrant {
    order(ActionPlan::new(ActionKind::ContainHost, Target::Host, Duration::from_secs(600)).unwrap())
}

/// A small disk of its own for the data directory, taken down when the test is over.
pub(super) struct Disk(std::path::PathBuf);

impl Disk {
    pub(super) fn of(bench: &Bench) -> Self {
        let place = bench.dir.path().join("data");
        std::fs::create_dir_all(&place).unwrap();
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&place).status();
        assert!(mounted.unwrap().success());
        Self(place)
    }

    pub(super) fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("ballast")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    pub(super) fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn short_vitals(responder: &Responder) {
    let text = "[vitals]\nwithin = \"300ms\"\nresolve = \"\"\n[containment]\npackage_mirrors = false\n";
    responder.set_policy(&Policy::parse(text, "test").unwrap());
}

pub(super) fn ready(bench: &Bench, hands: &Hands) -> Responder {
    let responder = hands.on(bench.responder());
    short_vitals(&responder);
    responder
}

pub(super) fn row(responder: &Responder, id: ActionId) -> Action {
    responder.ledger.action(id).unwrap().unwrap()
}

#[test]
fn what_nobody_confirms_is_undone_and_what_somebody_confirms_lasts() {
    on_bench(|bench| {
        ip("addr add 198.51.100.1/24 dev lo");
        let hands = Hands::default();
        let responder = ready(&bench, &hands);
        let before = ruleset();
        let first = responder.execute(contain(), now()).unwrap();
        assert_eq!(first.state, ActionState::Live, "{}", first.note);
        let until = first.awaits_confirmation().unwrap();
        assert_eq!((until - first.planned_at).num_seconds(), 120);
        assert!(first.vitals.is_some() && first.expires_at > until);
        hands.pass(60);
        responder.reconcile(now()).unwrap();
        // The kernel's clock did not jump with ours, so that the end outside of us looks wrong to us, and is mended.
        hands.pass(64);
        responder.reconcile(now()).unwrap();
        let over = row(&responder, first.id);
        assert_eq!(over.state, ActionState::RolledBack, "{}", over.note);
        assert_eq!(over.note, "nobody confirmed it within 2m: undone");
        assert_eq!(ruleset(), before);
        assert!(matches!(responder.confirm(first.id, "root", now()), Err(ActError::NotAwaiting { .. })));
        let second = responder.execute(contain(), now()).unwrap();
        let confirmed = responder.confirm(second.id, "root via uid 0", now()).unwrap();
        assert_eq!((confirmed.state, confirmed.awaits_confirmation()), (ActionState::Live, None), "{}", confirmed.note);
        assert_eq!(confirmed.ends_at(), confirmed.expires_at);
        let listed = ruleset();
        assert!(listed.contains("expires 9m") || listed.contains("timeout 10m") || listed.contains("timeout 9m"), "{listed}");
        let again = responder.confirm(second.id, "root", now()).unwrap_err();
        assert!(again.to_string().contains("confirmed it already"), "{again}");
        assert!(matches!(responder.confirm(ActionId(99), "root", now()), Err(ActError::NotFound(_))));
        responder.rollback(second.id, "root", now()).unwrap();
        assert_eq!(ruleset(), before);
    });
}

#[test]
fn death_around_a_confirmation_leaves_one_answer() {
    for (point, lasts) in [("before confirming", false), ("before prolonging", true), ("after prolonging", true)] {
        on_bench(|bench| {
            let responder = ready(&bench, &Hands::default());
            let action = responder.execute(contain(), now()).unwrap();
            drop(responder);
            assert!(killed_in_a_child(|| {
                let responder = ready(&bench, &Hands::default());
                *responder.die_at.lock().unwrap() = Some(point);
                let _ = responder.confirm(action.id, "root", now());
            }));
            let responder = ready(&bench, &Hands::default());
            responder.recover(now()).unwrap();
            let settled = row(&responder, action.id);
            assert_eq!(settled.state, ActionState::Live, "{point}: {}", settled.note);
            assert_eq!(settled.awaits_confirmation().is_none(), lasts, "{point}");
            responder.reconcile(now()).unwrap();
            assert_eq!(row(&responder, action.id).state, ActionState::Live, "{point}: {}", row(&responder, action.id).note);
            responder.rollback(action.id, "root", now()).unwrap();
            assert_eq!(ruleset(), "", "{point}");
        });
    }
}

#[test]
fn a_wall_clock_that_jumps_neither_ends_nor_keeps_anything() {
    on_bench(|bench| {
        let hands = Hands::default();
        let responder = ready(&bench, &hands);
        let done = responder.execute(block("198.51.100.2", Direction::In, MINUTE), now()).unwrap();
        for jump in [chrono::Duration::days(3650), chrono::Duration::hours(-30), chrono::Duration::minutes(2)] {
            responder.reconcile(now() + jump).unwrap();
            assert_eq!(row(&responder, done.id).state, ActionState::Live, "{jump}: {}", row(&responder, done.id).note);
            assert!(ruleset().contains("198.51.100.2"), "{jump}");
        }
        drop(responder);
        let responder = ready(&bench, &hands);
        responder.recover(now() - chrono::Duration::days(1)).unwrap();
        assert_eq!(row(&responder, done.id).state, ActionState::Live, "over a restart too");
        hands.pass(70);
        responder.reconcile(now() - chrono::Duration::days(1)).unwrap();
        assert_eq!(row(&responder, done.id).state, ActionState::Expired);
        assert_eq!(ruleset(), "");
    });
}

#[test]
fn after_a_reboot_what_the_kernel_held_is_over() {
    on_bench(|bench| {
        let responder = ready(&bench, &Hands::default());
        let done = responder.execute(block("198.51.100.2", Direction::In, MINUTE), now()).unwrap();
        let begun = responder.ledger.next_action_id().unwrap();
        drop(responder);
        crate::tests::nft("flush ruleset");
        let responder = bench.responder().with_clock(Clock::new(BootId(0xdead_beef), || 5_000_000_000));
        responder.recover(now()).unwrap();
        let over = row(&responder, done.id);
        assert_eq!((over.state, over.note.as_str()), (ActionState::Expired, "the host was rebooted: what the kernel held of it is over"));
        assert_eq!((ruleset().as_str(), responder.ledger.next_action_id().unwrap()), ("", begun));
    });
}

#[test]
fn with_a_full_disk_nothing_begins_and_everything_can_be_undone() {
    on_bench(|bench| {
        let disk = Arc::new(Disk::of(&bench));
        let mut responder = ready(&bench, &Hands::default());
        let kept = responder.execute(block("198.51.100.2", Direction::In, MINUTE), now()).unwrap();
        disk.fill();
        let refused = responder.execute(block("198.51.100.3", Direction::In, MINUTE), now()).unwrap_err();
        assert!(matches!(refused, ActError::Ledger(_)) && refused.to_string().contains("full"), "{refused}");
        assert!(!ruleset().contains("198.51.100.3") && responder.active().unwrap().len() == 1);
        let undone = responder.rollback(kept.id, "root", now()).unwrap();
        assert_eq!((undone.state, ruleset().as_str()), (ActionState::RolledBack, ""));
        assert!(responder.tidy().unwrap() > 0, "memory is the only copy");
        assert_eq!(responder.actions(9).unwrap().first().map(|action| action.state), Some(ActionState::RolledBack));
        disk.make_room();
        assert_eq!(responder.tidy().unwrap(), 0);
        // Full in the middle: the effect is there and cannot be put on record, so it goes.
        let filling = Arc::clone(&disk);
        responder.at_point = Mutex::new(Some(("after apply", Box::new(move |_| filling.fill()))));
        let failed = responder.execute(block("198.51.100.4", Direction::In, MINUTE), now()).unwrap_err();
        assert!(matches!(failed, ActError::Failed { .. }), "{failed}");
        assert_eq!((ruleset().as_str(), responder.active().unwrap().len()), ("", 0));
        disk.make_room();
        assert_eq!(responder.tidy().unwrap(), 0);
        assert!(responder.ledger.verify().unwrap().intact);
        drop(responder);
        let responder = bench.responder();
        assert_eq!(responder.recover(now()).unwrap().len(), 0, "what was owed was written");
        assert_eq!(row(&responder, kept.id).state, ActionState::RolledBack);
        drop(responder);
    });
}

/// Not a test of speed, which a debug build has not: prints where the time of one block goes.
#[test]
fn where_the_time_of_a_block_goes() {
    on_bench(|bench| {
        let responder = ready(&bench, &Hands::default());
        for n in 1..=120u8 {
            let alone = by(Approver::Mode(Mode::Aggressive), block(&format!("198.51.100.{n}"), Direction::In, MINUTE).plan().clone());
            responder.execute(alone, now()).unwrap();
        }
        let paces = responder.paces.lock().unwrap().clone();
        let steps: Vec<&'static str> = paces[0].iter().map(|(name, _)| *name).collect();
        for (at, name) in steps.iter().enumerate() {
            let mut took: Vec<Duration> = paces.iter().map(|pace| pace[at].1).collect();
            took.sort();
            eprintln!("{name:20} median {:?}, p99 {:?}", took[took.len() / 2], took[took.len() * 99 / 100]);
        }
        let mut all: Vec<Duration> = paces.iter().map(|pace| pace.iter().map(|(_, took)| *took).sum()).collect();
        all.sort();
        eprintln!("{:20} median {:?}, p99 {:?}", "all", all[all.len() / 2], all[all.len() * 99 / 100]);
        let began = std::time::Instant::now();
        assert_eq!(responder.reconcile(now()).unwrap().len(), 120);
        eprintln!("reconciling 120 blocks: {:?}", began.elapsed());
        assert!(responder.emergency_stop(&person("root"), now()).failures.is_empty());
        assert_eq!(ruleset(), "");
    });
}
