//! What is said of a host is so: exit codes, false names, a hidden /proc, addresses that nobody sends to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::agent::{Home, told};
use support::ends::Program;
use support::terminal::Terminal;
use support::{can_run, wait_for};

/// No process has it: beyond the largest that the kernel ever gives (2^22, proc_sys(5) pid_max).
const NOBODY: &str = "4194305";

#[test]
fn a_name_that_means_nothing_is_exit_code_two_whatever_it_would_name() {
    if !can_run(&[]) {
        return;
    }
    let home = Home::new(None);
    let _agent = home.start();
    let calls: [&[&str]; 6] = [
        &["freeze", NOBODY, "--for", "1m"],
        &["kill", NOBODY],
        &["thaw", NOBODY],
        &["approve", "Q999999"],
        &["rollback", "A999999"],
        &["explain", "I999999"],
    ];
    for call in calls {
        let output = home.run(call);
        assert_eq!(output.status.code(), Some(2), "{call:?}: {}", told(&output));
    }
}

#[test]
fn doctor_ends_with_five_when_anything_is_degraded() {
    if !can_run(&["unshare"]) {
        return;
    }
    // Without an agent, that is degraded already.
    let home = Home::new(None);
    let alone = home.run(&["doctor"]);
    assert_eq!(alone.status.code(), Some(5), "{}", told(&alone));
    assert!(String::from_utf8_lossy(&alone.stdout).contains("DEGRADED"), "{}", told(&alone));
    // With one, by what it says: some blind spots are on every host.
    let _agent = home.start();
    let output = home.run(&["doctor"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let well = !text.contains("DEGRADED") && !text.contains("MISSING");
    assert_eq!(output.status.code(), Some(if well { 0 } else { 5 }), "{}", told(&output));
}

#[test]
fn metrics_are_those_of_the_agent_in_the_form_that_prometheus_reads() {
    if !can_run(&[]) {
        return;
    }
    let home = Home::new(None);
    assert_eq!(home.run(&["status", "--format", "prometheus"]).status.code(), Some(3), "no agent");
    let _agent = home.start();
    let output = home.run(&["status", "--format", "prometheus"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let health = &home.json(&["status"])[0];
    assert!(text.contains(&format!("kernel=\"{}\"", health["kernel"].as_str().unwrap())), "{text}");
    let series: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for line in &series {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = name.split('{').next().unwrap();
        for about in ["HELP", "TYPE"] {
            assert_eq!(text.matches(&format!("# {about} {name} ")).count(), 1, "{about} of {name}");
        }
        assert_eq!(name.ends_with("_total"), text.contains(&format!("# TYPE {name} counter")), "{name}");
    }
    // promtool, where it is, is the judge.
    if let Ok(mut judge) = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() {
        std::io::Write::write_all(&mut judge.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let judged = judge.wait_with_output().unwrap();
        assert!(judged.status.success(), "{}", told(&judged));
    }
}

#[test]
fn a_program_under_the_name_of_a_kernel_thread_is_marked() {
    if !can_run(&["tmux", "bash"]) {
        return;
    }
    let home = Home::new(None);
    let _agent = home.start();
    let sleeper = Program::start(Command::new("sleep").arg0("[kworker/0:1-said]").arg("600").stdin(Stdio::null()));
    let terminal = Terminal::new(160, 40);
    terminal.type_line(&home.shell_line(&["attach"]));
    terminal.wait_for("PARANOID");
    terminal.press(&["2"]);
    terminal.press(&["/"]);
    terminal.type_line("kworker/0:1-said");
    let screen = terminal.wait_for("is a false name!");
    drop(sleeper);
    let line = screen.lines().find(|line| line.contains("is a false name!")).unwrap();
    assert!(line.contains("sleep !") && line.contains("kworker/0:1-said"), "{line}");
}

#[test]
fn an_agent_that_may_not_look_into_proc_says_so() {
    if !can_run(&["unshare", "setpriv"]) {
        return;
    }
    let home = Home::new(None);
    let place = home.directory.path();
    std::fs::set_permissions(place, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    // Readable for whoever it runs as: the program lies where only root may look, perhaps.
    let program = home.path("bartizan");
    std::fs::copy(support::BINARY, &program).unwrap();
    // Pid 1 stays root's: that it is hidden is how one knows.
    let (agent, flags) = (program.display(), home.flags().join(" "));
    let watch = format!(
        "{agent} --headless {flags} & n=0; until {agent} status {flags} >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 100 ] || exit 9; sleep 0.1; done; \
         {agent} doctor {flags}; code=$?; {agent} stop {flags} >/dev/null; exit $code"
    );
    let script = format!(
        "mount -t proc -o hidepid=2 proc /proc || exit 8; setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '{watch}'; exit $?"
    );
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--propagation", "private", "sh", "-c", &script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("processes of other users") && text.contains("hidepid="), "{}", told(&output));
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
}

#[test]
fn an_address_that_getaddrinfo_only_asks_about_is_no_connection() {
    if !can_run(&["python3"]) {
        return;
    }
    let home = Home::new(None);
    let _agent = home.start();
    let rung = home.json(&["status"])[0]["rung"].clone();
    if rung != "ebpf" {
        return eprintln!("skipped: only eBPF sees datagram sockets; this host has {rung}");
    }
    // What sshd asks for its listening addresses; then a datagram that is really sent, as the mark that all before was seen.
    let script = "import socket\n\
        print(socket.getaddrinfo(None, 22, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))\n\
        for place in (socket.AF_INET6, '::', 22), (socket.AF_INET, '0.0.0.0', 22), (socket.AF_INET, '127.0.0.1', 9):\n\
        \x20   one = socket.socket(place[0], socket.SOCK_DGRAM); one.connect(place[1:])\n";
    let asked = Command::new("python3").args(["-c", script]).output().unwrap();
    assert!(asked.status.success(), "{}", told(&asked));
    let connects = || home.json(&["events", "--kind", "net.connect", "--where", "python", "--limit", "100"]);
    let seen = wait_for(
        "the datagram",
        Duration::from_secs(10),
        || Some(connects()).filter(|all| all.iter().any(|event| event["net"]["dst"] == "127.0.0.1" && event["net"]["dport"] == 9)),
        || format!("{:#?}", connects()),
    );
    let nobody = seen.iter().find(|event| ["::", "0.0.0.0"].iter().any(|none| event["net"]["dst"] == *none));
    assert!(nobody.is_none(), "{nobody:#?}");
}
