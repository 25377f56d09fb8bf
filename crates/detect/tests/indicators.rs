//! What indicator matches do to an incident: they raise what people see, and prove nothing by which the agent acts.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)] // a test fails by panic

use std::sync::Arc;

use bartizan_config::Policy;
use bartizan_detect::correlator::Correlator;
use bartizan_detect::detectors::DetectorSet;
use bartizan_detect::indicators::Indicators;
use bartizan_model::*;

struct Scene {
    detectors: DetectorSet,
    events: u64,
}

fn at(second: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn key(pid: u32) -> ProcessKey {
    ProcessKey { boot: BootId(7), pid, start: u64::from(pid) * 10 }
}

impl Scene {
    fn new() -> Self {
        let mut detectors = DetectorSet::new(&Policy::built_in().unwrap(), &[]);
        let mut lists = Indicators::new([]);
        lists.add("feed.txt".to_owned(), b"45.9.20.0/24\n", (at(0), at(0)), chrono::TimeDelta::days(30));
        detectors.set_indicators(lists);
        Self { detectors, events: 0 }
    }

    fn see(&mut self, process: &Process, kind: EventKind) -> Vec<Signal> {
        self.events += 1;
        let process = Some(Arc::new(process.clone()));
        let at = at(i64::try_from(self.events).unwrap());
        self.detectors.observe(&Event { id: EventId(self.events), at, kind, process, source: Source::Ebpf, complete: true })
    }
}

/// A program below nginx.
fn below_nginx(pid: u32, exe: &str) -> Process {
    let nginx = Root { role: ServiceRole::WebServer, key: key(500), exe: "/usr/sbin/nginx".into() };
    let above = Ancestor { key: nginx.key, exe: nginx.exe.clone() };
    let mut process =
        Process { exe: exe.into(), argv: vec![exe.into()], ppid: 500, parent: Some(nginx.key), ..Process::unknown(key(pid), at(0)) };
    process.lineage = Lineage { ancestors: vec![above].into(), elided: 0, roots: vec![nginx].into() };
    process
}

fn call(to: &str) -> EventKind {
    let to: std::net::SocketAddr = to.parse().unwrap();
    let src = std::net::IpAddr::from([0, 0, 0, 0]);
    EventKind::Connect { net: Flow { proto: Protocol::Tcp, src, sport: 0, dst: Some(to.ip()), dport: Some(to.port()), name: None } }
}

#[test]
fn a_match_raises_what_people_see_and_never_what_acts() {
    let (mut scene, policy) = (Scene::new(), Policy::built_in().unwrap());
    let shell = below_nginx(900, "/usr/bin/dash");
    let (mut with, mut without) = (Correlator::new(&policy, IncidentId(1)), Correlator::new(&policy, IncidentId(1)));
    let signals: Vec<Signal> = [EventKind::Exec, call("45.9.20.7:443")].into_iter().flat_map(|kind| scene.see(&shell, kind)).collect();
    let (listed, others): (Vec<_>, Vec<_>) = signals.into_iter().partition(|signal| signal.detector == "indicator_match");
    assert!(listed.len() == 1 && !others.is_empty(), "{others:?}");
    for signal in others {
        with.join(signal.clone());
        without.join(signal);
    }
    let update = with.join(listed[0].clone());
    assert!(!update.opened && update.merged.is_empty());
    let (seen, before) = (with.get(IncidentId(1)).unwrap().confidence, without.get(IncidentId(1)).unwrap().confidence);
    assert!(seen > before, "{seen} is not above {before}");
    assert_eq!(with.proof(IncidentId(1)), without.proof(IncidentId(1)), "what acts is what stable detectors prove");
}

#[test]
fn matches_alone_prove_nothing_however_many_there_are() {
    let (mut scene, policy) = (Scene::new(), Policy::built_in().unwrap());
    let mut correlator = Correlator::new(&policy, IncidentId(1));
    let mut most: f64 = 0.0;
    for n in 0..40 {
        let tool = below_nginx(900 + n, &format!("/opt/x/tool{n}"));
        for signal in scene.see(&tool, call("45.9.20.7:443")).into_iter().filter(|signal| signal.family == Family::Tools) {
            let incident = correlator.join(signal).incident;
            most = most.max(incident.confidence.get());
            let proof = correlator.proof(incident.id);
            assert_eq!((proof.confidence.get(), proof.pieces, proof.hostile.len(), proof.sources.len()), (0.0, 0, 0, 0), "{proof:?}");
        }
    }
    assert!(most > 0.1 && most <= policy.weights.tools, "{most}");
}

#[test]
fn whoever_writes_a_list_ties_no_incidents_together() {
    let (mut scene, policy) = (Scene::new(), Policy::built_in().unwrap());
    let mut correlator = Correlator::new(&policy, IncidentId(1));
    let (one, other) = (Entity::Process(key(901)), Entity::Process(key(902)));
    let signals = scene.see(&below_nginx(900, "/opt/x/tool"), call("45.9.20.7:443"));
    let signal = signals.into_iter().find(|signal| signal.family == Family::Tools).unwrap();
    let stable = |n: u64, entity: &Entity| Signal {
        id: SignalId { event: EventId(100 + n), ordinal: 0 },
        detector: "d".into(),
        tier: Tier::Stable,
        family: Family::Files,
        entities: vec![entity.clone()],
        ..signal.clone()
    };
    for (n, entity) in [(0, &one), (1, &other)] {
        correlator.join(stable(n, entity));
    }
    let update = correlator.join(Signal { entities: vec![one, other], ..signal.clone() });
    assert!(update.merged.is_empty() && correlator.incidents().count() == 2);
}
