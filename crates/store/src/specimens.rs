//! Events of every kind for tests, with hostile bytes, empty fields and shared processes.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;

use bartizan_model::{
    ActionId, Alarm, AlarmKind, Ancestor, BootId, BudgetChange, Container, Event, EventId, EventKind, ExeFile, Exit, FileAttributes,
    FileChange, FileChangeKind, FileClass, FileFinding, FileIntegrity, Flow, HostReach, HostText, Lineage, ListeningUnit, LogLine, Login,
    Loss, Namespaces, PersistenceKind, Privilege, PrivilegeKind, Process, ProcessKey, Protocol, Root, ServiceRole, Sha256, Source,
    Timestamp, Traffic, UserChange, UserChangeKind, Variable, WebAttack,
};

fn text() -> impl Strategy<Value = HostText> {
    prop_oneof![
        4 => "[a-z/ ._-]{0,12}".prop_map(|text| HostText::from(text.as_str())),
        1 => prop::collection::vec(any::<u8>(), 0..12).prop_map(HostText::from),
    ]
}

fn word() -> impl Strategy<Value = String> {
    "[a-z0-9.\"\\\\\n-]{0,12}"
}

fn moment() -> impl Strategy<Value = Timestamp> {
    let seconds = prop_oneof![4 => 1_700_000_000i64..1_700_000_900, 1 => -200_000_000_000i64..200_000_000_000];
    (seconds, 0u32..1_000_000_000).prop_map(|(seconds, nanos)| Timestamp::from_timestamp(seconds, nanos).unwrap())
}

fn key() -> impl Strategy<Value = ProcessKey> {
    (prop_oneof![3 => Just(7u32), 1 => any::<u32>()], any::<u32>(), any::<u64>()).prop_map(|(boot, pid, start)| ProcessKey {
        boot: BootId(boot),
        pid,
        start,
    })
}

fn role() -> impl Strategy<Value = ServiceRole> {
    use ServiceRole as R;
    prop::sample::select(vec![
        R::WebServer,
        R::Database,
        R::MailServer,
        R::NetworkService,
        R::SshServer,
        R::LoginSession,
        R::Scheduler,
        R::PackageManager,
        R::ContainerRuntime,
        R::Agent,
    ])
}

fn lineage() -> impl Strategy<Value = Lineage> {
    let ancestor = (key(), text()).prop_map(|(key, exe)| Ancestor { key, exe });
    let root = (role(), key(), text()).prop_map(|(role, key, exe)| Root { role, key, exe });
    (prop::collection::vec(ancestor, 0..5), any::<u32>(), prop::collection::vec(root, 0..3))
        .prop_map(|(ancestors, elided, roots)| Lineage { ancestors: ancestors.into(), elided, roots: roots.into() })
}

fn exe_file() -> impl Strategy<Value = ExeFile> {
    (any::<u32>(), any::<u64>(), any::<(bool, bool)>(), any::<i64>(), any::<Option<[u8; 32]>>()).prop_map(
        |(device, inode, (memfd, deleted), changed, sha256)| ExeFile { device, inode, memfd, deleted, changed, sha256: sha256.map(Sha256) },
    )
}

fn process() -> impl Strategy<Value = Process> {
    let who = (key(), any::<Option<u32>>(), any::<u32>(), prop::option::of(key()), moment());
    let what = (text(), exe_file(), prop::collection::vec(text(), 0..4), any::<bool>(), text());
    let rights = (any::<(u32, u32, u64, u8)>(), prop::option::of(text()), any::<(Option<u32>, Option<u32>)>(), prop::option::of(text()));
    let place = (text(), prop::option::of(word()), prop::option::of(word()), any::<(u32, u32, u32, u32)>(), prop::option::of(text()));
    let variable = (text(), text()).prop_map(|(name, value)| Variable { name, value });
    let rest = (prop::collection::vec(variable, 0..3), prop::option::of(text()), lineage());
    (who, what, rights, place, rest).prop_map(|(who, what, rights, place, rest)| Process {
        pid: who.1.unwrap_or(who.0.pid),
        ppid: who.2,
        parent: who.3,
        exe: what.0,
        exe_file: what.1,
        argv: what.2,
        argv_truncated: what.3,
        cwd: what.4,
        uid: rights.0.0,
        euid: rights.0.1,
        capabilities: rights.0.2,
        stdio_sockets: rights.0.3,
        user: rights.1,
        loginuid: rights.2.0,
        session: rights.2.1,
        tty: rights.3,
        cgroup: place.0,
        container: place.1,
        unit: place.2,
        netns: place.3.0,
        namespaces: Namespaces { mnt: place.3.1, pid: place.3.2, user: place.3.3 },
        container_name: place.4,
        environment: rest.0,
        package: rest.1,
        lineage: rest.2,
        ..Process::unknown(who.0, who.4)
    })
}

fn attributes() -> FileAttributes {
    let modified = Timestamp::UNIX_EPOCH;
    FileAttributes { mode: 0o4755, uid: 0, gid: 7, modified, capabilities: Some(1 << 40), immutable: true }
}

/// How a file differs from its baseline, with and without something dangerous in it.
fn integrity() -> impl Strategy<Value = FileIntegrity> {
    let finding = (word(), word()).prop_map(|(rule, sentence)| FileFinding { rule, technique: "T1505.003".to_owned(), sentence });
    let findings = prop::collection::vec(finding, 0..3);
    (word(), any::<(u64, u64, bool)>(), findings, prop::collection::vec(text(), 0..3)).prop_map(
        |(sentence, (changes, version, late), findings, packages)| FileIntegrity { sentence, changes, version, findings, packages, late },
    )
}

fn kind() -> impl Strategy<Value = EventKind> {
    let flow = (any::<bool>(), any::<IpAddr>(), any::<u16>(), any::<Option<(IpAddr, u16)>>(), prop::option::of(text()));
    let flow = flow
        .prop_map(|(tcp, src, sport, far, name)| Flow {
            proto: if tcp { Protocol::Tcp } else { Protocol::Udp },
            src,
            sport,
            dst: far.map(|far| far.0),
            dport: far.map(|far| far.1),
            name,
        })
        .boxed();
    let file = (text(), prop::option::of(word()), any::<bool>(), prop::option::of(word()), prop::option::of(integrity()))
        .prop_map(|(path, after, cron, before, integrity)| FileChange {
            integrity: integrity.map(Box::new),
            persistence: cron.then_some(PersistenceKind::Cron),
            before,
            after,
            class: cron.then_some(FileClass::System),
            other: cron.then(|| path.clone()),
            attributes: cron.then_some(attributes()),
            attributes_before: cron.then_some(FileAttributes { mode: 0o600, ..attributes() }),
            ..FileChange::new(path, FileChangeKind::Renamed)
        })
        .boxed();
    let container = (word(), text(), text())
        .prop_map(|(id, name, image)| {
            let reach = vec![HostReach::Privileged, HostReach::Network];
            Container { id, name, image, runtime: "docker".to_owned(), pid: Some(7), reach }
        })
        .boxed();
    let account = (text(), prop::option::of(text())).prop_map(|(user, group)| UserChange {
        user,
        uid: Some(0),
        change: UserChangeKind::BecameRoot,
        group,
    });
    let numbers = any::<(Option<u32>, Option<u32>, Option<u64>, Option<u8>)>();
    let privilege = (prop::option::of(key()), prop::option::of(text()), prop::option::of(text()), numbers);
    let privilege = privilege.prop_map(|(target, detail, target_exe, numbers)| Privilege {
        target,
        detail,
        target_exe,
        target_uid: numbers.0,
        new_uid: numbers.1,
        gained: numbers.2,
        signal: numbers.3,
        ..Privilege::new(PrivilegeKind::Bpf)
    });
    let budget = (any::<u8>(), word()).prop_map(|(level, why)| BudgetChange { level, given_up: vec![why.clone()], why });
    let alarm = (text(), prop::option::of(text()), any::<Option<u64>>()).prop_map(|(detail, path, action)| Alarm {
        what: AlarmKind::TableChanged,
        detail,
        action: action.map(ActionId),
        path,
    });
    let web = (text(), any::<(u64, u32, Option<u16>)>()).prop_map(|(target, (offset, attempts, status))| WebAttack {
        client: Some(std::net::Ipv4Addr::from(attempts).into()),
        method: Some("GET".into()),
        path: target.clone(),
        status,
        kinds: vec!["sql-injection".to_owned()],
        attempts,
        line: LogLine { source: target.clone(), offset, text: target },
    });
    let login = (word(), prop::option::of(text()), text(), any::<(u64, u32, bool)>())
        .prop_map(|(service, user, line, (offset, attempts, from))| Login {
            service,
            key: user.clone(),
            user,
            from: from.then(|| std::net::Ipv4Addr::from(attempts).into()),
            method: Some("public-key".to_owned()),
            attempts,
            line: LogLine { source: line.clone(), offset, text: line },
        })
        .boxed();
    let unit = prop::option::of((word(), any::<bool>()).prop_map(|(name, installed)| ListeningUnit { name, installed }));
    let loss = (word(), any::<u64>(), prop::option::of(moment())).prop_map(|(hop, count, from)| Loss {
        from,
        kinds: [("process.exec".to_owned(), count)].into(),
        ..Loss::new(&hop, count)
    });
    prop_oneof![
        Just(EventKind::Exec),
        Just(EventKind::Fork),
        any::<(Option<u8>, Option<u8>)>().prop_map(|(code, signal)| EventKind::Exit { exit: Exit { code, signal } }),
        flow.clone().prop_map(|net| EventKind::Connect { net }),
        flow.clone().prop_map(|net| EventKind::Accept { net }),
        (flow.clone(), any::<(u64, u64, Option<u64>, bool)>()).prop_map(|(net, (sent, received, milliseconds, inbound))| {
            EventKind::Close { net, traffic: Traffic { sent, received, milliseconds, inbound } }
        }),
        (flow, unit).prop_map(|(net, unit)| EventKind::Listen { net, unit }),
        alarm.prop_map(|alarm| EventKind::Alarm { alarm }),
        file.clone().prop_map(|file| EventKind::FileChange { file }),
        file.clone().prop_map(|file| EventKind::FileOpen { file }),
        file.prop_map(|file| EventKind::PersistenceChange { file }),
        account.prop_map(|account| EventKind::UserChange { account }),
        privilege.prop_map(|privilege| EventKind::PrivilegeUse { privilege }),
        container.clone().prop_map(|container| EventKind::ContainerStart { container }),
        container.prop_map(|container| EventKind::ContainerStop { container }),
        login.clone().prop_map(|auth| EventKind::LoginAccepted { auth }),
        login.prop_map(|auth| EventKind::LoginFailed { auth }),
        web.prop_map(|web| EventKind::WebAttack { web }),
        budget.prop_map(|budget| EventKind::Budget { budget }),
        loss.prop_map(|loss| EventKind::Loss { loss }),
    ]
}

fn source() -> impl Strategy<Value = Source> {
    use Source as S;
    prop::sample::select(vec![
        S::Ebpf,
        S::ProcessConnector,
        S::SockDiag,
        S::Procfs,
        S::Fanotify,
        S::Inotify,
        S::Accounts,
        S::Containers,
        S::Agent,
        S::Logs,
    ])
}

/// Events with numbers from 1 to their count in any order, sharing a few processes; some of these are children of others.
pub(super) fn events() -> impl Strategy<Value = Vec<Event>> {
    let pool = prop::collection::vec((process(), any::<prop::sample::Index>(), any::<bool>()), 1..6);
    let each = (kind(), moment(), prop::option::of(any::<prop::sample::Index>()), source(), any::<bool>(), any::<u32>());
    (pool, prop::collection::vec(each, 1..40)).prop_map(|(pool, each)| {
        let mut processes: Vec<Arc<Process>> = Vec::new();
        for (mut process, parent, related) in pool {
            if related && !processes.is_empty() {
                let parent = &processes[parent.index(processes.len())];
                let above = Ancestor { key: parent.key, exe: parent.exe.clone() };
                process.lineage.ancestors = std::iter::once(above).chain(parent.lineage.ancestors.iter().cloned()).collect();
                process.cwd = parent.cwd.clone();
                process.cgroup = parent.cgroup.clone();
            }
            processes.push(Arc::new(process));
        }
        let mut order: Vec<usize> = (0..each.len()).collect();
        order.sort_by_key(|place| each[*place].5);
        let event = |(place, (kind, at, who, source, complete, _)): (usize, (_, _, Option<prop::sample::Index>, _, _, u32))| Event {
            id: EventId(order[place] as u64 + 1),
            at,
            kind,
            process: who.map(|who| Arc::clone(&processes[who.index(processes.len())])),
            source,
            complete,
        };
        each.into_iter().enumerate().map(event).collect()
    })
}
