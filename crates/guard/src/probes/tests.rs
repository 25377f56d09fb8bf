//! Signs of real servers on loopback: those that greet, that hang, that are not there.

use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::time::Instant;

use super::*;

const SHORT: Duration = Duration::from_millis(300);

fn asked(address: std::net::SocketAddr) -> Probe {
    greets(&SshServer::on(address), SHORT)
}

/// Answers each connection with the next of these words, from whichever address of ours it comes; then with nothing.
fn server(words: &'static [&'static str]) -> (std::net::SocketAddr, std::thread::JoinHandle<Vec<std::net::IpAddr>>) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut askers = Vec::new();
        for line in words {
            let (mut stream, asker) = server.accept().unwrap();
            stream.write_all(line.as_bytes()).unwrap();
            askers.push(asker.ip());
        }
        askers
    });
    (address, thread)
}

#[test]
fn an_ssh_server_is_well_when_it_greets_once_of_three_times() {
    let (address, thread) = server(&["welcome\r\nSSH-2.0-test\r\n", "", "", "SSH-2.0-test\r\n"]);
    let well = asked(address);
    assert!(well.state == ProbeState::Well && well.took.is_some() && well.detail.contains("to greet"), "{well}");
    assert_eq!(asked(address).state, ProbeState::Well, "the third greeted");
    let mut askers = thread.join().unwrap();
    askers.sort_unstable();
    askers.dedup();
    assert!(askers.len() >= 3 && !askers.contains(&"127.0.0.1".parse().unwrap()), "each from elsewhere: {askers:?}");
    let gone = asked(address);
    assert!(gone.state == ProbeState::Ill && gone.detail.contains("refuses connections"), "{gone}");
}

#[test]
fn whom_strangers_keep_busy_is_busy_and_not_ill() {
    let (address, thread) = server(&["Exceeded MaxStartups\r\n"; 3]);
    let busy = asked(address);
    assert!(busy.state == ProbeState::Busy && busy.detail.contains("Exceeded MaxStartups"), "{busy}");
    thread.join().unwrap();
    // Nobody takes them: one more than fits, and the kernel drops who comes.
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    nix::sys::socket::listen(&full, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
    let address = full.local_addr().unwrap();
    let _crowd: Vec<_> = (0..2).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let busy = asked(address);
    assert!(busy.state == ProbeState::Busy && busy.detail.contains("its queue is full"), "{busy}");
}

#[test]
fn whose_silence_is_told_by_what_was_measured() {
    let (address, thread) = server(&["", "", ""]);
    let closed = asked(address);
    assert!(closed.state == ProbeState::Ill && closed.detail == "closed a new connection without a word 3 times", "{closed}");
    thread.join().unwrap();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let began = Instant::now();
    let silent = asked(mute.local_addr().unwrap());
    assert_eq!((silent.state, silent.detail.as_str()), (ProbeState::Ill, "did not greet within 0.3 s"));
    assert!(began.elapsed() < SHORT * 5);
    let (address, thread) = server(&["HTTP/1.1 200\r\n"; 3]);
    assert!(asked(address).detail.contains("does not greet as an SSH server"));
    thread.join().unwrap();
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
        for _ in 0..3 {
            let (got, _) = server.recv_from(&mut bytes).unwrap();
            assert_eq!(got, 17, "the root's name servers, asked again and again");
        }
        std::thread::sleep(SHORT);
    });
    assert_eq!(resolver::answer(address, "example.org", Duration::from_secs(2)), Ok("answers".to_owned()));
    assert!(resolver::answer(address, ".", SHORT).unwrap_err().contains("does not answer within"));
    thread.join().unwrap();
    assert!(resolver::answer(address, ".", SHORT).is_err());
}

#[test]
fn declared_listeners_and_units_are_told() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = Listener { proto: Protocol::Tcp, port: server.local_addr().unwrap().port() };
    assert_eq!(listeners(&[open])[0].state, ProbeState::Well);
    drop(server);
    assert_eq!(listeners(&[open])[0].state, ProbeState::Ill);
    if !std::path::Path::new("/run/systemd/system").is_dir() {
        eprintln!("skipped: no systemd here");
        assert_eq!(is_active("nginx.service", SHORT).state, ProbeState::Unknown);
        return;
    }
    assert_ne!(is_active("no-such-unit-at-all.service", Duration::from_secs(2)).state, ProbeState::Well);
}
