//! `bartizan --headless` as a service manager runs it: ready, reloading, stopping, and a clean end (sd_notify(3)).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::agent::{Home, signal};
use support::can_run;
use support::network::Network;

/// The next thing that the agent tells its service manager.
fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).expect("the agent tells its service manager");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// Reads until this is told; what else is told in between (a status, a sign of life) is well.
fn await_word(socket: &UnixDatagram, word: &str) {
    let heard: Vec<String> = (0..20).map(|_| told(socket)).take_while(|message| !message.contains(word)).collect();
    assert!(heard.len() < 20, "{word} was not told: {heard:?}");
}

#[test]
fn the_service_manager_is_told_what_it_must_know() {
    if !can_run(&["ip", "nsenter"]) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let path = home.path("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut agent = home.command(&["--headless"]).env("NOTIFY_SOCKET", &path).spawn().unwrap();
    await_word(&socket, "READY=1");
    // Ready means that it answers.
    assert!(home.answers(), "ready, and nobody answers");
    signal(agent.id(), Signal::SIGHUP);
    await_word(&socket, "RELOADING=1");
    await_word(&socket, "READY=1");
    signal(agent.id(), Signal::SIGTERM);
    await_word(&socket, "STOPPING=1");
    assert!(agent.wait().unwrap().success());
    assert!(!home.path("agent.sock").exists(), "the socket stays behind");
}
