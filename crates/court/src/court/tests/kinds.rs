//! Accounts, containers, limits, the whole host and the sentinel before the court; every spelling of what is held.

use super::*;

const ID: &str = "0123456789ab";

fn on_account(name: &str, uid: u32) -> ActionPlan {
    ActionPlan::new(ActionKind::DisableUser, Target::User { name: name.into(), uid }, Duration::from_secs(60)).unwrap()
}

fn on_container(id: &str) -> ActionPlan {
    let target = Target::Container { id: id.into(), name: "web".into(), isolation: Isolation::Network };
    ActionPlan::new(ActionKind::IsolateContainer, target, Duration::from_secs(60)).unwrap()
}

/// AGGRESSIVE, as sure as can be, posture lockdown, in a container, by somebody who came in over SSH.
fn worst() -> Bench {
    let mut bench = Bench::new();
    (bench.mode, bench.proof) = (Mode::Aggressive, proof(0.99));
    bench.incident.posture = Posture::Lockdown;
    let shell = Arc::make_mut(&mut bench.tree[0]);
    (shell.uid, shell.loginuid, shell.user) = (1000, Some(1000), Some("ann".into()));
    (shell.container, shell.container_name) = (Some(ID.into()), Some("web".into()));
    shell.lineage.roots = vec![Root { role: ServiceRole::SshServer, key: key(500), exe: "/usr/sbin/sshd".into() }].into();
    bench
}

#[test]
fn containers_and_accounts_are_asked_however_sure_the_agent_is() {
    let said = worst().said();
    assert!(
        said.iter().any(|s| s.starts_with("ask: isolate container web (0123456789ab) off every network: a running container")),
        "{said:#?}"
    );
    assert!(
        said.iter().any(|s| s.starts_with("ask: disable account ann (uid 1000): an account is disabled by a person only")),
        "{said:#?}"
    );
    assert!(said.iter().any(|s| s == "act: contain this host"), "{said:#?}");
    let mut here = worst();
    here.lifeline.logged_in = vec![(1000, "ann".into())];
    assert!(here.said().iter().any(|s| s.contains("the account is logged in now")));
    assert!(here.grant(on_account("ann", 1000)).is_ok(), "a person may");
    assert!(here.grant(on_container(ID)).is_ok(), "a person may");
}

#[test]
fn the_host_is_closed_alone_only_at_the_very_top() {
    type Change = (&'static str, fn(&mut Bench));
    let alter: [Change; 4] = [
        ("BALANCED only freezes one tree", |b| b.mode = Mode::Balanced),
        ("contained without a person from 0.97", |b| b.proof = proof(0.96)),
        ("only on complete evidence", |b| b.incident.complete = false),
        ("PARANOID", |b| b.mode = Mode::Paranoid),
    ];
    for (why, alter) in alter {
        let mut bench = worst();
        alter(&mut bench);
        let said = bench.said();
        let about: Vec<_> = said.iter().filter(|s| s.contains("contain this host")).collect();
        assert!(about.len() == 1 && about[0].starts_with("ask") && about[0].contains(why), "{why}: {said:#?}");
    }
    let mut calm = worst();
    calm.incident.posture = Posture::AggressiveContain;
    assert!(calm.said().iter().all(|s| !s.contains("contain this host")), "not proposed below lockdown");
}

#[test]
fn system_accounts_and_those_without_a_name_or_from_the_host_itself_are_not_proposed() {
    let alter: [fn(&mut Process); 3] = [|p| (p.uid, p.loginuid) = (33, None), |p| p.user = None, |p| p.lineage.roots = Vec::new().into()];
    for alter in alter {
        let mut bench = worst();
        alter(Arc::make_mut(&mut bench.tree[0]));
        assert!(bench.said().iter().all(|s| !s.contains("disable")));
    }
    // Somebody who became root: the name comes from the live session.
    let mut root = worst();
    let shell = Arc::make_mut(&mut root.tree[0]);
    (shell.uid, shell.user) = (0, Some("root".into()));
    root.lifeline.logged_in = vec![(1000, "ann".into())];
    assert!(root.said().iter().any(|s| s.starts_with("ask: disable account ann (uid 1000)")));
}

#[test]
fn who_only_looks_around_is_slowed_down_before_being_cut_off() {
    let mut bench = Bench::new();
    (bench.incident.subject, bench.tree, bench.incident.posture) = (None, vec![], Posture::Contain);
    (bench.incident.stages, bench.incident.families) = (vec![Stage::Recon], vec![Family::Auth]);
    assert_eq!(bench.said(), ["act: limit 203.0.113.9 to 50 packets a second"]);
    let limit = Target::Source { addr: "203.0.113.9".parse().unwrap(), packets_per_second: 50 };
    bench.active = vec![alive(1, &ActionPlan::new(ActionKind::LimitSource, limit, Duration::from_secs(60)).unwrap())];
    assert_eq!(bench.said(), ["act: block from 203.0.113.9"], "it goes on all the same");
}

#[test]
fn who_carries_most_of_the_traffic_is_asked_about() {
    let mut bench = Bench::new();
    bench.mode = Mode::Aggressive;
    bench.connections = vec![("203.0.113.9".parse().unwrap(), 30), ("198.51.100.1".parse().unwrap(), 5)];
    let said = bench.said();
    assert!(said[1].starts_with("ask") && said[1].contains("203.0.113.9 carries 30 of the 35 connections"), "{said:#?}");
    assert!(said[0].starts_with("act: freeze"), "the tree is another matter");
}

#[test]
fn a_tripped_sentinel_asks_until_a_person_sets_the_mode() {
    let mut bench = Bench::new();
    bench.mode = Mode::Aggressive;
    let ours = |n: u64| Action { by: Approver::Mode(Mode::Balanced), ..alive(n, &block(&format!("198.51.100.{n}"))) };
    let alarms: Vec<Alarm> = (1..=11).filter_map(|n| bench.court.watch(&ours(n), at(0))).collect();
    assert_eq!(alarms.len(), 1);
    let said = bench.said();
    assert!(said.iter().all(|s| s.starts_with("ask") && s.contains("automatic actions are paused until 08:15:00 UTC")), "{said:#?}");
    assert!(bench.court.pause(at(1)).is_some());
    bench.court.rearm();
    assert!(bench.said().iter().all(|s| s.starts_with("act")), "what was asked may be done now");
}

#[test]
fn what_decides_who_gets_in_is_put_back_by_a_person_only_and_never_proposed() {
    let target = Target::File { path: "/etc/sudoers".into(), copy: "ab".repeat(32) };
    let plan = ActionPlan::new(ActionKind::RestoreFile, target, Duration::from_secs(60)).unwrap();
    let mut bench = worst();
    assert!(bench.said().iter().all(|s| !s.contains("sudoers")));
    assert!(bench.grant(plan).is_ok());
}

/// The same IPv4 address in one of the ways in which IPv6 spells it.
fn disguised(n: u8, way: u8) -> IpAddr {
    match way {
        0 => format!("203.0.113.{n}"),
        1 => format!("::ffff:203.0.113.{n}"),
        2 => format!("::203.0.113.{n}"),
        3 => format!("64:ff9b::203.0.113.{n}"),
        _ => format!("2002:cb00:71{n:02x}:7::1"),
    }
    .parse()
    .unwrap()
}

proptest! {
    #[test]
    fn no_warrant_ever_touches_what_is_held_whatever_the_kind_and_the_spelling(
        held in prop::collection::vec((0u8..6, 0u8..5), 0..4),
        accounts in prop::collection::vec(1000u32..1006, 0..4),
        containers in prop::collection::vec(0u8..6, 0..4),
        cases in prop::collection::vec((prop::collection::vec((0u8..6, 0u8..5), 0..5), 1000u32..1006, 0u8..6, 0usize..3, 0.5..=1.0f64), 1..8),
        hands in prop::collection::vec((0usize..5, 0u8..6, 0u8..5), 0..12),
    ) {
        let id = |n: u8| format!("{n}123456789ab");
        let mut bench = worst();
        bench.court.policy.actions.most_per_minute = 1000;
        bench.lifeline.addresses = held.iter().map(|(n, way)| (disguised(*n, *way), LifelineReason::SshSession)).collect();
        bench.lifeline.accounts = accounts.iter().map(|uid| (*uid, LifelineReason::OwnAccount)).collect();
        bench.lifeline.containers = containers.iter().map(|n| (id(*n) + &"0".repeat(52), LifelineReason::OwnContainer)).collect();
        bench.lifeline.cgroups = vec![("/system.slice/ssh.service".into(), LifelineReason::LoginPath)];
        let mut warrants: Vec<Warrant> = Vec::new();
        for (addresses, uid, container, mode, score) in cases {
            bench.incident.addresses = addresses.iter().map(|(n, way)| disguised(*n, *way)).collect();
            let shell = Arc::make_mut(&mut bench.tree[0]);
            (shell.uid, shell.loginuid, shell.container) = (uid, Some(uid), Some(id(container)));
            (bench.mode, bench.proof) = (Mode::ALL[mode], proof(score));
            let mut plans = Vec::new();
            for ruling in bench.propose() {
                match ruling {
                    Ruling::Act(warrant) => warrants.push(warrant),
                    // A person says yes to everything.
                    Ruling::Ask { plan, .. } => plans.push(plan),
                    Ruling::Refuse { .. } => {}
                }
            }
            warrants.extend(plans.into_iter().filter_map(|plan| bench.grant(plan).ok()));
        }
        for (kind, n, way) in hands {
            let addr = disguised(n, way);
            let minute = Duration::from_secs(60);
            let (kind, target) = match kind {
                0 => (ActionKind::LimitSource, Target::Source { addr, packets_per_second: 1 }),
                1 => (ActionKind::BlockDestination, Target::Destination { addr, whose: Whose::User { uid: u32::from(way) } }),
                2 => (ActionKind::BlockDestination, Target::Destination { addr, whose: Whose::Container { id: id(way) } }),
                3 => (ActionKind::DisableUser, Target::User { name: "x".into(), uid: if way == 0 { 0 } else { 1000 + u32::from(n) } }),
                _ => (ActionKind::IsolateContainer, Target::Container { id: id(n), name: "x".into(), isolation: Isolation::Pause }),
            };
            warrants.extend(bench.grant(ActionPlan::new(kind, target, minute).unwrap()).ok());
        }
        let is_held = |addr: IpAddr| held.iter().any(|(n, _)| (0..5).any(|way| disguised(*n, way) == addr));
        let own_container = |asked: &str| containers.iter().any(|n| id(*n) == asked);
        for warrant in &warrants {
            let target = warrant.plan().target();
            match target {
                Target::User { uid, .. } => prop_assert!(*uid != 0 && !accounts.contains(uid), "{}", target),
                Target::Container { id, .. } => prop_assert!(!own_container(id), "{}", target),
                Target::Destination { whose: Whose::User { uid }, .. } => prop_assert!(*uid != 0, "{}", target),
                Target::Destination { whose: Whose::Container { id }, .. } => prop_assert!(!own_container(id), "{}", target),
                _ => {}
            }
            prop_assert!(target.address().is_none_or(|addr| !is_held(addr)), "{}", target);
        }
    }
}
