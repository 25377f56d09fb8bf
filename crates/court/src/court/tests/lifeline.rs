//! Whatever comes before the court and whoever asks: nothing on the lifeline is allowed, and no warrant bears the name of another.

use super::*;

proptest! {
    #[test]
    fn nothing_on_the_lifeline_is_ever_allowed_and_nothing_twice(
        held in prop::collection::vec((0u8..12, any::<bool>()), 0..6),
        held_pids in prop::collection::vec(900u32..912, 0..4),
        cases in prop::collection::vec((prop::collection::vec((0u8..12, any::<bool>()), 0..6), 899u32..912, 0usize..3, 0.0..=1.0f64, any::<bool>(), 0i64..900), 1..12),
        hands in prop::collection::vec((0u8..12, any::<bool>(), 899u32..912, 0usize..3), 0..8),
    ) {
        let mut bench = Bench::new();
        bench.court.policy.actions.most_per_minute = 1000;
        bench.lifeline.addresses = held.iter().map(|(n, mapped)| (spelled(*n, *mapped), LifelineReason::SshSession)).collect();
        bench.lifeline.processes = held_pids.iter().map(|pid| (key(*pid), LifelineReason::LoginPath)).collect();
        bench.tree = (900..912).map(|pid| Arc::new(process(pid, 900 + (pid - 900) / 2, "/bin/sh", 33))).collect();
        let mut warrants: Vec<(Warrant, i64)> = Vec::new();
        for (addresses, subject, mode, score, complete, second) in cases {
            bench.second = bench.second.max(second);
            bench.incident.addresses = addresses.iter().map(|(n, mapped)| spelled(*n, *mapped)).collect();
            bench.incident.subject = Some(key(subject));
            (bench.mode, bench.proof, bench.incident.complete) = (Mode::ALL[mode], proof(score), complete);
            let (rulings, second) = (bench.propose(), bench.second);
            warrants.extend(rulings.into_iter().filter_map(|ruling| match ruling { Ruling::Act(warrant) => Some((warrant, second)), _ => None }));
        }
        for (n, mapped, pid, kind) in hands {
            let plan = match kind {
                0 => block(&spelled(n, mapped).to_string()),
                1 => on_tree(ActionKind::FreezeTree, pid),
                _ => on_tree(ActionKind::KillTree, pid),
            };
            warrants.extend(bench.grant(plan).ok().map(|warrant| (warrant, bench.second)));
        }
        let mut ids = std::collections::BTreeSet::new();
        for (warrant, second) in warrants {
            match warrant.plan().target() {
                Target::Address { addr, .. } => prop_assert!(!held.iter().any(|(n, _)| spelled(*n, false) == addr.to_canonical())),
                Target::ProcessTree { root, .. } => {
                    let inside = below(*root, &bench.tree);
                    prop_assert!(inside.iter().all(|process| !held_pids.contains(&process.pid)));
                }
                other => prop_assert!(false, "nobody asked for {other}"),
            }
            prop_assert!(warrant.check(at(second)).is_ok());
            prop_assert!(warrant.check(at(second + 300)).is_err());
            prop_assert!(ids.insert(warrant.id()), "no two warrants have one name");
        }
    }
}
