//! The operator's sessions under an action: cut directly, in a tunnel and behind a proxy, in either direction, while they idle.

use std::time::Duration;

use super::harm_stage::{Neighbour, RealSshd, beside};
use super::harm_tests::rounds;
use super::safety_tests::{Hands, MINUTE, ready, row};
use super::tests::{block, now, on_bench};
use super::*;
use bartizan_court::Warrant;
use bartizan_isolation::own_netns::ip;
use bartizan_model::{ActionState, Direction, ProbeState};

/// Undone within the time that three looks take, because of a session.
fn undone_for_a_session(responder: &Responder, hands: &Hands, order: Warrant) -> String {
    let id = match responder.execute(order, now()) {
        Ok(done) => done.id,
        // Of whom the lifeline is not sure, the one who asks waits for the signs.
        Err(ActError::Failed { action, .. }) => action.id,
        Err(error) => panic!("{error}"),
    };
    rounds(responder, hands, 6);
    let undone = row(responder, id);
    assert_eq!(undone.state, ActionState::RolledBack, "{} {:?}", undone.note, undone.vitals);
    assert!(undone.note.contains("it did harm: the operator's connection"), "{}", undone.note);
    undone.note
}

#[test]
fn an_operator_who_is_cut_in_spite_of_all_gets_the_connection_back_and_who_only_knocks_is_nobody() {
    on_bench(|bench| {
        let Some(sshd) = RealSshd::begin("") else { return };
        ip("addr add 198.51.100.1/24 dev lo");
        let hands = Hands::default();
        let responder = ready(&bench, &hands);
        let _knock = std::net::TcpStream::connect("198.51.100.1:22").unwrap();
        assert!(bartizan_guard::probes::sessions(&[22]).is_empty(), "a connection proves nothing");
        for direction in [Direction::In, Direction::Out] {
            let _login = sshd.login(&[], &["-b", "198.51.100.1"], "198.51.100.1");
            hands.pass(60);
            responder.check_vitals(now());
            let sessions: Vec<String> = bartizan_guard::probes::sessions(&[22]).iter().map(|session| session.name().to_owned()).collect();
            assert!(sessions.len() == 1 && sessions[0].starts_with("198.51.100.1:"), "{sessions:?}");
            // The lifeline of this bench knows nobody: only the signs are left to notice.
            let note = undone_for_a_session(&responder, &hands, block("198.51.100.1", direction, MINUTE));
            assert!(note.contains("198.51.100.1"), "{note}");
        }
        assert!(std::net::TcpStream::connect("198.51.100.1:22").is_ok());
    });
}

#[test]
fn a_session_that_idles_in_a_tunnel_is_missed_when_the_way_under_the_tunnel_is_cut_in_either_direction() {
    on_bench(|bench| {
        let Some(sshd) = RealSshd::begin("") else { return };
        if !std::path::Path::new("/dev/net/tun").exists() {
            return eprintln!("skipped: no /dev/net/tun");
        }
        let neighbour = Neighbour::move_in();
        let end = |own: &str, here: &str, there: &str| {
            let tunnel = format!("TUN:{own}/24,iff-up,iff-no-pi,tun-name=tun0");
            ["socat".to_owned(), tunnel, format!("UDP4-DATAGRAM:{there}:5000,bind={here}:5000")]
        };
        let (ours, theirs) = (end("10.8.0.1", "198.51.100.1", "198.51.100.9"), end("10.8.0.2", "198.51.100.9", "198.51.100.1"));
        let start = |before: &[&str], end: &[String; 3]| {
            let words: Vec<&str> = before.iter().copied().chain(end.iter().map(String::as_str)).collect();
            beside(&words)
        };
        let _ends = [start(&[], &ours), start(&neighbour.here(), &theirs)];
        std::thread::sleep(Duration::from_millis(800));
        let hands = Hands::default();
        let mut bench = bench;
        bench.lifeline.uncertain.push(("198.51.100.9".parse().unwrap(), "it may carry a session".to_owned()));
        let responder = ready(&bench, &hands);
        let _login = sshd.login(&neighbour.here(), &[], "10.8.0.1");
        for direction in [Direction::In, Direction::Out] {
            hands.pass(60);
            responder.check_vitals(now());
            let signs = responder.signs.before();
            let session = signs.iter().find(|sign| sign.name.starts_with("10.8.0.2:")).unwrap();
            assert_eq!((session.state, session.detail.as_str(), session.tunnel.as_deref()), (ProbeState::Well, "answers", Some("tun0")));
            let stranger = responder.execute(block("203.0.113.77", direction, MINUTE), now()).unwrap();
            rounds(&responder, &hands, 6);
            assert_eq!(row(&responder, stranger.id).state, ActionState::Live, "the session answers under that one");
            responder.rollback(stranger.id, "root", now()).unwrap();
            let note = undone_for_a_session(&responder, &hands, block("198.51.100.9", direction, MINUTE));
            assert!(note.contains("it comes through tun0") && note.contains("asked for a sign of life"), "{note}");
        }
        // What died by itself is nobody's harm: a lid was closed.
        ip("link set wire down");
        std::thread::sleep(Duration::from_millis(1300));
        hands.pass(60);
        responder.check_vitals(now());
        let innocent = responder.execute(block("203.0.113.78", Direction::In, MINUTE), now()).unwrap();
        rounds(&responder, &hands, 6);
        assert_eq!(row(&responder, innocent.id).state, ActionState::Live, "{:?}", row(&responder, innocent.id).vitals);
        responder.rollback(innocent.id, "root", now()).unwrap();
    });
}

#[test]
fn a_session_behind_a_proxy_of_this_host_is_missed_by_the_connection_that_carries_it() {
    on_bench(|bench| {
        let Some(sshd) = RealSshd::begin("") else { return };
        let neighbour = Neighbour::move_in();
        let _proxy = beside(&["socat", "TCP4-LISTEN:443,fork,reuseaddr", "TCP4:127.0.0.1:22"]);
        std::thread::sleep(Duration::from_millis(500));
        let hands = Hands::default();
        let responder = ready(&bench, &hands);
        let _login = sshd.login(&neighbour.here(), &["-p", "443"], "198.51.100.1");
        responder.check_vitals(now());
        let signs = responder.signs.before();
        assert!(signs.iter().any(|sign| sign.name.starts_with("198.51.100.9:") && sign.name.contains(" by pid ")), "{signs:?}");
        let note = undone_for_a_session(&responder, &hands, block("198.51.100.9", Direction::In, MINUTE));
        assert!(note.contains(" by pid "), "{note}");
    });
}
