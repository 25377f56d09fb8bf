//! The owner who comes through a proxy, a tunnel or a forward is held, and so is what carries them.

use std::process::Stdio;
use std::time::Duration;

use crate::host::{Host, Program, Said, below};
use crate::support::lan::{HOST, OPERATOR, STRANGER};
use crate::support::ssh::Session;

#[test]
fn a_port_proxy_in_front_of_sshd_does_not_hide_the_owner() {
    let Some(host) = Host::new(&["socat"], "") else { return };
    let proxy = host.runs("socat", &["TCP-LISTEN:443,fork,reuseaddr", "TCP:127.0.0.1:22"]);
    host.wait_port(&host.lan.operator, HOST[0], 443);
    let session = Session::over(&host.server, &host.lan.operator, OPERATOR[0], HOST[0], &["-p", "443"]);
    assert_eq!(host.to_block(OPERATOR[0]), Said::Refused);
    assert_eq!(host.to_block(STRANGER[0]), Said::Done);
    for pid in below(proxy.0.id()) {
        assert_eq!(host.to_freeze(pid), Said::Refused, "what carries the session");
    }
    let preview = host.preview(STRANGER[0]);
    assert!(preview.contains("over loopback, carried by socat") && preview.contains(OPERATOR[0]), "{preview}");
    drop(session);
}

/// One process that carries many connections at once, as haproxy, sslh and nginx do: FROM-PORT TO-PORT.
const PROXY: &str = r"
import socket, sys, threading
def copy(one, other):
    while True:
        data = one.recv(65536)
        if not data: break
        other.sendall(data)
server = socket.create_server(('0.0.0.0', int(sys.argv[1])))
while True:
    front, _ = server.accept()
    back = socket.create_connection(('127.0.0.1', int(sys.argv[2])))
    for pair in ((front, back), (back, front)):
        threading.Thread(target=copy, args=pair, daemon=True).start()
";

#[test]
fn of_several_far_ends_of_a_proxy_none_can_be_cut_off_for_good_without_a_yes_and_none_is_untouchable() {
    let Some(host) = Host::new(&["python3"], "") else { return };
    let script = host.home.path("proxy.py");
    std::fs::write(&script, PROXY).unwrap();
    let proxy = host.runs("python3", &[&script.display().to_string(), "443", "22"]);
    host.wait_port(&host.lan.operator, HOST[0], 443);
    let stranger = host.lan.stranger.within(|| std::net::TcpStream::connect((HOST[0], 443)).unwrap());
    let mut session = Session::over(&host.server, &host.lan.operator, OPERATOR[0], HOST[0], &["-p", "443"]);
    assert_eq!(host.says(&["limit", OPERATOR[0], "--packets", "1000"]), Said::ToBeConfirmed);
    assert_eq!(host.says(&["limit", STRANGER[0], "--packets", "1000"]), Said::ToBeConfirmed);
    assert_eq!(host.to_block("203.0.113.9"), Said::Done, "somebody else");
    assert!(session.echoes(Duration::from_secs(10)));
    drop((session, stranger, proxy));
}

#[test]
fn a_user_who_logs_in_from_the_host_itself_does_not_make_whom_they_call_untouchable() {
    let Some(host) = Host::new(&["python3"], "") else { return };
    host.lan
        .host
        .shell("useradd -m -s /bin/sh guest && usermod -p '*' guest && cp -r /home/owner/.ssh /home/guest/ && chown -R guest /home/guest");
    // Their own program carries their own session, and calls a stranger.
    let key = host.server.key().display().to_string();
    host.lan.host.shell(&format!("install -o guest -m 600 {key} /home/guest/key"));
    let listener = host.lan.stranger.within(|| std::net::TcpListener::bind((STRANGER[0], 8443)).unwrap());
    let line = format!(
        "exec 9<>/dev/tcp/{}/8443; ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i /home/guest/key guest@127.0.0.1 sleep 60; true",
        STRANGER[0]
    );
    let user = host.runs("setpriv", &["--reuid", "guest", "--clear-groups", "env", "HOME=/home/guest", "bash", "-c", &line]);
    let (called, _) = listener.accept().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    host.settle();
    assert_eq!(host.says(&["limit", STRANGER[0], "--packets", "1000"]), Said::ToBeConfirmed);
    drop((user, called));
}

#[test]
fn an_sshd_that_another_program_starts_for_each_connection_does_not_hide_the_owner() {
    let Some(host) = Host::new(&["socat"], "") else { return };
    let _piped = host.runs("socat", &["TCP-LISTEN:2222,fork,reuseaddr", "EXEC:/usr/sbin/sshd -i -e"]);
    let _given = host.runs("socat", &["TCP-LISTEN:2223,fork,reuseaddr", "EXEC:/usr/sbin/sshd -i -e,nofork"]);
    let _activated = host.runs("systemd-socket-activate", &["-l", "2224", "-a", "--inetd", "/usr/sbin/sshd", "-i", "-e"]);
    let activated = std::path::Path::new("/usr/bin/systemd-socket-activate").exists().then_some("2224");
    for port in ["2222", "2223"].into_iter().chain(activated) {
        host.wait_port(&host.lan.stranger, HOST[0], port.parse().unwrap());
        let session = Session::over(&host.server, &host.lan.operator, OPERATOR[0], HOST[0], &["-p", port]);
        assert_eq!((port, host.to_block(OPERATOR[0])), (port, Said::Refused));
        drop(session);
    }
}

#[test]
fn a_remote_forward_through_which_the_owner_comes_back_is_held_with_its_client() {
    let Some(host) = Host::new(&[], "") else { return };
    // The bastion, with accounts and keys of the guarded host.
    let mounts = format!("--mount={}", host.lan.host.mounts());
    let _bastion = host.elsewhere(&host.lan.stranger, "nsenter", &[&mounts, "/usr/sbin/sshd", "-D", "-e", "-p", "2200"]);
    host.wait_port(&host.lan.host.network, STRANGER[0], 2200);
    let mut client = host.server.client_with(
        &host.lan.host.network,
        HOST[0],
        STRANGER[0],
        &["-p", "2200", "-N", "-R", "2022:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes"],
        "",
    );
    let client = Program(client.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    host.wait_port(&host.lan.stranger, "127.0.0.1", 2022);
    // A limit leaves open what is open.
    assert_eq!(host.says(&["limit", STRANGER[0]]), Said::Done, "nobody has come back through it yet");
    let session = Session::over(&host.server, &host.lan.stranger, "127.0.0.1", "127.0.0.1", &["-p", "2022"]);
    assert_eq!(host.to_block(STRANGER[0]), Said::Refused, "the bastion");
    assert_eq!(host.to_freeze(client.0.id()), Said::Refused, "the client of the forward");
    drop(session);
}

#[test]
fn a_jump_through_a_container_does_not_hide_the_owner() {
    let Some(host) = Host::new(&[], "") else { return };
    // A network of the host's own, as a container has one, with a server in it; who comes to it is forwarded.
    let inner = crate::support::network::Network::new();
    let outer = |words: &str| {
        let words = [&["-n", host.lan.host.network.name()], words.split(' ').collect::<Vec<_>>().as_slice()].concat();
        assert!(std::process::Command::new("ip").args(words).status().unwrap().success());
    };
    outer(&format!("link add dock type veth peer name eth0 netns {}", inner.name()));
    outer("address add 172.17.0.1/24 dev dock");
    outer("link set dock up");
    host.lan.host.shell("echo 1 >/proc/sys/net/ipv4/ip_forward");
    let ip = |words: &str| {
        assert!(std::process::Command::new("ip").args(["-n", inner.name()]).args(words.split(' ')).status().unwrap().success())
    };
    ip("address add 172.17.0.2/24 dev eth0");
    ip("link set eth0 up");
    ip("route add default via 172.17.0.1");
    let way = std::process::Command::new("ip")
        .args(["-n", host.lan.operator.name(), "route", "add", "172.17.0.0/24", "via", "192.0.2.254"])
        .status();
    let gate =
        std::process::Command::new("ip").args(["-n", host.lan.gateway.name(), "route", "add", "172.17.0.0/24", "via", HOST[0]]).status();
    assert!(way.unwrap().success() && gate.unwrap().success());
    let mounts = format!("--mount={}", host.lan.host.mounts());
    let _server = host.elsewhere(&inner, "nsenter", &[&mounts, "/usr/sbin/sshd", "-D", "-e", "-p", "2201"]);
    host.wait_port(&host.lan.operator, "172.17.0.2", 2201);
    assert_eq!(host.to_block(OPERATOR[0]), Said::Done);
    // From the container's shell on to the host.
    let key = host.server.key().display().to_string();
    let onward = format!(
        "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i {key} owner@172.17.0.1 sleep 60"
    );
    host.lan.host.shell(&format!("install -o owner -m 600 {key} /home/owner/key"));
    let onward = onward.replace(&key, "/home/owner/key");
    let mut jump = host.server.client_with(&host.lan.operator, OPERATOR[0], "172.17.0.2", &["-p", "2201"], &onward);
    let jump = Program(jump.stdin(Stdio::null()).spawn().unwrap());
    std::thread::sleep(Duration::from_secs(3));
    host.settle();
    assert_eq!(host.to_block(OPERATOR[0]), Said::Refused);
    assert_eq!(host.to_block(STRANGER[0]), Said::Done);
    drop(jump);
}

/// A tunnel of packets over UDP, as small as one can be: NAME LOCAL-PORT PEER PEER-PORT (connected|open).
const TUNNEL: &str = r"
import fcntl, os, select, socket, struct, sys
name, port, peer, far, how = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
tun = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH', name.encode(), 0x0001 | 0x1000))
wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
wire.bind(('0.0.0.0', port))
if how == 'connected': wire.connect((peer, far))
while True:
    for ready in select.select([tun, wire], [], [])[0]:
        try:
            if ready == tun:
                packet = os.read(tun, 2000)
                wire.send(packet) if how == 'connected' else wire.sendto(packet, (peer, far))
            else:
                os.write(tun, wire.recv(2000))
        except OSError:
            pass # the other end is not there yet, or the device not up
";

/// Both ends of it: 10.8.0.1 is the host, 10.8.0.2 the operator.
fn tunnel(host: &Host, how: &str) -> [Program; 2] {
    let script = host.home.path("tunnel.py");
    std::fs::write(&script, TUNNEL).unwrap();
    let script = script.display().to_string();
    let near = host.runs("python3", &[&script, "vpn", "5555", OPERATOR[0], "5556", how]);
    let far = host.elsewhere(&host.lan.operator, "python3", &[&script, "vpn", "5556", HOST[0], "5555", "connected"]);
    for (network, addr) in [(&host.lan.host.network, "10.8.0.1/24"), (&host.lan.operator, "10.8.0.2/24")] {
        let up = || {
            let set = |words: &[&str]| std::process::Command::new("ip").args(["-n", network.name()]).args(words).output().unwrap();
            // Both, once the device is there: it may come between the two.
            let is_set = |words: &[&str]| set(words).status.success();
            (is_set(&["addr", "replace", addr, "dev", "vpn"]) && is_set(&["link", "set", "vpn", "up"])).then_some(())
        };
        crate::support::wait_for("the tunnel's device", Duration::from_secs(10), up, String::new);
    }
    host.wait_port(&host.lan.operator, "10.8.0.1", 22);
    [near, far]
}

#[test]
fn the_outer_end_of_a_tunnel_over_which_the_owner_comes_is_held_with_its_program() {
    let Some(host) = Host::new(&["python3"], "") else { return };
    let [near, far] = tunnel(&host, "connected");
    assert_eq!(host.says(&["limit", OPERATOR[0]]), Said::Done, "nobody logged in over it yet");
    let session = Session::over(&host.server, &host.lan.operator, "10.8.0.2", "10.8.0.1", &[]);
    assert_eq!(host.to_block(OPERATOR[0]), Said::Refused, "the outer address");
    assert_eq!(host.to_block("10.8.0.2"), Said::Refused, "the inner address");
    assert_eq!(host.to_freeze(near.0.id()), Said::Refused, "the tunnel's program");
    assert_eq!(host.to_block(STRANGER[0]), Said::Done);
    drop((session, far));
}

#[test]
fn where_a_tunnel_does_not_tell_its_far_end_a_block_must_be_confirmed_in_time() {
    let Some(host) = Host::new(&["python3"], "") else { return };
    let ends = tunnel(&host, "open");
    let mut session = Session::over(&host.server, &host.lan.operator, "10.8.0.2", "10.8.0.1", &[]);
    host.settle();
    let said = host.to_block(OPERATOR[0]);
    // Connection tracking may know the far end: then it is held.
    assert!(matches!(said, Said::ToBeConfirmed | Said::Refused), "{said:?}");
    if said == Said::ToBeConfirmed {
        let preview = host.preview(OPERATOR[0]);
        assert!(preview.contains("over the tunnel vpn") && preview.contains("unless confirmed"), "{preview}");
    }
    assert!(session.echoes(Duration::from_secs(10)), "undone, the tunnel carries the session on");
    drop((session, ends));
}
