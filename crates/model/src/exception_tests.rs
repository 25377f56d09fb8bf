//! What an exception covers, and what none can be bound to.

use super::exception::INITIAL_USER_NAMESPACE;
use super::*;

fn signal(detector: &str) -> Signal {
    Signal {
        id: SignalId { event: EventId(1), ordinal: 0 },
        at: Timestamp::UNIX_EPOCH,
        detector: detector.to_owned(),
        technique: vec![],
        severity: Severity::High,
        confidence: Confidence::new(0.9),
        tier: Tier::Stable,
        family: Family::Files,
        stage: Stage::Execution,
        events: vec![EventId(1)],
        entities: vec![Entity::Address("203.0.113.9".parse().unwrap())],
        subject: None,
        act: None,
        hostile: None,
        sentence: "a sentence".to_owned(),
        complete: true,
        excepted: None,
    }
}

fn backup() -> Process {
    let key = ProcessKey { boot: BootId(1), pid: 9, start: 1 };
    Process {
        exe: "/usr/bin/restic".into(),
        argv: vec!["restic".into(), "backup".into()],
        user: Some("backup".into()),
        unit: Some("backup.service".to_owned()),
        package: Some("restic".into()),
        exe_file: ExeFile { sha256: Some(Sha256([7; 32])), ..ExeFile::default() },
        namespaces: Namespaces { user: INITIAL_USER_NAMESPACE, ..Namespaces::default() },
        ..Process::unknown(key, Timestamp::UNIX_EPOCH)
    }
}

fn full() -> ExceptionScope {
    ExceptionScope {
        source: Some("credential_read".to_owned()),
        exe: Some("/usr/bin/restic".into()),
        sha256: Some(Sha256([7; 32])),
        package: Some("restic".into()),
        below: None,
        unit: Some("backup.service".to_owned()),
        user: Some("backup".into()),
        address: Some("203.0.113.0/24".parse().unwrap()),
    }
}

#[test]
fn everything_that_an_exception_names_must_hold() {
    let (scope, process) = (full(), backup());
    assert_eq!(scope.objection(), None);
    assert!(scope.covers(&signal("credential_read"), Some(&process)));
    assert!(!scope.covers(&signal("shell_on_socket"), Some(&process)) && !scope.covers(&signal("credential_read"), None));
    let others = [
        Process { exe: "/usr/bin/restic2".into(), ..backup() },
        Process { exe_file: ExeFile { sha256: None, ..ExeFile::default() }, ..backup() },
        Process { package: None, ..backup() },
        Process { unit: Some("other.service".to_owned()), ..backup() },
        Process { user: Some("www-data".into()), ..backup() },
    ];
    assert!(others.iter().all(|other| !scope.covers(&signal("credential_read"), Some(other))));
    let mut elsewhere = signal("credential_read");
    elsewhere.entities.push(Entity::Address("198.51.100.1".parse().unwrap()));
    assert!(!scope.covers(&elsewhere, Some(&process)), "one address of two lies outside");
    let below = ExceptionScope { below: Some(ServiceRole::Scheduler), ..full() };
    assert!(!below.covers(&signal("credential_read"), Some(&process)));
}

#[test]
fn what_an_attacker_makes_look_alike_is_not_covered() {
    let disguised = [
        ("a container", Process { container: Some("0123456789ab".to_owned()), ..backup() }),
        ("a user namespace", Process { namespaces: Namespaces { user: 4_026_532_000, ..Namespaces::default() }, ..backup() }),
        ("namespaces unknown", Process { namespaces: Namespaces::default(), ..backup() }),
        ("a user's own unit", Process { loginuid: Some(1000), ..backup() }),
        (
            "a user's own unit, without audit",
            Process { cgroup: "/user.slice/user-1000.slice/user@1000.service/app.slice/backup.service".into(), ..backup() },
        ),
        ("memory", Process { exe_file: ExeFile { memfd: true, ..backup().exe_file }, ..backup() }),
        ("a removed file", Process { exe_file: ExeFile { deleted: true, ..backup().exe_file }, ..backup() }),
        ("an injected library", Process { environment: vec![Variable { name: "LD_PRELOAD".into(), value: "/tmp/x".into() }], ..backup() }),
    ];
    for (how, process) in disguised {
        assert!(!full().covers(&signal("credential_read"), Some(&process)), "{how}");
    }
}

#[test]
fn an_exception_for_everything_is_refused() {
    let source = Some("credential_read".to_owned());
    let wide = [
        ExceptionScope::default(),
        ExceptionScope { source: source.clone(), ..ExceptionScope::default() },
        ExceptionScope { source: source.clone(), user: Some("root".into()), ..ExceptionScope::default() },
        ExceptionScope { source: source.clone(), below: Some(ServiceRole::WebServer), ..ExceptionScope::default() },
        ExceptionScope { exe: Some("/usr/bin/restic".into()), user: Some("root".into()), ..ExceptionScope::default() },
        ExceptionScope { source: source.clone(), address: Some("0.0.0.0/0".parse().unwrap()), ..ExceptionScope::default() },
        ExceptionScope { source: source.clone(), address: Some("::/0".parse().unwrap()), ..ExceptionScope::default() },
        ExceptionScope { source: source.clone(), exe: Some("restic".into()), ..ExceptionScope::default() },
        ExceptionScope { source: source.clone(), exe: Some("/usr/bin/*".into()), ..ExceptionScope::default() },
        ExceptionScope { source, exe: Some("/usr/bin/../../tmp/x".into()), ..ExceptionScope::default() },
        ExceptionScope { source: Some("guard_attacked".to_owned()), exe: Some("/usr/bin/restic".into()), ..ExceptionScope::default() },
    ];
    for scope in wide {
        assert!(scope.objection().is_some(), "{scope:?}");
    }
    let own = ExceptionScope { exe: Some("/usr/bin/restic".into()), unit: Some("backup.service".to_owned()), ..ExceptionScope::default() };
    assert!(own.objection().is_none() && !own.covers(&signal("guard_alarm"), Some(&backup())), "attacks on the agent are never excepted");
}

#[test]
fn an_exception_ends_by_itself() {
    let at = |second| Timestamp::UNIX_EPOCH + chrono::Duration::seconds(second);
    let exception = Exception {
        id: ExceptionId(1),
        scope: full(),
        reason: "nightly backup".to_owned(),
        author: "uid 0".to_owned(),
        added: at(10),
        until: at(20),
        removed: None,
    };
    assert_eq!([9, 10, 19, 20].map(|second| exception.holds_at(at(second))), [false, true, true, false]);
    assert_eq!((exception.standing(at(19)), exception.standing(at(20))), ("in force", "expired"));
    let text = serde_json::to_string(&exception).unwrap();
    assert_eq!(serde_json::from_str::<Exception>(&text).unwrap(), exception);
}
