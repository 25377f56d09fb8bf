//! Limits, denials and containment on the real kernel: what each drops and what it leaves, the verifier against hostile
//! changes, and the time that many of them take.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::actions::ActError;
use super::tests::{Bench, block, nft, now, on_bench, order, ruleset};
use bartizan_court::Warrant;
use bartizan_isolation::own_netns::ip;
use bartizan_model::{ActionKind, ActionPlan, ActionState, Direction, HostText, Target, Whose};

const MINUTE: Duration = Duration::from_secs(60);
/// On the lifeline of the bench.
const OWNER: &str = "203.0.113.9";
const STRANGER: &str = "198.51.100.66";

/// A second host behind a veth pair: processes started through it live there.
struct Far {
    holder: Child,
}

impl Far {
    fn new(near: &str, ours: &[&str], theirs: &[&str]) -> Self {
        let holder = Command::new("unshare").args(["-n", "sleep", "120"]).stdin(Stdio::null()).spawn().unwrap();
        let far = Self { holder };
        let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let began = Instant::now();
        while std::fs::read_link(format!("/proc/{}/ns/net", far.pid())).unwrap() == own && began.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(5));
        }
        ip(&format!("link add {near} type veth peer name far netns {}", far.pid()));
        ip(&format!("link set {near} up"));
        ours.iter().for_each(|addr| ip(&format!("addr add {addr} dev {near}")));
        far.run("ip link set lo up");
        far.run("ip link set far up");
        theirs.iter().for_each(|addr| far.run(&format!("ip addr add {addr} dev far")));
        far
    }

    fn pid(&self) -> u32 {
        self.holder.id()
    }

    fn run(&self, command: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("nsenter").args(["-n", "-t", &pid]).args(command.split(' ')).status().unwrap().success(), "{command}");
    }

    fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        bartizan_sys::container_addresses::within(self.pid(), work).unwrap()
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A host at 198.51.100.1 with the owner and a stranger on the far side of a cable.
fn cable() -> Far {
    let far = Far::new("near", &["198.51.100.1/24"], &["198.51.100.66/24", "203.0.113.9/32"]);
    ip("route add 203.0.113.9/32 dev near");
    far
}

fn contain(lasts: Duration) -> Warrant {
    order(ActionPlan::new(ActionKind::ContainHost, Target::Host, lasts).unwrap())
}

fn deny(addr: &str, whose: Whose) -> Warrant {
    let target = Target::Destination { addr: addr.parse().unwrap(), whose };
    order(ActionPlan::new(ActionKind::BlockDestination, target, MINUTE).unwrap())
}

/// Whether `from` on the far side gets a new TCP connection to us.
fn gets_in(far: &Far, from: &str, port: u16) -> bool {
    far.within(|| connect_from(from, ("198.51.100.1", port)).is_some())
}

fn connect_from(from: &str, to: (&str, u16)) -> Option<TcpStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt};
    use std::os::fd::AsRawFd;
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let at = |addr: &str, port| SockaddrStorage::from(std::net::SocketAddr::new(addr.parse().unwrap(), port));
    bind(fd.as_raw_fd(), &at(from, 0)).unwrap();
    // SO_SNDTIMEO bounds connect(2), socket(7).
    setsockopt(&fd, sockopt::SendTimeout, &nix::sys::time::TimeVal::new(0, 400_000)).unwrap();
    connect(fd.as_raw_fd(), &at(to.0, to.1)).ok()?;
    let stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    Some(stream)
}

fn talk(a: &mut TcpStream, b: &mut TcpStream) -> std::io::Result<()> {
    a.write_all(b"ping")?;
    b.read_exact(&mut [0; 4])?;
    b.write_all(b"pong")?;
    a.read_exact(&mut [0; 4])
}

#[test]
fn containment_keeps_the_owner_and_what_is_open_and_cuts_the_rest_step_by_step() {
    on_bench(|bench: Bench| {
        let far = cable();
        let responder = bench.responder();
        let mut policy = bartizan_config::Policy::built_in().unwrap();
        policy.containment.release_step = Duration::from_secs(1);
        policy.containment.package_mirrors = false;
        policy.containment.connections_per_second = 5;
        // Nobody answers names in this network; waiting for it is another test's matter.
        policy.vitals.resolve = String::new();
        responder.set_policy(&policy);
        let ssh = TcpListener::bind(("198.51.100.1", 22)).unwrap();
        let web = TcpListener::bind(("198.51.100.1", 8080)).unwrap();
        let (theirs, udp) = far.within(|| (TcpListener::bind((STRANGER, 9000)).unwrap(), UdpSocket::bind((STRANGER, 9001)).unwrap()));
        let ours = UdpSocket::bind(("198.51.100.1", 5000)).unwrap();
        for socket in [&udp, &ours] {
            socket.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        }
        let mut open = far.within(|| connect_from(STRANGER, ("198.51.100.1", 22)).unwrap());
        let mut accepted = ssh.accept().unwrap().0;
        accepted.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        talk(&mut open, &mut accepted).unwrap();
        let out = || connect_from("198.51.100.1", (STRANGER, 9000)).is_some();
        assert!(out() && gets_in(&far, STRANGER, 22));

        let preview = responder.preview(contain(Duration::from_secs(8)).plan()).unwrap();
        assert!(preview.steps.iter().any(|step| step == "kept: 203.0.113.9 (the far end of a live SSH session)"), "{preview:#?}");
        let before = Instant::now();
        let done = responder.execute(contain(Duration::from_secs(8)), now()).unwrap();
        eprintln!("contained in {:?}: {}", before.elapsed(), done.note);
        assert_eq!(done.state, ActionState::Live, "{}", done.note);
        talk(&mut open, &mut accepted).unwrap();
        assert!(!gets_in(&far, STRANGER, 22), "a stranger does not log in");
        assert!(gets_in(&far, OWNER, 22), "the owner does");
        assert!(!out(), "no new connection to a stranger");
        let passed = (0..12).filter(|_| gets_in_quickly(&far, web.local_addr().unwrap().port())).count();
        assert!((5..=7).contains(&passed), "inbound is limited, not closed: {passed} of 12");
        ours.send_to(b"x", (STRANGER, 9001)).ok();
        assert!(udp.recv(&mut [0; 8]).is_err(), "no UDP to a stranger");
        udp.send_to(b"hello", ("198.51.100.1", 5000)).unwrap();
        assert_eq!(ours.recv(&mut [0; 8]).unwrap(), 5);
        ours.send_to(b"answer", (STRANGER, 9001)).unwrap();
        assert_eq!(udp.recv(&mut [0; 8]).unwrap(), 6, "who spoke to us is answered");
        let refused = far.within(|| {
            let probe = UdpSocket::bind((STRANGER, 0)).unwrap();
            probe.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
            probe.connect(("198.51.100.1", 5999)).unwrap();
            probe.send(b"x").unwrap();
            probe.recv(&mut [0; 8]).unwrap_err().kind()
        });
        assert_eq!(refused, std::io::ErrorKind::ConnectionRefused, "ICMP passes");

        // It began when everything had been looked at.
        let passed = || (now() - done.planned_at).to_std().unwrap_or_default();
        std::thread::sleep(Duration::from_millis(6300).saturating_sub(passed()));
        assert!(gets_in(&far, STRANGER, 22), "logins come back two steps before the end");
        assert!(!out(), "outbound does not yet");
        std::thread::sleep(Duration::from_millis(8300).saturating_sub(passed()));
        assert!(out(), "the kernel ended it without us");
        std::thread::sleep(Duration::from_millis(1000));
        responder.reconcile(now()).unwrap();
        // Nobody confirmed it: its end and that deadline are the same moment here.
        assert_eq!(responder.ledger.action(done.id).unwrap().unwrap().state, ActionState::RolledBack);
        assert_eq!(ruleset(), "");
        drop(theirs);
    });
}

fn gets_in_quickly(far: &Far, port: u16) -> bool {
    far.within(|| {
        TcpStream::connect_timeout(&std::net::SocketAddr::new("198.51.100.1".parse().unwrap(), port), Duration::from_millis(40)).is_ok()
    })
}

#[test]
fn containment_is_undone_at_once_and_brought_back_when_flushed() {
    on_bench(|bench| {
        let (_far, responder) = (cable(), bench.responder());
        let done = responder.execute(contain(MINUTE), now()).unwrap();
        nft("flush set inet bartizan contain_keep4");
        let mended = responder.reconcile(now()).unwrap();
        assert!(mended.first().unwrap().note.contains("brought back"), "{mended:?}");
        assert!(ruleset().contains(OWNER), "{}", ruleset());
        responder.rollback(done.id, "root", now()).unwrap();
        assert_eq!(ruleset(), "");
    });
}

/// sshd on this port, which nobody but systemd would have known of before; ended with the test.
struct Sshd {
    server: Child,
    _keys: tempfile::TempDir,
}

impl Sshd {
    fn start(port: u16) -> Option<Self> {
        if !std::path::Path::new("/usr/sbin/sshd").exists() {
            eprintln!("skipped: there is no /usr/sbin/sshd");
            return None;
        }
        let keys = tempfile::tempdir().unwrap();
        let key = keys.path().join("key");
        std::fs::create_dir_all("/run/sshd").unwrap();
        assert!(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap().success());
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-f", "/dev/null", "-o", "PidFile=none", "-o", "UsePAM=no", "-p", &port.to_string(), "-h"]).arg(&key);
        Some(Self { server: command.stderr(Stdio::null()).spawn().unwrap(), _keys: keys })
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn logins_are_paused_on_a_port_that_ssh_takes_while_containment_lives() {
    on_bench(|bench| {
        let (far, responder) = (cable(), bench.responder());
        let done = responder.execute(contain(MINUTE), now()).unwrap();
        let Some(_sshd) = Sshd::start(2299) else { return };
        let listens = || TcpStream::connect("127.0.0.1:2299").is_ok();
        let began = Instant::now();
        while !listens() && began.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(gets_in(&far, STRANGER, 2299), "nobody has looked yet");
        let mended = responder.reconcile(now()).unwrap();
        assert_eq!(mended[0].state, ActionState::Live, "{}", mended[0].note);
        assert!(mended[0].note.contains("port 2299"), "{}", mended[0].note);
        assert!(!gets_in(&far, STRANGER, 2299) && gets_in(&far, OWNER, 2299));
        assert_eq!(bench.alarms(), Vec::<String>::new(), "nobody touched the table, so nobody is blamed");
        responder.rollback(done.id, "root", now()).unwrap();
        assert!(gets_in(&far, STRANGER, 2299));
        assert_eq!(ruleset(), "");
    });
}

#[test]
fn a_confirmed_containment_lasts_to_its_end() {
    on_bench(|bench| {
        let (_far, responder) = (cable(), bench.responder());
        let mut done = responder.execute(contain(MINUTE), now()).unwrap();
        let until = now() + chrono::Duration::seconds(5);
        done.confirmation = Some(bartizan_model::Confirmation { until, confirmed_at: None, confirmed_by: None });
        let snapshot = responder.ledger.snapshot(done.id).unwrap().unwrap();
        let act = super::actions::of(ActionKind::ContainHost);
        responder.context.put(&done, &act.members(&done, &snapshot).unwrap(), true, now()).unwrap();
        assert!(matches!(act.verify(&responder.context, &done, &snapshot, now()).unwrap(), super::actions::ObservedState::Live(_)));
        done.confirmation = Some(bartizan_model::Confirmation { until, confirmed_at: Some(now()), confirmed_by: Some("root".into()) });
        assert!(!matches!(act.verify(&responder.context, &done, &snapshot, now()).unwrap(), super::actions::ObservedState::Live(_)));
        let snapshot = act.prolong(&responder.context, &done, &snapshot, now()).unwrap();
        let sight = act.verify(&responder.context, &done, &snapshot, now()).unwrap();
        assert!(matches!(sight, super::actions::ObservedState::Live(_)), "{sight:?}");
        responder.rollback(done.id, "root", now()).unwrap();
        assert_eq!(ruleset(), "");
    });
}

/// Whether a shell of this user, in this cgroup, reaches the stranger.
fn reaches_as(uid: u32, group: Option<&std::path::Path>) -> bool {
    let mut command = Command::new("bash");
    command.args(["-c", "sleep 0.1; timeout 0.5 bash -c 'exec 3<>/dev/tcp/198.51.100.66/9000'"]).stderr(Stdio::null());
    let mut child = command.uid(uid).spawn().unwrap();
    if let Some(group) = group {
        std::fs::write(group.join("cgroup.procs"), child.id().to_string()).unwrap();
    }
    child.wait().unwrap().success()
}

#[test]
fn a_destination_is_denied_to_one_user_and_its_children_only() {
    on_bench(|bench| {
        let (far, responder) = (cable(), bench.responder());
        let _theirs = far.within(|| TcpListener::bind((STRANGER, 9000)).unwrap());
        assert!(reaches_as(65534, None) && reaches_as(1, None));
        let done = responder.execute(deny("::ffff:198.51.100.66", Whose::User { uid: 65534 }), now()).unwrap();
        assert_eq!(done.state, ActionState::Live, "{}", done.note);
        assert!(!reaches_as(65534, None), "the user's children neither");
        assert!(reaches_as(1, None) && reaches_as(0, None), "others do");
        responder.rollback(done.id, "root", now()).unwrap();
        assert!(reaches_as(65534, None));
        assert_eq!(ruleset(), "");
    });
}

#[test]
fn a_destination_is_denied_to_one_cgroup_and_those_below_it_only() {
    on_bench(|bench| {
        let root = std::path::Path::new("/sys/fs/cgroup/unified");
        let root = if root.exists() { root } else { std::path::Path::new("/sys/fs/cgroup") };
        let name = format!("bartizan-net-test-{}", std::process::id());
        let (group, below, other) = (root.join(&name), root.join(&name).join("a/b"), root.join(format!("{name}-other")));
        if std::fs::create_dir_all(&below).and_then(|()| std::fs::create_dir_all(&other)).is_err() {
            eprintln!("skipped: no cgroup v2 hierarchy in which groups can be made");
            return;
        }
        let (far, responder) = (cable(), bench.responder());
        let _theirs = far.within(|| TcpListener::bind((STRANGER, 9000)).unwrap());
        let whose = Whose::Cgroup { path: HostText::from(format!("/{name}").as_str()) };
        let done = responder.execute(deny(STRANGER, whose), now()).unwrap();
        let seen = [reaches_as(0, Some(&group)), reaches_as(0, Some(&below)), reaches_as(0, Some(&other)), reaches_as(0, None)];
        responder.rollback(done.id, "root", now()).unwrap();
        let after = reaches_as(0, Some(&below));
        for dir in [&below, &group.join("a"), &group, &other] {
            let _ = std::fs::remove_dir(dir);
        }
        assert_eq!((seen, after), ([false, false, true, true], true));
        assert_eq!(ruleset(), "");
    });
}

#[test]
fn the_denied_users_open_connections_are_closed_and_no_others() {
    on_bench(|bench| {
        let (far, responder) = (cable(), bench.responder());
        let listener = far.within(|| TcpListener::bind((STRANGER, 9000)).unwrap());
        let mut mine = connect_from("198.51.100.1", (STRANGER, 9000)).unwrap();
        let mut at_mine = listener.accept().unwrap().0;
        at_mine.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut theirs = Command::new("bash")
            .args(["-c", "exec 3<>/dev/tcp/198.51.100.66/9000; echo open >&3; cat <&3"])
            .uid(65534)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut at_theirs = listener.accept().unwrap().0;
        at_theirs.read_exact(&mut [0; 5]).unwrap();
        let done = responder.execute(deny(STRANGER, Whose::User { uid: 65534 }), now()).unwrap();
        assert!(done.note.contains("1 connection closed"), "{}", done.note);
        theirs.wait().unwrap();
        talk(&mut mine, &mut at_mine).unwrap();
        responder.rollback(done.id, "root", now()).unwrap();
    });
}

#[test]
fn what_is_forwarded_is_blocked_limited_and_denied_too() {
    on_bench(|bench| {
        let outside = cable();
        let inside = Far::new("br-in", &["192.0.2.1/24"], &["192.0.2.2/24"]);
        inside.run("ip route add default via 192.0.2.1");
        outside.run("ip route add 192.0.2.0/24 via 198.51.100.1");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        let _server = outside.within(|| TcpListener::bind((STRANGER, 9000)).unwrap());
        let _other = outside.within(|| TcpListener::bind((OWNER, 9000)).unwrap());
        let passes = |to: &str| inside.within(|| connect_from("192.0.2.2", (to, 9000)).is_some());
        outside.run("ip route replace 192.0.2.0/24 via 198.51.100.1 src 198.51.100.66");
        assert!(passes(STRANGER) && passes(OWNER));
        let responder = bench.responder();
        let blocked = responder.execute(block(STRANGER, Direction::Out, MINUTE), now()).unwrap();
        assert!(!passes(STRANGER) && passes(OWNER));
        responder.rollback(blocked.id, "root", now()).unwrap();
        // As for a container: by the addresses in the network of its first process.
        let reach = bartizan_sys::container_addresses::of_process(inside.pid()).unwrap();
        assert_eq!(reach.addresses, ["192.0.2.2".parse::<IpAddr>().unwrap()]);
        let member = bartizan_enforce::nft::Member::DenyFrom("192.0.2.2".parse().unwrap(), STRANGER.parse().unwrap());
        let mut action = blocked.clone();
        action.expires_at = now() + chrono::Duration::seconds(60);
        responder.context.put(&action, &[(member, action.expires_at)], true, now()).unwrap();
        assert!(!passes(STRANGER) && passes(OWNER));
        responder.context.take(&[(member, action.expires_at)]).unwrap();
        assert!(passes(STRANGER));
        let contained = responder.execute(contain(MINUTE), now()).unwrap();
        assert!(!passes(STRANGER) && passes(OWNER), "what comes from a veth and leaves elsewhere is outbound");
        responder.rollback(contained.id, "root", now()).unwrap();
        assert!(passes(STRANGER));
    });
}

#[test]
fn hostile_changes_are_refused_and_alarmed() {
    use bartizan_enforce::nft::Member;
    on_bench(|bench| {
        let responder = bench.responder();
        let done = responder.execute(block("198.51.100.5", Direction::In, MINUTE), now()).unwrap();
        let end = now() + chrono::Duration::seconds(60);
        let far_end = now() + chrono::Duration::days(30);
        let before = ruleset_without_time();
        for (members, by_person) in [
            (vec![(Member::Block(OWNER.parse().unwrap(), Direction::In), end)], true),
            (vec![(Member::Block("::ffff:203.0.113.9".parse().unwrap(), Direction::Out), end)], true),
            (vec![(Member::Limit(OWNER.parse().unwrap(), 1), end)], true),
            (vec![(Member::DenyUser(0, OWNER.parse().unwrap()), end)], true),
            (vec![(Member::Block("198.51.100.6".parse().unwrap(), Direction::In), far_end)], true),
            (vec![(Member::ContainOut(false), end)], true),
            (vec![(Member::ContainSsh(22), end), (Member::Keep("198.51.100.7".parse().unwrap()), end)], true),
            ((1..3).map(|n| (Member::Block(std::net::Ipv4Addr::new(198, 51, 100, 100 + n).into(), Direction::In), end)).collect(), false),
        ] {
            let refused = responder.context.put(&done, &members, by_person, now());
            assert!(matches!(&refused, Err(ActError::Nft(bartizan_enforce::nft::NftError::Refused(_)))), "{members:?}: {refused:?}");
            assert_eq!(ruleset_without_time(), before, "{members:?}");
        }
    });
}

fn ruleset_without_time() -> String {
    ruleset().lines().filter(|line| !line.contains("expires")).collect()
}

#[test]
#[ignore = "a measurement: ten thousand active blocks"]
fn ten_thousand_blocks_reconcile() {
    on_bench(|bench| {
        let responder = bench.responder();
        let first = responder.execute(block("10.0.0.0", Direction::In, MINUTE * 10), now()).unwrap();
        let mut members = Vec::new();
        for n in 1..10_000u32 {
            let mut action = first.clone();
            action.id = responder.ledger.next_action_id().unwrap();
            let addr: IpAddr = std::net::Ipv4Addr::from(0x0a00_0000 + n).into();
            action.target = Target::Address { addr, direction: Direction::In };
            let anchor = bartizan_store::ledger::Anchor { boot: responder.clock.boot(), ns: responder.clock.now() };
            let line = super::transaction::line(now(), "a test", "action.intended", action.id, "");
            let snapshot = serde_json::json!({ "connections": { "closed": 0, "forgotten": 0, "failures": [] } });
            responder.ledger.intend(&action, &snapshot, anchor, &line).unwrap();
            responder.ledger.update(&action).unwrap();
            members.push((bartizan_enforce::nft::Member::Block(addr, Direction::In), action.expires_at));
        }
        responder.context.put(&first, &members, true, now()).unwrap();
        let actions = responder.ledger.active().unwrap();
        assert_eq!(actions.len(), 10_000);
        for _ in 0..3 {
            let began = Instant::now();
            responder.context.forget_ruleset();
            let act = super::actions::of(ActionKind::BlockAddress);
            let snapshot = serde_json::json!({ "connections": { "closed": 0, "forgotten": 0, "failures": [] } });
            let live = actions
                .iter()
                .filter(|a| matches!(act.verify(&responder.context, a, &snapshot, now()), Ok(super::actions::ObservedState::Live(_))))
                .count();
            eprintln!("{live} blocks compared with the kernel in {:?}", began.elapsed());
            let began = Instant::now();
            responder.reconcile(now()).unwrap();
            eprintln!("and the whole round with the ledger in {:?}", began.elapsed());
        }
    });
}
