//! Sigma rules as one detector: what matches an event, folded where it repeats, quiet where a rule speaks too often.

use std::collections::HashMap;

use bartizan_model::{Confidence, Event, Family, Severity, Signal, SignalId, Tier, Timestamp};
use bartizan_rules::{Correlations, Memory, Rule, RuleSet};

use super::DetectorContext;
use super::detector_set::about;
use super::kinship::{by_person, command, named, path, subject};

/// The same command shape below the same rule within this time is counted, not repeated.
const FOLD_FOR: chrono::TimeDelta = chrono::TimeDelta::minutes(10);
const DAY: chrono::TimeDelta = chrono::TimeDelta::days(1);
/// Shapes remembered. At the bound the stale ones go, else all: better told twice than never.
const MAX_SHAPES: usize = 4096;
/// Signals that one event gives at most: thirty rules about one act prove no more than one.
const MAX_SIGNALS: usize = 4;
/// Budgets remembered. At the bound those of a day that is over go, else all: better told twice than never.
const MAX_BUDGETS: usize = 4096;
/// An experimental rule is recorded, and proves next to nothing.
const EXPERIMENTAL_SURE: f64 = 0.2;

/// Whose matches of a rule share a budget: nobody can use up what another user's or another service's may need.
type Whose = (String, Option<u32>, String);

/// How often one rule spoke of the same within a day.
#[derive(Debug, Clone, Copy)]
struct Spoken {
    since: Timestamp,
    count: u32,
}

/// All rules, and what they said lately.
#[derive(Debug, Default)]
pub(super) struct RuleHits {
    set: Option<RuleSet>,
    most_per_day: u32,
    memory: Memory,
    correlations: Correlations,
    shapes: HashMap<(String, String), Timestamp>,
    spoken: HashMap<Whose, Spoken>,
    folded: u64,
}

/// Whether a match is told.
enum Budget {
    Told,
    /// It is the last one of this day.
    Last,
    Folded,
}

impl RuleHits {
    /// Takes other rules into use; what was said before stays counted.
    pub(super) fn set(&mut self, set: RuleSet, most_per_day: u32) {
        self.correlations.keep_only(&set);
        (self.set, self.most_per_day) = (Some(set), most_per_day);
    }

    /// Matches folded into earlier ones since start.
    pub(super) fn folded(&self) -> u64 {
        self.folded
    }

    /// Remembers what later events refer to.
    pub(super) fn learn(&mut self, event: &Event) {
        if self.set.is_some() {
            self.memory.learn(event);
        }
    }

    /// The signals of an event, numbered from `first`; the gravest first.
    pub(super) fn observe(&mut self, event: &Event, context: &DetectorContext<'_>, first: usize) -> Vec<Signal> {
        let Some(set) = self.set.take() else { return Vec::new() };
        let matched = set.evaluate(event, &self.memory);
        let met = set.correlate(event, &self.memory, &matched, &mut self.correlations);
        let alone = matched.into_iter().filter(|rule| !rule.silent).map(|rule| (rule, None, Vec::new()));
        let mut matched: Vec<_> = alone.chain(met.into_iter().map(|met| (met.rule, Some(met.found), met.events))).collect();
        matched.sort_by_key(|(rule, ..)| std::cmp::Reverse((rule.tier, rule.severity)));
        let mut signals: Vec<Signal> = Vec::new();
        for (rule, found, events) in matched {
            let told = if signals.len() < MAX_SIGNALS { self.budget(rule, event) } else { Budget::Folded };
            let sentence = match told {
                Budget::Folded => {
                    self.folded += 1;
                    continue;
                }
                Budget::Told => sentence(rule, event, found.as_deref()),
                Budget::Last => format!(
                    "{}; this rule matched {} times within a day for this user and service; further matches of theirs today are counted, not reported: if this is your own work, {}`bartizan rules disable {}` switches it off",
                    sentence(rule, event, found.as_deref()),
                    self.most_per_day,
                    proposal(rule, event, context).map(|line| format!("`{line}` shows what an exception would hide; ")).unwrap_or_default(),
                    rule.key
                ),
            };
            let mut told = signal(rule, event, context, sentence, first + signals.len());
            told.events.splice(0..0, events.into_iter().filter(|one| *one != event.id));
            signals.push(told);
        }
        self.set = Some(set);
        signals
    }

    fn budget(&mut self, rule: &Rule, event: &Event) -> Budget {
        let at = event.at;
        let fresh = |told: &Timestamp| at.signed_duration_since(*told).abs() < FOLD_FOR;
        let shape = (rule.key.clone(), shape(event));
        if self.shapes.get(&shape).is_some_and(fresh) {
            return Budget::Folded;
        }
        if self.shapes.len() >= MAX_SHAPES {
            self.shapes.retain(|_, told| fresh(told));
            if self.shapes.len() >= MAX_SHAPES {
                self.shapes.clear();
            }
        }
        self.shapes.insert(shape, at);
        match self.count(whose(&rule.key, event), at).cmp(&self.most_per_day) {
            std::cmp::Ordering::Less => Budget::Told,
            std::cmp::Ordering::Equal => Budget::Last,
            std::cmp::Ordering::Greater => Budget::Folded,
        }
    }

    /// A signal counts for nothing: it takes nothing of the budget that others of the same user and service share.
    pub(super) fn give_back(&mut self, signal: &Signal, event: &Event) {
        let whose = signal.detector.strip_prefix("rule:").map(|key| whose(key, event));
        if let Some(spoken) = whose.and_then(|whose| self.spoken.get_mut(&whose)) {
            spoken.count = spoken.count.saturating_sub(1);
        }
    }

    /// How often this was matched within its day, this time included.
    fn count(&mut self, whose: Whose, at: Timestamp) -> u32 {
        if self.spoken.len() >= MAX_BUDGETS && !self.spoken.contains_key(&whose) {
            self.spoken.retain(|_, spoken| spoken.lasts(at));
            if self.spoken.len() >= MAX_BUDGETS {
                self.spoken.clear();
            }
        }
        let spoken = self.spoken.entry(whose).or_insert(Spoken { since: at, count: 0 });
        if !spoken.lasts(at) {
            *spoken = Spoken { since: at, count: 0 };
        }
        spoken.count = spoken.count.saturating_add(1);
        spoken.count
    }
}

impl Spoken {
    /// Whether its day is not over. One that begins in the future was counted before the clock was set back, and is
    /// over; events that come out of order by less than [`FOLD_FOR`] belong to it.
    fn lasts(&self, at: Timestamp) -> bool {
        let age = at.signed_duration_since(self.since);
        -FOLD_FOR < age && age < DAY
    }
}

/// The rule, the user and the nearest service above.
fn whose(key: &str, event: &Event) -> Whose {
    let process = event.behind();
    let above = process.and_then(|process| process.lineage.roots.first()).map(|root| path(&root.exe));
    (key.to_owned(), process.map(|process| process.uid), above.unwrap_or_default())
}

/// Whose work it is and what was run, digits apart: a service that does the same for every visitor does it once.
fn shape(event: &Event) -> String {
    let Some(process) = event.behind() else { return String::new() };
    let above = process.lineage.roots.first().map(|root| path(&root.exe)).unwrap_or_default();
    format!("{above} {}", command(process)).chars().filter(|c| !c.is_ascii_digit()).collect()
}

fn sentence(rule: &Rule, event: &Event, found: Option<&str>) -> String {
    let who =
        event.behind().map_or_else(|| "an unknown process".to_owned(), |process| format!("{} ran {}", named(process), command(process)));
    match found {
        Some(found) => format!("{who}, which completes the rule \"{}\": {found}", rule.title),
        None => format!("{who}, which matches the rule \"{}\"", rule.title),
    }
}

/// The narrowest exception that fits, as a command to try first. A person may paste it, so it holds no name that a shell would read as more.
fn proposal(rule: &Rule, event: &Event, context: &DetectorContext<'_>) -> Option<String> {
    let process = event.behind().filter(|process| process.container.is_none())?;
    let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/_.+@-".contains(c));
    let by_login = process.loginuid.is_some() || process.cgroup.starts_with("/user.slice/");
    let unit = process.unit.as_deref().filter(|unit| !by_login && plain(unit)).map(|unit| format!(" --unit {unit}"));
    let user =
        process.user.as_ref().map(|user| user.lossy()).filter(|user| user != "root" && plain(user)).map(|user| format!(" --user {user}"));
    let narrow = unit.unwrap_or_default() + &user.unwrap_or_default();
    let exe = process.exe.lossy();
    if !plain(&exe) || !exe.starts_with('/') || (narrow.is_empty() && context.could_be_anything(&process.exe)) {
        return None;
    }
    Some(format!("bartizan exceptions preview --of rule:{} --exe {exe}{narrow}", rule.key))
}

/// A person in a session of their own does much that would be grave in a service.
fn lowered(severity: Severity) -> Severity {
    match severity {
        Severity::Critical => Severity::High,
        Severity::High => Severity::Medium,
        Severity::Medium | Severity::Low => Severity::Low,
        Severity::Info => Severity::Info,
    }
}

fn signal(rule: &Rule, event: &Event, context: &DetectorContext<'_>, sentence: String, ordinal: usize) -> Signal {
    let process = event.behind();
    let person = process.is_some_and(|process| by_person(process));
    let (severity, confidence) = match rule.tier {
        Tier::Experimental => (rule.severity.min(Severity::Low), rule.confidence.min(EXPERIMENTAL_SURE)),
        Tier::Incubating | Tier::Stable if person => (lowered(rule.severity), rule.confidence / 2.0),
        Tier::Incubating | Tier::Stable => (rule.severity, rule.confidence),
    };
    Signal {
        id: SignalId { event: event.id, ordinal: u16::try_from(ordinal).unwrap_or(u16::MAX) },
        at: event.at,
        detector: format!("rule:{}", rule.key),
        technique: rule.techniques.clone(),
        severity,
        confidence: Confidence::new(confidence),
        tier: rule.tier,
        family: Family::Rule,
        stage: rule.stage,
        events: vec![event.id],
        entities: about(event, Vec::new(), severity, context),
        subject: process.map(|process| subject(process)),
        act: None,
        hostile: None,
        sentence,
        complete: event.complete,
        excepted: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};
    use super::*;
    use bartizan_model::Process;
    use bartizan_rules::{Pack, Switches, parse};

    const RULE: &str = "title: Needle\nname: needle\nlogsource: {product: linux, category: process_creation}\ndetection:\n  s:\n    CommandLine|contains: 'needle'\n  condition: s\nlevel: high\ntags: [attack.persistence, attack.t1053]\n";

    fn scene(pack: Pack, text: &str) -> Scene {
        let mut scene = Scene::new();
        let rules = parse("needle.yml", text, pack).unwrap();
        scene.detector_set.set_rules(RuleSet::new(rules, &Switches::default()).0, 3);
        scene
    }

    #[test]
    fn an_imported_rule_is_recorded_and_proves_next_to_nothing() {
        let mut scene = scene(Pack::Imported, RULE);
        let cron = scene.daemon("/usr/sbin/cron");
        let process = scene.child(&cron, "/usr/bin/x needle");
        let signals = scene.exec(&process);
        let signal = by(&signals, "rule:needle");
        assert_eq!((signal.tier, signal.severity, signal.family), (Tier::Experimental, Severity::Low, Family::Rule));
        assert!(signal.confidence.get() <= 0.2 && signal.sentence.contains("rule \"Needle\""), "{}", signal.sentence);
    }

    #[test]
    fn a_rule_of_ours_counts_less_in_a_persons_own_session() {
        let mut scene = scene(Pack::BuiltIn, &RULE.replace("level: high", "level: high\nstatus: stable\nconfidence: 0.8"));
        let (cron, login) = (scene.daemon("/usr/sbin/cron"), scene.login());
        let (daemons, persons) = (scene.child(&cron, "/usr/bin/x needle"), scene.child(&login, "/usr/bin/x needle one"));
        let signals = scene.exec(&daemons);
        let signal = by(&signals, "rule:needle");
        assert_eq!((signal.severity, signal.confidence.get(), signal.stage), (Severity::High, 0.8, bartizan_model::Stage::Persistence));
        let signals = scene.exec(&persons);
        assert_eq!((by(&signals, "rule:needle").severity, by(&signals, "rule:needle").confidence.get()), (Severity::Medium, 0.4));
    }

    #[test]
    fn repeats_fold_and_a_rule_that_speaks_too_often_says_so_once() {
        let mut scene = scene(Pack::BuiltIn, RULE);
        let cron = scene.daemon("/usr/sbin/cron");
        let mut told = Vec::new();
        for word in ["a", "a", "b", "c", "d", "e"] {
            let process = scene.child(&cron, &format!("/usr/bin/x needle {word}"));
            told.extend(scene.exec(&process));
        }
        assert_eq!(names(&told), ["rule:needle"; 3]);
        assert!(told[2].sentence.contains("`bartizan rules disable needle`"), "{}", told[2].sentence);
        let proposed = "`bartizan exceptions preview --of rule:needle --exe /usr/bin/x";
        assert!(told[2].sentence.contains(proposed), "{}", told[2].sentence);
        assert!(!told[1].sentence.contains("exceptions"), "{}", told[1].sentence);
        assert_eq!(scene.detector_set.folded(), 3);
        scene.seconds += 86_500;
        let process = scene.child(&cron, "/usr/bin/x needle f");
        assert_eq!(names(&scene.exec(&process)), ["rule:needle"], "a new day");
    }

    #[test]
    fn a_rule_about_several_events_names_them_and_speaks_in_the_place_of_its_own_parts() {
        let burst = "---\ntitle: Many needles\nname: needles\ncorrelation:\n  type: value_count\n  rules: [needle]\n  group-by: [User]\n  timespan: 5m\n  condition:\n    field: CommandLine\n    gte: 3\nlevel: medium\nstatus: test\n";
        let mut scene = scene(Pack::BuiltIn, &format!("{RULE}{burst}"));
        let cron = scene.daemon("/usr/sbin/cron");
        let mut told = Vec::new();
        for word in ["a", "b", "b", "c"] {
            let process = scene.child(&cron, &format!("/usr/bin/x needle {word}"));
            told.extend(scene.exec(&process));
        }
        assert_eq!(names(&told), ["rule:needles"]);
        assert!(
            told[0].sentence.ends_with("the rule \"Many needles\": 3 different values of CommandLine within 5 min"),
            "{}",
            told[0].sentence
        );
        assert_eq!(told[0].events.iter().map(|id| id.0).collect::<Vec<_>>(), [1, 3, 4], "the newest of each value");
    }

    #[test]
    fn nobody_mutes_a_rule_for_another_user_or_service() {
        let mut scene = scene(Pack::BuiltIn, RULE);
        let (cron, mail) = (scene.daemon("/usr/sbin/cron"), scene.daemon("/usr/sbin/exim4"));
        for word in ["a", "b", "c", "d", "e"] {
            let process = Process { uid: 1000, euid: 1000, ..scene.child(&cron, &format!("/usr/bin/x needle {word}")) };
            scene.exec(&process);
        }
        let same = Process { uid: 1000, euid: 1000, ..scene.child(&cron, "/usr/bin/x needle f") };
        assert!(scene.exec(&same).is_empty(), "its own budget is used up");
        let root = scene.child(&cron, "/usr/bin/x needle g");
        assert_eq!(names(&scene.exec(&root)), ["rule:needle"], "another user");
        let service = Process { uid: 1000, euid: 1000, ..scene.child(&mail, "/usr/bin/x needle h") };
        assert!(names(&scene.exec(&service)).contains(&"rule:needle"), "another service");
    }

    #[test]
    fn a_clock_that_is_set_back_mutes_nothing() {
        let mut scene = scene(Pack::BuiltIn, RULE);
        let cron = scene.daemon("/usr/sbin/cron");
        scene.seconds += 30 * 86_400;
        for word in ["a", "b", "c", "d"] {
            let process = scene.child(&cron, &format!("/usr/bin/x needle {word}"));
            scene.exec(&process);
        }
        scene.seconds -= 30 * 86_400;
        let process = scene.child(&cron, "/usr/bin/x needle e");
        assert_eq!(names(&scene.exec(&process)), ["rule:needle"]);
    }

    #[test]
    fn budgets_are_bounded() {
        let mut hits = RuleHits::default();
        for uid in 0..10_000 {
            hits.count(("needle".to_owned(), Some(uid), String::new()), Timestamp::UNIX_EPOCH);
            assert!(hits.spoken.len() <= MAX_BUDGETS);
        }
    }
}
