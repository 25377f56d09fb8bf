//! The detector set: every detector hears every event, and repeats within a minute are folded.

use std::collections::{HashMap, HashSet};

use super::acts::Acts;
use super::deviations::{self, Deviations};
use super::indicator_match::{self, IndicatorMatch};
use super::kinship::{by_agent, entities};
use super::rule_hits::RuleHits;
use super::{Detection, Detector, DetectorContext, Info, Words, registry};
use crate::indicators::Indicators;
use bartizan_baseline::Baseline;
use bartizan_config::Policy;
use bartizan_model::{
    ALWAYS_REPORTED, Confidence, Entity, Event, EventKind, Flow, HostText, ProcessKey, Severity, Signal, SignalId, Technique, Timestamp,
};
use bartizan_rules::RuleSet;

/// The same detection within this time is counted, not repeated.
const FOLD_FOR: chrono::TimeDelta = chrono::TimeDelta::seconds(60);
/// Detections remembered for folding. At the bound the stale ones go; if none is stale all go, and a repeat is told
/// once more: better twice than never.
const MAX_FOLDED: usize = 4096;
/// What one signal names at most.
const MAX_ENTITIES: usize = 32;

/// All detectors, hearing the same events in the same order.
pub struct DetectorSet {
    words: Words,
    detectors: Vec<Box<dyn Detector>>,
    told: HashMap<(&'static str, Option<ProcessKey>, String), Timestamp>,
    acts: Acts,
    rules: RuleHits,
    indicators: IndicatorMatch,
    deviations: Deviations,
    off: HashSet<String>,
    folded: u64,
}

impl std::fmt::Debug for DetectorSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DetectorSet({} detectors, {} folded)", self.detectors.len(), self.folded)
    }
}

/// What each detector says of itself, in the order of the registry; deviations come last.
pub fn catalogue() -> Vec<&'static Info> {
    registry(&[]).iter().map(|detector| detector.info()).chain([&indicator_match::INFO]).chain(deviations::catalogue()).collect()
}

/// The same of all detectors, those of logs too.
pub fn full_catalogue() -> Vec<&'static Info> {
    let of_logs = super::logins::login_catalogue().into_iter().chain(super::web::web_catalogue());
    catalogue().into_iter().chain(of_logs).chain(super::jails::jail_catalogue()).collect()
}

impl DetectorSet {
    /// All detectors under this policy; `known_listeners` are those that were there when the agent started, with
    /// what listens there when known.
    pub fn new(policy: &Policy, known_listeners: &[(Flow, Option<HostText>)]) -> Self {
        Self {
            words: Words::new(policy),
            detectors: registry(known_listeners),
            told: HashMap::new(),
            acts: Acts::default(),
            rules: RuleHits::default(),
            indicators: IndicatorMatch::default(),
            deviations: Deviations::default(),
            off: HashSet::new(),
            folded: 0,
        }
    }

    /// Takes other rules into use; `most_per_day` signals of one within a day are told.
    pub fn set_rules(&mut self, rules: RuleSet, most_per_day: u32) {
        self.rules.set(rules, most_per_day);
    }

    /// Detectors of these names report nothing from now on, but for those that report attacks on the agent itself. They go on
    /// remembering what they need, so that they know it when they are switched on again.
    pub fn set_off(&mut self, off: HashSet<String>) {
        self.off = off;
        self.off.retain(|name| !ALWAYS_REPORTED.contains(&name.as_str()));
    }

    /// Whether the detector of this name is switched off.
    pub fn is_off(&self, name: &str) -> bool {
        self.off.contains(name)
    }

    /// Takes other indicator lists into use.
    pub fn set_indicators(&mut self, lists: Indicators) {
        self.indicators.set(lists);
    }

    /// What indicator lists say of an event that only detectors of logs judge.
    pub fn listed(&mut self, event: &Event) -> Vec<Signal> {
        match self.is_off(indicator_match::INFO.name) {
            true => Vec::new(),
            // The detector of the log speaks with the first number.
            false => self.indicators.observe(event, &DetectorContext::new(&self.words), 1),
        }
    }

    /// What indicator lists say of an address that a signal is about, as a signal of their own beside it.
    pub fn beside(&mut self, signal: &Signal) -> Option<Signal> {
        if self.is_off(indicator_match::INFO.name) {
            return None;
        }
        self.indicators.beside(signal)
    }

    /// Compares with this baseline from now on, and learns into it; with none, nothing is learned.
    pub fn set_baseline(&mut self, baseline: Option<Baseline>) {
        self.deviations.set(baseline);
    }

    /// What is normal here, when it is learned.
    pub fn baseline(&mut self) -> Option<&mut Baseline> {
        self.deviations.baseline()
    }

    /// What the detectors, the rules and the indicator lists think of an event.
    pub fn observe(&mut self, event: &Event) -> Vec<Signal> {
        let signals = self.judged(event);
        self.rules.learn(event);
        signals
    }

    /// What of an event deviates from what is normal here, once it is known what others say about it and which of that is excepted.
    pub fn deviations(&mut self, event: &Event, signals: &[Signal]) -> Vec<Signal> {
        if event.behind().is_some_and(|process| by_agent(process)) {
            return Vec::new();
        }
        let mut found = self.deviations.observe(event, signals, &self.words);
        found.retain(|signal| !self.is_off(&signal.detector));
        if !found.is_empty() {
            let act = self.acts.of(event);
            found.iter_mut().for_each(|signal| signal.act = act);
        }
        found
    }

    /// What has been silent for too long. `alive`: whether the kernel still has this process; it is asked of few.
    pub fn tick(&mut self, now: Timestamp, alive: &dyn Fn(ProcessKey) -> bool) -> Vec<Signal> {
        let mut silent = self.deviations.tick(now, alive);
        silent.retain(|signal| !self.is_off(&signal.detector));
        silent
    }

    /// A signal of this event is excepted: it takes nothing of its rule's daily budget.
    pub fn give_back(&mut self, signal: &Signal, event: &Event) {
        self.rules.give_back(signal, event);
    }

    fn judged(&mut self, event: &Event) -> Vec<Signal> {
        if matches!(event.kind, EventKind::Loss { .. }) || event.behind().is_some_and(|process| by_agent(process)) {
            return Vec::new();
        }
        let context = DetectorContext::new(&self.words);
        let mut detection = Vec::new();
        for detector in &mut self.detectors {
            let found = detector.observe(event, &context).map(|detection| (detector.info(), detection));
            detection.extend(found.filter(|(info, _)| !self.off.contains(info.name)));
        }
        let matched = self.rules.observe(event, &context, detection.len());
        let listed = match self.off.contains(indicator_match::INFO.name) {
            true => Vec::new(),
            false => self.indicators.observe(event, &context, detection.len() + matched.len()),
        };
        if detection.is_empty() && matched.is_empty() {
            return listed;
        }
        let act = self.acts.of(event);
        if let Some(process) = event.process.as_deref().filter(|_| detection.iter().any(|(_, detection)| detection.told)) {
            self.acts.is_told(process.key, event.at);
        }
        let mut signals = Vec::new();
        for (info, detection) in detection {
            if self.is_repeat(info, &detection, event.at) {
                self.folded += 1;
            } else {
                let ordinal = u16::try_from(signals.len()).unwrap_or(u16::MAX);
                signals.push(Signal { act, ..signal(event, ordinal, info, detection, &DetectorContext::new(&self.words)) });
            }
        }
        signals.extend(matched.into_iter().map(|signal| Signal { act, ..signal }));
        signals.extend(listed);
        signals
    }

    /// Detections folded into an earlier, equal one since start.
    pub fn folded(&self) -> u64 {
        self.folded + self.rules.folded() + self.indicators.folded()
    }

    fn is_repeat(&mut self, info: &'static Info, detection: &Detection, at: Timestamp) -> bool {
        let fresh = |told: &Timestamp| at.signed_duration_since(*told).abs() < FOLD_FOR;
        let key = (info.name, detection.subject, detection.sentence.clone());
        if self.told.get(&key).is_some_and(fresh) {
            return true;
        }
        if self.told.len() >= MAX_FOLDED {
            self.told.retain(|_, told| fresh(told));
            if self.told.len() >= MAX_FOLDED {
                self.told.clear();
            }
        }
        self.told.insert(key, at);
        false
    }
}

/// What a signal about this event is about: what the detection names, and what follows from the process.
pub(super) fn about(event: &Event, named: Vec<Entity>, severity: Severity, context: &DetectorContext<'_>) -> Vec<Entity> {
    let mut about = named;
    about.extend(event.behind().map(|process| entities(process, context)).unwrap_or_default());
    if severity < Severity::High {
        // A user does many harmless things; only what is grave by itself joins over the user.
        about.retain(|entity| !matches!(entity, Entity::User(_)));
    }
    let mut unique: Vec<Entity> = Vec::with_capacity(about.len().min(MAX_ENTITIES));
    for entity in about {
        if unique.len() < MAX_ENTITIES && !unique.contains(&entity) {
            unique.push(entity);
        }
    }
    unique
}

pub(super) fn signal(event: &Event, ordinal: u16, info: &'static Info, detection: Detection, context: &DetectorContext<'_>) -> Signal {
    let severity = detection.severity.unwrap_or(info.severity);
    let entities = about(event, detection.entities, severity, context);
    let mut events = detection.events;
    events.push(event.id);
    Signal {
        id: SignalId { event: event.id, ordinal },
        at: event.at,
        detector: info.name.to_owned(),
        technique: detection.technique.unwrap_or(info.technique).iter().map(|id| Technique::new(id)).collect(),
        severity,
        confidence: detection.confidence.unwrap_or(Confidence::new(info.confidence)),
        tier: info.tier,
        family: detection.family.unwrap_or(info.family),
        stage: info.stage,
        events,
        entities,
        subject: detection.subject,
        act: None,
        hostile: detection.hostile,
        sentence: detection.sentence,
        complete: event.complete,
        excepted: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};
    use super::*;

    #[test]
    fn repeats_within_a_minute_are_counted_not_repeated() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let shell = scene.child(&nginx, "/bin/sh -c id");
        assert_eq!(names(&scene.exec(&shell)), ["web_server_shell"]);
        assert_eq!((names(&scene.exec(&shell)), scene.detector_set.folded()), (vec![], 1));
        scene.seconds += 60;
        assert_eq!(names(&scene.exec(&shell)), ["web_server_shell"]);
    }

    #[test]
    fn what_is_switched_off_is_silent_and_knows_what_it_missed_and_attacks_on_the_agent_are_always_told() {
        let mut scene = Scene::new();
        scene.detector_set.set_off(["web_server_shell", "unexpected_listener", "guard_attacked"].map(str::to_owned).into());
        assert!(scene.detector_set.is_off("web_server_shell") && !scene.detector_set.is_off("guard_attacked"));
        let nginx = scene.daemon("/usr/sbin/nginx");
        let mut shell = scene.child(&nginx, "/bin/sh -i");
        shell.stdio_sockets = 0b011;
        assert_eq!(names(&scene.exec(&shell)), ["shell_on_socket"], "others go on");
        let tool = scene.child(&shell, "/tmp/tool");
        assert_eq!(names(&scene.listen(&tool, "0.0.0.0:4444")), [""; 0]);
        scene.detector_set.set_off(HashSet::new());
        scene.seconds += 60;
        assert!(names(&scene.exec(&shell)).contains(&"web_server_shell"));
    }

    #[test]
    fn an_init_that_is_a_shell_joins_nothing() {
        let mut scene = Scene::new();
        let mut init = scene.init();
        (init.exe, init.argv) = ("/bin/busybox".into(), vec!["/bin/sh".into(), "/entrypoint.sh".into()]);
        let zabbix = scene.child(&init, "/usr/sbin/zabbix_agentd");
        let shell = scene.child(&zabbix, "/bin/sh -c id");
        let inner = scene.child(&shell, "/bin/sh -c id");
        let signals = scene.exec(&inner);
        let about = &by(&signals, "web_server_shell").entities;
        assert!(about.contains(&Entity::Process(shell.key)) && !about.contains(&Entity::Process(init.key)), "{about:?}");
    }

    #[test]
    fn the_memory_for_folding_is_bounded() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        for _ in 0..(MAX_FOLDED + 10) {
            let shell = scene.child(&nginx, "/bin/sh -c id");
            scene.seconds -= 1;
            scene.exec(&shell);
        }
        assert!(scene.detector_set.told.len() <= MAX_FOLDED);
    }

    #[test]
    fn the_agents_own_work_is_not_judged_but_a_service_below_it_is() {
        let mut scene = Scene::new();
        let agent = scene.daemon("/usr/bin/bartizan");
        let mut memfd = scene.child(&agent, "memfd:x");
        memfd.exe_file.memfd = true;
        assert_eq!(names(&scene.exec(&memfd)), [""; 0]);
        let drill = scene.child(&agent, "/tmp/drill/nginx");
        let shell = scene.child(&drill, "/bin/sh -c id");
        assert_eq!(names(&scene.exec(&shell)), ["web_server_shell"]);
    }

    #[test]
    fn a_signal_carries_everything_that_others_need() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let mut shell = scene.child(&nginx, "/bin/bash -i");
        shell.stdio_sockets = 0b011;
        let signals = scene.exec(&shell);
        assert_eq!(names(&signals), ["web_server_shell", "shell_on_socket"]);
        assert_eq!(signals.iter().map(|s| s.id.to_string()).collect::<Vec<_>>(), ["S1.0", "S1.1"]);
        let signal = by(&signals, "web_server_shell");
        assert_eq!((signal.at, signal.complete, signal.events.clone()), (scene.at(), true, vec![bartizan_model::EventId(1)]));
        for entity in [Entity::Process(shell.key), Entity::Lineage(nginx.key), Entity::User("www-data".into())] {
            assert!(signal.entities.contains(&entity), "{entity}");
        }
    }

    #[test]
    fn hostile_names_never_reach_a_sentence_raw() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let mut shell = scene.child(&nginx, "/bin/sh");
        shell.argv = vec!["sh".into(), "-c".into(), HostText::from(&b"\x1b]0;x\x07\xe2\x80\xae"[..]), HostText::from(vec![b'a'; 100_000])];
        let mut dropped = scene.child(&nginx, "/tmp/x");
        dropped.exe = HostText::from(&b"/tmp/\x1b[2J\n"[..]);
        for process in [shell, dropped] {
            let signals = scene.exec(&process);
            let sentence = &signals.first().unwrap().sentence;
            assert!(sentence.chars().all(|c| !c.is_control() && c != '\u{202e}') && sentence.len() < 1000, "{sentence}");
        }
    }

    #[test]
    fn the_catalogue_is_whole() {
        let infos = super::super::catalogue();
        let mut names: Vec<_> = infos.iter().map(|info| info.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), infos.len(), "every name once");
        for info in infos {
            assert!((0.0..=1.0).contains(&info.confidence) && !info.technique.is_empty(), "{}", info.name);
            assert!([info.title, info.meaning, info.false_positives, info.quiet].iter().all(|text| !text.is_empty()), "{}", info.name);
            assert!(info.technique.iter().all(|id| id.starts_with('T') && id.len() >= 5), "{}", info.name);
        }
    }
}
