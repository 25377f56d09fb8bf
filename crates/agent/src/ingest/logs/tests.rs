//! Lines through parser, detectors, correlator and console, played in virtual time: what a person is told of them.

use std::net::Ipv4Addr;
use std::path::Path;

use super::super::pipeline::Pipeline;
use super::queue::Item;
use crate::assemble::{self, Assembled};
use crate::parts::Parts;
use bartizan_config::{Flags, Settings};
use bartizan_detect::detectors::jails::JailRule;
use bartizan_fail2ban::FilterSpec;
use bartizan_model::{Alert, AlertState, Entity, EventKind, HostText, Incident, IncidentState, LogLine, Rung, Timestamp};
use bartizan_worker::{At, Heard, JailFilter, Jailed, LogFormat, LogParser, Parser, Reader};

const LOG: &str = "/var/log/auth.log";

/// An agent none of whose threads run, and a log that is read by it.
pub(super) struct Bench {
    pub(super) parts: std::sync::Arc<Parts>,
    pub(super) pipeline: Pipeline,
    reader: Reader,
    pub(super) now: Timestamp,
    offset: u64,
    pid: u32,
    source: &'static str,
    dir: tempfile::TempDir,
}

fn settings(dir: &Path) -> Settings {
    let flags = Flags { data: Some(dir.to_owned()), rung: Some(Rung::Procfs), ..Flags::default() };
    Settings::load_with(&flags, &|_| None).unwrap()
}

impl Bench {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::of(assemble::assemble(settings(dir.path()), None).unwrap(), dir)
    }

    fn of(assembled: Assembled, dir: tempfile::TempDir) -> Self {
        let Assembled { parts, correlator, coverage, .. } = assembled;
        let judge = super::LogJudge::new(&parts.settings.policy, 42, None, vec!["ansible".into()]);
        let pipeline = Pipeline::new(assemble::detectors(&parts), (correlator, judge), coverage, assemble::pipeline_ties(&parts));
        let reader = LogParser.open(&LogFormat::Auth);
        let now = "2026-11-28T00:00:00Z".parse().unwrap();
        Self { parts, pipeline, reader, now, offset: 0, pid: 100, source: LOG, dir }
    }

    /// The agent is started again: what was remembered is all that is left.
    fn restart(&mut self) {
        let memory = self.pipeline.logs.unsaved().unwrap();
        self.pipeline.logs = super::LogJudge::new(&self.parts.settings.policy, 7, Some(&memory), vec![]);
    }

    pub(super) fn wait(&mut self, seconds: i64) {
        self.now += chrono::TimeDelta::seconds(seconds);
        self.pipeline.decay(self.now);
        self.pipeline.logs_by_the_clock();
    }

    fn line(&mut self, tag: &str, message: &str) {
        let line = format!("{} host {tag}[{}]: {message}", self.now.to_rfc3339(), self.pid);
        let offset = self.offset;
        self.offset += line.len() as u64 + 1;
        let Heard::Record(record) = LogParser.parse(&mut self.reader, line.as_bytes()) else { panic!("{line}") };
        let source = self.source.into();
        let evidence = HostText::from(line.as_bytes().get(..LogLine::LONGEST).unwrap_or(line.as_bytes()));
        self.pipeline.take_item(Item::Record(source, Box::new(At { offset, line: evidence, record })), self.now);
    }

    fn fail(&mut self, from: &str, user: &str) {
        self.pid += 1;
        self.line("sshd", &format!("Failed password for {user} from {from} port 5 ssh2"));
    }

    fn accept(&mut self, from: &str, user: &str, how: &str) {
        self.pid += 1;
        self.line("sshd", &format!("Accepted {how} for {user} from {from} port 5 ssh2"));
    }

    pub(super) fn alerts(&self) -> Vec<Alert> {
        self.parts.console.alerts()
    }

    pub(super) fn incidents(&self) -> Vec<Incident> {
        self.parts.console.incidents(None)
    }
}

#[test]
fn an_attack_of_many_sources_is_one_incident_and_one_alert_with_its_counts_and_worst_sources() {
    let mut bench = Bench::new();
    let mut events = bench.parts.console.follow();
    for round in 0..12 {
        for host in 1..=60 {
            bench.fail(&format!("203.0.113.{host}"), "root");
        }
        (0..4).for_each(|_| bench.fail("198.51.100.7", "admin"));
        bench.wait(if round == 10 { 2 * 60 * 60 } else { 20 });
    }
    let (alerts, incidents) = (bench.alerts(), bench.incidents());
    assert_eq!((alerts.len(), incidents.len()), (1, 1), "{alerts:#?}");
    let incident = &incidents[0];
    assert!(
        incident.sentence.starts_with("768 failed logins from ") && incident.sentence.contains("most from 198.51.100.7 (48)"),
        "{incident:#?}"
    );
    assert_eq!(alerts[0].sentence, incident.sentence);
    assert_eq!(incident.addresses.first(), Some(&"198.51.100.7".parse().unwrap()), "the worst stands first");
    assert!(incident.addresses.len() > 50 && incident.entities.iter().any(|entity| matches!(entity, Entity::Campaign(_))), "{incident:#?}");
    assert_eq!(bench.pipeline.correlator.proof(incident.id).hostile.len(), 61, "each may be acted on");
    let seen = bench.pipeline.explain(incident.id, &[]).unwrap().seen;
    assert!(seen[1].starts_with("first 2026-11-28 00:00:00 UTC, last 2026-11-28 02:"), "{seen:#?}");
    assert!(seen[2].starts_with("worst sources: 198.51.100.7 (48), "), "{seen:#?}");
    assert_eq!(seen.iter().filter(|line| line.starts_with("line: /var/log/auth.log at byte ")).count(), 3, "{seen:#?}");

    // Each signal rests on an event that has its line.
    let signals = bench.pipeline.correlator.signals(incident.id).to_vec();
    let mut lines = std::collections::BTreeMap::new();
    while let Ok(event) = events.try_recv() {
        if let EventKind::LoginFailed { auth } = &event.kind {
            lines.insert(event.id, auth.clone());
        }
    }
    for signal in signals {
        let auth = &lines[&signal.events[0]];
        assert!(auth.line.source == *LOG && auth.line.text.escaped().contains("Failed password for "), "{auth:?}");
        assert!(signal.hostile.is_none() || signal.hostile == auth.from, "{signal:?}");
    }
}

#[test]
fn twenty_thousand_failures_a_day_from_three_thousand_addresses_are_at_most_three_alerts() {
    let mut bench = Bench::new();
    let (begun, mut came) = (bench.now, std::collections::BTreeSet::new());
    for attempt in 0..20_000_u32 {
        // Many come a few times, some the whole day.
        let host = if attempt % 3 == 0 { attempt % 40 } else { attempt.wrapping_mul(2_654_435_761) % 3_200 };
        came.insert(host);
        let user = ["root", "admin", "ubuntu", "git", "postgres", "test"][attempt as usize % 6];
        bench.fail(&Ipv4Addr::from(0xc612_0000 + host).to_string(), user);
        if attempt % 4 == 0 {
            bench.wait(17);
        }
    }
    assert!((bench.now - begun).num_hours() >= 23);
    let (alerts, incidents) = (bench.alerts(), bench.incidents());
    assert!((1..=3).contains(&alerts.len()), "{} alerts: {alerts:#?}", alerts.len());
    assert!(incidents.len() <= 4, "{} incidents", incidents.len());
    assert!(incidents.iter().all(|incident| incident.entities.len() <= 256 && incident.addresses.len() <= 256));
    let attackers = bench.pipeline.logs.attackers(10_000);
    let attempts: u64 = attackers.iter().map(|one| u64::from(one.attempts)).sum();
    assert!(came.len() > 3_000, "{}", came.len());
    assert_eq!((attackers.len(), attempts), (came.len(), 20_000), "the table has all of them");
}

#[test]
fn an_agent_that_was_restarted_in_the_middle_raises_no_second_alert() {
    let mut bench = Bench::new();
    (0..30).for_each(|_| bench.fail("203.0.113.9", "root"));
    assert_eq!(bench.alerts().len(), 1);
    bench.restart();
    for host in 10..90 {
        (0..12).for_each(|_| bench.fail(&format!("203.0.113.{host}"), "root"));
        bench.wait(5);
    }
    let (alerts, incidents) = (bench.alerts(), bench.incidents());
    assert_eq!((alerts.len(), incidents.len()), (1, 1), "{alerts:#?}");
    assert!(incidents[0].sentence.starts_with("990 failed logins from "), "the counts go on: {}", incidents[0].sentence);
}

#[test]
fn ordinary_work_raises_nothing() {
    let mut bench = Bench::new();
    for day in 0..3 {
        // The operator mistypes three times and is let in.
        (0..3).for_each(|_| bench.fail("198.51.100.20", "alice"));
        bench.accept("198.51.100.20", "alice", "password");
        for run in 0..40 {
            // CI comes by key, from anywhere.
            bench.pid += 1;
            let from = Ipv4Addr::from(0x0d34_0000 + day * 1_000 + run * 7);
            bench.line(
                "sshd",
                &format!("Accepted publickey for ci from {from} port 5 ssh2: ED25519 SHA256:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"),
            );
            for _ in 0..25 {
                bench.line("sudo", " ansible : PWD=/home/ansible ; USER=root ; COMMAND=/bin/sh -c apt-get update");
            }
            bench.wait(600);
        }
    }
    assert_eq!((bench.alerts(), bench.incidents()), (vec![], vec![]));
}

#[test]
fn a_login_in_a_new_way_is_a_fact_and_no_alert() {
    let mut bench = Bench::new();
    let mut events = bench.parts.console.follow();
    bench.accept("198.51.100.20", "alice", "publickey");
    bench.wait(60);
    bench.accept("203.0.113.77", "alice", "password");
    let signals = bench.incidents();
    assert_eq!((bench.alerts().len(), signals.len()), (0, 1));
    assert_eq!(signals[0].sentence, "alice logged in from 203.0.113.77 by password, for the first time by this method");
    let accepted = std::iter::from_fn(|| events.try_recv().ok()).filter(|event| matches!(event.kind, EventKind::LoginAccepted { .. }));
    assert_eq!(accepted.count(), 2, "each login is on record");
}

#[test]
fn account_changes_are_told_by_the_sensors_alone_and_background_noise_by_nobody() {
    let mut bench = Bench::new();
    bench.line("useradd", "new user: name=eve, UID=0, GID=0, home=/root, shell=/bin/sh, from=/dev/pts/1");
    (0..6).for_each(|_| bench.fail("203.0.113.5", "root"));
    assert_eq!((bench.alerts(), bench.incidents()), (vec![], vec![]));
    assert_eq!(bench.pipeline.logs.attackers(10).iter().map(|one| one.attempts).collect::<Vec<_>>(), [6], "but it is counted");
}

#[test]
fn the_next_attack_of_the_same_source_is_an_alert_of_its_own_and_a_quiet_one_closes() {
    let mut bench = Bench::new();
    (0..12).for_each(|_| bench.fail("203.0.113.9", "root"));
    bench.wait(9 * 60 * 60);
    let closed = bench.incidents().iter().filter(|incident| incident.state == IncidentState::Closed).count();
    assert_eq!(closed, 1, "quiet for longer than an attack lasts");
    (0..12).for_each(|_| bench.fail("203.0.113.9", "root"));
    assert_eq!(bench.alerts().len(), 2);
    assert!(bench.dir.path().exists());
}

#[test]
fn what_a_container_writes_names_nobody_for_an_action_and_protects_nobody() {
    for (source, trusted) in [(LOG, true), ("docker:mail", false), ("/var/lib/docker/containers/1/1-json.log", false)] {
        let mut bench = Bench { source, ..Bench::new() };
        (0..20).for_each(|_| bench.fail("203.0.113.7", "root"));
        let [incident] = &bench.incidents()[..] else { panic!("{:#?}", bench.incidents()) };
        let hostile = bench.pipeline.correlator.proof(incident.id).hostile;
        assert_eq!(!hostile.is_empty(), trusted, "{source}: {hostile:?}");
        let text = format!("{} host sshd[9]: Accepted publickey for root from 198.51.100.9 port 5 ssh2", bench.now.to_rfc3339());
        let Heard::Record(record) = LogParser.parse(&mut bench.reader, text.as_bytes()) else { panic!("{text}") };
        let told = bench.pipeline.logs.judge(&source.into(), &At { offset: 0, line: text.as_str().into(), record }, bench.now).remove(0);
        assert_eq!(told.login().is_some(), trusted, "{source}");
    }
}

#[test]
fn old_lines_count_from_their_own_time_and_never_from_when_they_are_read() {
    for hours in [20, 72, 24 * 400] {
        let mut bench = Bench::new();
        let stamped = bench.now;
        bench.now += chrono::TimeDelta::hours(hours);
        let read = |bench: &mut Bench, text: String| {
            let line = format!("{} host sshd[{}]: {text}", stamped.to_rfc3339(), bench.pid);
            bench.pid += 1;
            let Heard::Record(record) = LogParser.parse(&mut bench.reader, line.as_bytes()) else { panic!("{line}") };
            Box::new(At { offset: 0, line: line.as_str().into(), record })
        };
        for _ in 0..20 {
            let at = read(&mut bench, "Failed password for root from 203.0.113.7 port 5 ssh2".to_owned());
            bench.pipeline.take_item(Item::Record(LOG.into(), at), bench.now);
        }
        let [incident] = &bench.incidents()[..] else { panic!("{:#?}", bench.incidents()) };
        // The court holds nobody for what he did longer ago than minutes.
        let sources = bench.pipeline.correlator.proof(incident.id).sources;
        assert_eq!(sources.iter().map(|source| source.at).collect::<Vec<_>>(), [stamped], "{hours}");
        let at = read(&mut bench, "Accepted publickey for root from 198.51.100.9 port 5 ssh2".to_owned());
        let told = bench.pipeline.logs.judge(&LOG.into(), &at, bench.now).remove(0);
        assert_eq!(told.login().unwrap().2, stamped, "it protects its source for thirty days from then");
    }
}

#[test]
fn a_guess_that_was_right_is_shown_again_to_who_has_seen_the_alert() {
    let mut bench = Bench::new();
    (0..12).for_each(|_| bench.fail("77.1.1.1", "root"));
    bench.accept("77.1.1.1", "root", "password");
    let seen = bench.alerts()[0].id;
    bench.parts.console.acknowledge(seen, "ann").unwrap();
    (0..12).for_each(|_| bench.fail("77.3.3.3", "root"));
    assert_eq!(bench.alerts()[0].state, AlertState::Acknowledged, "more of the same is no news");
    bench.accept("77.3.3.3", "root", "password");
    assert!(bench.alerts().iter().any(|alert| alert.state == AlertState::New), "{:#?}", bench.alerts());
}

#[test]
fn a_line_that_our_own_parser_counts_and_a_jail_matches_is_one_failure_and_the_stricter_limit_names_the_address() {
    let mut bench = Bench::new();
    let filter = FilterSpec {
        failregex: vec![r"^\s*\S+ sshd\[\d+\]: Failed password for .* from <HOST> port".to_owned()],
        maxlines: 1,
        ..FilterSpec::default()
    };
    let jailed = Jailed { own: Some(LogFormat::Auth), counts: true, jails: vec![JailFilter { jail: "sshd".to_owned(), spec: filter }] };
    let mut reader = LogParser.open(&LogFormat::Jailed(Box::new(jailed)));
    let (bantime, ignored) = (std::time::Duration::from_secs(60), Vec::new());
    bench.pipeline.logs.set_jails(vec![JailRule { name: "sshd".to_owned(), web: false, maxretry: 3, findtime: 600, bantime, ignored }]);
    for pid in 1..=3 {
        let line = format!("{} host sshd[{pid}]: Failed password for root from 203.0.113.9 port 5 ssh2", bench.now.to_rfc3339());
        let Heard::Both(own, jails) = LogParser.parse(&mut reader, line.as_bytes()) else { panic!("{line}") };
        for record in [own, jails] {
            let at = At { offset: 0, line: line.as_str().into(), record };
            bench.pipeline.take_item(Item::Record(LOG.into(), Box::new(at)), bench.now);
        }
    }
    let incident = &bench.incidents()[0];
    assert_eq!(incident.sentence, "3 failed logins from 203.0.113.9", "each once");
    assert_eq!(
        bench.pipeline.correlator.proof(incident.id).sources[0].sentence,
        "203.0.113.9 failed 3 times within 10m (fail2ban's jail sshd)"
    );
    assert_eq!(bench.pipeline.logs.attackers(9).iter().map(|one| one.attempts).collect::<Vec<_>>(), [3]);
}
