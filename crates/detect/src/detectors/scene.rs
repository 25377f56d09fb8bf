//! A small host for the detectors' tests: processes with true family trees, and the events they make.

#![cfg(test)]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::DetectorSet;
use bartizan_config::Policy;
use bartizan_model::*;

pub(super) struct Scene {
    pub(super) detector_set: DetectorSet,
    by_name: HashMap<String, ServiceRole>,
    next_pid: u32,
    next_event: u64,
    pub(super) seconds: i64,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with(&[])
    }

    pub(super) fn with(listeners: &[(Flow, Option<HostText>)]) -> Self {
        let policy = Policy::built_in().unwrap();
        let mut by_name = HashMap::new();
        let mut put = |names: &[String], role| by_name.extend(names.iter().map(|name| (name.clone(), role)));
        put(&policy.roles.web, ServiceRole::WebServer);
        put(&policy.roles.database, ServiceRole::Database);
        put(&policy.roles.mail, ServiceRole::MailServer);
        put(&policy.roles.scheduler, ServiceRole::Scheduler);
        put(&policy.roles.package_manager, ServiceRole::PackageManager);
        put(&policy.roles.container_runtime, ServiceRole::ContainerRuntime);
        put(&["sshd".to_owned()], ServiceRole::SshServer);
        put(&["sshd-session".to_owned(), "login".to_owned()], ServiceRole::LoginSession);
        put(&["zabbix_agentd".to_owned(), "jenkins".to_owned()], ServiceRole::NetworkService);
        put(&["bartizan".to_owned()], ServiceRole::Agent);
        Self { detector_set: DetectorSet::new(&policy, listeners), by_name, next_pid: 700, next_event: 0, seconds: 0 }
    }

    pub(super) fn init(&mut self) -> Process {
        let mut init = self.orphan("/usr/lib/systemd/systemd", &["/sbin/init"]);
        (init.key.pid, init.pid) = (1, 1);
        init
    }

    fn orphan(&mut self, exe: &str, argv: &[&str]) -> Process {
        self.next_pid += 1;
        let key = ProcessKey { boot: BootId(7), pid: self.next_pid, start: u64::from(self.next_pid) * 10 };
        Process {
            exe: exe.into(),
            argv: argv.iter().map(|a| HostText::from(*a)).collect(),
            cwd: "/".into(),
            user: Some("root".into()),
            cgroup: "/".into(),
            ..Process::unknown(key, self.at())
        }
    }

    /// A child that executed this command line (the first word is the executable's path; quotes hold words together).
    pub(super) fn child(&mut self, parent: &Process, line: &str) -> Process {
        let words: Vec<String> = line
            .split('"')
            .enumerate()
            .flat_map(|(i, part)| if i % 2 == 1 { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() })
            .collect();
        let argv: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut child = self.orphan(argv[0], &argv);
        (child.ppid, child.parent) = (parent.pid, Some(parent.key));
        (child.uid, child.euid, child.user) = (parent.uid, parent.euid, parent.user.clone());
        (child.loginuid, child.container, child.unit) = (parent.loginuid, parent.container.clone(), parent.unit.clone());
        let mut ancestors = vec![Ancestor { key: parent.key, exe: parent.exe.clone() }];
        ancestors.extend(parent.lineage.ancestors.iter().cloned());
        let elided = parent.lineage.elided + u32::try_from(ancestors.len().saturating_sub(Lineage::SHOWN)).unwrap();
        ancestors.truncate(Lineage::SHOWN);
        child.lineage = Lineage { ancestors: ancestors.into(), elided, roots: Arc::clone(&parent.lineage.roots) };
        match self.by_name.get(child.exe.basename().trim_end_matches(" (deleted)")).copied() {
            Some(role) => as_role(child, role),
            None => child,
        }
    }

    /// A daemon below init.
    pub(super) fn daemon(&mut self, line: &str) -> Process {
        let init = self.init();
        let mut daemon = self.child(&init, line);
        (daemon.uid, daemon.euid, daemon.user) = (33, 33, Some("www-data".into()));
        daemon
    }

    /// A person's shell over ssh.
    pub(super) fn login(&mut self) -> Process {
        let sshd = self.daemon("/usr/sbin/sshd -D");
        let mut session = self.child(&sshd, "/usr/lib/openssh/sshd-session anna");
        (session.uid, session.loginuid) = (1000, Some(1000));
        self.child(&session, "/usr/bin/bash -l")
    }

    pub(super) fn at(&self) -> Timestamp {
        chrono::DateTime::from_timestamp(1_800_000_000 + self.seconds, 0).unwrap()
    }

    /// What the detector set says of this; a second later than the event before.
    pub(super) fn see(&mut self, process: Option<&Process>, kind: EventKind) -> Vec<Signal> {
        self.see_with_event(process, kind).1
    }

    /// An exec, with the event itself.
    pub(super) fn told(&mut self, process: &Process) -> (Event, Vec<Signal>) {
        self.see_with_event(Some(process), EventKind::Exec)
    }

    fn see_with_event(&mut self, process: Option<&Process>, kind: EventKind) -> (Event, Vec<Signal>) {
        (self.next_event, self.seconds) = (self.next_event + 1, self.seconds + 1);
        let event = Event {
            id: EventId(self.next_event),
            at: self.at(),
            kind,
            process: process.cloned().map(Arc::new),
            source: Source::Ebpf,
            complete: true,
        };
        let signals = self.detector_set.observe(&event);
        (event, signals)
    }

    pub(super) fn exec(&mut self, process: &Process) -> Vec<Signal> {
        self.see(Some(process), EventKind::Exec)
    }

    pub(super) fn connect(&mut self, process: &Process, to: &str) -> Vec<Signal> {
        self.see(Some(process), EventKind::Connect { net: flow(Protocol::Tcp, to) })
    }

    pub(super) fn connect_udp(&mut self, process: &Process, to: &str) -> Vec<Signal> {
        self.see(Some(process), EventKind::Connect { net: flow(Protocol::Udp, to) })
    }

    pub(super) fn listen(&mut self, process: &Process, on: &str) -> Vec<Signal> {
        self.listen_for(process, on, None)
    }

    /// The same for a unit of systemd.
    pub(super) fn listen_for(&mut self, process: &Process, on: &str, unit: Option<ListeningUnit>) -> Vec<Signal> {
        self.see(Some(process), EventKind::Listen { net: listener(on), unit })
    }

    pub(super) fn open(&mut self, process: &Process, path: &str) -> Vec<Signal> {
        let file = FileChange::new(path.into(), FileChangeKind::Opened);
        self.see(Some(process), EventKind::FileOpen { file })
    }

    pub(super) fn persist(
        &mut self,
        process: Option<&Process>,
        kind: PersistenceKind,
        path: &str,
        before: Option<&str>,
        after: &str,
    ) -> Vec<Signal> {
        let file = FileChange {
            persistence: Some(kind),
            before: before.map(str::to_owned),
            after: Some(after.to_owned()),
            ..FileChange::new(path.into(), FileChangeKind::Modified)
        };
        self.see(process, EventKind::PersistenceChange { file })
    }
}

/// The same process, being this kind of service itself.
pub(super) fn as_role(mut process: Process, role: ServiceRole) -> Process {
    let mut roots = vec![Root { role, key: process.key, exe: process.exe.clone() }];
    roots.extend(process.lineage.roots.iter().filter(|root| root.role != role).cloned());
    process.lineage.roots = roots.into();
    process
}

pub(super) fn flow(proto: Protocol, to: &str) -> Flow {
    let to: SocketAddr = to.parse().unwrap();
    Flow { proto, src: IpAddr::from([0, 0, 0, 0]), sport: 0, dst: Some(to.ip()), dport: Some(to.port()), name: None }
}

pub(super) fn listener(on: &str) -> Flow {
    let on: SocketAddr = on.parse().unwrap();
    Flow { proto: Protocol::Tcp, src: on.ip(), sport: on.port(), dst: None, dport: None, name: None }
}

/// Which detectors spoke.
pub(super) fn names(signals: &[Signal]) -> Vec<&str> {
    signals.iter().map(|signal| signal.detector.as_str()).collect()
}

/// What one detector said; fails when it was silent.
pub(super) fn by<'a>(signals: &'a [Signal], detector: &str) -> &'a Signal {
    signals.iter().find(|signal| signal.detector == detector).unwrap_or_else(|| panic!("{detector} was silent, heard {:?}", names(signals)))
}
