//! The correlator tried: joining, fading, bounds, and what must hold for every score.

#![cfg(test)]

use super::*;
use bartizan_model::*;
use proptest::prelude::*;

fn policy() -> Policy {
    Policy::built_in().unwrap()
}

fn at(second: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn key(pid: u32) -> ProcessKey {
    ProcessKey { boot: BootId(7), pid, start: 1 }
}

fn act(pid: u32) -> Act {
    Act { of: key(pid), told: false }
}

fn signal(n: u64, second: i64, family: Family, stage: Stage, confidence: f64, entities: &[Entity]) -> Signal {
    Signal {
        id: SignalId { event: EventId(n), ordinal: 0 },
        at: at(second),
        detector: format!("d{}", family.name()),
        technique: vec![],
        severity: Severity::High,
        confidence: Confidence::new(confidence),
        tier: Tier::Stable,
        family,
        stage,
        events: vec![EventId(n)],
        entities: entities.to_vec(),
        subject: Some(key(900)),
        // One shell with a proven far end: all families count, as one piece.
        act: Some(act(900)),
        hostile: Some("203.0.113.9".parse().unwrap()),
        sentence: format!("sentence {n}"),
        complete: true,
        excepted: None,
    }
}

fn tree() -> Vec<Entity> {
    vec![Entity::Lineage(key(812))]
}

#[test]
fn a_web_intrusion_reaches_the_threshold_and_one_signal_does_not() {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    let first = correlator.join(signal(1, 0, Family::Lineage, Stage::InitialAccess, 0.9, &tree()));
    assert!(first.opened && first.incident.confidence.get() < 0.75 && first.incident.posture == Posture::Contain);
    let second = correlator.join(signal(2, 1, Family::Outbound, Stage::CommandAndControl, 0.95, &tree()));
    assert!(!second.opened && second.incident.id == first.incident.id);
    assert!(second.incident.confidence.get() >= 0.85, "{}", second.incident.confidence);
    assert_eq!(second.incident.stages, [Stage::InitialAccess, Stage::CommandAndControl]);
    for (family, confidence) in [(Family::Anomaly, 0.9), (Family::Lineage, 0.5), (Family::Auth, 0.75), (Family::Outbound, 0.9)] {
        let alone = Correlator::new(&policy(), IncidentId(1)).join(signal(1, 0, family, Stage::Execution, confidence, &tree()));
        assert!(alone.incident.confidence.get() < policy().posture.contain, "{}", family.name());
    }
}

#[test]
fn what_is_shared_joins_and_what_everybody_shares_does_not() {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    let mut id = |n, entity: Entity| correlator.join(signal(n, 0, Family::Lineage, Stage::Execution, 0.5, &[entity])).incident.id.0;
    assert_eq!(
        (id(1, Entity::Address("203.0.113.9".parse().unwrap())), id(2, Entity::Address("::ffff:203.0.113.9".parse().unwrap()))),
        (1, 1)
    );
    assert_eq!((id(3, Entity::Process(key(5))), id(4, Entity::Lineage(key(5)))), (2, 2));
    assert_eq!((id(5, Entity::User("root".into())), id(6, Entity::User("root".into()))), (3, 4));
    assert_eq!((id(7, Entity::Address("127.0.0.1".parse().unwrap())), id(8, Entity::Address("127.0.0.1".parse().unwrap()))), (5, 6));
    assert_eq!((id(9, Entity::User("eve".into())), id(10, Entity::User("eve".into()))), (7, 7));
}

#[test]
fn a_signal_that_ties_incidents_makes_them_one_under_the_oldest_name() {
    let mut correlator = Correlator::new(&policy(), IncidentId(5));
    let (a, b) = (Entity::Process(key(1)), Entity::Address("203.0.113.9".parse().unwrap()));
    correlator.join(signal(1, 0, Family::Lineage, Stage::Execution, 0.9, std::slice::from_ref(&a)));
    correlator.join(signal(2, 1, Family::Outbound, Stage::CommandAndControl, 0.9, std::slice::from_ref(&b)));
    let update = correlator.join(signal(3, 2, Family::Anomaly, Stage::Persistence, 0.5, &[b.clone(), a]));
    assert_eq!((update.incident.id, update.opened, update.merged), (IncidentId(5), false, vec![IncidentId(6)]));
    assert_eq!((update.incident.signal_count, update.incident.families.len(), correlator.incidents().count()), (3, 3, 1));
    assert_eq!(correlator.join(signal(4, 3, Family::Files, Stage::Persistence, 0.1, &[b])).incident.id, IncidentId(5));
    assert!(correlator.get(IncidentId(6)).is_none());
}

#[test]
fn time_fades_and_closes() {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    correlator.join(signal(1, 0, Family::Lineage, Stage::Execution, 0.9, &tree()));
    let full = correlator.join(signal(2, 0, Family::Outbound, Stage::CommandAndControl, 0.9, &tree())).incident.confidence.get();
    let faded = correlator.tick(at(1800));
    let half = faded.first().unwrap().confidence.get();
    let expected = 1.0 - ((1.0 - 0.7 * 0.45) * (1.0 - 0.6 * 0.45f64)).powf(1.15);
    assert!((half - expected).abs() < 1e-9 && half < full);
    assert_eq!(correlator.tick(at(1800)), [], "nothing visible changed");
    assert_eq!(correlator.tick(at(3601)).first().unwrap().state, IncidentState::Closed);
    assert_eq!(correlator.incidents().count(), 0);
    let again = correlator.join(signal(3, 3700, Family::Lineage, Stage::Execution, 0.9, &tree()));
    assert_eq!((again.opened, again.incident.id), (true, IncidentId(2)));
}

#[test]
fn loss_marks_what_it_may_have_hidden() {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    correlator.join(signal(1, 0, Family::Lineage, Stage::Execution, 0.9, &tree()));
    correlator.join(signal(2, 600, Family::Lineage, Stage::Execution, 0.9, &[Entity::Process(key(77))]));
    let changed = correlator.loss(&Loss::new("kernel-ring", 12), at(30));
    assert_eq!(changed.iter().map(|i| (i.id, i.complete)).collect::<Vec<_>>(), [(IncidentId(1), false)]);
    assert!(correlator.explain(IncidentId(1), &[]).unwrap().evidence.contains("12 events at kernel-ring"));
    assert!(correlator.get(IncidentId(2)).unwrap().complete);
    correlator.loss(&Loss::new("lane", 1), at(700));
    assert!(
        !correlator.join(signal(3, 710, Family::Lineage, Stage::Execution, 0.9, &[Entity::Process(key(78))])).incident.complete,
        "loss just before it began"
    );
}

fn between(hop: &str, count: u64, from: i64, to: i64) -> Loss {
    Loss { from: Some(at(from)), to: Some(at(to)), ..Loss::new(hop, count) }
}

#[test]
fn a_loss_in_the_middle_of_a_story_is_seen_when_the_story_goes_on() {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    correlator.join(signal(1, 0, Family::Lineage, Stage::Execution, 0.9, &tree()));
    assert_eq!(correlator.loss(&between("store", 4, 300, 302), at(302)), [], "nothing of it happened then, so far");
    let grown = correlator.join(signal(2, 600, Family::Outbound, Stage::CommandAndControl, 0.9, &tree())).incident;
    assert!(!grown.complete, "its window overlaps the loss, though no signal is near");
    correlator.join(signal(3, 601, Family::Outbound, Stage::CommandAndControl, 0.9, &tree()));
    let said = correlator.explain(IncidentId(1), &[]).unwrap().evidence;
    assert!(said.contains("4 events at store"), "counted once: {said}");
}

#[test]
fn a_stretch_that_nobody_watched_taints_what_spans_it_and_nothing_after() {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    correlator.join(signal(1, 0, Family::Lineage, Stage::Execution, 0.9, &tree()));
    correlator.loss(&between("no agent ran", 0, 100, 130), at(130));
    let fresh = correlator.join(signal(2, 131, Family::Lineage, Stage::Execution, 0.9, &[Entity::Process(key(77))])).incident;
    assert!(fresh.complete, "it began under our eyes");
    let old = correlator.join(signal(3, 140, Family::Outbound, Stage::CommandAndControl, 0.9, &tree())).incident;
    assert!(!old.complete, "it went on while nobody looked");
    assert!(correlator.explain(old.id, &[]).unwrap().evidence.contains("an unknown number (no agent ran)"));
}

#[test]
fn a_loss_that_goes_on_for_long_does_not_push_others_out() {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    correlator.loss(&between("kernel-ring", 1, 0, 1), at(1));
    for second in 1000..2000 {
        correlator.loss(&between("lane-bulk", 1, second - 1, second), at(second));
    }
    assert!(!correlator.join(signal(1, 30, Family::Lineage, Stage::Execution, 0.9, &tree())).incident.complete);
}

#[test]
fn everything_is_bounded() {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    for n in 0..400 {
        let addr = std::net::Ipv4Addr::from(0xcb00_7100 + n);
        correlator.join(signal(
            u64::from(n),
            0,
            Family::Outbound,
            Stage::Execution,
            0.2 + f64::from(n) / 1000.0,
            &[tree().remove(0), Entity::Address(addr.into())],
        ));
    }
    let incident = correlator.get(IncidentId(1)).unwrap();
    assert_eq!((incident.signals.len(), incident.signal_count), (record::MAX_SIGNALS, 400));
    assert!(
        incident.entities.len() <= record::MAX_ENTITIES
            && incident.addresses.len() <= record::MAX_ADDRESSES
            && incident.sentence.contains("399 more")
    );
    for n in 0..1200 {
        correlator.join(signal(10_000 + u64::from(n), 1, Family::Outbound, Stage::Execution, 0.1, &[Entity::Process(key(10_000 + n))]));
    }
    assert_eq!((correlator.incidents().count(), correlator.evicted()), (MAX_INCIDENTS, 177));
    assert!(correlator.get(IncidentId(1)).is_some(), "the one that scores least goes");
    for second in 0..1000 {
        correlator.loss(&Loss::new(&format!("hop{second}"), 1), at(second % 2));
    }
    assert!(correlator.losses.iter().count() <= 64);
}

#[test]
fn a_restart_changes_nothing() {
    let mut before = Correlator::new(&policy(), IncidentId(3));
    before.join(signal(1, 0, Family::Lineage, Stage::InitialAccess, 0.9, &tree()));
    let was = before.join(signal(2, 1, Family::Outbound, Stage::CommandAndControl, 0.9, &tree())).incident;
    let mut after = Correlator::new(&policy(), IncidentId(1));
    after.restore(was.clone(), before.signals(was.id).to_vec());
    assert_eq!(after.get(was.id), Some(&was));
    assert_eq!(after.proof(was.id), before.proof(was.id));
    let next = after.join(signal(3, 2, Family::Files, Stage::Execution, 0.9, &[Entity::Process(key(1))]));
    assert_eq!(next.incident.id, IncidentId(4), "no name is given twice");
    assert!(!after.join(signal(4, 3, Family::Files, Stage::Execution, 0.9, &tree())).opened);
}

#[test]
fn an_attack_is_one_incident_for_as_long_as_campaigns_of_its_kind_last() {
    let lives = |web: &str| Policy::parse(&format!("[logins]\ncampaign = \"1h\"\n[web]\ncampaign = \"{web}\"\n"), "p.toml").unwrap();
    let begun = u64::try_from(at(0).timestamp()).unwrap();
    let of = |n, second, number| signal(n, second, Family::Auth, Stage::InitialAccess, 0.5, &[Entity::Campaign(number)]);
    let (logins, web) = (begun, begun + (1 << 32));
    let mut correlator = Correlator::new(&lives("20h"), IncidentId(1));
    correlator.join(of(1, 0, logins));
    correlator.join(of(2, 0, web));
    let closed: Vec<_> = correlator.tick(at(7200)).iter().filter(|one| one.state == IncidentState::Closed).map(|one| one.id.0).collect();
    assert_eq!(closed, [1]);
    assert!(!correlator.join(of(3, 19 * 3600, web)).opened, "hours later it is the same attack");
    correlator.set_policy(&lives("1h"));
    assert_eq!(correlator.tick(at(21 * 3600)).len(), 1, "and a changed policy holds for it");
}

#[test]
fn an_attack_of_many_sources_is_told_in_one_sentence_after_a_restart_too() {
    let begun = u64::try_from(at(0).timestamp()).unwrap();
    let (attack, addr) = (Entity::Campaign(begun), Entity::Address("203.0.113.9".parse().unwrap()));
    for others in [vec![], vec![signal(9, 5, Family::Outbound, Stage::Execution, 0.9, std::slice::from_ref(&addr))]] {
        let mut before = Correlator::new(&policy(), IncidentId(1));
        let part = |n, second| signal(n, second, Family::Auth, Stage::InitialAccess, 0.5, &[attack.clone(), addr.clone()]);
        (0..4).for_each(|n| drop(before.join(part(n, 1))));
        let added = if others.is_empty() { "" } else { "; sentence 9" };
        others.into_iter().for_each(|one| drop(before.join(one)));
        before.summarize(begun, "720 failed logins from 60 addresses", &[]);
        let was = before.get(IncidentId(1)).unwrap().clone();
        assert_eq!(was.sentence, format!("720 failed logins from 60 addresses{added}"));
        let mut after = Correlator::new(&policy(), IncidentId(1));
        after.restore(was.clone(), before.signals(was.id).to_vec());
        assert_eq!(after.get(was.id).map(|one| &one.sentence), Some(&was.sentence));
        assert_eq!(after.join(part(10, 6)).incident.sentence, was.sentence, "what comes after it is part of the attack");
    }
}

#[test]
fn only_stable_detectors_count_as_proof() {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    correlator.join(signal(1, 0, Family::Lineage, Stage::InitialAccess, 0.9, &tree()));
    let mut young = signal(2, 1, Family::Outbound, Stage::CommandAndControl, 0.95, &tree());
    young.tier = Tier::Incubating;
    let incident = correlator.join(young).incident;
    let proof = correlator.proof(incident.id);
    assert!(incident.confidence.get() > 0.85 && proof.confidence.get() < 0.75);
    assert_eq!(proof.pieces, 1);
}

#[test]
fn the_story_is_one_sentence() {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    let mut first = signal(1, 0, Family::Lineage, Stage::InitialAccess, 0.9, &tree());
    first.sentence = "nginx (pid 812) ran \"sh -i\" as sh (pid 900)".to_owned();
    let mut second = signal(2, 1, Family::Outbound, Stage::CommandAndControl, 0.9, &tree());
    second.sentence = "sh (pid 900) connected to 203.0.113.9:4444".to_owned();
    correlator.join(second);
    let incident = correlator.join(first).incident;
    assert_eq!(incident.sentence, "nginx (pid 812) ran \"sh -i\" as sh (pid 900), which connected to 203.0.113.9:4444");
}

#[test]
fn the_explanation_adds_up() {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    correlator.join(signal(1, 0, Family::Lineage, Stage::InitialAccess, 0.9, &tree()));
    correlator.join(signal(2, 0, Family::Outbound, Stage::CommandAndControl, 0.9, &tree()));
    let action = Action {
        id: ActionId(12),
        kind: ActionKind::FreezeTree,
        target: Target::ProcessTree { root: key(900), exe: "/bin/sh".into() },
        incident: Some(IncidentId(1)),
        warrant: WarrantId(1),
        state: ActionState::Live,
        desired: bartizan_model::Desired::Live,
        planned_at: at(1),
        applied_at: Some(at(1)),
        verified_at: Some(at(1)),
        expires_at: at(600),
        ended_at: None,
        by: bartizan_model::Approver::Person("root via uid 0".into()),
        reason: String::new(),
        preview: vec![],
        undo: vec![],
        note: String::new(),
        evidence: None,
        confirmation: None,
        vitals: None,
    };
    let said = correlator.explain(IncidentId(1), &[action]).unwrap();
    assert!(said.why.contains(&"lineage: weight 0.70 x confidence 0.90 = 0.63 (dlineage)".to_owned()), "{:?}", said.why);
    assert!(
        said.why.contains(&"together: 1 - (0.37 x 0.46)^1.15 over 2 stage(s): initial access, command and control".to_owned()),
        "{:?}",
        said.why
    );
    assert!(said.why.contains(&"score 0.86, posture aggressive-contain".to_owned()), "{:?}", said.why);
    assert!(said.undo.first().unwrap().contains("bartizan rollback A12") && said.done.first().unwrap().contains("root via uid 0"));
    assert_eq!((said.seen.len(), said.lower.len()), (2, 3));
    assert!(said.evidence.starts_with("complete"));
    assert!(correlator.explain(IncidentId(9), &[]).is_none());
}

fn any_signal() -> impl Strategy<Value = (usize, usize, f64, i64)> {
    (0..Family::ALL.len(), 0..Stage::ALL.len(), 0.0..=1.0f64, 0..3600i64)
}

fn score_of(signals: &[(usize, usize, f64, i64)]) -> f64 {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    for (n, (family, stage, confidence, second)) in signals.iter().enumerate() {
        correlator.join(signal(n as u64, *second, Family::ALL[*family], Stage::ALL[*stage], *confidence, &tree()));
    }
    correlator.tick(at(3600));
    correlator.get(IncidentId(1)).unwrap().confidence.get()
}

proptest! {
    #[test]
    fn more_evidence_never_lowers_the_score(signals in prop::collection::vec(any_signal(), 1..12), more in any_signal()) {
        let before = score_of(&signals);
        let mut all = signals;
        all.push(more);
        prop_assert!(score_of(&all) >= before - 1e-12);
        prop_assert!((0.0..=1.0).contains(&before));
    }

    #[test]
    fn the_order_of_arrival_changes_nothing(signals in prop::collection::vec(any_signal(), 1..12)) {
        let mut reversed = signals.clone();
        reversed.reverse();
        prop_assert!((score_of(&signals) - score_of(&reversed)).abs() < 1e-12);
    }

    #[test]
    fn one_family_alone_never_reaches_acting(signals in prop::collection::vec(any_signal(), 1..20), family in 0..Family::ALL.len()) {
        let alone: Vec<_> = signals.into_iter().map(|(_, stage, confidence, second)| (family, stage, confidence, second)).collect();
        prop_assert!(score_of(&alone) < policy().mode.aggressive_at);
    }

    #[test]
    fn no_weight_in_the_policy_lets_one_family_act(weight in 0.0..=1.0f64, confidence in 0.0..=1.0f64) {
        let mut policy = policy();
        policy.weights.lineage = weight;
        let alone = Correlator::new(&policy, IncidentId(1)).join(signal(1, 0, Family::Lineage, Stage::Execution, confidence, &tree()));
        prop_assert!(alone.incident.confidence.get() < policy.mode.aggressive_at);
    }
}

#[test]
fn an_excepted_signal_is_shown_with_its_incident_and_counts_for_nothing() {
    let mut correlator = Correlator::new(&policy(), IncidentId(1));
    let excepted =
        |n, second| Signal { excepted: Some(ExceptionId(3)), ..signal(n, second, Family::Files, Stage::Persistence, 0.9, &tree()) };
    assert_eq!(correlator.set_aside(excepted(1, 0)), None, "it opens no incident");
    let opened = correlator.join(signal(2, 1, Family::Lineage, Stage::Execution, 0.5, &tree())).incident;
    assert_eq!((opened.excepted, opened.signal_count), (1, 1), "what was excepted before belongs to it");
    let told = correlator.set_aside(excepted(3, 2)).unwrap();
    assert_eq!((told.excepted, told.signal_count, told.confidence), (2, 1, opened.confidence));
    assert_eq!((told.stages, told.families, told.severity), (opened.stages, opened.families, opened.severity));
    assert_eq!(correlator.proof(opened.id).pieces, 1);
    let seen = correlator.explain(opened.id, &[]).unwrap().seen;
    assert!(seen.iter().filter(|line| line.contains("excepted by X3: it counts for nothing")).count() == 2, "{seen:?}");
    for n in 10..600 {
        correlator.set_aside(excepted(n, 3));
        correlator.set_aside(Signal { entities: vec![], ..excepted(n, 3) });
    }
    let seen = correlator.explain(opened.id, &[]).unwrap().seen;
    assert!(seen.len() < 30 && seen.last().unwrap().contains("more excepted signals"), "{}", seen.len());
}
