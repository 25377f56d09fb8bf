//! Harm and what only looks like it, on the real kernel with real servers: what an action cannot have done is not undone.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::harm_stage::{Neighbour, RealSshd, beside};
use super::safety_tests::{Hands, MINUTE, contain, ready, row};
use super::tests::{Bench, block, by, now, on_bench, on_tree, person, ruleset, sleeping_tree};
use super::*;
use bartizan_court::Warrant;
use bartizan_isolation::own_netns::{ip, killed_in_a_child};
use bartizan_model::{ActionState, Approver, Direction, Mode, ProbeState};

/// A server on port 22 that greets, until told to fall silent.
struct SshServer {
    silent: Arc<AtomicBool>,
}

impl SshServer {
    fn begin() -> Self {
        let (listener, silent) = (TcpListener::bind("0.0.0.0:22").unwrap(), Arc::new(AtomicBool::new(false)));
        let quiet = Arc::clone(&silent);
        std::thread::spawn(move || {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept() {
                if !quiet.load(Ordering::SeqCst) {
                    let _ = stream.write_all(b"SSH-2.0-test\r\n");
                }
                open.push(stream);
            }
        });
        Self { silent }
    }

    fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }
}

fn alone(order: Warrant) -> Warrant {
    by(Approver::Mode(Mode::Aggressive), order.plan().clone())
}

/// The rounds of the next seconds; whose row changed.
pub(super) fn rounds(responder: &Responder, hands: &Hands, seconds: u64) {
    for _ in 0..seconds {
        hands.pass(1);
        responder.check_vitals(now());
    }
}

/// The same hand with one more declared probe, which is well now.
fn with_probe(bench: &Bench, hands: &Hands, probe: &str) -> Responder {
    let responder = ready(bench, hands);
    let mut policy = Policy::clone(&responder.context.policy());
    policy.vitals.probes = vec![probe.to_owned()];
    responder.set_policy(&policy);
    responder.check_vitals(now());
    let well = |seen: &bartizan_model::Probe| seen.name == probe && seen.state == ProbeState::Well;
    assert!(responder.signs.before().iter().any(well), "{:?}", responder.signs.before());
    responder
}

#[test]
fn strangers_who_fill_the_ssh_server_undo_nothing() {
    on_bench(|bench| {
        let Some(_sshd) = RealSshd::begin("MaxStartups 10:30:100\nLoginGraceTime 60") else { return };
        let hands = Hands::default();
        let responder = ready(&bench, &hands);
        responder.check_vitals(now());
        let blocked = responder.execute(alone(block("198.51.100.2", Direction::In, MINUTE)), now()).unwrap();
        let crowd: Vec<TcpStream> = (0..150).filter_map(|_| TcpStream::connect("127.0.0.1:22").ok()).collect();
        assert!(crowd.len() > 100);
        rounds(&responder, &hands, 8);
        let row_now = row(&responder, blocked.id);
        assert_eq!(row_now.state, ActionState::Live, "{}", row_now.note);
        let contained = responder.execute(contain(), now()).unwrap();
        assert_eq!(contained.state, ActionState::Live, "{}", contained.note);
        rounds(&responder, &hands, 8);
        assert!(responder.active().unwrap().iter().all(|action| action.state == ActionState::Live));
        assert_eq!(responder.unexplained(), None, "a crowd is no illness");
        drop(crowd);
        assert!(responder.emergency_stop(&person("root"), now()).failures.is_empty());
    });
}

#[test]
fn an_ssh_server_that_stands_still_by_itself_undoes_nothing_and_is_told() {
    on_bench(|bench| {
        let Some(sshd) = RealSshd::begin("") else { return };
        let hands = Hands::default();
        let responder = ready(&bench, &hands);
        responder.check_vitals(now());
        let tree = sleeping_tree();
        let frozen = responder.execute(alone(on_tree(bartizan_model::ActionKind::FreezeTree, &tree)), now()).unwrap();
        let blocked = responder.execute(alone(block("198.51.100.2", Direction::In, MINUTE)), now()).unwrap();
        let contained = responder.execute(contain(), now()).unwrap();
        sshd.signal(nix::sys::signal::Signal::SIGSTOP);
        rounds(&responder, &hands, 8);
        for id in [frozen.id, blocked.id, contained.id] {
            let seen = row(&responder, id);
            assert_eq!(seen.state, ActionState::Live, "{}", seen.note);
            let check = seen.vitals.unwrap();
            assert!(check.harmed.is_empty() && check.unexplained.iter().any(|said| said.contains("is stopped")), "{check:?}");
        }
        assert_eq!(responder.unexplained(), None, "one look may be wrong");
        for _ in 0..4 {
            hands.pass(60);
            responder.check_vitals(now());
        }
        let told = responder.unexplained().unwrap();
        assert!(told.contains("its process") && told.contains("nothing was undone for it"), "{told}");
        sshd.signal(nix::sys::signal::Signal::SIGCONT);
        hands.pass(60);
        responder.check_vitals(now());
        assert_eq!(responder.unexplained(), None);
        assert!(responder.emergency_stop(&person("root"), now()).failures.is_empty());
    });
}

#[test]
fn one_slow_greeting_is_no_harm() {
    on_bench(|bench| {
        let hands = Hands::default();
        let (mut responder, server) = (ready(&bench, &hands), Arc::new(SshServer::begin()));
        let cut = Arc::clone(&server);
        responder.at_point = Mutex::new(Some(("after apply", Box::new(move |_| cut.fall_silent()))));
        let done = responder.execute(contain(), now()).unwrap();
        let check = done.vitals.unwrap();
        assert!(done.state == ActionState::Live && check.harmed.is_empty(), "{check:?}");
        let said = "did not greet within 0.3 s (before: took 0.0 s to greet)";
        assert!(check.unexplained.iter().any(|line| line.contains(said)), "told as it was measured: {check:?}");
        responder.at_point = Mutex::new(None);
        responder.rollback(done.id, "root", now()).unwrap();
    });
}

#[test]
fn looks_that_several_threads_begin_at_one_moment_are_one() {
    on_bench(|bench| {
        ip("addr add 198.51.100.2/32 dev lo");
        let hands = Hands::default();
        let _server = TcpListener::bind("198.51.100.2:8080").unwrap();
        let responder = with_probe(&bench, &hands, "tcp 198.51.100.2:8080");
        let done = responder.execute(alone(block("198.51.100.2", Direction::In, MINUTE)), now()).unwrap();
        hands.pass(1);
        let (begun, ill) = (responder.clock.now(), responder.measure_all());
        for _ in 0..4 {
            responder.compare_signs(done.id, &ill, begun, now());
        }
        assert_eq!(row(&responder, done.id).state, ActionState::Live, "it is one moment, whoever looks");
        for second in 1..3 {
            responder.compare_signs(done.id, &ill, begun + second * 1_000_000_000, now());
        }
        assert_eq!(row(&responder, done.id).state, ActionState::RolledBack);
    });
}

#[test]
fn what_does_harm_is_undone_by_itself_and_not_done_again_alone() {
    on_bench(|bench| {
        ip("addr add 198.51.100.2/32 dev lo");
        let hands = Hands::default();
        let _server = TcpListener::bind("198.51.100.2:8080").unwrap();
        let responder = with_probe(&bench, &hands, "tcp 198.51.100.2:8080");
        let order = || alone(block("198.51.100.2", Direction::In, MINUTE));
        let (done, beside) = (
            responder.execute(order(), now()).unwrap(),
            responder.execute(alone(block("198.51.100.3", Direction::In, MINUTE)), now()).unwrap(),
        );
        assert_eq!(responder.check_vitals(now()).len(), 0, "it is too early to look");
        rounds(&responder, &hands, 2);
        assert_eq!(row(&responder, done.id).state, ActionState::Live, "one look, or two, may be wrong");
        rounds(&responder, &hands, 4);
        let undone = row(&responder, done.id);
        assert_eq!(undone.state, ActionState::RolledBack, "{}", undone.note);
        let said = "undone automatically: it did harm: probe tcp 198.51.100.2:8080: does not accept a connection";
        assert!(undone.note.starts_with(said) && undone.note.contains("it is reached over 198.51.100.2"), "{}", undone.note);
        assert!(undone.note.contains("only a person may act on this target again"), "{}", undone.note);
        assert_eq!(undone.vitals.unwrap().harmed.len(), 1);
        assert_eq!(row(&responder, beside.id).state, ActionState::Live, "the other cannot have done it");
        let lines = responder.ledger.audit_tail(9).unwrap();
        assert!(lines.iter().any(|entry| entry.body.what == "action.harmful" && entry.body.subject == done.id.to_string()));
        assert!(matches!(responder.execute(order(), now()), Err(ActError::Harmful(_))));
        drop(responder);
        let responder = with_probe(&bench, &hands, "tcp 198.51.100.2:8080");
        responder.recover(now()).unwrap();
        assert!(matches!(responder.execute(order(), now()), Err(ActError::Harmful(_))), "a restart forgives nothing");
        responder.rollback(beside.id, "root", now()).unwrap();
        // A person may; from then on the guard may too, over a restart as well.
        let mut policy = Policy::clone(&responder.context.policy());
        policy.vitals.probes.clear();
        responder.set_policy(&policy);
        let by_person = responder.execute(block("198.51.100.2", Direction::In, MINUTE), now()).unwrap();
        responder.rollback(by_person.id, "root", now()).unwrap();
        drop(responder);
        let responder = ready(&bench, &hands);
        responder.recover(now()).unwrap();
        let again = responder.execute(order(), now()).unwrap();
        responder.rollback(again.id, "root", now()).unwrap();
        assert_eq!(ruleset(), "");
    });
}

#[test]
fn a_containment_that_cuts_what_must_work_fails_before_anybody_is_told_that_it_worked() {
    on_bench(|bench| {
        // Whom containment does not let through.
        let neighbour = Neighbour::move_in();
        let _far = beside(&[&neighbour.here()[..], &["socat", "TCP4-LISTEN:8080,fork,reuseaddr", "EXEC:true"]].concat());
        std::thread::sleep(Duration::from_millis(700));
        let responder = with_probe(&bench, &Hands::default(), "tcp 198.51.100.9:8080");
        let failed = responder.execute(contain(), now()).unwrap_err();
        assert!(failed.to_string().contains("it is reached over 198.51.100.9"), "{failed}");
        assert_eq!((row(&responder, ActionId(1)).state, ruleset().as_str()), (ActionState::RolledBack, ""));
    });
}

#[test]
fn what_was_before_an_action_is_compared_with_after_the_agent_died_too() {
    on_bench(|bench| {
        let neighbour = Neighbour::move_in();
        let _far = beside(&[&neighbour.here()[..], &["socat", "TCP4-LISTEN:8080,fork,reuseaddr", "EXEC:true"]].concat());
        std::thread::sleep(Duration::from_millis(700));
        let (hands, probe) = (Hands::default(), "tcp 198.51.100.9:8080");
        assert!(killed_in_a_child(|| {
            let responder = with_probe(&bench, &hands, probe);
            *responder.die_at.lock().unwrap() = Some("after receipt");
            let _ = responder.execute(contain(), now());
        }));
        let responder = ready(&bench, &hands);
        let mut policy = Policy::clone(&responder.context.policy());
        policy.vitals.probes = vec![probe.to_owned()];
        responder.set_policy(&policy);
        let kept = || std::fs::read_dir(bench.runtime().join("before")).unwrap().count();
        assert_eq!(kept(), 1);
        responder.recover(now()).unwrap();
        let found = row(&responder, ActionId(1));
        assert!(found.state == ActionState::Live && found.awaits_confirmation().is_some(), "{}", found.note);
        rounds(&responder, &hands, 10);
        let undone = row(&responder, ActionId(1));
        assert_eq!((undone.state, ruleset().as_str()), (ActionState::RolledBack, ""), "{}", undone.note);
        assert!(undone.note.contains("it did harm") && undone.note.contains("198.51.100.9"), "{}", undone.note);
        assert_eq!(kept(), 0, "what is over is compared with nothing");
    });
}

#[test]
fn a_name_server_that_swallows_questions_neither_delays_containment_nor_is_told_as_tampering() {
    on_bench(|bench| {
        let mut responder = ready(&bench, &Hands::default());
        let mut policy = Policy::built_in().unwrap();
        policy.vitals.probes = vec!["tcp 192.0.2.1:80".to_owned()];
        responder.set_policy(&policy);
        // The signs take their two seconds and more, and so does what comes between the change and the proof.
        responder.at_point = Mutex::new(Some(("after apply", Box::new(|_| std::thread::sleep(Duration::from_millis(3500))))));
        let asked = now();
        let contained = responder.execute(contain(), asked).unwrap();
        assert!((contained.planned_at - asked).num_milliseconds() < 4000, "{}", contained.planned_at - asked);
        assert_eq!(contained.state, ActionState::Live, "{}", contained.note);
        responder.at_point = Mutex::new(None);
        responder.reconcile(now()).unwrap();
        assert_eq!(row(&responder, contained.id).state, ActionState::Live, "{}", row(&responder, contained.id).note);
        responder.rollback(contained.id, "root", now()).unwrap();
        assert_eq!(ruleset(), "");
    });
}
