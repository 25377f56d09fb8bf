//! What a warrant says is exactly what was asked for, field by field, or it is not issued.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::court::{ApprovalRequest, Court};
use bartizan_config::Policy;
use bartizan_model::*;

fn plan(kind: ActionKind, target: Target) -> ActionPlan {
    ActionPlan::new(kind, target, Duration::from_secs(60)).unwrap()
}

fn now() -> Timestamp {
    chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// What the court allows a person who asks for this; nothing when it refuses.
fn granted(wanted: &ActionPlan) -> Option<ActionPlan> {
    let tree: Vec<_> = wanted.target().root().map(|root| std::sync::Arc::new(Process::unknown(root, now()))).into_iter().collect();
    let request = ApprovalRequest {
        plan: wanted.clone(),
        incident: Some(IncidentId(7)),
        reason: "by hand".into(),
        person: "BALANCED".into(),
        lifeline: &Lifeline::default(),
        tree: &tree,
        active: &[],
        now: now(),
    };
    let warrant = Court::new(&Policy::built_in().unwrap(), WarrantId(1)).grant(request).ok()?;
    assert_eq!((warrant.id(), warrant.incident(), warrant.reason()), (WarrantId(1), Some(IncidentId(7)), "by hand"));
    assert_eq!(*warrant.by(), Approver::Person("BALANCED".into()), "a person whose name spells a mode is still a person");
    assert!(warrant.check(now()).is_ok() && warrant.expires() - now() <= chrono::TimeDelta::minutes(5));
    Some(warrant.plan().clone())
}

/// For each kind one target, and the same with each of its fields changed.
fn each_field() -> Vec<(ActionKind, Vec<Target>)> {
    let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
    let key = |boot, pid, start| ProcessKey { boot: BootId(boot), pid, start };
    let (addr, other) = (ip("203.0.113.9"), ip("203.0.113.10"));
    let (id, copy) = ("0123456789abcdef".repeat(4), "ab".repeat(32));
    let to = |addr, whose| Target::Destination { addr, whose };
    let container = |id: &str, name: &str, isolation| Target::Container { id: id.into(), name: name.into(), isolation };
    let tree = |root, exe: &str| Target::ProcessTree { root, exe: exe.into() };
    let trees = || {
        let root = key(1, 900, 5);
        vec![
            tree(root, "/bin/sh"),
            tree(key(2, 900, 5), "/bin/sh"),
            tree(key(1, 901, 5), "/bin/sh"),
            tree(key(1, 900, 6), "/bin/sh"),
            tree(root, "/bin/ash"),
        ]
    };
    vec![
        (
            ActionKind::BlockAddress,
            vec![
                Target::Address { addr, direction: Direction::In },
                Target::Address { addr: other, direction: Direction::In },
                Target::Address { addr, direction: Direction::Out },
                Target::Address { addr: ip("2001:db8::9"), direction: Direction::In },
            ],
        ),
        (
            ActionKind::BlockAddresses,
            vec![
                Target::Addresses { addrs: vec![addr] },
                Target::Addresses { addrs: vec![other] },
                Target::Addresses { addrs: vec![addr, other] },
                Target::Addresses { addrs: vec![addr, ip("2001:db8::9")] },
            ],
        ),
        (
            ActionKind::LimitSource,
            vec![
                Target::Source { addr, packets_per_second: 50 },
                Target::Source { addr: other, packets_per_second: 50 },
                Target::Source { addr, packets_per_second: 1 },
            ],
        ),
        (
            ActionKind::BlockDestination,
            vec![
                to(addr, Whose::User { uid: 33 }),
                to(other, Whose::User { uid: 33 }),
                to(addr, Whose::User { uid: 34 }),
                to(addr, Whose::Cgroup { path: "/a".into() }),
                to(addr, Whose::Cgroup { path: "/b".into() }),
                to(addr, Whose::Container { id: id.clone() }),
                to(addr, Whose::Container { id: id[..12].into() }),
            ],
        ),
        (ActionKind::FreezeTree, trees()),
        (ActionKind::KillTree, trees()),
        (
            ActionKind::DisableUser,
            vec![
                Target::User { name: "ann".into(), uid: 1000 },
                Target::User { name: "ben".into(), uid: 1000 },
                Target::User { name: "ann".into(), uid: 1001 },
            ],
        ),
        (
            ActionKind::IsolateContainer,
            vec![
                container(&id, "web", Isolation::Network),
                container(&id[..12], "web", Isolation::Network),
                container(&id, "db", Isolation::Network),
                container(&id, "web", Isolation::Pause),
            ],
        ),
        (ActionKind::ContainHost, vec![Target::Host]),
        (
            ActionKind::RestoreFile,
            vec![
                Target::File { path: "/etc/sudoers".into(), copy: copy.clone() },
                Target::File { path: "/etc/pam.d/sshd".into(), copy },
                Target::File { path: "/etc/sudoers".into(), copy: "cd".repeat(32) },
            ],
        ),
    ]
}

#[test]
fn a_warrant_of_any_kind_names_every_field_that_was_asked_for() {
    let kinds = each_field();
    assert_eq!(kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ActionKind::ALL, "every kind is tried");
    for wanted in kinds.into_iter().flat_map(|(kind, all)| all.into_iter().map(move |target| plan(kind, target))) {
        assert_eq!(granted(&wanted), Some(wanted.clone()), "{wanted:?}");
    }
}

fn text() -> impl Strategy<Value = HostText> {
    prop::collection::vec(prop_oneof![Just(b'a'), Just(b' '), 128_u8..], 1..4).prop_map(HostText::from)
}

fn path() -> impl Strategy<Value = HostText> {
    text().prop_map(|text| HostText::from([b"/".as_slice(), text.as_bytes()].concat()))
}

fn hex(length: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(0_u8..3, length).prop_map(|digits| digits.iter().map(|digit| format!("{digit:x}")).collect())
}

/// Small ranges, so that two of them often differ in one thing only, or in nothing.
fn any_plan() -> impl Strategy<Value = ActionPlan> {
    let addr = || {
        prop_oneof![
            (0_u32..3).prop_map(|n| IpAddr::from(n.to_be_bytes())),
            (0_u128..3).prop_map(|n| IpAddr::from((n + (0xff << 120)).to_be_bytes()))
        ]
    };
    let whose = prop_oneof![
        (0_u32..2).prop_map(|uid| Whose::User { uid }),
        path().prop_map(|path| Whose::Cgroup { path }),
        hex(12).prop_map(|id| Whose::Container { id })
    ];
    let key = (0_u32..2, 0_u32..2, 0_u64..2).prop_map(|(boot, pid, start)| ProcessKey { boot: BootId(boot), pid, start });
    let tree = (key, text()).prop_map(|(root, exe)| Target::ProcessTree { root, exe });
    let kind = prop_oneof![Just(ActionKind::FreezeTree), Just(ActionKind::KillTree)];
    let how = prop_oneof![Just(Isolation::Network), Just(Isolation::Pause)];
    let way = prop_oneof![Just(Direction::In), Just(Direction::Out)];
    let target = prop_oneof![
        (addr(), way).prop_map(|(addr, direction)| (ActionKind::BlockAddress, Target::Address { addr, direction })),
        prop::collection::vec(addr(), 1..4).prop_map(|addrs| (ActionKind::BlockAddresses, Target::Addresses { addrs })),
        (addr(), 1_u32..3).prop_map(|(addr, packets_per_second)| (ActionKind::LimitSource, Target::Source { addr, packets_per_second })),
        (addr(), whose).prop_map(|(addr, whose)| (ActionKind::BlockDestination, Target::Destination { addr, whose })),
        (kind, tree),
        (text(), 0_u32..3).prop_map(|(name, uid)| (ActionKind::DisableUser, Target::User { name, uid })),
        (hex(12), text(), how).prop_map(|(id, name, isolation)| (ActionKind::IsolateContainer, Target::Container { id, name, isolation })),
        Just((ActionKind::ContainHost, Target::Host)),
        (path(), hex(64)).prop_map(|(path, copy)| (ActionKind::RestoreFile, Target::File { path, copy })),
    ];
    (target, 1_u64..3).prop_map(|((kind, target), seconds)| ActionPlan::new(kind, target, Duration::from_secs(seconds)).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_warrant_is_for_anything_but_what_was_asked(wanted in any_plan()) {
        prop_assert!(granted(&wanted).is_none_or(|plan| plan == wanted));
    }
}
