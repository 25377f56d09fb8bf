//! A block closes what is open with the address, and only that: live TCP sessions in an own network namespace.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use super::ActError;
use super::tests::{block, nft, now, on_bench, ruleset};
use bartizan_isolation::own_netns::{connected_from, ip, killed_in_a_child};
use bartizan_model::{ActionPlan, ActionState, Direction, LifelineReason};

const OURS: &str = "198.51.100.1";
/// On the lifeline of the bench.
const OWNER: &str = "203.0.113.9";
const MINUTE: Duration = Duration::from_secs(60);

/// One live session; the far end is in the same namespace.
struct Session {
    far: TcpStream,
    near: TcpStream,
}

impl Session {
    fn open(listener: &TcpListener, from: &str) -> Self {
        let far = connected_from(from, OURS, listener.local_addr().unwrap().port());
        let (near, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip().to_string(), from);
        near.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut session = Self { far, near };
        session.talk().unwrap();
        session
    }

    fn talk(&mut self) -> std::io::Result<()> {
        self.far.write_all(b"ping")?;
        self.near.read_exact(&mut [0; 4])?;
        self.near.write_all(b"pong")?;
        self.far.read_exact(&mut [0; 4])
    }

    /// How our end of it learns that it is over.
    fn end(&mut self) -> ErrorKind {
        let began = Instant::now();
        let error = self.near.read(&mut [0]).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(1), "it must end at once");
        error.kind()
    }
}

fn network() -> TcpListener {
    for address in [OURS, OWNER, "198.51.100.66", "198.51.100.67"] {
        ip(&format!("addr add {address}/32 dev lo"));
    }
    TcpListener::bind((OURS, 0)).unwrap()
}

fn tracked() -> String {
    String::from_utf8(Command::new("conntrack").arg("-L").output().unwrap().stdout).unwrap()
}

#[test]
fn open_connections_with_the_blocked_address_die_and_no_others() {
    on_bench(|bench| {
        let (listener, responder) = (network(), bench.responder());
        // Somebody's own rule brings conntrack to life in this namespace.
        nft("add table inet other");
        nft("add chain inet other c { type filter hook input priority 0 ; }");
        nft("add rule inet other c ct state established accept");
        for direction in [Direction::In, Direction::Out] {
            let [mut bad, mut worse] = [(); 2].map(|()| Session::open(&listener, "198.51.100.66"));
            let (mut good, mut owner) = (Session::open(&listener, "198.51.100.67"), Session::open(&listener, OWNER));
            assert!(tracked().contains("src=198.51.100.66"), "{}", tracked());
            let order = block("198.51.100.66", direction, MINUTE);
            let preview = responder.preview(order.plan()).unwrap();
            assert!(preview.steps.iter().any(|step| step.starts_with("closes the 2 connections that are open now")), "{preview:?}");
            assert!(preview.undo.iter().any(|line| line.contains("not opened again")), "{preview:?}");
            bad.talk().unwrap();
            let began = Instant::now();
            let done = responder.execute(order, now()).unwrap();
            eprintln!("block {direction:?} with two connections open: {:?}, {}", began.elapsed(), done.note);
            assert_eq!(done.state, ActionState::Live);
            assert!(done.note.contains("2 connections closed") && !done.note.contains("still open"), "{}", done.note);
            assert_eq!((bad.end(), worse.end()), (ErrorKind::ConnectionAborted, ErrorKind::ConnectionAborted));
            assert!(!tracked().contains("198.51.100.66"), "{}", tracked());
            assert!(tracked().contains("src=198.51.100.67"), "the others are remembered: {}", tracked());
            good.talk().unwrap();
            owner.talk().unwrap();
            let seen = responder.reconcile(now()).unwrap();
            assert!(seen.first().unwrap().note.contains("2 connections closed"), "{seen:?}");
            let undone = responder.rollback(done.id, "root", now()).unwrap();
            assert!(undone.note.contains("the 2 connections closed by it stay closed"), "{}", undone.note);
            assert!(bad.talk().is_err(), "undoing does not open what was closed");
            Session::open(&listener, "198.51.100.66");
        }
    });
}

#[test]
fn the_owners_connection_is_never_closed() {
    on_bench(|bench| {
        let (listener, responder) = (network(), bench.responder());
        let mut owner = Session::open(&listener, OWNER);
        for spelling in [OWNER, "::ffff:203.0.113.9"] {
            let refused = responder.execute(block(spelling, Direction::In, MINUTE), now()).unwrap_err();
            assert!(matches!(refused, ActError::Lifeline { why: LifelineReason::SshSession, .. }), "{refused}");
        }
        let cut = super::actions::open_connections::cut(&responder.context, OWNER.parse().unwrap(), true).unwrap_err();
        assert!(matches!(cut, ActError::Lifeline { .. }), "the closing asks for itself: {cut}");
        owner.talk().unwrap();
        assert_eq!(ruleset(), "");
    });
}

#[test]
fn what_was_opened_while_somebody_had_removed_the_block_is_closed_too() {
    on_bench(|bench| {
        let (listener, responder) = (network(), bench.responder());
        let done = responder.execute(block("198.51.100.66", Direction::In, MINUTE), now()).unwrap();
        assert!(!done.note.contains("connection"), "nothing was open, nothing is said: {}", done.note);
        nft("flush ruleset");
        let mut meanwhile = Session::open(&listener, "198.51.100.66");
        let mended = responder.reconcile(now()).unwrap();
        assert!(mended.first().unwrap().note.contains("brought back"), "{mended:?}");
        assert_eq!(meanwhile.end(), ErrorKind::ConnectionAborted);
        let longest = block("198.51.100.67", Direction::In, ActionPlan::LONGEST);
        let preview = responder.preview(longest.plan()).unwrap();
        assert!(preview.steps.iter().any(|step| step.starts_with("no TCP connection")), "{preview:?}");
    });
}

#[test]
fn death_between_the_block_and_the_closing_leaves_nothing_open() {
    on_bench(|bench| {
        let listener = network();
        assert!(killed_in_a_child(|| {
            let responder = bench.responder();
            *responder.die_at.lock().unwrap() = Some("after apply");
            let _ = responder.execute(block("198.51.100.66", Direction::In, MINUTE), now());
        }));
        // As if it had died a moment earlier: the block is there, and a connection from before it.
        nft("delete element inet bartizan block_in4 {198.51.100.66}");
        let mut open = Session::open(&listener, "198.51.100.66");
        nft("add element inet bartizan block_in4 {198.51.100.66 timeout 60s}");
        let responder = bench.responder();
        let settled = responder.recover(now()).unwrap();
        assert_eq!(settled.first().map(|action| action.state), Some(ActionState::Live), "{settled:?}");
        assert_eq!(open.end(), ErrorKind::ConnectionAborted);
        assert!(responder.reconcile(now()).unwrap().iter().all(|action| !action.note.contains("still open")));
    });
}
