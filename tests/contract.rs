//! One contract for every rung of sensors, kept or openly declined, by a real agent; and the ways around a sensor that attackers know.
//!
//! What happens is done by the small C programs of `tests/programs`. Needs root and `cc`; says aloud when it skips.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::agent::{Agent, Home, told};
use support::docker::Docker;
use support::programs::Programs;
use support::{can_run, unique, wait_for};

const CONNECTOR: &str = "process-connector";
const PROCFS: &str = "procfs";
/// What only eBPF sees of privilege.
const MODULES: &str = "loading of kernel modules, and signals to security services";
/// The same of the network, and of settings.
const TRAFFIC: &str = "accepted connections, and what connections carried";
const SETTINGS: &str = "writing of kernel settings, and false names taken while a process runs";

/// An agent on one rung.
struct Seeing<'a> {
    rung: &'static str,
    agent: Agent<'a>,
}

/// Runs `test` beside a real agent on this rung.
fn on(rung: &'static str, test: impl FnOnce(&Seeing<'_>)) {
    let home = Home::new(None);
    let agent = home.start_with(&[("BARTIZAN_RUNG", rung)]);
    assert_eq!(home.json(&["status"])[0]["rung"], rung, "refused here: {:?}", home.json(&["status"])[0]["blind_spots"]);
    // A polling rung must have looked once before anything happens.
    std::thread::sleep(Duration::from_millis(if rung == "ebpf" { 200 } else { 1000 }));
    test(&Seeing { rung, agent });
}

impl Seeing<'_> {
    /// The event that holds `text` in its JSON and fits, waited for.
    fn find(&self, what: &str, text: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let events = || self.agent.home.json(&["events", "--limit", "1000", "--where", text]);
        let look = || events().into_iter().find(|event| fits(event));
        let state = || format!("{:#?}", events().iter().map(|e| format!("{} {}", e["kind"], e["process"]["argv"])).collect::<Vec<_>>());
        wait_for(&format!("{what}, on {}", self.rung), Duration::from_secs(10), look, state)
    }

    /// What the agent says openly that it cannot see.
    fn blind_spots(&self) -> Vec<String> {
        let status = &self.agent.home.json(&["status"])[0];
        status["blind_spots"].as_array().unwrap().iter().map(|spot| spot["what"].as_str().unwrap().to_owned()).collect()
    }

    fn declines(&self, words: &str) {
        let spots = self.blind_spots();
        assert!(spots.iter().any(|spot| spot.contains(words)), "{} must say that it does not see {words:?}: {spots:?}", self.rung);
    }
}

fn of(pid: u32, kind: &str) -> impl Fn(&Value) -> bool {
    let kind = kind.to_owned();
    move |event| event["kind"] == kind && event["process"]["pid"] == pid
}

/// The number in a link such as `mnt:[4026531841]`.
fn namespace(link: &str) -> u64 {
    link.trim_end_matches(']').rsplit('[').next().unwrap().parse().unwrap()
}

/// A process that lives a second or more: who it is, what it does, how it ends.
fn contract(rung: &'static str) {
    if !can_run(&["cc"]) {
        return;
    }
    let programs = Programs::build(&["contract"]);
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let (token, port) = (unique("contract"), peer.local_addr().unwrap().port());
    on(rung, |seeing| {
        let child = programs.start("contract", &token, port, "-");
        let pid = child.id();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{}", told(&output));
        let truth = String::from_utf8(output.stdout).unwrap();
        let truth = |name: &str| truth.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap().to_owned();

        let argv = programs.argv("contract", &token, port, "work");
        let exec = seeing.find("the program", &token, |event| event["kind"] == "process.exec" && event["process"]["argv"] == json!(argv));
        let p = &exec["process"];
        assert_eq!(
            (&p["pid"], &p["ppid"], &p["exe"], &p["cwd"]),
            (&json!(pid), &json!(std::process::id()), &json!(argv[0]), &json!("/usr"))
        );
        assert_eq!(
            (&p["uid"], &p["euid"], &p["user"], &exec["complete"]),
            (&json!(0), &json!(0), &json!("root"), &json!(true)),
            "{exec:#}"
        );
        let file = std::fs::metadata(programs.path("contract")).unwrap();
        assert_eq!(p["exe_file"]["inode"], file.ino());
        let ancestors = p["lineage"].as_array().unwrap();
        let ours = |ancestor: &Value| ancestor["key"].as_str().is_some_and(|key| key.contains(&format!("-{}-", std::process::id())));
        assert!(ancestors.iter().any(ours), "{ancestors:?}");
        assert_eq!(p["tty"], truth("tty").trim_start_matches("/dev/"), "terminal, on {rung}");
        for name in ["mnt", "pid", "user"] {
            assert_eq!(p["namespaces"][name], namespace(&truth(name)), "{name} namespace, on {rung}");
        }
        assert_eq!(p["netns"], namespace(&truth("net")));
        let preload = json!({ "name": "LD_PRELOAD", "value": "/nowhere/evil.so" });
        assert!(p["environment"].as_array().is_some_and(|all| all.contains(&preload)), "environment, on {rung}: {p:#}");

        let listener: u16 = truth("listener").parse().unwrap();
        let listen = seeing.find("its listener", &token, |event| event["kind"] == "net.listen" && event["net"]["sport"] == listener);
        assert_eq!((&listen["process"]["pid"], &listen["net"]["src"]), (&json!(pid), &json!("127.0.0.1")));
        let connect = seeing.find("its connection", &token, |event| event["kind"] == "net.connect" && event["net"]["dport"] == port);
        assert_eq!((&connect["process"]["pid"], &connect["net"]["dst"]), (&json!(pid), &json!("127.0.0.1")));
        let setuid = |event: &Value| event["privilege"]["what"] == "set-uid" && event["privilege"]["new_uid"] == 65_534;
        seeing.find("its change of user", &token, |event| of(pid, "privilege.use")(event) && setuid(event));
        let exit = seeing.find("its end", &token, of(pid, "process.exit"));
        if rung == PROCFS {
            seeing.declines("the exit status of processes");
        } else {
            assert_eq!(exit["exit"]["code"], 7);
        }
    });
}

#[test]
fn ebpf_keeps_the_contract() {
    contract("ebpf");
}

#[test]
fn the_process_connector_keeps_the_contract() {
    contract(CONNECTOR);
}

#[test]
fn procfs_keeps_the_contract() {
    contract(PROCFS);
}

/// What no sensor of ours sees anywhere.
const ON_EVERY_RUNG: [&str; 4] = [
    "files that are created with a set-user-id bit at once",
    "mounts inside other mount namespaces",
    "names of destinations resolved over TCP",
    "processes that enter another namespace and then neither",
];

/// What the machine decides: file systems that are mounted here and cannot be marked.
const BY_MACHINE: &str = "set-user-id bits, capabilities and owners of files on some file systems";

/// What each rung says that it misses is what it misses: no more, no less.
fn short_lives(rung: &'static str, blind_spots: &[&str]) {
    if !can_run(&["cc"]) {
        return;
    }
    let programs = Programs::build(&["tiny"]);
    let (tiny, token) = (programs.path("tiny"), unique("short"));
    on(rung, |seeing| {
        let mut spots = seeing.blind_spots();
        spots.retain(|spot| spot != BY_MACHINE);
        assert_eq!(spots.len(), blind_spots.len() + ON_EVERY_RUNG.len(), "{spots:?}");
        for spot in blind_spots.iter().chain(&ON_EVERY_RUNG) {
            seeing.declines(spot);
        }
        let pids: Vec<u32> = (0..20)
            .map(|_| {
                let mut child = Command::new(&tiny).arg(&token).spawn().unwrap();
                assert!(child.wait().unwrap().success());
                child.id()
            })
            .collect();
        if rung == PROCFS {
            return; // it promises nothing of them, and has said so
        }
        for pid in pids {
            let exec = seeing.find("a short life", &format!("\"pid\":{pid},"), of(pid, "process.exec"));
            let whole = exec["process"]["argv"] == json!([tiny, token]);
            assert!(whole || rung == CONNECTOR && exec["complete"] == false, "{exec:#}");
        }
    });
}

#[test]
fn ebpf_misses_nothing_and_says_so() {
    short_lives("ebpf", &[]);
}

#[test]
fn the_process_connector_says_what_it_misses() {
    let connections = "connections shorter than a quarter of a second, and all connections in other network namespaces";
    let spots = [
        "UDP destinations",
        "arguments of very short-lived processes",
        "arguments that a program overwrites immediately",
        MODULES,
        TRAFFIC,
        SETTINGS,
        connections,
    ];
    short_lives(CONNECTOR, &spots);
}

#[test]
fn procfs_says_what_it_misses() {
    let connections = "connections shorter than a quarter of a second, and all connections in other network namespaces";
    short_lives(
        PROCFS,
        &[
            "UDP destinations",
            "processes that live less than half a second",
            "the parent of a process whose parent ended within half a second",
            "arguments that a program overwrote before",
            MODULES,
            TRAFFIC,
            SETTINGS,
            connections,
        ],
    );
}

/// One way around a sensor: a program of `tests/programs`, and what must be seen of it all the same.
struct Evasion {
    name: &'static str,
    program: &'static str,
    more: &'static str,
    deed: Deed,
    /// What else must be true of the process in the event.
    also: fn(&Value) -> bool,
    /// Rungs that cannot see it, with the words in which they say so.
    declined: Vec<(&'static str, &'static str)>,
    /// A rung that loses its true arguments when the host is busy, and always says so in these words.
    may_lose_arguments: Option<(&'static str, &'static str)>,
}

enum Deed {
    /// Executes this, with these arguments. DIR is the directory of the programs, TOKEN the token.
    Exec { argv: &'static [&'static str], exe: &'static str },
    /// Is itself executed, and its arguments are those that it was given.
    Itself,
    /// Connects to us.
    Connect { proto: &'static str, to: &'static str },
    /// Becomes this user.
    SetUid(u32),
    /// Gives a file a set-user-id bit.
    SetId,
}

impl Evasion {
    fn new(name: &'static str, program: &'static str, more: &'static str, deed: Deed) -> Self {
        Self { name, program, more, deed, also: |_| true, declined: Vec::new(), may_lose_arguments: None }
    }

    fn also(self, also: fn(&Value) -> bool) -> Self {
        Self { also, ..self }
    }

    fn declined(mut self, rung: &'static str, words: &'static str) -> Self {
        self.declined.push((rung, words));
        self
    }

    fn may_lose_arguments(self, rung: &'static str, words: &'static str) -> Self {
        Self { may_lose_arguments: Some((rung, words)), ..self }
    }
}

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

fn connects(proto: &'static str, to: &'static str) -> Deed {
    Deed::Connect { proto, to }
}

fn runs(argv: &'static [&'static str], exe: &'static str) -> Deed {
    Deed::Exec { argv, exe }
}

/// Another one is one line here and one file in `tests/programs`.
#[rustfmt::skip]
fn evasions() -> Vec<Evasion> {
    let udp = |name, more, to| {
        Evasion::new(name, "connecting", more, connects("udp", to)).declined(CONNECTOR, "UDP destinations").declined(PROCFS, "UDP destinations")
    };
    vec![
        Evasion::new("execve by int 0x80", "int80", "execve", runs(&["from-int80", "TOKEN"], "DIR/victim")),
        Evasion::new("connect by int 0x80", "int80", "connect", connects("tcp", "127.0.0.1")),
        Evasion::new("setuid by int 0x80", "int80", "setuid", Deed::SetUid(65_533)),
        Evasion::new("connect by io_uring", "uring_connect", "-", connects("tcp", "127.0.0.1")),
        Evasion::new("a name of the kernel's", "renamed", "-", connects("tcp", "127.0.0.1")),
        Evasion::new("arguments written over", "rewritten", "-", Deed::Itself)
            .declined(PROCFS, "arguments that a program overwrote before")
            .may_lose_arguments(CONNECTOR, "arguments that a program overwrites immediately"),
        Evasion::new("a program in memory", "memfd", "-", runs(&["from-memory", "TOKEN"], "memfd:not a file")).also(|p| p["exe_file"]["memfd"] == true),
        Evasion::new("a program run by the loader", "loader", LOADER, runs(&[LOADER, "DIR/victim", "TOKEN"], LOADER)),
        Evasion::new("a program without a name", "deleted", "-", runs(&["from-nowhere", "TOKEN"], "DIR/gone")).also(|p| p["exe_file"]["deleted"] == true),
        Evasion::new("another root directory", "chrooted", "-", runs(&["/victim-static", "TOKEN"], "DIR/victim-static")),
        Evasion::new("another pid namespace", "pid_namespace", "-", runs(&["first-of-its-kind", "TOKEN"], "DIR/victim")).also(in_another_pid_namespace),
        Evasion::new("arguments longer than a page", "long_arguments", "-", runs(&["long", "LONG", "TOKEN"], "DIR/victim")),
        Evasion::new("TCP over IPv6", "connecting", "tcp6", connects("tcp", "::1")),
        Evasion::new("chmod by a relative path", "rights", "relative", Deed::SetId),
        Evasion::new("chmod by a descriptor", "rights", "descriptor", Deed::SetId),
        Evasion::new("chmod by another name", "rights", "link", Deed::SetId),
        Evasion::new("chmod in another mount namespace", "rights", "bind", Deed::SetId),
        Evasion::new("chmod in a thread", "rights", "thread", Deed::SetId),
        Evasion::new("chmod by int 0x80", "rights", "int80", Deed::SetId),
        udp("UDP", "udp4", "127.0.0.1"),
        udp("UDP over IPv6", "udp6", "::1"),
    ]
}

fn in_another_pid_namespace(process: &Value) -> bool {
    let ours = namespace(std::fs::read_link("/proc/self/ns/pid").unwrap().to_str().unwrap());
    process["namespaces"]["pid"].as_u64().is_some_and(|theirs| theirs != 0 && theirs != ours)
}

/// Ends of ours that the programs connect to.
struct Peers {
    tcp4: TcpListener,
    tcp6: TcpListener,
    udp4: UdpSocket,
    udp6: UdpSocket,
}

impl Peers {
    fn new() -> Self {
        let (four, six) = ("127.0.0.1:0", "[::1]:0");
        Self {
            tcp4: TcpListener::bind(four).unwrap(),
            tcp6: TcpListener::bind(six).unwrap(),
            udp4: UdpSocket::bind(four).unwrap(),
            udp6: UdpSocket::bind(six).unwrap(),
        }
    }

    fn port(&self, more: &str) -> u16 {
        let at = match more {
            "tcp6" => self.tcp6.local_addr(),
            "udp4" => self.udp4.local_addr(),
            "udp6" => self.udp6.local_addr(),
            _ => self.tcp4.local_addr(),
        };
        at.unwrap().port()
    }
}

fn evaded(rung: &'static str) {
    if !can_run(&["cc"]) {
        return;
    }
    let table = evasions();
    let mut names: Vec<&str> = table.iter().map(|evasion| evasion.program).chain(["victim", "victim-static"]).collect();
    names.sort_unstable();
    names.dedup();
    let (programs, peers) = (Programs::build(&names), Peers::new());
    on(rung, |seeing| {
        let start = |evasion: &Evasion| {
            let token = unique("evasion");
            let child = programs.start(evasion.program, &token, peers.port(evasion.more), evasion.more);
            (token, child)
        };
        let started: Vec<_> = table.iter().map(start).collect();
        for (evasion, (token, child)) in table.iter().zip(started) {
            let pid = child.id();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}: {}", evasion.name, told(&output));
            if let Some((_, words)) = evasion.declined.iter().find(|(declining, _)| *declining == rung) {
                seeing.declines(words);
                continue;
            }
            if let Some((_, words)) = evasion.may_lose_arguments.filter(|(losing, _)| *losing == rung) {
                seeing.declines(words);
                // The program itself is seen whatever becomes of its arguments.
                let seen = seeing.find(evasion.name, &format!("\"pid\":{pid},"), of(pid, "process.exec"));
                let own = programs.argv(evasion.program, &token, peers.port(evasion.more), evasion.more);
                assert_eq!(seen["process"]["exe"], own[0], "{}: {seen:#}", evasion.name);
                if seen["process"]["argv"] != json!(own) {
                    eprintln!("{} on {rung}: lost, and said so: {}", evasion.name, seen["process"]["argv"]);
                    continue;
                }
            }
            judge(seeing, &programs, evasion, &token, peers.port(evasion.more));
        }
    });
}

fn judge(seeing: &Seeing<'_>, programs: &Programs, evasion: &Evasion, token: &str, port: u16) {
    let directory = programs.directory().display().to_string();
    let given = |text: &str| text.replace("DIR", &directory).replace("TOKEN", token).replace("LONG", &"x".repeat(6000));
    let own = json!(programs.argv(evasion.program, token, port, evasion.more));
    let seen = match &evasion.deed {
        Deed::Exec { argv, exe } => {
            let argv = json!(argv.iter().map(|argument| given(argument)).collect::<Vec<_>>());
            let seen = seeing.find(evasion.name, token, |event| event["kind"] == "process.exec" && event["process"]["argv"] == argv);
            let exe = std::fs::canonicalize(given(exe)).map_or(given(exe), |path| path.display().to_string());
            assert_eq!(seen["process"]["exe"], exe, "{}", evasion.name);
            seen
        }
        Deed::Itself => seeing.find(evasion.name, token, |event| event["kind"] == "process.exec" && event["process"]["argv"] == own),
        Deed::Connect { proto, to } => seeing.find(evasion.name, token, |event| {
            let net = &event["net"];
            event["kind"] == "net.connect"
                && (&net["proto"], &net["dst"], &net["dport"]) == (&json!(proto), &json!(to), &json!(port))
                && event["process"]["argv"] == own
        }),
        Deed::SetId => seeing.find(evasion.name, token, |event| {
            event["file"]["change"] == "set-id" && event["file"]["attributes"]["mode"] == "4755" && event["process"]["argv"] == own
        }),
        Deed::SetUid(uid) => {
            seeing.find(evasion.name, token, |event| event["privilege"]["new_uid"] == *uid && event["process"]["argv"] == own)
        }
    };
    assert!((evasion.also)(&seen["process"]), "{} on {}: {seen:#}", evasion.name, seeing.rung);
}

#[test]
fn ebpf_is_not_evaded() {
    evaded("ebpf");
}

#[test]
fn the_process_connector_is_not_evaded_by_what_lives_a_second() {
    evaded(CONNECTOR);
}

#[test]
fn procfs_is_not_evaded_but_where_it_says_so() {
    evaded(PROCFS);
}

/// A program in a container is told with the container's id and with its path as the container knows it.
fn in_a_container(rung: &'static str, docker: &Docker) {
    on(rung, |seeing| {
        let created = docker.run(&["create", "--network", "none", "busybox", "/bin/busybox", "sleep", "1.4"]);
        assert!(created.status.success(), "{}", told(&created));
        let id = String::from_utf8(created.stdout).unwrap().trim().to_owned();
        let ran = docker.run(&["start", "--attach", &id]);
        assert!(ran.status.success(), "{}", told(&ran));
        let exec = seeing.find("a program in a container", &id[..12], |event| {
            event["kind"] == "process.exec" && event["process"]["argv"] == json!(["/bin/busybox", "sleep", "1.4"])
        });
        let p = &exec["process"];
        assert_eq!((&p["container"], &p["exe"]), (&json!(id[..12]), &json!("/bin/busybox")), "on {rung}: {exec:#}");
        assert!(in_another_pid_namespace(p), "on {rung}: {exec:#}");
    });
}

#[test]
fn programs_in_a_container_are_told_with_it() {
    if !can_run(&["dockerd", "docker", "busybox", "ip", "nsenter", "tar"]) {
        return;
    }
    let docker = Docker::start();
    for rung in ["ebpf", CONNECTOR, PROCFS] {
        in_a_container(rung, &docker);
    }
}

#[test]
fn what_others_load_into_the_kernel_is_told_with_its_loader() {
    if !can_run(&["cc"]) {
        return;
    }
    let programs = Programs::build(&["bpf_load"]);
    on("ebpf", |seeing| {
        std::thread::sleep(Duration::from_millis(1500)); // the first walk is no news
        let child = programs.start("bpf_load", "-", 0, "-");
        let pid = child.id();
        let told_of = seeing.find("a BPF program", "held_by_others", |event| event["privilege"]["what"] == "bpf");
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        assert_eq!((&told_of["process"]["pid"], &told_of["complete"]), (&json!(pid), &json!(true)), "{told_of:#}");
        assert!(told_of["privilege"]["detail"].as_str().unwrap().starts_with("socket_filter held_by_others"), "{told_of:#}");
    });
}
