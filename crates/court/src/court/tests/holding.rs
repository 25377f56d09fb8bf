//! Addresses that attack from outside: who is held alone, for how long, who is only asked about, and what a flood of them comes to.

use super::*;

/// Somebody guesses passwords from these addresses; nothing runs here, and the score is low.
pub(super) fn guessing(addresses: &[&str]) -> Bench {
    let mut bench = Bench::new();
    (bench.tree, bench.incident.subject, bench.incident.posture) = (vec![], None, Posture::Observe);
    (bench.incident.families, bench.incident.stages) = (vec![Family::Auth], vec![Stage::InitialAccess]);
    bench.incident.addresses = addresses.iter().take(64).map(|addr| addr.parse().unwrap()).collect();
    bench.proof = Proof { pieces: 1, sources: addresses.iter().map(|addr| source(addr, 0)).collect(), ..proof(0.48) };
    bench
}

pub(super) fn source(addr: &str, second: i64) -> HostileSource {
    let did = format!("{addr} failed to log in 12 times within 10m (as root)");
    HostileSource { addr: addr.parse().unwrap(), family: Family::Auth, at: at(second), sentence: did }
}

pub(super) fn many(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("203.{}.{}.9", n / 250, n % 250)).collect()
}

fn warrants(bench: &mut Bench) -> Vec<Warrant> {
    bench.propose().into_iter().filter_map(|ruling| if let Ruling::Act(warrant) = ruling { Some(warrant) } else { None }).collect()
}

#[test]
fn who_guesses_passwords_is_limited_in_balanced_blocked_in_aggressive_and_asked_about_in_paranoid() {
    for (mode, complete, expected) in [
        (Mode::Balanced, true, "act: limit 203.0.113.9 to 1 packets a second"),
        // That kernel events were lost says nothing about what the daemon counted.
        (Mode::Balanced, false, "act: limit 203.0.113.9 to 1 packets a second"),
        (Mode::Aggressive, true, "act: block from 203.0.113.9"),
        (Mode::Paranoid, true, "ask: block from 203.0.113.9: the mode is PARANOID: a person approves everything"),
    ] {
        let mut bench = guessing(&["203.0.113.9"]);
        (bench.mode, bench.incident.complete) = (mode, complete);
        assert_eq!(bench.said(), [expected]);
        assert!(bench.said().is_empty(), "and once");
    }
    let warrant = warrants(&mut guessing(&["203.0.113.9"])).remove(0);
    assert_eq!((warrant.plan().lasts(), warrant.by()), (Duration::from_secs(600), &Approver::Mode(Mode::Balanced)));
    assert!(warrant.reason().contains("203.0.113.9 failed to log in 12 times within 10m (as root)"), "{}", warrant.reason());
}

#[test]
fn nobody_but_the_address_itself_is_touched_for_guessed_passwords_in_any_mode() {
    for mode in Mode::ALL {
        let mut bench = guessing(&["203.0.113.9"]);
        (bench.mode, bench.incident.posture) = (mode, Posture::Lockdown);
        bench.lifeline.logged_in = vec![(1000, "ann".into())];
        for warrant in warrants(&mut bench) {
            let addr: IpAddr = "203.0.113.9".parse().unwrap();
            let single = matches!(warrant.plan().target(), Target::Source { .. } | Target::Address { direction: Direction::In, .. });
            assert!(single && warrant.plan().target().address() == Some(addr), "{mode}: {}", warrant.plan());
        }
    }
}

#[test]
fn another_kind_of_evidence_alone_is_asked_about_in_balanced_and_held_in_aggressive() {
    let mut bench = guessing(&["203.0.113.9"]);
    bench.proof.sources[0].family = Family::Tools;
    let said = bench.said();
    assert!(said[0].starts_with("ask: limit") && said[0].contains("only limits addresses with too many failed logins"), "{said:?}");
    bench.mode = Mode::Aggressive;
    assert_eq!(bench.said(), ["act: block from 203.0.113.9"]);
}

#[test]
fn who_comes_back_is_held_longer_and_who_was_let_go_by_somebody_never_again_alone() {
    let mut bench = guessing(&["203.0.113.9"]);
    bench.host.history = History { holds: 2, ended: Some(at(-1)), undone: None };
    let warrant = warrants(&mut bench).remove(0);
    assert_eq!(warrant.plan().lasts(), Duration::from_secs(6 * 3600));
    assert!(warrant.reason().ends_with("; held 2 times before"), "{}", warrant.reason());

    let mut answered = guessing(&["203.0.113.9"]);
    answered.host.history.ended = Some(at(0));
    assert!(answered.said().is_empty(), "what it did before its hold ended was answered by it");

    let mut undone = guessing(&["203.0.113.9"]);
    undone.host.history.undone = Some("A3 held it before and was undone (undone by uid 0)".to_owned());
    let said = undone.said();
    assert!(said[0].starts_with("ask: limit") && said[0].contains("A3 held it before and was undone (undone by uid 0)"), "{said:?}");
}

#[test]
fn a_hold_that_is_over_before_its_warrant_lapsed_is_followed_by_the_next_one() {
    let mut bench = guessing(&["203.0.113.9"]);
    assert_eq!(warrants(&mut bench).len(), 1);
    bench.second = 120;
    bench.proof.sources = vec![source("203.0.113.9", 119)];
    assert!(bench.said().is_empty(), "it may still be under way");
    bench.host.history = History { holds: 1, ended: Some(at(60)), undone: Some("A1 was undone".to_owned()) };
    assert!(bench.said()[0].starts_with("ask: limit 203.0.113.9"));
}

#[test]
fn what_was_named_long_ago_holds_nobody_alone() {
    let mut bench = guessing(&["203.0.113.9"]);
    bench.second = 601;
    assert!(bench.said().is_empty());
    bench.mode = Mode::Paranoid;
    assert_eq!(bench.said().len(), 1, "a person is asked for an hour");
}

#[test]
fn whom_only_a_person_may_hold_is_asked_about_with_the_reason() {
    type Change = (&'static str, fn(&mut Bench));
    let alter: [Change; 6] = [
        ("ann logged in from there on 2026-11-20: an account of this host may share the address", |b| {
            let who = "ann logged in from there on 2026-11-20".to_owned();
            b.host.logins = vec![("203.0.113.9".parse().unwrap(), who)];
        }),
        ("names 203.0.113.0/24 under [holds] proxies: the address of a proxy is never the client's", |b| {
            b.court.policy = Policy::parse("[holds]\nproxies = [\"203.0.113.0/24\"]\n", "p.toml").unwrap();
        }),
        ("it is in 203.0.113.8/29, a range of a content delivery network", |b| {
            b.court.policy = Policy::parse("[holds]\ncdn = [\"203.0.113.8/29\"]\n", "p.toml").unwrap();
        }),
        ("utmp says", |b| b.lifeline.uncertain = vec![("203.0.113.9".parse().unwrap(), "utmp says so".to_owned())]),
        ("is the far end of a live SSH session: an owner may share the address with the attacker; it is never cut off", |b| {
            b.lifeline.addresses = vec![("203.0.113.9".parse().unwrap(), LifelineReason::SshSession)];
        }),
        ("is where somebody lately logged in from", |b| {
            b.lifeline.addresses = vec![("203.0.113.9".parse().unwrap(), LifelineReason::RecentLogin)];
        }),
    ];
    for (why, alter) in alter {
        for mode in [Mode::Balanced, Mode::Aggressive] {
            let mut bench = guessing(&["203.0.113.9", "198.51.100.9"]);
            bench.mode = mode;
            alter(&mut bench);
            let said = bench.said();
            let (asked, acted): (Vec<_>, Vec<_>) = said.iter().partition(|line| line.starts_with("ask"));
            assert!(asked.len() == 1 && asked[0].contains(why) && asked[0].contains("203.0.113.9"), "{mode}: {said:#?}");
            assert!(acted.len() == 1 && acted[0].contains("198.51.100.9"), "the other is held: {said:#?}");
        }
    }
    let mut near = guessing(&["10.0.0.5", "100.64.0.1", "fd00::5", "fe80::5"]);
    assert!(near.said().iter().all(|line| line.starts_with("ask") && line.contains("is on a private network")));
}

#[test]
fn nobody_buys_protection_with_many_connections_but_who_may_be_a_proxy_of_other_services_is_asked_about() {
    let mut bench = guessing(&["203.0.113.9"]);
    (bench.mode, bench.connections) = (Mode::Aggressive, vec![("203.0.113.9".parse().unwrap(), 60)]);
    assert_eq!(bench.said(), ["act: block from 203.0.113.9"]);
    let mut other = guessing(&["203.0.113.9"]);
    (other.mode, other.connections, other.proof.sources[0].family) = (Mode::Aggressive, bench.connections.clone(), Family::Tools);
    assert!(other.said()[0].contains("carries 60 of the 60 connections"));
}

#[test]
fn the_lifeline_is_never_held_whoever_asks() {
    let mut bench = guessing(&["203.0.113.9"]);
    bench.lifeline.addresses = vec![("::ffff:203.0.113.9".parse().unwrap(), LifelineReason::SshSession)];
    assert!(bench.said()[0].starts_with("ask"));
    assert!(matches!(bench.grant(block("203.0.113.9")), Err(Refusal::Lifeline { .. })), "a yes changes nothing while it is the owner's");
    let mut gateway = guessing(&["203.0.113.9"]);
    gateway.lifeline.addresses = vec![("203.0.113.9".parse().unwrap(), LifelineReason::Gateway)];
    assert!(gateway.said()[0].starts_with("refuse"), "of what is no login nobody is asked");
    let mut unknown = guessing(&["203.0.113.9"]);
    unknown.lifeline.unknown = vec!["utmp could not be read".to_owned()];
    assert!(unknown.said()[0].starts_with("ask"));
}

#[test]
fn who_is_held_already_is_not_held_twice() {
    let mut bench = guessing(&["203.0.113.9", "198.51.100.9"]);
    bench.active = vec![alive(1, &block("203.0.113.9"))];
    bench.host.elsewhere = vec!["198.51.100.9".parse().unwrap()];
    let plan = "limit 198.51.100.9 to 1 packets a second";
    assert_eq!(bench.said(), [format!("refuse: {plan}: {plan} is not needed: it is already held by fail2ban (table inet f2b-table)")]);
    assert!(bench.said().is_empty(), "and told once");
}

#[test]
fn a_flood_of_guessers_takes_its_share_of_what_is_done_alone_and_no_more() {
    let (addresses, mut acted) = (many(60), 0);
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut bench = guessing(&addresses);
    for minute in 0..9 {
        bench.second = 60 * minute;
        for warrant in warrants(&mut bench) {
            bench.active.push(Action { by: Approver::Mode(Mode::Balanced), ..alive(warrant.id().0, warrant.plan()) });
            acted += 1;
        }
        assert_eq!(acted, (5 * (minute as usize + 1)).min(32), "five a minute, 32 at once");
    }
    // An intrusion still finds an answer.
    bench.incident = incident(Some(900), &["192.0.2.7"]);
    (bench.tree, bench.proof) = (vec![Arc::new(process(900, 812, "/bin/sh", 33))], proof(0.9));
    assert!(bench.said().contains(&"act: freeze /bin/sh (pid 900) and below".to_owned()));
}

#[test]
fn a_persons_no_holds_for_the_address_whatever_is_proposed() {
    let mut bench = guessing(&["203.0.113.9"]);
    bench.court.decline(&block("203.0.113.9"), IncidentId(7), at(0));
    assert!(bench.said().is_empty());
}

proptest! {
    #[test]
    fn no_source_on_the_lifeline_or_of_a_login_is_ever_held_alone(
        held in prop::collection::vec((0u8..12, any::<bool>()), 0..6),
        logins in prop::collection::vec(0u8..12, 0..4),
        cases in prop::collection::vec((prop::collection::vec(0u8..12, 0..8), 0usize..3, any::<bool>(), 0i64..900), 1..10),
    ) {
        let mut bench = guessing(&[]);
        (bench.court.policy.actions.most_per_minute, bench.court.policy.holds.most_per_minute) = (1000, 1000);
        bench.lifeline.addresses = held.iter().map(|(n, mapped)| (spelled(*n, *mapped), LifelineReason::SshSession)).collect();
        bench.host.logins = logins.iter().map(|n| (spelled(*n, false), "ann logged in from there".to_owned())).collect();
        for (addresses, mode, complete, second) in cases {
            (bench.second, bench.mode, bench.incident.complete) = (bench.second.max(second), Mode::ALL[mode], complete);
            let at = bench.second;
            bench.proof.sources = addresses.iter().map(|n| source(&spelled(*n, false).to_string(), at)).collect();
            for warrant in warrants(&mut bench) {
                let addr = warrant.plan().target().address();
                prop_assert!(bench.mode != Mode::Paranoid && addr.is_some());
                prop_assert!(!held.iter().any(|(n, _)| Some(spelled(*n, false)) == addr));
                prop_assert!(!logins.iter().any(|n| Some(spelled(*n, false)) == addr));
                prop_assert!(warrant.plan().lasts() <= Duration::from_secs(600));
            }
        }
    }
}

/// What is asked about many addresses at once.
fn asked_together(bench: &mut Bench) -> Option<(ActionPlan, String)> {
    let mut asked = bench.propose().into_iter().filter_map(|ruling| match ruling {
        Ruling::Ask { plan, held_because, .. } if plan.kind() == ActionKind::BlockAddresses => Some((plan, held_because)),
        _ => None,
    });
    let first = asked.next();
    assert!(asked.next().is_none(), "one question");
    first
}

pub(super) fn attack(count: usize, second: i64) -> Bench {
    let mut bench = guessing(&[]);
    (bench.mode, bench.second) = (Mode::Paranoid, second);
    bench.proof.sources = many(count).iter().map(|addr| source(addr, second)).collect();
    bench
}

#[test]
fn one_question_answers_a_whole_attack_and_leaves_out_whom_it_may_not_be_about() {
    let mut bench = attack(212, 0);
    bench.lifeline.addresses = vec![("203.0.7.9".parse().unwrap(), LifelineReason::SshSession)];
    bench.host.logins = vec![("203.0.8.9".parse().unwrap(), "ann logged in from there on 2026-11-20".to_owned())];
    let (plan, held) = asked_together(&mut bench).unwrap();
    assert_eq!((plan.target().addresses().len(), plan.lasts()), (210, Duration::from_secs(3600)));
    assert_eq!(plan.to_string(), "block from 210 addresses");
    assert!(held.contains("left out: 203.0.7.9 (203.0.7.9 is the far end of a live SSH session"), "{held}");
    assert!(held.contains("left out: 203.0.8.9 (ann logged in from there on 2026-11-20"), "{held}");
    assert!(asked_together(&mut bench).is_none(), "and once");
    let warrant = bench.grant(plan.clone()).unwrap();
    assert_eq!(warrant.plan(), &plan);
    // Whoever logs in before the answer is named and left out.
    bench.lifeline.addresses.push(("203.0.9.9".parse().unwrap(), LifelineReason::SshSession));
    let (narrowed, left_out) = bench.court.without_held(plan.clone(), &bench.lifeline, &[alive(1, &block("203.0.10.9"))]).unwrap();
    assert_eq!(narrowed.target().addresses().len(), 208);
    assert_eq!(left_out.iter().map(|(addr, _)| addr.to_string()).collect::<Vec<_>>(), ["203.0.9.9", "203.0.10.9"]);
    assert!(matches!(bench.grant(plan), Err(Refusal::Lifeline { .. })), "the whole list is refused for one of them");
}

#[test]
fn a_question_grows_only_by_being_asked_again() {
    let mut bench = attack(1, 0);
    assert!(bench.said()[0].starts_with("ask: block from 203.0.0.9"), "one address is asked about as one");
    for (second, count, asked) in
        [(30, 20, None), (60, 20, Some(20)), (130, 25, None), (130, 30, Some(30)), (150, 600, None), (200, 600, Some(512))]
    {
        bench.second = second;
        bench.proof.sources = many(count).iter().map(|addr| source(addr, 0)).collect();
        let told = asked_together(&mut bench);
        assert_eq!(told.as_ref().map(|(plan, _)| plan.target().addresses().len()), asked, "{count} at {second} s");
        assert!(asked != Some(512) || told.unwrap().1.contains("88 more are left for the next question"));
    }
}

#[test]
fn a_no_to_an_attack_holds_for_each_of_its_addresses() {
    let mut bench = attack(40, 0);
    let (plan, _) = asked_together(&mut bench).unwrap();
    bench.court.decline(&plan, IncidentId(7), at(0));
    bench.second = 120;
    bench.proof.sources.push(source("198.51.100.1", 110));
    for mode in Mode::ALL {
        bench.mode = mode;
        assert!(bench.said().iter().all(|line| line.contains("198.51.100.1")), "{mode}");
    }
}

#[test]
fn what_balanced_may_not_hold_any_more_is_one_question_too() {
    let mut bench = attack(60, 0);
    bench.mode = Mode::Balanced;
    let rulings: Vec<String> = bench.said();
    assert_eq!(rulings.iter().filter(|line| line.starts_with("act: limit")).count(), 5);
    let asked: Vec<_> = rulings.iter().filter(|line| line.starts_with("ask")).collect();
    let [asked] = asked.as_slice() else { panic!("{asked:#?}") };
    assert!(asked.starts_with("ask: block from 55 addresses: the agent began 5 holds within a minute"), "{asked}");
}

#[test]
fn many_addresses_are_never_blocked_without_a_person_whatever_proves_it() {
    let plan = ActionPlan::new(
        ActionKind::BlockAddresses,
        Target::Addresses { addrs: vec!["203.0.113.9".parse().unwrap()] },
        Duration::from_secs(60),
    );
    let mut bench = Bench::new();
    (bench.mode, bench.proof, bench.incident.posture) = (Mode::Aggressive, Proof { pieces: 9, ..proof(1.0) }, Posture::Lockdown);
    let (incident, proof, lifeline) = (bench.incident.clone(), bench.proof.clone(), bench.lifeline.clone());
    let (mode, tree, active, connections, sources) = (bench.mode, &[][..], &[][..], &[][..], &Host::default());
    let case = Case { incident: &incident, proof: &proof, mode, lifeline: &lifeline, tree, active, connections, sources, now: at(0) };
    let held = bench.court.held_because(&case, &plan.unwrap(), &[]).unwrap();
    assert!(held.contains("only a person may block many addresses at once"), "{held}");
}
