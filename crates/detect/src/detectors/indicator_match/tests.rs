//! Listed addresses, domains and programs in real scenes, beside ordinary work that looks the same.

use bartizan_model::*;
use chrono::TimeDelta;

use super::super::scene::{Scene, by, flow, names};
use super::*;

const LIST: &str =
    "# source: test feed\n45.9.20.0/24\n8.8.4.4\nevil.example\n0707070707070707070707070707070707070707070707070707070707070707\n";

fn scene() -> Scene {
    let mut scene = Scene::new();
    let mut lists = Indicators::new([]);
    lists.add("/etc/bartizan/indicators/feed.txt".to_owned(), LIST.as_bytes(), (scene.at(), scene.at()), TimeDelta::days(30));
    scene.detector_set.set_indicators(lists);
    scene
}

fn listed(process: Process) -> Process {
    Process { exe_file: ExeFile { sha256: Some(Sha256([7; 32])), ..process.exe_file }, ..process }
}

fn by_name(scene: &mut Scene, process: &Process, to: &str, name: &str) -> Vec<Signal> {
    let net = Flow { name: Some(name.into()), ..flow(Protocol::Tcp, to) };
    scene.see(Some(process), EventKind::Connect { net })
}

#[test]
fn a_connection_to_a_listed_address_is_told_with_list_source_and_date() {
    let mut scene = scene();
    let cron = scene.daemon("/usr/sbin/cron");
    let program = scene.child(&cron, "/usr/local/bin/report");
    let signals = scene.connect(&program, "45.9.20.7:443");
    let signal = by(&signals, "indicator_match");
    assert_eq!((signal.family, signal.tier, signal.severity, signal.act), (Family::Tools, Tier::Incubating, Severity::Medium, None));
    assert!(signal.entities.contains(&Entity::Address("45.9.20.7".parse().unwrap())));
    let expected = format!(
        "report (pid {}) connected to 45.9.20.7:443, which stands in feed.txt as 45.9.20.0/24 (source: test feed, of 2027-01-15)",
        program.pid
    );
    assert_eq!(signal.sentence, expected);
    assert_eq!(names(&scene.connect(&program, "45.9.20.7:443")), [""; 0], "folded");
    assert_eq!(names(&scene.connect(&program, "45.9.20.8:443")), [""; 0], "the same network in the same hands");
    scene.seconds += 1800;
    assert_eq!(names(&scene.connect(&program, "45.9.20.7:443")), ["indicator_match"]);
}

#[test]
fn a_domain_is_matched_by_the_name_that_a_resolver_answered() {
    let mut scene = scene();
    let cron = scene.daemon("/usr/sbin/cron");
    let program = scene.child(&cron, "/usr/local/bin/report");
    let signals = by_name(&mut scene, &program, "104.16.0.9:443", "cdn.evil.example");
    assert!(by(&signals, "indicator_match").sentence.contains("(cdn.evil.example), which stands in feed.txt as evil.example"));
    assert_eq!(names(&by_name(&mut scene, &program, "104.16.0.9:443", "notevil.example")), [""; 0]);
    assert_eq!(names(&by_name(&mut scene, &program, "104.16.0.9:443", "\u{1b}]0;x\u{7}.example")), [""; 0]);
}

#[test]
fn a_program_known_by_its_digest_is_told_and_one_of_a_package_makes_the_list_doubtful() {
    let mut scene = scene();
    let cron = scene.daemon("/usr/sbin/cron");
    let dropped = listed(scene.child(&cron, "/opt/x/updater"));
    let signals = scene.exec(&dropped);
    assert_eq!(by(&signals, "indicator_match").severity, Severity::High);
    assert_eq!(by(&signals, "indicator_match").stage, Stage::Execution);
    let bash = Process { package: Some("bash".into()), ..listed(scene.child(&cron, "/usr/bin/bash -c true")) };
    let signals = scene.exec(&bash);
    let signal = by(&signals, "indicator_match");
    assert_eq!((signal.severity, signal.confidence.get()), (Severity::Low, ORDINARY));
    assert!(signal.sentence.ends_with("it came with the package bash, so the list may be wrong"), "{}", signal.sentence);
    assert_eq!(names(&scene.exec(&bash)), [""; 0], "a list that names a shell does not flood");
}

#[test]
fn a_login_from_a_listed_address_is_told_and_what_only_knocks_is_not() {
    let mut scene = scene();
    let sshd = scene.daemon("/usr/sbin/sshd -D");
    let auth = Login {
        service: "sshd".into(),
        user: Some("anna".into()),
        from: Some("45.9.20.7".parse().unwrap()),
        method: Some("password".into()),
        key: None,
        attempts: 0,
        line: LogLine { source: "/var/log/auth.log".into(), offset: 0, text: "x".into() },
    };
    assert_eq!(names(&scene.see(None, EventKind::LoginFailed { auth: auth.clone() })), [""; 0]);
    assert_eq!(names(&scene.see(Some(&sshd), EventKind::Accept { net: flow(Protocol::Tcp, "45.9.20.7:50000") })), [""; 0]);
    let signals = scene.see(None, EventKind::LoginAccepted { auth });
    assert_eq!(by(&signals, "indicator_match").stage, Stage::InitialAccess);
}

#[test]
fn ordinary_work_with_listed_hosts_is_recorded_below_any_alert() {
    let mut scene = scene();
    let exim = scene.daemon("/usr/sbin/exim4");
    let mail = super::super::scene::as_role(exim, ServiceRole::MailServer);
    let login = scene.login();
    let curl = scene.child(&login, "/usr/bin/curl https://8.8.4.4");
    for (process, to) in [(&mail, "45.9.20.25:25"), (&curl, "8.8.4.4:443")] {
        let signals = scene.connect(process, to);
        assert_eq!(by(&signals, "indicator_match").severity, Severity::Low, "{to}");
    }
    let shell = scene.child(&mail, "/bin/sh -c id");
    let signals = scene.connect(&shell, "45.9.20.25:25");
    assert_eq!(by(&signals, "indicator_match").severity, Severity::Medium, "a shell below it is no mail server");
    let signals = scene.connect(&mail, "45.9.20.26:4444");
    assert_eq!(by(&signals, "indicator_match").severity, Severity::Medium, "no mail goes there, and the mail before hides nothing");
}

#[test]
fn private_and_own_addresses_are_never_matched() {
    let mut scene = Scene::new();
    let mut lists = Indicators::new(["8.8.4.4".parse().unwrap()]);
    lists.add("feed.txt".to_owned(), b"10.0.0.0/8\n8.8.4.4\n45.9.20.7\n", (scene.at(), scene.at()), TimeDelta::days(30));
    scene.detector_set.set_indicators(lists);
    let cron = scene.daemon("/usr/sbin/cron");
    for to in ["10.1.2.3:80", "127.0.0.1:80", "8.8.4.4:443", "[::ffff:8.8.4.4]:443"] {
        assert_eq!(names(&scene.connect(&cron, to)), [""; 0], "{to}");
    }
    let itself = Flow { src: "45.9.20.7".parse().unwrap(), ..flow(Protocol::Tcp, "45.9.20.7:443") };
    assert_eq!(names(&scene.see(Some(&cron), EventKind::Connect { net: itself })), [""; 0], "this host itself");
}

#[test]
fn a_listed_address_is_told_beside_what_another_detector_reports_of_it() {
    let mut scene = scene();
    let mysqld = scene.daemon("/usr/sbin/mysqld");
    let mut lists = Indicators::new([]);
    lists.add("late.txt".to_owned(), b"9.1.2.3\n", (scene.at(), scene.at()), TimeDelta::days(30));
    let signals = scene.connect(&mysqld, "9.1.2.3:443");
    let reported = by(&signals, "database_calls_out").clone();
    assert!(scene.detector_set.beside(&reported).is_none());
    scene.detector_set.set_indicators(lists);
    let beside = scene.detector_set.beside(&reported).unwrap();
    assert_eq!((beside.severity, beside.subject, beside.entities == reported.entities), (Severity::Low, None, true));
    assert!(beside.sentence.starts_with("9.1.2.3, which database_calls_out reports, stands in late.txt as 9.1.2.3"), "{}", beside.sentence);
    assert_ne!(beside.id, reported.id);
    assert!(scene.detector_set.beside(&reported).is_none(), "once");
    assert!(scene.detector_set.beside(&beside).is_none(), "nothing beside what a list says");
    let other = Signal { detector: "web_attack".into(), subject: None, ..reported };
    assert!(scene.detector_set.beside(&other).is_some(), "what is told of one thing mutes no other");
}

#[test]
fn what_was_told_is_bounded() {
    let mut hits = IndicatorMatch::default();
    for n in 0..10_000 {
        hits.is_repeat("x".into(), n.to_string(), Timestamp::UNIX_EPOCH);
        assert!(hits.told.len() <= MAX_TOLD);
    }
}
