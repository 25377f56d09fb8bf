//! What counts as one piece of evidence and what as two: acts, lineage, proven far ends, and what must hold for all.

#![cfg(test)]

use super::*;
use bartizan_model::*;
use proptest::prelude::*;

fn key(pid: u32) -> ProcessKey {
    ProcessKey { boot: BootId(7), pid, start: 1 }
}

fn act(pid: u32) -> Option<Act> {
    Some(Act { of: key(pid), told: false })
}

fn signal(n: u64, act: Option<Act>, family: Family, confidence: f64) -> Signal {
    let stage = match family {
        Family::Lineage | Family::Web => Stage::InitialAccess,
        Family::Files | Family::Rule => Stage::Execution,
        Family::Auth => Stage::Privilege,
        Family::Outbound | Family::Anomaly | Family::Tools => Stage::CommandAndControl,
    };
    Signal {
        id: SignalId { event: EventId(n), ordinal: 0 },
        at: chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        detector: format!("d{}", family.name()),
        technique: vec![],
        severity: Severity::High,
        confidence: Confidence::new(confidence),
        tier: Tier::Stable,
        family,
        stage,
        events: vec![EventId(n)],
        entities: vec![Entity::Lineage(key(812))],
        subject: Some(key(900)),
        act,
        hostile: None,
        sentence: format!("sentence {n}"),
        complete: true,
        excepted: None,
    }
}

/// Score, pieces and explanation of these.
fn judged(signals: Vec<Signal>) -> (f64, usize, Vec<String>) {
    let mut correlator = Correlator::new(&Policy::built_in().unwrap(), IncidentId(1));
    signals.into_iter().for_each(|signal| drop(correlator.join(signal)));
    let (id, proof) = (IncidentId(1), correlator.proof(IncidentId(1)));
    (correlator.get(id).unwrap().confidence.get(), proof.pieces, correlator.explain(id, &[]).unwrap().why)
}

#[test]
fn a_shell_and_the_crontab_that_it_writes_are_one_piece() {
    let (score, pieces, why) = judged(vec![signal(1, act(900), Family::Lineage, 0.9), signal(2, act(900), Family::Files, 0.85)]);
    assert!(score < 0.75 && pieces == 1, "{score}: {why:?}");
    let said = "files (dfiles) counts as one with lineage: both are what process 900 was started for";
    assert!(why.contains(&said.to_owned()), "{why:?}");
    assert!(why.contains(&"one piece of evidence: lineage (what process 900 was started for)".to_owned()), "{why:?}");
}

#[test]
fn two_acts_seen_by_two_kinds_of_sensor_are_two_pieces() {
    let told = Some(Act { of: key(905), told: true });
    let (score, pieces, why) = judged(vec![
        signal(1, act(900), Family::Lineage, 0.9),
        signal(2, act(900), Family::Outbound, 0.95),
        signal(3, told, Family::Files, 0.85),
    ]);
    assert!(score >= 0.85 && pieces == 2, "{score}: {why:?}");
    let said = "2 independent pieces of evidence: lineage (what process 900 was started for); files (what was typed over a socket and done by process 905)";
    assert!(why.contains(&said.to_owned()), "{why:?}");
}

#[test]
fn two_jobs_of_one_service_score_as_two_and_no_hand_joins_them() {
    let two = [signal(1, act(900), Family::Outbound, 0.95), signal(2, act(901), Family::Files, 0.85)];
    let (score, pieces, why) = judged(two.to_vec());
    assert!(score >= 0.75 && pieces == 2, "{score}: {why:?}");
    assert!(
        why.iter().any(|line| line.contains("nothing shows that they belong together, so for acting alone they count as 1")),
        "{why:?}"
    );
    let apart = |more: Option<Signal>| {
        let mut correlator = Correlator::new(&Policy::built_in().unwrap(), IncidentId(1));
        two.iter().cloned().chain(more).for_each(|signal| drop(correlator.join(signal)));
        correlator.proof(IncidentId(1)).apart
    };
    assert!(apart(None));
    // Whatever else is typed over a socket, or done by a proven far end: somebody is here.
    assert!(!apart(Some(signal(3, Some(Act { of: key(902), told: true }), Family::Auth, 0.1))));
    let mut far = signal(3, act(902), Family::Outbound, 0.1);
    far.hostile = Some("198.51.100.7".parse().unwrap());
    assert!(!apart(Some(far)));
}

#[test]
fn two_acts_of_one_kind_and_shells_beside_something_else_are_one() {
    for second in [
        vec![signal(2, act(901), Family::Files, 0.85)],
        // A service that starts shells all day, and once a crontab was written.
        vec![signal(2, act(901), Family::Lineage, 0.9), signal(3, act(902), Family::Lineage, 0.9)],
    ] {
        let mut all = vec![signal(1, act(900), Family::Files, 0.85)];
        all.extend(second);
        let (score, pieces, why) = judged(all);
        assert!(score < 0.75 && pieces == 1, "{score}: {why:?}");
    }
}

#[test]
fn a_proven_far_end_lets_all_of_one_act_count_and_it_stays_one_piece() {
    let mut far = signal(2, act(900), Family::Outbound, 0.95);
    far.hostile = Some("::ffff:198.51.100.7".parse().unwrap());
    let mut correlator = Correlator::new(&Policy::built_in().unwrap(), IncidentId(1));
    correlator.join(signal(1, act(900), Family::Lineage, 0.9));
    correlator.join(far);
    let proof = correlator.proof(IncidentId(1));
    assert!(proof.confidence.get() >= 0.85, "{}", proof.confidence);
    assert_eq!((proof.pieces, proof.hostile), (1, vec!["198.51.100.7".parse().unwrap()]));
}

#[test]
fn what_nobody_knows_who_did_is_one_act() {
    let (_, pieces, _) = judged(vec![signal(1, None, Family::Files, 0.6), signal(2, None, Family::Auth, 0.75)]);
    assert_eq!(pieces, 1);
}

type Any = (u32, usize, f64, bool);

fn any_signal() -> impl Strategy<Value = Any> {
    (0..8u32, 0..Family::ALL.len(), 0.0..=1.0f64, prop::bool::weighted(0.1))
}

fn made(all: &[Any]) -> Vec<Signal> {
    let one = |(n, (pid, family, confidence, far)): (usize, &Any)| {
        let mut signal = signal(n as u64, act(900 + pid), Family::ALL[*family], *confidence);
        signal.hostile = far.then(|| "198.51.100.7".parse().unwrap());
        signal
    };
    all.iter().enumerate().map(one).collect()
}

proptest! {
    #[test]
    fn more_evidence_never_lowers_the_score_whatever_the_acts(all in prop::collection::vec(any_signal(), 1..14), more in any_signal()) {
        let before = judged(made(&all)).0;
        let mut longer = all;
        longer.push(more);
        prop_assert!(judged(made(&longer)).0 >= before - 1e-12);
    }

    #[test]
    fn one_act_without_a_proven_far_end_never_reaches_acting(all in prop::collection::vec(any_signal(), 1..14)) {
        let alone: Vec<Any> = all.into_iter().map(|(_, family, confidence, _)| (0, family, confidence, false)).collect();
        let (score, pieces, _) = judged(made(&alone));
        prop_assert!(score < 0.75 && pieces <= 1);
    }

    #[test]
    fn no_more_pieces_than_acts_or_than_kinds_of_sensor(all in prop::collection::vec(any_signal(), 1..14)) {
        let pieces = judged(made(&all)).1;
        let count = |set: std::collections::BTreeSet<u64>| set.len();
        prop_assert!(pieces <= count(all.iter().map(|one| u64::from(one.0)).collect()));
        prop_assert!(pieces <= count(all.iter().map(|one| one.1 as u64).collect()));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn any_number_of_acts_is_weighed_within_bounds(pids in prop::collection::vec((0..10_000u32, 0..Family::ALL.len()), 200..300)) {
        let all: Vec<Any> = pids.into_iter().map(|(pid, family)| (pid, family, 0.5, false)).collect();
        prop_assert!(judged(made(&all)).1 <= Family::ALL.len());
    }
}

#[test]
fn a_request_and_the_shell_behind_it_are_one_incident_and_the_act_counts_once() {
    let client = Entity::Address("203.0.113.9".parse().unwrap());
    let web = |n: u64, act: Option<Act>, also: Option<Entity>| {
        let mut signal = signal(n, act, Family::Web, 0.8);
        signal.entities = std::iter::once(client.clone()).chain(also).collect();
        signal
    };
    let shell = signal(1, act(900), Family::Lineage, 0.9);
    // The request that the shell was found behind stands in the log of the server and belongs to the act of the shell.
    let ran = Signal { tier: Tier::Incubating, ..web(2, act(900), Some(Entity::Lineage(key(812)))) };
    let (score, pieces, why) = judged(vec![shell.clone(), ran.clone()]);
    assert!(pieces == 1 && score < 0.75, "{score}: {why:?}");
    // The attacks of the same client are an act of their own, and join over its address: the log saw them, the kernel the shell.
    let mut attacks = web(3, None, None);
    attacks.hostile = Some("203.0.113.9".parse().unwrap());
    for order in [[0, 1, 2], [2, 1, 0], [2, 0, 1]] {
        let all = [shell.clone(), ran.clone(), attacks.clone()];
        let (score, pieces, why) = judged(order.into_iter().map(|n| all[n].clone()).collect());
        assert!(score >= 0.75 && why.iter().any(|line| line.starts_with("2 independent pieces")), "{score}: {why:?}");
        assert_eq!(pieces, 1, "that they belong together is a guess by the moment, on which nobody acts alone");
    }
    let out = signal(4, act(900), Family::Outbound, 0.95);
    let (score, pieces, why) = judged(vec![shell, ran, attacks, out]);
    assert!(pieces == 2 && score >= 0.75, "the attack, and the shell that calls out: {score}: {why:?}");
}
