//! Snapshots as the ledgers of earlier versions hold them: each kind reads its own, and tells when it cannot.

use serde_json::{Value, json};

use super::actions::{ActError, of};
use super::probes::tests::action;
use bartizan_model::{ActionKind, BootId, Direction, Isolation, ProcessKey, Target, Whose};

/// One of each kind, what an earlier version kept of it, and how many elements it has in the packet filter: by what was
/// kept, and when nothing can be read of it (`None`: then only the notes outside of us undo it).
fn kept() -> Vec<(ActionKind, Target, Value, usize, Option<usize>)> {
    let addr = "203.0.113.9".parse().unwrap();
    let root = ProcessKey { boot: BootId(1), pid: 900, start: 5 };
    let tree = || Target::ProcessTree { root, exe: "/bin/sh".into() };
    let container = Target::Container { id: "0123456789ab".into(), name: "web".into(), isolation: Isolation::Network };
    let cut = || json!({ "closed": 2, "forgotten": 1, "failures": ["3 connections not closed (EPERM)"] });
    let to = |whose| Target::Destination { addr, whose };
    let behind = json!({ "sender": { "behind": { "addresses": ["172.17.0.2", "fd00::2"], "pid": 7 } } });
    let bounds = json!({ "keep": ["192.0.2.7", "192.0.2.8"], "ssh": [22], "connections": 10, "datagrams": 10, "step": 1000 });
    let locked = json!({ "name": "A1-x", "marks": null, "file": null, "watchdog": null, "ended": 2, "spared": 0 });
    let isolated = json!({ "name": "A1-x", "socket": "/run/docker.sock", "id": "0123456789ab", "isolation": "network",
        "endpoints": [], "watchdog": null });
    use ActionKind::*;
    vec![
        (
            BlockAddress,
            Target::Address { addr, direction: Direction::In },
            json!({ "table_existed": true, "connections": cut() }),
            1,
            Some(1),
        ),
        (BlockAddresses, Target::Addresses { addrs: vec![addr, "2001:db8::9".parse().unwrap()] }, json!({}), 2, Some(2)),
        (LimitSource, Target::Source { addr, packets_per_second: 50 }, json!({}), 1, Some(1)),
        (BlockDestination, to(Whose::User { uid: 33 }), json!({ "sender": { "user": 33 }, "connections": cut() }), 2, Some(0)),
        (BlockDestination, to(Whose::Container { id: "0123456789ab".into() }), behind, 1, Some(0)),
        (FreezeTree, tree(), json!({ "name": "A1-x", "frozen": null, "watchdog": null }), 0, None),
        (KillTree, tree(), json!({ "name": "A1-x", "ended": [root] }), 0, None),
        (DisableUser, Target::User { name: "ann".into(), uid: 1000 }, locked, 0, None),
        (IsolateContainer, container, isolated, 0, None),
        (ContainHost, Target::Host, bounds, 7, Some(0)),
        (
            RestoreFile,
            Target::File { path: "/etc/sudoers".into(), copy: "ab".repeat(32) },
            json!({ "name": "A1-x", "was": ["ab", 288, 0, 0], "former": [46, 120], "watchdog": null }),
            0,
            None,
        ),
    ]
}

#[test]
fn what_an_earlier_version_kept_still_undoes_its_actions() {
    let all = kept();
    assert!(ActionKind::ALL.iter().all(|kind| all.iter().any(|(of, ..)| of == kind)), "every kind is tried");
    for (kind, target, snapshot, elements, _) in all {
        assert_eq!(of(kind).members(&action(kind, target), &snapshot).unwrap().len(), elements, "{kind}: {snapshot}");
    }
}

#[test]
fn a_snapshot_that_cannot_be_read_takes_nothing_for_undone() {
    for (kind, target, _, _, unrecorded) in kept() {
        for unreadable in [Value::Null, json!("gone"), json!([1])] {
            match (of(kind).members(&action(kind, target.clone()), &unreadable), unrecorded) {
                (Ok(members), Some(elements)) => assert_eq!(members.len(), elements, "{kind}"),
                (Err(ActError::Misfit(_)), None) => {}
                (said, _) => panic!("{kind}: {said:?}"),
            }
        }
    }
}
