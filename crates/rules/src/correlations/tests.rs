//! Correlations over events in their own time: met, not met, bounded, and not to be turned against others.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test fails by panic

use super::super::{Example, Pack, RuleSet, Switches, parse};
use super::*;

const BASE: &str = "title: Who am I\nname: whoami\nlogsource: {product: linux, category: process_creation}\ndetection:\n  s:\n    Image|endswith: '/whoami'\n  condition: s\nlevel: low\n---\ntitle: Kernel\nname: uname\nlogsource: {product: linux, category: process_creation}\ndetection:\n  s:\n    Image|endswith: '/uname'\n  condition: s\nlevel: low\n---\n";

fn correlation(body: &str) -> String {
    format!("{BASE}title: Burst\nname: burst\ncorrelation:\n{body}level: high\n")
}

struct Host {
    set: RuleSet,
    state: Correlations,
    memory: Memory,
    number: u64,
}

impl Host {
    fn new(texts: &[(&str, &str, Pack)]) -> Self {
        let rules = texts.iter().flat_map(|(file, text, pack)| parse(file, text, *pack).unwrap()).collect();
        Self { set: RuleSet::new(rules, &Switches::default()).0, state: Correlations::default(), memory: Memory::default(), number: 0 }
    }

    fn of(body: &str) -> Self {
        Self::new(&[("burst.yml", &correlation(body), Pack::BuiltIn)])
    }

    fn reason(&self) -> Option<String> {
        self.set.rule("burst").unwrap().reason.clone()
    }

    fn reload(&mut self, body: &str) {
        let rules = parse("burst.yml", &correlation(body), Pack::BuiltIn).unwrap();
        self.set = RuleSet::new(rules, &Switches::default()).0;
        self.state.keep_only(&self.set);
    }

    /// What a program run by this user at this second completes.
    fn run(&mut self, exe: &str, user: &str, second: i64) -> Option<(String, usize)> {
        let line = serde_json::json!({ "match": true, "exe": exe, "argv": [exe], "user": user });
        let mut event = Example::parse_all(&line.to_string()).unwrap().remove(0).event;
        self.number += 1;
        event.id = EventId(self.number);
        event.at += std::time::Duration::from_secs(u64::try_from(1_000_000 + second).unwrap());
        let matched = self.set.evaluate(&event, &self.memory);
        let met = self.set.correlate(&event, &self.memory, &matched, &mut self.state);
        met.into_iter().next().map(|met| (met.found, met.events.len()))
    }
}

#[test]
fn events_are_counted_by_group_within_the_time() {
    let mut host = Host::of("  type: event_count\n  rules: [whoami]\n  group-by: [User]\n  timespan: 60s\n  condition:\n    gte: 3\n");
    assert_eq!(host.reason(), None);
    assert_eq!((host.run("/bin/whoami", "a", 0), host.run("/bin/whoami", "b", 1), host.run("/bin/whoami", "a", 30)), (None, None, None));
    assert_eq!(host.run("/bin/whoami", "a", 61), None, "the first is too long ago");
    assert_eq!(host.run("/bin/uname", "a", 62), None, "another rule");
    assert_eq!(host.run("/bin/whoami", "a", 63), Some(("3 events within 1 min".to_owned(), 3)));
    assert_eq!(host.run("/bin/whoami", "a", 64), None, "it begins anew");
}

#[test]
fn different_values_are_counted() {
    let body =
        "  type: value_count\n  rules: [whoami, uname]\n  group-by: [User]\n  timespan: 5m\n  condition:\n    field: Image\n    gte: 3\n";
    let mut host = Host::of(body);
    for (n, exe) in ["/bin/whoami", "/bin/whoami", "/bin/uname", "/bin/uname", "/x/uname"].into_iter().enumerate() {
        let met = host.run(exe, "a", i64::try_from(n).unwrap());
        assert_eq!(met.is_some(), n == 4, "{exe} {met:?}");
    }
}

#[test]
fn all_rules_in_any_order_or_in_theirs() {
    let body = |kind: &str| format!("  type: {kind}\n  rules: [whoami, uname]\n  group-by: [User]\n  timespan: 5m\n");
    let mut any = Host::of(&body("temporal"));
    assert!(any.run("/bin/uname", "a", 0).is_none() && any.run("/bin/whoami", "b", 1).is_none());
    assert_eq!(any.run("/bin/whoami", "a", 2), Some(("all of its 2 rules within 5 min".to_owned(), 2)));
    let mut ordered = Host::of(&body("temporal_ordered"));
    assert!(ordered.run("/bin/uname", "a", 0).is_none() && ordered.run("/bin/whoami", "a", 1).is_none(), "the other way round");
    assert!(ordered.run("/bin/uname", "a", 2).is_some());
}

#[test]
fn what_comes_late_is_put_in_its_place_and_a_clock_set_back_begins_anew() {
    let body = "  type: event_count\n  rules: [whoami]\n  group-by: [User]\n  timespan: 60s\n  condition:\n    gte: 3\n";
    let mut host = Host::of(body);
    assert!(host.run("/bin/whoami", "a", 50).is_none() && host.run("/bin/whoami", "a", 20).is_none());
    assert!(host.run("/bin/whoami", "a", 40).is_some(), "out of order, and within the time");
    assert!(host.run("/bin/whoami", "a", 90_000).is_none());
    for (second, met) in [(0, false), (1, false), (2, true)] {
        assert_eq!(host.run("/bin/whoami", "a", second).is_some(), met, "a clock that was ahead mutes nothing");
    }
}

#[test]
fn what_cannot_be_evaluated_says_why() {
    let of = |body: &str| Host::of(body).reason().unwrap_or_default();
    let count = |rules: &str, more: &str, span: &str, condition: &str| {
        format!("  type: event_count\n  rules: [{rules}]\n{more}  timespan: {span}\n  condition:\n    {condition}\n")
    };
    for (body, why) in [
        (count("nobody", "", "60s", "gte: 3"), "it correlates nobody, and no rule is called so"),
        (count("burst", "", "60s", "gte: 3"), "it correlates burst, which is not evaluated for one event"),
        (count("whoami", "  group-by: [Nothing]\n", "60s", "gte: 3"), "it asks for Nothing of whoami, which no such event has"),
        (count("whoami", "", "60s", "lt: 3"), "it asks for few events"),
        (count("whoami", "", "60s", "gte: 100000"), "it counts to 1000 or more"),
        (count("whoami", "", "30d", "gte: 3"), "its timespan is not between a second and a day"),
    ] {
        assert!(of(&body).starts_with(why), "{why}: {}", of(&body));
    }
    let off = Switches { off: ["whoami".to_owned()].into() };
    let text = correlation(&count("whoami", "", "60s", "gte: 3"));
    let set = RuleSet::new(parse("burst.yml", &text, Pack::Host).unwrap(), &off).0;
    assert_eq!(set.rule("burst").unwrap().reason.as_deref(), Some("it correlates whoami, which is switched off"));
}

#[test]
fn a_correlation_silences_the_rules_of_its_own_file_and_nobody_elses() {
    let body = "  type: event_count\n  rules: [whoami]\n  timespan: 60s\n  condition:\n    gte: 3\n";
    let own = Host::of(body);
    assert!(own.set.rule("whoami").unwrap().silent && !own.set.rule("uname").unwrap().silent);
    let theirs = format!("title: Burst\nname: burst\ncorrelation:\n{body}level: high\n");
    let apart = Host::new(&[("pack.yml", BASE.trim_end_matches("---\n"), Pack::BuiltIn), ("theirs.yml", &theirs, Pack::Imported)]);
    assert_eq!(apart.reason(), None);
    assert!(!apart.set.rule("whoami").unwrap().silent);
    let loud = Host::of(&format!("  generate: true\n{body}"));
    assert!(!loud.set.rule("whoami").unwrap().silent);
    let both = format!("{}---\ntitle: Loud\nname: loud\ngenerate: true\ncorrelation:\n{body}", correlation(body));
    let both = Host::new(&[("burst.yml", &both, Pack::BuiltIn)]);
    assert!(!both.set.rule("whoami").unwrap().silent, "one of two lets it speak");
    let same_name = Host::new(&[("pack.yml", BASE.trim_end_matches("---\n"), Pack::BuiltIn), ("pack.yml", &theirs, Pack::Imported)]);
    assert!(!same_name.set.rule("whoami").unwrap().silent, "a file of another pack with the same name");
    let idle = correlation(&body.replace("gte: 3", "lt: 3"));
    assert!(!Host::new(&[("burst.yml", &idle, Pack::BuiltIn)]).set.rule("whoami").unwrap().silent, "one that is not evaluated");
}

const COUNT: &str = "  type: event_count\n  rules: [whoami]\n  group-by: [User]\n  timespan: 60s\n  condition:\n    gte: 3\n";

#[test]
fn a_reload_in_mid_burst_loses_nothing_and_mixes_nothing() {
    let mut host = Host::of(COUNT);
    assert!(host.run("/bin/whoami", "a", 0).is_none() && host.run("/bin/whoami", "a", 1).is_none());
    host.reload(COUNT);
    assert!(host.run("/bin/whoami", "a", 2).is_some(), "the same rules again");
    assert!(host.run("/bin/whoami", "a", 3).is_none() && host.run("/bin/whoami", "a", 4).is_none());
    host.reload(&COUNT.replace("[whoami]", "[uname]"));
    assert!(host.run("/bin/uname", "a", 5).is_none(), "what was counted of another rule is not counted of this one");
    host.reload("  type: event_count\n  rules: [nobody]\n  timespan: 60s\n  condition:\n    gte: 3\n");
    assert!(host.run("/bin/whoami", "a", 6).is_none());
}

#[test]
fn a_clock_set_back_a_little_mutes_for_no_longer_than_that() {
    let mut host = Host::of(&COUNT.replace("60s", "5s"));
    assert!(host.run("/bin/whoami", "a", 300).is_none() && host.run("/bin/whoami", "a", 301).is_none());
    assert!(host.run("/bin/whoami", "a", 297).is_some(), "one that comes late by a few seconds");
    assert!(host.run("/bin/whoami", "a", 300).is_none());
    for (second, met) in [(200, false), (201, false), (202, true)] {
        assert_eq!(host.run("/bin/whoami", "a", second).is_some(), met, "{second}");
    }
}

#[test]
fn repeating_one_step_pushes_out_no_other_of_an_order() {
    let base = BASE.trim_end_matches("---\n");
    let third = base.replace("Who am I", "Id").replace("whoami", "id").split("---\n").next().unwrap().to_owned();
    let text = format!(
        "{BASE}{third}---\ntitle: Burst\nname: burst\ncorrelation:\n  type: temporal_ordered\n  rules: [whoami, uname, id]\n  timespan: 1h\n"
    );
    let mut host = Host::new(&[("burst.yml", &text, Pack::BuiltIn)]);
    assert_eq!(host.reason(), None);
    assert!(host.run("/bin/whoami", "a", 0).is_none());
    (1..2_000).for_each(|second| assert!(host.run("/bin/uname", "a", second).is_none()));
    assert!(host.run("/bin/id", "a", 2_001).is_some());
}

#[test]
fn repeating_one_value_or_rule_takes_no_room() {
    let value = "  type: value_count\n  rules: [whoami]\n  timespan: 1h\n  condition:\n    field: User\n    gte: 3\n";
    let mut host = Host::of(value);
    assert!(host.run("/bin/whoami", "a", 0).is_none() && host.run("/bin/whoami", "b", 1).is_none());
    (1..3_000).for_each(|second| assert!(host.run("/bin/whoami", "b", second).is_none()));
    assert_eq!(host.run("/bin/whoami", "c", 3_000).unwrap().1, 3);
    let mut host = Host::of("  type: temporal\n  rules: [whoami, uname]\n  timespan: 1h\n");
    assert!(host.run("/bin/whoami", "a", 0).is_none());
    (1..3_000).for_each(|second| assert!(host.run("/bin/whoami", "a", second).is_none()));
    assert!(host.run("/bin/uname", "a", 3_001).is_some());
}

#[test]
fn hostile_values_are_values_and_stop_nothing() {
    let mut host = Host::of(COUNT);
    let long = "x".repeat(300_000);
    for user in ["", "\u{1b}[2J\n\0", "\"}],{", "\u{202e}", long.as_str(), "*", "%s"] {
        let met: Vec<bool> = (0..3).map(|second| host.run("/bin/whoami", user, second).is_some()).collect();
        assert_eq!(met, [false, false, !user.is_empty()], "{:.20}: only what has no user is not counted", user.escape_debug());
    }
}

#[test]
fn numbers_out_of_all_bounds_are_refused_by_name() {
    for body in [COUNT.replace("60s", "99999999999999999999d"), COUNT.replace("gte: 3", "gte: many"), COUNT.replace("60s", "-5s")] {
        assert!(parse("burst.yml", &correlation(&body), Pack::Host).is_err(), "{body}");
    }
    for body in [COUNT.replace("gte: 3", "gte: -1"), COUNT.replace("gte: 3", "gte: 18446744073709551615"), COUNT.replace("60s", "0s")] {
        assert!(Host::of(&body).reason().is_some(), "{body}");
    }
}

#[test]
fn of_many_correlations_the_first_are_evaluated_and_the_others_say_why() {
    let more: Vec<(String, String)> =
        (0..40).map(|n| (format!("{n}.yml"), format!("title: B\nname: burst{n}\ncorrelation:\n{}", COUNT))).collect();
    let mut texts = vec![("base.yml", BASE.trim_end_matches("---\n"), Pack::BuiltIn)];
    texts.extend(more.iter().map(|(file, text)| (file.as_str(), text.as_str(), Pack::Imported)));
    let host = Host::new(&texts);
    let reasons: Vec<&str> = host.set.rules().iter().filter_map(|rule| rule.reason.as_deref()).collect();
    assert_eq!(reasons, ["more than 32 rules about several events"; 8]);
}
