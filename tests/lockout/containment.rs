//! Containment while the operator's session idles: the host closes, its owner stays in and can come in again.

use std::net::UdpSocket;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::stage::{Attempt, Must, Stage};
use crate::support::agent::{signal, told};
use crate::support::lan::{OPERATOR, RESOLVER, STRANGER};

/// How long the session says nothing.
const IDLE: Duration = Duration::from_secs(4);

fn contain(stage: &Stage, lasts: &str) -> Result<(), String> {
    let output = stage.home.run(&["contain", "--for", lasts]);
    if output.status.success() { Ok(()) } else { Err(told(&output)) }
}

/// A question to the name server is answered.
fn names_are_answered(stage: &Stage) -> Result<bool, String> {
    let answered = stage.lan.host.network.within(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        // Header of a question for the root (RFC 1035, 4.1), sent again as a resolver would.
        let question = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
        (0..3).any(|_| socket.send_to(&question, (RESOLVER, 53)).is_ok() && socket.recv(&mut [0; 512]).is_ok())
    });
    if answered { Ok(false) } else { Err("the name server does not answer under containment".to_owned()) }
}

/// Whether the host is closed: it cannot call a stranger.
fn is_closed(stage: &Stage) -> bool {
    let listener = stage.lan.stranger.within(|| std::net::TcpListener::bind((STRANGER[0], 8443)).unwrap());
    let address = listener.local_addr().unwrap();
    stage.lan.host.network.within(|| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err())
}

pub fn attempts(_stage: &Stage) -> Vec<Attempt> {
    vec![
        Attempt::new("containment while the session idles", Must::DoNoHarm, |stage| {
            contain(stage, "1m")?;
            std::thread::sleep(IDLE);
            if is_closed(stage) { Ok(false) } else { Err("containment closes nothing: nothing was tried".to_owned()) }
        }),
        Attempt::new("containment and the name server", Must::DoNoHarm, |stage| {
            contain(stage, "1m")?;
            names_are_answered(stage)
        }),
        Attempt::new("containment, confirmed", Must::DoNoHarm, |stage| {
            contain(stage, "1m")?;
            let id = stage.home.json(&["actions", "--active"])[0]["id"].as_str().unwrap().to_owned();
            let output = stage.home.run(&["confirm", &id]);
            std::thread::sleep(IDLE);
            if output.status.success() { Ok(false) } else { Err(told(&output)) }
        }),
        Attempt::new("containment that ends by itself", Must::DoNoHarm, |stage| {
            contain(stage, "2s")?;
            std::thread::sleep(IDLE);
            if is_closed(stage) { Err("it did not end".to_owned()) } else { Ok(false) }
        }),
        Attempt::new("containment while the agent hangs", Must::DoNoHarm, |stage| {
            contain(stage, "3s")?;
            signal(stage.agent(), Signal::SIGSTOP);
            std::thread::sleep(IDLE);
            let closed = is_closed(stage);
            signal(stage.agent(), Signal::SIGCONT);
            if closed { Err("it did not end while the agent hung".to_owned()) } else { Ok(false) }
        }),
        Attempt::new("containment over a table that somebody prepared", Must::DoNoHarm, |stage| {
            let hostile = "table inet bartizan { set contain_out { type ipv4_addr; }; chain input { drop; }; }";
            let _ = stage.lan.host.command("nft", &[hostile]).output().unwrap();
            let done = contain(stage, "1m");
            std::thread::sleep(Duration::from_secs(1));
            // It may rather do nothing than something that cannot be told.
            let _ = done;
            Ok(true)
        }),
        Attempt::new("containment, and somebody empties what it keeps", Must::DoNoHarm, |stage| {
            contain(stage, "1m")?;
            for set in ["contain_answer4", "contain_answer6"] {
                let _ = stage.lan.host.command("nft", &["flush", "set", "inet", "bartizan", set]).output().unwrap();
            }
            std::thread::sleep(IDLE);
            Ok(false)
        }),
        Attempt::new("containment and a block of the stranger at once", Must::DoNoHarm, |stage| {
            contain(stage, "1m")?;
            stage.home.run(&["block", STRANGER[0]]);
            stage.home.run(&["limit", STRANGER[1], "--packets", "1"]);
            names_are_answered(stage)
        }),
        Attempt::by_wire(Must::BeRefused, "contain-host", json!("host"), 864_000),
        Attempt::by_wire(Must::BeRefused, "contain-host", json!({ "address": { "addr": OPERATOR[0], "direction": "in" } }), 60),
        Attempt::by_wire(Must::DoNoHarm, "contain-host", json!("host"), 86_400),
    ]
}
