//! Signs of real servers on loopback: those that greet, that hang, that are not there.

use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::time::Instant;

use super::*;

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn an_ssh_server_is_well_when_it_greets_and_only_then() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        for line in [&b"welcome\r\nSSH-2.0-test\r\n"[..], b"HTTP/1.1 200\r\n"] {
            server.accept().unwrap().0.write_all(line).unwrap();
        }
        // The third is accepted by the kernel and never greeted.
        std::thread::sleep(SHORT * 3);
    });
    assert_eq!(greets(address, SHORT).state, VitalState::Well);
    assert_eq!(greets(address, SHORT).state, VitalState::Ill);
    let began = Instant::now();
    let silent = greets(address, SHORT);
    assert!(silent.state == VitalState::Ill && began.elapsed() < SHORT * 3, "{silent}");
    thread.join().unwrap();
    assert!(greets(address, SHORT).detail.contains("does not accept"), "nobody listens there any more");
}

#[test]
fn a_name_server_is_well_with_any_answer() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut bytes = [0; 512];
        let (got, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[12..got], b"\x07example\x03org\x00\x00\x01\x00\x01");
        server.send_to(b"nonsense", from).unwrap();
        bytes[2] |= 0x80;
        bytes[3] = 2; // SERVFAIL
        server.send_to(&bytes[..got], from).unwrap();
        let (got, _) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(got, 17, "the root's name servers");
    });
    assert_eq!(resolver::answer(address, "example.org", Duration::from_secs(2)), Ok("answers".to_owned()));
    assert!(resolver::answer(address, ".", SHORT).unwrap_err().contains("does not answer within"));
    thread.join().unwrap();
    assert!(resolver::answer(address, ".", SHORT).is_err());
}

#[test]
fn operators_are_seen_by_the_port_that_they_came_to() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let client = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
    let near = server.accept().unwrap().0;
    let seen = operator_connections(&[port]);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].state, seen[0].name.clone()), (VitalState::Well, client.local_addr().unwrap().to_string()));
    assert_eq!(far_end(&seen[0]), Some("127.0.0.1".parse().unwrap()));
    drop((client, near));
    assert_eq!(operator_connections(&[port]), vec![]);
}

#[test]
fn declared_listeners_and_units_are_told() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = Listener { proto: Protocol::Tcp, port: server.local_addr().unwrap().port() };
    assert_eq!(listeners(&[open])[0].state, VitalState::Well);
    drop(server);
    assert_eq!(listeners(&[open])[0].state, VitalState::Ill);
    if !std::path::Path::new("/run/systemd/system").is_dir() {
        eprintln!("skipped: no systemd here");
        assert_eq!(is_active("nginx.service", SHORT).state, VitalState::Unknown);
        return;
    }
    assert_ne!(is_active("no-such-unit-at-all.service", Duration::from_secs(2)).state, VitalState::Well);
}
