//! The sensors against the running kernel: what really happened must come out as events, on every rung.
//! Needs root; without it each test says aloud that it was skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bartizan_config::policy::Policy;
use bartizan_model::{Event, EventKind, Exit, HostText, PrivilegeKind, Process, Protocol, Rung, ServiceRole};
use bartizan_sensors::{Collector, Ladder, ProcessCache, Sink, Stop, process_collectors};
use bartizan_sys::sighting::MAX_ARGV;

/// Keeps every event.
#[derive(Default)]
struct Kept {
    events: Mutex<Vec<Event>>,
    accounts: Mutex<Vec<(&'static str, u64, u64)>>,
}

impl Sink for Kept {
    fn emit(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    fn account(&self, hop: &'static str, received: u64, dropped: u64) {
        self.accounts.lock().unwrap().push((hop, received, dropped));
    }
}

/// A ladder whose collectors run.
struct Running {
    world: Arc<ProcessCache>,
    ladder: Ladder,
    kept: Arc<Kept>,
    stop: Stop,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    /// On this rung, or `None`, said aloud, when it is refused here.
    fn on(rung: Rung) -> Option<Self> {
        let world = Arc::new(ProcessCache::default());
        let roles = Policy::built_in().unwrap().roles;
        let ladder = process_collectors(&roles, Some(rung), world.clone(), None);
        if !ladder.is_open() {
            let me = world.by_pid(std::process::id()).unwrap();
            // With CAP_SYS_ADMIN (21) a refusal is our fault and must not pass as a skipped test.
            let powerful = me.capabilities & (1 << 21) != 0 && std::path::Path::new("/sys/kernel/btf/vmlinux").exists();
            assert!(!powerful, "{:?}", ladder.blind_spots());
            eprintln!("skipped: {} is refused here: {:?}", rung.noun(), ladder.blind_spots());
            return None;
        }
        assert_eq!(ladder.rung(), rung);
        let (kept, stop) = (Arc::new(Kept::default()), Stop::default());
        let start = |mut collector: Box<dyn Collector>| {
            let (kept, stop) = (kept.clone(), stop.clone());
            std::thread::spawn(move || collector.run(&*kept, &stop).unwrap())
        };
        let threads = ladder.collectors().into_iter().map(start).collect();
        let running = Self { world, ladder, kept, stop, threads };
        // Polling rungs must have looked once before anything happens.
        std::thread::sleep(Duration::from_millis(if rung == Rung::Ebpf { 20 } else { 700 }));
        Some(running)
    }

    /// The first event that fits, waiting for it.
    fn find(&self, mut fits: impl FnMut(&Event) -> bool) -> Option<Event> {
        let end = Instant::now() + Duration::from_secs(8);
        while Instant::now() < end {
            if let Some(event) = self.kept.events.lock().unwrap().iter().find(|event| fits(event)) {
                return Some(event.clone());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    fn exec_of(&self, pid: u32) -> Option<Event> {
        self.find(|event| event.kind == EventKind::Exec && pid_of(event) == Some(pid))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.set();
        for thread in self.threads.drain(..) {
            let joined = thread.join();
            assert!(joined.is_ok() || std::thread::panicking(), "a collector ended badly");
        }
    }
}

fn pid_of(event: &Event) -> Option<u32> {
    event.process.as_ref().map(|process| process.pid)
}

fn process(event: &Event) -> &Process {
    event.process.as_ref().unwrap()
}

fn argv(parts: &[&[u8]]) -> Vec<HostText> {
    parts.iter().map(|part| HostText::from(*part)).collect()
}

#[test]
fn ebpf_sees_two_thousand_rapid_execs_each_with_its_own_arguments() {
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    let token = format!("storm-{}", std::process::id());
    for i in 0..2000 {
        assert!(Command::new("/bin/true").arg(format!("{token}-{i}")).status().unwrap().success());
    }
    let last = format!("{token}-1999");
    assert!(running.find(|e| e.kind == EventKind::Exec && process(e).argv.get(1).is_some_and(|a| *a == *last)).is_some());
    let events = running.kept.events.lock().unwrap();
    let mut seen: Vec<u32> = events
        .iter()
        .filter(|e| e.kind == EventKind::Exec)
        .filter_map(|e| process(e).argv.get(1)?.lossy().strip_prefix(&token)?.strip_prefix('-')?.parse().ok())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..2000).collect::<Vec<u32>>());
    assert!(events.iter().all(|e| !matches!(e.kind, EventKind::Loss { .. })));
}

#[test]
fn ebpf_sees_exec_fork_and_exit_exactly() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::process::CommandExt;
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    let odd = std::ffi::OsStr::from_bytes(b"\xff\x1b[31m");
    let mut child = Command::new("/bin/sh").arg("-c").arg("exit 3").arg(odd).arg("").current_dir("/usr").uid(65_534).spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    let exec = running.exec_of(pid).unwrap();
    let p = process(&exec);
    assert_eq!(p.argv, argv(&[b"/bin/sh", b"-c", b"exit 3", b"\xff\x1b[31m", b""]));
    assert_eq!((p.ppid, p.uid, p.euid, p.capabilities), (std::process::id(), 65_534, 65_534, 0));
    assert_eq!((&p.cwd, p.user.as_ref(), p.stdio_sockets), (&"/usr".into(), Some(&"nobody".into()), 0));
    let me = running.world.by_pid(std::process::id()).unwrap(); // read from /proc: the two must agree
    assert_eq!((&p.cgroup, p.netns, p.loginuid, p.session), (&me.cgroup, me.netns, me.loginuid, me.session));
    assert!(exec.complete && p.netns != 0 && p.exe_file.inode != 0);
    assert_eq!(p.exe, HostText::from(std::fs::canonicalize("/bin/sh").unwrap().to_str().unwrap()));
    assert_eq!(p.parent, running.world.by_pid(std::process::id()).map(|me| me.key));
    let exit = running.find(|e| matches!(e.kind, EventKind::Exit { .. }) && pid_of(e) == Some(pid)).unwrap();
    assert_eq!(exit.kind, EventKind::Exit { exit: Exit { code: Some(3), signal: None } });
    assert!(running.find(|e| e.kind == EventKind::Fork && pid_of(e) == Some(pid)).is_some());
    assert!(!running.world.is_alive(p.key) && running.world.by_pid(pid).is_some());
}

#[test]
fn a_long_argument_list_is_whole_and_a_longer_one_is_cut_and_says_so() {
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    let run = |length: usize| {
        let mut child = Command::new("/bin/true").arg("x".repeat(length)).spawn().unwrap();
        child.wait().unwrap();
        let p = running.exec_of(child.id()).unwrap().process.unwrap();
        (p.argv.iter().map(|argument| argument.as_bytes().len() + 1).sum::<usize>(), p.argv_truncated)
    };
    assert_eq!(run(20_000), ("/bin/true".len() + 1 + 20_001, false));
    assert_eq!(run(50_000), (MAX_ARGV + 1, true)); // the cut argument has no end of its own
}

/// Starts a program with this descriptor as stdin and stdout.
fn shell_on(socket: OwnedFd) -> u32 {
    let other = socket.try_clone().unwrap();
    let mut child = Command::new("/bin/sh")
        .args(["-c", ":"])
        .stdin(Stdio::from(socket))
        .stdout(Stdio::from(other))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.wait().unwrap();
    child.id()
}

fn a_socket_as_stdin_is_seen(rung: Rung) {
    let Some(running) = Running::on(rung) else { return };
    let (ours, theirs) = UnixStream::pair().unwrap();
    let by_pair = running.exec_of(shell_on(theirs.into())).unwrap();
    drop(ours);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let by_tcp = running.exec_of(shell_on(stream.into())).unwrap();
    assert_eq!((process(&by_pair).stdio_sockets, process(&by_tcp).stdio_sockets), (0b011, 0b011));
}

#[test]
fn ebpf_sees_a_shell_on_a_socket() {
    a_socket_as_stdin_is_seen(Rung::Ebpf);
}

fn a_connection_and_a_listener_are_seen(rung: Rung) {
    let Some(running) = Running::on(rung) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let listen = running.find(|e| matches!(&e.kind, EventKind::Listen { net, .. } if net.sport == port)).unwrap();
    assert_eq!(pid_of(&listen), Some(std::process::id()));
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let connect = running.find(|e| matches!(&e.kind, EventKind::Connect { net } if net.dport == Some(port))).unwrap();
    assert_eq!(pid_of(&connect), Some(std::process::id()));
    let EventKind::Connect { net } = &connect.kind else { unreachable!() };
    assert_eq!(net.dst, Some("127.0.0.1".parse().unwrap()));
    assert!(connect.complete && listen.complete);
    drop(client);
}

#[test]
fn ebpf_sees_connections_and_listeners() {
    a_connection_and_a_listener_are_seen(Rung::Ebpf);
}

#[test]
fn sock_diag_sees_connections_and_listeners() {
    a_connection_and_a_listener_are_seen(Rung::ProcessConnector);
}

#[test]
fn ebpf_sees_ipv6_and_a_listener_without_a_bound_port() {
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, getsockname, listen, socket};
    let unbound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    listen(&unbound, Backlog::new(1).unwrap()).unwrap();
    let port = getsockname::<SockaddrIn>(unbound.as_raw_fd()).unwrap().port();
    let event = running.find(|e| matches!(&e.kind, EventKind::Listen { net, .. } if net.sport == port)).unwrap();
    assert!(event.complete);
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let at = listener.local_addr().unwrap();
    let _client = TcpStream::connect(at).unwrap();
    assert!(
        running
            .find(|e| matches!(&e.kind, EventKind::Connect { net } if net.dport == Some(at.port()) && net.dst == Some(at.ip())))
            .is_some()
    );
}

#[test]
fn ebpf_sees_the_first_datagram_to_a_destination() {
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    if let Some(spot) = running.ladder.blind_spots().iter().find(|spot| spot.what.contains("UDP")) {
        assert!(spot.why.contains("not mounted"), "{}", spot.why);
        eprintln!("skipped: {}", spot.why);
        return;
    }
    let (a, b) = (std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), std::net::UdpSocket::bind("[::1]:0").unwrap());
    for _ in 0..5 {
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", a.local_addr().unwrap()).unwrap();
    }
    std::net::UdpSocket::bind("[::1]:0").unwrap().connect(b.local_addr().unwrap()).unwrap();
    for at in [a.local_addr().unwrap(), b.local_addr().unwrap()] {
        let fits = |e: &Event| matches!(&e.kind, EventKind::Connect { net } if net.proto == Protocol::Udp && net.dst == Some(at.ip()) && net.dport == Some(at.port()));
        assert_eq!(running.find(fits).as_ref().and_then(pid_of), Some(std::process::id()));
        assert_eq!(running.kept.events.lock().unwrap().iter().filter(|e| fits(e)).count(), 1);
    }
}

#[test]
fn listeners_from_before_are_known_and_no_event() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    let known = running.world.known_listeners();
    let (_, owner) = known.iter().find(|(flow, _)| flow.sport == port).unwrap();
    assert_eq!(owner.map(|key| key.pid), Some(std::process::id()));
    assert!(!running.kept.events.lock().unwrap().iter().any(|e| matches!(&e.kind, EventKind::Listen { net, .. } if net.sport == port)));
}

/// A copy of a program in a directory of its own, which goes with the first value.
fn copy_of(program: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("copy");
    std::fs::copy(program, &path).unwrap();
    (directory, path)
}

fn programs_without_a_name_are_told_apart(rung: Rung) {
    let Some(running) = Running::on(rung) else { return };
    let seconds = if rung == Rung::Procfs { "1.5" } else { "0.2" };

    let memfd = nix::sys::memfd::memfd_create(c"odd name", nix::sys::memfd::MFdFlags::empty()).unwrap();
    let mut file = std::fs::File::from(memfd);
    file.write_all(&std::fs::read("/bin/sleep").unwrap()).unwrap();
    let mut child = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd())).arg(seconds).spawn().unwrap();
    let event = running.exec_of(child.id()).unwrap();
    let p = process(&event);
    assert_eq!((p.exe_file.memfd, p.exe_file.deleted, &p.exe), (true, false, &"memfd:odd name".into()));
    child.wait().unwrap();

    let (_directory, path) = copy_of("/bin/sleep");
    let open = std::fs::File::open(&path).unwrap();
    nix::fcntl::fcntl(&open, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut child = Command::new(format!("/proc/self/fd/{}", open.as_raw_fd())).arg(seconds).spawn().unwrap();
    let event = running.exec_of(child.id()).unwrap();
    let p = process(&event);
    assert_eq!((p.exe_file.memfd, p.exe_file.deleted), (false, true));
    assert!(p.exe.starts_with(path.to_str().unwrap()), "{:?}", p.exe);
    child.wait().unwrap();
}

#[test]
fn ebpf_tells_programs_in_memory_and_deleted_ones() {
    programs_without_a_name_are_told_apart(Rung::Ebpf);
}

#[test]
fn procfs_tells_programs_in_memory_and_deleted_ones() {
    programs_without_a_name_are_told_apart(Rung::Procfs);
}

#[test]
fn a_listener_is_known_twenty_shells_deep() {
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    let python = "/usr/bin/python3";
    if !std::path::Path::new(python).exists() {
        eprintln!("skipped: no {python} to play the server");
        return;
    }
    // Each shell starts the next one and waits; the last one sleeps.
    let (directory, script) = copy_of("/bin/true");
    std::fs::write(&script, r#"if [ "$1" -gt 0 ]; then /bin/sh "$0" $(($1-1)); :; else sleep 1.5; fi"#).unwrap();
    let code = format!(
        "import socket,subprocess\ns=socket.socket();s.bind(('127.0.0.1',0));s.listen()\nsubprocess.run(['/bin/sh','{}','20'])",
        script.display()
    );
    let mut server = Command::new(python).args(["-c", &code]).stdout(Stdio::null()).spawn().unwrap();
    let deepest = running.find(|e| {
        e.kind == EventKind::Exec
            && process(e).exe.basename() == "sleep"
            && process(e).lineage.roots.iter().any(|r| r.key.pid == server.id())
    });
    let deepest = deepest.unwrap();
    let p = process(&deepest);
    assert_eq!(p.lineage.network_facing().map(|root| (root.role, root.key.pid)), Some((ServiceRole::NetworkService, server.id())));
    assert!(p.lineage.elided >= 5 && p.lineage.ancestors.len() == 16, "{} {}", p.lineage.elided, p.lineage.ancestors.len());
    let root = running.world.by_pid(server.id()).unwrap().key;
    let tree = running.world.tree(root);
    assert!(tree.first() == Some(&root) && tree.contains(&p.key) && tree.len() >= 22, "{}", tree.len());
    server.wait().unwrap();
    drop(directory);
}

fn exec_and_exit_are_seen(rung: Rung) {
    use std::os::unix::process::CommandExt;
    let Some(running) = Running::on(rung) else { return };
    let mut child = Command::new("/bin/sleep").arg("1.2").current_dir("/usr").uid(65_534).spawn().unwrap();
    let exec = running.exec_of(child.id()).unwrap();
    let p = process(&exec);
    assert_eq!(p.argv, argv(&[b"/bin/sleep", b"1.2"]));
    assert_eq!((p.uid, p.ppid, &p.cwd, exec.complete), (65_534, std::process::id(), &"/usr".into(), true));
    assert_eq!(p.parent, running.world.by_pid(std::process::id()).map(|me| me.key));
    let key = p.key;
    child.wait().unwrap();
    let exit = running.find(|e| matches!(e.kind, EventKind::Exit { .. }) && pid_of(e) == Some(child.id())).unwrap();
    let code = if rung == Rung::Procfs { None } else { Some(0) };
    assert_eq!(exit.kind, EventKind::Exit { exit: Exit { code, signal: None } });
    assert!(!running.world.is_alive(key));
}

#[test]
fn the_process_connector_sees_exec_and_exit() {
    exec_and_exit_are_seen(Rung::ProcessConnector);
}

#[test]
fn procfs_sees_exec_and_exit() {
    exec_and_exit_are_seen(Rung::Procfs);
}

#[test]
fn the_process_connector_sees_a_shell_on_a_socket_that_lives_a_moment() {
    let Some(running) = Running::on(Rung::ProcessConnector) else { return };
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let mut child = Command::new("/bin/cat").stdin(Stdio::from(theirs.try_clone().unwrap())).stdout(Stdio::from(theirs)).spawn().unwrap();
    let exec = running.exec_of(child.id()).unwrap();
    assert_eq!(process(&exec).stdio_sockets, 0b011);
    ours.write_all(b"hello").unwrap();
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    child.wait().unwrap();
    let mut back = [0; 5];
    ours.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
}

#[test]
fn the_best_rung_is_taken_and_what_it_received_is_told() {
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    assert_eq!(process_collectors(&Policy::built_in().unwrap().roles, None, Arc::new(ProcessCache::default()), None).rung(), Rung::Ebpf);
    Command::new("/bin/true").status().unwrap();
    // Counted about once a second, by a thread that otherwise sleeps.
    let end = Instant::now() + Duration::from_secs(8);
    let received =
        || running.kept.accounts.lock().unwrap().iter().filter(|(hop, ..)| *hop == "kernel-ring").map(|(_, many, _)| many).sum::<u64>();
    while received() < 3 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    let accounts = running.kept.accounts.lock().unwrap().clone();
    assert!(accounts.iter().map(|(_, received, _)| received).sum::<u64>() >= 3, "{accounts:?}");
    assert!(accounts.iter().all(|(_, _, dropped)| *dropped == 0), "{accounts:?}");
    assert_ne!(running.ladder.bpf_object(), "none");
}

/// Bytes are those of the content: neither SYN nor FIN counts, whoever began, and whoever closes first.
#[test]
fn ebpf_tells_what_a_connection_carried_and_whose_it_was() {
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    for (we_close_first, family) in [(true, "127.0.0.1"), (false, "127.0.0.1"), (true, "::1")] {
        let listener = TcpListener::bind((family, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = TcpStream::connect((family, port)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let ours = client.local_addr().unwrap().port();
        client.write_all(&[7; 12_345]).unwrap();
        server.read_exact(&mut [0; 12_345]).unwrap();
        server.write_all(&[8; 678]).unwrap();
        client.read_exact(&mut [0; 678]).unwrap();
        let (first, second) = if we_close_first { (client, server) } else { (server, client) };
        drop(first);
        std::thread::sleep(Duration::from_millis(30));
        drop(second);
        let close = running.find(|e| matches!(&e.kind, EventKind::Close { net, .. } if net.dport == Some(port))).unwrap();
        assert_eq!((pid_of(&close), close.complete), (Some(std::process::id()), true));
        let EventKind::Close { traffic, .. } = &close.kind else { unreachable!() };
        assert_eq!((traffic.sent, traffic.received, traffic.inbound), (12_345, 678, false), "we close first: {we_close_first}");
        assert!(matches!(&close.kind, EventKind::Close { net, .. } if net.sport != 0 && net.sport == ours), "{close:?}");
        assert!(traffic.milliseconds.is_some_and(|open| (25..8000).contains(&open)), "{traffic:?}");
        let told = running
            .kept
            .events
            .lock()
            .unwrap()
            .iter()
            .filter(|e| matches!(&e.kind, EventKind::Close { net, .. } if net.dport == Some(port)))
            .count();
        assert_eq!(told, 1, "by the end that began it");
    }
}

/// Over an address of this host that is not the loopback, in a network namespace of its own.
#[test]
fn ebpf_tells_who_was_connected_to_a_listener() {
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    if !["/usr/bin/python3", "/usr/bin/unshare"].iter().all(|tool| std::path::Path::new(tool).exists()) {
        return eprintln!("skipped: no python3 to play both sides");
    }
    let sides = "import os,socket,time
s=socket.socket();s.bind(('198.51.100.7',8099));s.listen();time.sleep(0.3)
if os.fork()==0:
  c=socket.create_connection(('198.51.100.7',8099));c.sendall(b'x'*100);c.recv(7);c.close();os._exit(0)
a,_=s.accept();a.sendall(b'y'*7)
while a.recv(99): pass
a.close()";
    let script = format!("ip link set lo up; ip addr add 198.51.100.7/32 dev lo; exec python3 -c \"{sides}\"");
    let mut server = Command::new("unshare").args(["--net", "sh", "-c", &script]).spawn().unwrap();
    assert!(server.wait().unwrap().success());
    let accept = running.find(|e| matches!(&e.kind, EventKind::Accept { net } if net.sport == 8099)).unwrap();
    let EventKind::Accept { net } = &accept.kind else { unreachable!() };
    assert_eq!((pid_of(&accept), net.dst), (Some(server.id()), Some("198.51.100.7".parse().unwrap())));
    let close = running.find(|e| matches!(&e.kind, EventKind::Close { net, traffic } if net.sport == 8099 && traffic.inbound)).unwrap();
    let EventKind::Close { traffic, .. } = &close.kind else { unreachable!() };
    assert_eq!((pid_of(&close), traffic.sent, traffic.received), (Some(server.id()), 7, 100));
}

#[test]
fn ebpf_tells_who_writes_a_setting_of_the_kernel() {
    let Some(running) = Running::on(Rung::Ebpf) else { return };
    if let Some(spot) = running.ladder.blind_spots().iter().find(|spot| spot.what.contains("kernel settings")) {
        return eprintln!("skipped: {}", spot.why);
    }
    // Of a network namespace of its own: nothing of the host is changed.
    let script = "sysctl -q -w net.ipv4.ip_forward=1 2>/dev/null || echo 1 > /proc/sys/net/ipv4/ip_forward";
    let mut child = Command::new("unshare").args(["--net", "sh", "-c", script]).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    let fits = |e: &Event| matches!(&e.kind, EventKind::PrivilegeUse { privilege } if privilege.what == PrivilegeKind::KernelSetting && privilege.detail.as_ref().is_some_and(|detail| *detail == *"net.ipv4.ip_forward to 1, was 0"));
    let told = running.find(fits).unwrap();
    let lineage = &process(&told).lineage.ancestors;
    assert!(pid_of(&told) == Some(child.id()) || lineage.iter().any(|above| above.key.pid == child.id()), "{:?}", told.process);
}

fn a_false_name_is_told(rung: Rung, while_it_runs: bool) {
    use std::os::unix::process::CommandExt;
    let Some(running) = Running::on(rung) else { return };
    let is_lie = |e: &Event, name: &str| matches!(&e.kind, EventKind::PrivilegeUse { privilege } if privilege.what == PrivilegeKind::FalseName && privilege.detail.as_ref().is_some_and(|detail| *detail == *name));
    let mut child = Command::new("/bin/sleep").arg0("[kworker/1:7]").arg("1.5").spawn().unwrap();
    let told = running.find(|e| is_lie(e, "[kworker/1:7]")).unwrap();
    assert_eq!(pid_of(&told), Some(child.id()));
    child.wait().unwrap();
    if while_it_runs {
        let thread = std::thread::Builder::new().name("kworker/9:9".to_owned()).spawn(|| {}).unwrap();
        thread.join().unwrap();
        assert_eq!(running.find(|e| is_lie(e, "kworker/9:9")).as_ref().and_then(pid_of), Some(std::process::id()));
    }
}

#[test]
fn ebpf_tells_who_takes_the_name_of_a_kernel_thread() {
    a_false_name_is_told(Rung::Ebpf, true);
}

#[test]
fn the_process_connector_tells_who_takes_the_name_of_a_kernel_thread() {
    a_false_name_is_told(Rung::ProcessConnector, false);
}

#[test]
fn procfs_tells_who_takes_the_name_of_a_kernel_thread() {
    a_false_name_is_told(Rung::Procfs, false);
}
