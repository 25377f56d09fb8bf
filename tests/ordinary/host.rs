//! A recorded host: plays the lines of a kind through panel, correlator and court, and tells what was done about it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bartizan_config::Policy;
use bartizan_court::{Case, Court, NothingKnown, Ruling};
use bartizan_detect::correlator::Correlator;
use bartizan_detect::detectors::DetectorSet;
use bartizan_model::*;

/// What became of one kind of work in one mode.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) signals: usize,
    pub(crate) asked: BTreeSet<&'static str>,
    pub(crate) acted: BTreeSet<&'static str>,
}

impl Verdict {
    /// As in the table.
    pub(crate) fn cell(&self) -> String {
        let list = |what: &BTreeSet<&str>| what.iter().copied().collect::<Vec<_>>().join(", ");
        match (self.acted.is_empty(), self.asked.is_empty(), self.signals) {
            (false, ..) => format!("**does: {}**", list(&self.acted)),
            (true, false, _) => format!("asks: {}", list(&self.asked)),
            (true, true, 0) => "nothing".to_owned(),
            (true, true, _) => "records".to_owned(),
        }
    }
}

pub(crate) struct Host {
    panel: DetectorSet,
    correlator: Correlator,
    court: Court,
    mode: Mode,
    by_name: HashMap<String, ServiceRole>,
    labels: HashMap<String, Arc<Process>>,
    living: Vec<Arc<Process>>,
    pid: u32,
    events: u64,
    seconds: i64,
    verdict: Verdict,
}

impl Host {
    pub(crate) fn new(mode: Mode) -> Self {
        let policy = Policy::built_in().unwrap();
        let mut by_name = HashMap::new();
        let roles = &policy.roles;
        for (names, role) in [
            (&roles.web, ServiceRole::WebServer),
            (&roles.database, ServiceRole::Database),
            (&roles.mail, ServiceRole::MailServer),
            (&roles.scheduler, ServiceRole::Scheduler),
            (&roles.package_manager, ServiceRole::PackageManager),
            (&roles.container_runtime, ServiceRole::ContainerRuntime),
        ] {
            by_name.extend(names.iter().map(|name| (name.clone(), role)));
        }
        by_name.insert("cockpit-session".to_owned(), ServiceRole::LoginSession);
        Self {
            panel: DetectorSet::new(&policy, &[]),
            correlator: Correlator::new(&policy, IncidentId(1)),
            court: Court::new(&policy, WarrantId(1)),
            mode,
            by_name,
            labels: HashMap::new(),
            living: Vec::new(),
            pid: 700,
            events: 0,
            seconds: 0,
            verdict: Verdict::default(),
        }
    }

    /// Plays all lines, twice: what is ordinary comes again.
    pub(crate) fn play(mut self, lines: &str) -> Verdict {
        for line in lines.lines() {
            self.step(line);
        }
        self.seconds += 80;
        for line in lines.lines().filter(|line| !line.starts_with("service") && !line.starts_with("plain")) {
            self.step(line);
        }
        self.verdict
    }

    fn step(&mut self, line: &str) {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["service", label, user, exe, args @ ..] => self.daemon(label, user, exe, args, true),
            ["plain", label, user, exe, args @ ..] => self.daemon(label, user, exe, args, false),
            ["cron", label, user] => self.daemon(label, user, "/usr/sbin/cron", &["-f"], false),
            ["container", label, user] => self.daemon(label, user, "/usr/bin/containerd-shim-runc-v2", &[], false),
            ["session", label, user] => self.session(label, user),
            ["run", label, parent, exe, args @ ..] => drop(self.run(label, parent, exe, args, |_| {})),
            ["suid", label, parent, exe, args @ ..] => drop(self.run(label, parent, exe, args, |process| process.euid = 0)),
            ["sockets", label, parent, exe, args @ ..] => drop(self.run(label, parent, exe, args, |process| process.stdio_sockets = 0b111)),
            ["call", label, to] => self.see(label, EventKind::Connect { net: flow("0.0.0.0:0", Some(to)) }),
            ["listen", label, on] => self.listen(label, on),
            ["read", label, path] => self.see(label, EventKind::FileOpen { file: file(path, FileChangeKind::Opened, None) }),
            ["write", label, kind, path] => {
                let change = file(path, FileChangeKind::Modified, Some(place(kind)));
                self.see(label, EventKind::PersistenceChange { file: change });
            }
            ["trace", label, other] => {
                let target = self.labels[*other].clone();
                let mut privilege = Privilege::new(PrivilegeKind::Ptrace);
                privilege.target = Some(target.key);
                (privilege.target_exe, privilege.target_uid) = (Some(target.exe.clone()), Some(target.uid));
                self.see(label, EventKind::PrivilegeUse { privilege });
            }
            ["load", label, module] => {
                let privilege = Privilege { detail: Some((*module).into()), ..Privilege::new(PrivilegeKind::ModuleLoad) };
                self.see(label, EventKind::PrivilegeUse { privilege });
            }
            ["pause", seconds] => self.seconds += seconds.parse::<i64>().unwrap(),
            [] => {}
            other => panic!("what is {other:?}?"),
        }
    }

    fn make(&mut self, exe: &str, args: &[&str], parent: Option<&Process>) -> Process {
        self.pid += 1;
        let key = ProcessKey { boot: BootId(7), pid: self.pid, start: self.seconds.unsigned_abs() * 100 + u64::from(self.pid) };
        let mut process = Process::unknown(key, at(self.seconds));
        (process.exe, process.cwd, process.cgroup) = (exe.into(), "/".into(), "/".into());
        process.argv = std::iter::once(exe).chain(args.iter().copied()).map(HostText::from).collect();
        let init = Ancestor { key: ProcessKey { boot: BootId(7), pid: 1, start: 1 }, exe: "/usr/lib/systemd/systemd".into() };
        let (above, roots) = match parent {
            Some(parent) => {
                (process.ppid, process.parent) = (parent.pid, Some(parent.key));
                (process.uid, process.euid, process.user) = (parent.uid, parent.euid, parent.user.clone());
                (process.loginuid, process.container) = (parent.loginuid, parent.container.clone());
                let nearest = Ancestor { key: parent.key, exe: parent.exe.clone() };
                let above: Vec<Ancestor> = std::iter::once(nearest).chain(parent.lineage.ancestors.iter().cloned()).collect();
                (above, parent.lineage.roots.to_vec())
            }
            None => (vec![init], Vec::new()),
        };
        process.lineage = Lineage { ancestors: above.into(), elided: 0, roots: roots.into() };
        let name = exe.rsplit('/').next().unwrap_or(exe);
        if let Some(role) = self.by_name.get(name).copied() {
            process = being(process, role);
        }
        process
    }

    fn keep(&mut self, label: &str, process: Process) -> Arc<Process> {
        let process = Arc::new(process);
        self.labels.insert(label.to_owned(), Arc::clone(&process));
        self.living.push(Arc::clone(&process));
        process
    }

    fn daemon(&mut self, label: &str, user: &str, exe: &str, args: &[&str], listens: bool) {
        let mut process = self.make(exe, args, None);
        if user != "root" {
            (process.uid, process.euid, process.user) = (33, 33, Some(user.into()));
        } else {
            process.user = Some("root".into());
        }
        if listens {
            process = being(process, ServiceRole::NetworkService);
        }
        self.keep(label, process);
    }

    fn session(&mut self, label: &str, user: &str) {
        let sshd = self.make("/usr/sbin/sshd", &["-D"], None);
        let sshd = being(sshd, ServiceRole::SshServer);
        let session = self.make("/usr/lib/openssh/sshd-session", &[user], Some(&sshd));
        let mut shell = being(self.make("/usr/bin/bash", &["-l"], Some(&session)), ServiceRole::LoginSession);
        if user != "root" {
            (shell.uid, shell.euid) = (1000, 1000);
        }
        (shell.user, shell.loginuid) = (Some(user.into()), Some(shell.uid));
        self.keep(label, shell);
    }

    fn run(&mut self, label: &str, parent: &str, exe: &str, args: &[&str], alter: fn(&mut Process)) -> Arc<Process> {
        let parent = self.labels[parent].clone();
        let mut process = self.make(exe, args, Some(&parent));
        if parent.exe.basename().starts_with("containerd-shim") {
            process.container = Some("0123456789ab".to_owned());
        }
        alter(&mut process);
        let process = self.keep(label, process);
        self.see(label, EventKind::Exec);
        process
    }

    fn listen(&mut self, label: &str, on: &str) {
        let process = being(Process::clone(&self.labels[label]), ServiceRole::NetworkService);
        self.living.retain(|other| other.key != process.key);
        self.keep(label, process);
        self.see(label, EventKind::Listen { net: flow(on, None), unit: None });
    }

    /// As the engine does: signals join, and each incident that changed goes before the court.
    fn see(&mut self, label: &str, kind: EventKind) {
        (self.events, self.seconds) = (self.events + 1, self.seconds + 1);
        let process = Some(Arc::clone(&self.labels[label]));
        let event = Event { id: EventId(self.events), at: at(self.seconds), kind, process, source: Source::Ebpf, complete: true };
        for signal in self.panel.observe(&event) {
            self.verdict.signals += 1;
            let incident = self.correlator.join(signal).incident;
            let below = |process: &&Arc<Process>| {
                let above = process.lineage.ancestors.iter().map(|ancestor| ancestor.key);
                incident.subject.is_some_and(|subject| process.key == subject || above.into_iter().any(|key| key == subject))
            };
            let tree: Vec<Arc<Process>> = self.living.iter().filter(below).cloned().collect();
            let proof = self.correlator.proof(incident.id);
            let lifeline = Lifeline::default();
            let (mode, now) = (self.mode, at(self.seconds));
            let (tree, active, connections, sources) = (tree.as_slice(), &[][..], &[][..], &NothingKnown);
            let case = Case { incident: &incident, proof: &proof, mode, lifeline: &lifeline, tree, active, connections, sources, now };
            for ruling in self.court.propose(&case) {
                match ruling {
                    Ruling::Act(warrant) => drop(self.verdict.acted.insert(verb(warrant.plan()))),
                    Ruling::Ask { plan, .. } => drop(self.verdict.asked.insert(verb(&plan))),
                    Ruling::Refuse { .. } => {}
                }
            }
        }
    }
}

fn verb(plan: &ActionPlan) -> &'static str {
    match plan.kind() {
        ActionKind::FreezeTree => "freeze",
        ActionKind::BlockAddress | ActionKind::BlockAddresses | ActionKind::LimitSource | ActionKind::BlockDestination => "block",
        ActionKind::IsolateContainer => "isolate",
        ActionKind::DisableUser => "disable",
        ActionKind::ContainHost => "contain",
        ActionKind::KillTree | ActionKind::RestoreFile => "more",
    }
}

fn being(mut process: Process, role: ServiceRole) -> Process {
    let own = Root { role, key: process.key, exe: process.exe.clone() };
    let others = process.lineage.roots.iter().filter(|root| root.role != role).cloned();
    process.lineage.roots = std::iter::once(own).chain(others).collect::<Vec<_>>().into();
    process
}

fn at(second: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn flow(on: &str, to: Option<&str>) -> Flow {
    let on: std::net::SocketAddr = on.parse().unwrap();
    let to: Option<std::net::SocketAddr> = to.map(|to| to.parse().unwrap());
    Flow { proto: Protocol::Tcp, src: on.ip(), sport: on.port(), dst: to.map(|to| to.ip()), dport: to.map(|to| to.port()), name: None }
}

fn file(path: &str, change: FileChangeKind, persistence: Option<PersistenceKind>) -> FileChange {
    FileChange { persistence, before: Some("aa".into()), after: Some("bb".into()), ..FileChange::new(path.into(), change) }
}

fn place(kind: &str) -> PersistenceKind {
    match kind {
        "cron" => PersistenceKind::Cron,
        "keys" => PersistenceKind::AuthorizedKeys,
        "unit" => PersistenceKind::SystemdUnit,
        other => panic!("what place is {other}?"),
    }
}

/// Words; double quotes hold some together.
fn words(line: &str) -> Vec<String> {
    let part = |(at, part): (usize, &str)| match at % 2 {
        1 => vec![part.to_owned()],
        _ => part.split_whitespace().map(str::to_owned).collect(),
    };
    line.split('"').enumerate().flat_map(part).collect()
}
