//! SigmaHQ's rules for Linux, unchanged: each is evaluated or listed with a reason, and another engine agrees on what matches.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

use std::path::{Path, PathBuf};
use std::time::Instant;

use bartizan_model::{Event, HostText};
use bartizan_rules::{Example, Memory, Pack, Rule, RuleSet, Switches, parse, seen};

/// The folder of the rules, when it is here: `BARTIZAN_CORPUS`, else `../shared/data` beside the repository.
fn folder() -> Option<PathBuf> {
    let beside =
        || Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find_map(|dir| Some(dir.join("shared/data")).filter(|dir| dir.is_dir()));
    let corpus = std::env::var_os("BARTIZAN_CORPUS").map(PathBuf::from).or_else(beside);
    let rules = corpus.map(|corpus| corpus.join("sigma/rules/linux")).filter(|dir| dir.is_dir());
    if rules.is_none() {
        eprintln!("skipped: no SigmaHQ rules here; set BARTIZAN_CORPUS to a folder with sigma/rules/linux");
    }
    rules
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

fn texts(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(dir, &mut found);
    found.sort();
    found.into_iter().map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap())).collect()
}

fn loaded(texts: &[(String, String)]) -> RuleSet {
    let rules: Vec<Rule> = texts.iter().flat_map(|(file, text)| parse(file, text, Pack::Imported).unwrap()).collect();
    let (set, problems) = RuleSet::new(rules, &Switches::default());
    assert!(problems.is_empty(), "{problems:?}");
    set
}

fn exec(exe: &str, argv: &[&str]) -> Event {
    let argv = argv.iter().map(|one| serde_json::to_string(one).unwrap()).collect::<Vec<_>>().join(",");
    let line = format!(
        "{{\"match\": true, \"exe\": \"{exe}\", \"parents\": [\"/usr/bin/bash\"], \"user\": \"root\", \"cwd\": \"/root\", \"argv\": [{argv}]}}"
    );
    Example::parse_all(&line).unwrap().remove(0).event
}

#[test]
fn every_rule_of_sigmahq_is_evaluated_or_says_why_not() {
    let Some(dir) = folder() else { return };
    let begin = Instant::now();
    let texts = texts(&dir);
    let read = begin.elapsed();
    let set = loaded(&texts);
    println!("{} rules in {:?} (files read in {read:?})", set.rules().len(), begin.elapsed());
    assert!(set.rules().len() >= 210);
    for rule in set.rules() {
        let why = rule.reason.as_deref().unwrap_or("evaluated");
        println!("{:60} {:20} {} {}", rule.title, rule.route.map_or("-", |route| route.name()), why, rule.missing.join(", "));
        assert_eq!(rule.reason.is_none(), rule.compiled(), "{}", rule.title);
    }
    println!("{:?}", set.by_route());
    assert!(set.evaluated() >= 175, "{} are evaluated", set.evaluated());
}

/// The words of every rule as commands: more than enough of them match something.
fn commands(texts: &[(String, String)]) -> Vec<Event> {
    let mut out = Vec::new();
    let quoted = regex::Regex::new(r"(?m)^\s+-?\s*(?:[\w|]+:\s*)?'([^'\n]{3,80})'").unwrap();
    let images: Vec<String> =
        texts.iter().flat_map(|(_, text)| quoted.captures_iter(text).map(|c| c[1].to_owned()).collect::<Vec<_>>()).collect();
    let programs: Vec<&String> = images.iter().filter(|word| word.starts_with('/') && !word.contains(' ')).collect();
    for (index, word) in images.iter().enumerate() {
        let program = programs.get(index * 7 % programs.len().max(1)).map_or("/usr/bin/x", |word| word.as_str());
        for exe in [format!("/usr/bin{program}"), "/usr/bin/bash".to_owned()] {
            let parts: Vec<&str> = std::iter::once(exe.as_str()).chain(word.split_whitespace()).collect();
            out.push(exec(&exe.replace(['*', '"', '\\'], "x"), &parts));
        }
    }
    out
}

/// `sigma-rust` is wrong about keywords and about numbers in text; on all else the two must agree.
#[test]
fn another_engine_agrees_on_what_matches() {
    let Some(dir) = folder() else { return };
    let texts = texts(&dir);
    let set = loaded(&texts);
    let other: Vec<_> = texts.iter().map(|(_, text)| sigma_rust::rule_from_yaml(text).unwrap()).collect();
    let (mut matches, mut differ) = (0, Vec::new());
    for event in commands(&texts).iter().step_by(5) {
        let ours: Vec<&str> = set.evaluate(event, &Memory::default()).iter().map(|rule| rule.id.as_deref().unwrap()).collect();
        let records: Vec<_> = seen(event)
            .iter()
            .filter(|record| record["record"] == "process_creation")
            .map(|record| sigma_rust::event_from_json(&record["fields"].to_string()).unwrap())
            .collect();
        for ((rule, theirs), (_, text)) in set.rules().iter().zip(&other).zip(&texts) {
            if rule.route != Some(bartizan_rules::Route::ProcessCreation) || rule.reason.is_some() || text.contains("keyword") {
                continue;
            }
            let (we, they) = (ours.contains(&rule.id.as_deref().unwrap()), records.iter().any(|record| theirs.is_match(record)));
            matches += usize::from(we);
            if we != they {
                differ.push(format!("{}: ours {we}, theirs {they}: {}", rule.title, event.process.as_ref().unwrap().command()));
            }
        }
    }
    println!("{matches} matches, {} differ", differ.len());
    assert!(matches > 50 && differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn the_prefilter_hides_no_match() {
    let Some(dir) = folder() else { return };
    let texts = texts(&dir);
    let set = loaded(&texts);
    let mut matches = 0;
    for event in commands(&texts).iter().step_by(4) {
        let keys = |rules: Vec<&Rule>| rules.iter().map(|rule| rule.key.clone()).collect::<Vec<_>>();
        let (through, all) = (keys(set.evaluate(event, &Memory::default())), keys(set.evaluate_unfiltered(event, &Memory::default())));
        matches += all.len();
        assert_eq!(through, all, "{}", event.process.as_ref().unwrap().command());
    }
    assert!(matches > 100, "{matches}");
}

#[test]
fn an_ordinary_event_meets_no_rule_or_few() {
    let Some(dir) = folder() else { return };
    let set = loaded(&texts(&dir));
    let ordinary = [
        exec("/usr/lib/postgresql/15/bin/postgres", &["postgres:", "autovacuum", "worker"]),
        exec("/usr/bin/make", &["make", "-j2", "all"]),
        exec("/usr/bin/rustc", &["rustc", "--crate-name", "serde", "src/lib.rs"]),
        exec("/usr/sbin/logrotate", &["/usr/sbin/logrotate", "/etc/logrotate.conf"]),
    ];
    for event in &ordinary {
        let met = set.trace(event, &Memory::default(), None);
        println!("{:?}", met.iter().map(|trace| &trace.rule.title).collect::<Vec<_>>());
        let met = met.len();
        assert!(met <= 13, "{} meets {met} rules", event.process.as_ref().unwrap().command());
    }
}

#[test]
fn what_a_hostile_process_is_called_stops_no_rule() {
    const RULE: &str = "title: t\nlogsource: {product: linux, category: process_creation}\ndetection:\n  s:\n    CommandLine|contains: 'needle'\n  a:\n    Arguments: 'needle'\n  condition: s and a\n";
    let mut texts = folder().map(|dir| texts(&dir)).unwrap_or_default();
    texts.push(("needle.yml".to_owned(), RULE.to_owned()));
    let set = loaded(&texts);
    let mut event = exec("/usr/bin/x", &[]);
    let mut found = |argv: Vec<HostText>| {
        std::sync::Arc::make_mut(event.process.as_mut().unwrap()).argv = argv;
        let begin = Instant::now();
        let found = set.evaluate(&event, &Memory::default()).iter().any(|rule| rule.key == "needle");
        assert!(begin.elapsed().as_millis() < 1_000, "{:?}", begin.elapsed());
        found
    };
    let needle = || HostText::from(&b"needle"[..]);
    // As much as sensors keep of a command line: 32 KiB with the end of each argument.
    assert!(found(vec![HostText::from(vec![0xff; (32 << 10) - 8]), needle()]), "after bytes that are no text");
    assert!(found(std::iter::repeat_n(HostText::from(vec![0xff; 3]), 8_000).chain([needle()]).collect()), "after many arguments");
    assert!(found(std::iter::repeat_n(HostText::from(Vec::new()), 32_000).chain([needle()]).collect()), "after empty arguments");
    found(vec![HostText::from(vec![0xff; 5 << 20]), HostText::from(&b"\x1b[2J\n"[..])]);
}

#[test]
fn one_literal_of_many_rules_costs_once_however_often_it_stands_there() {
    let rule = |n: usize| {
        format!(
            "title: t\nname: r{n}\nlogsource: {{product: linux, category: file_event}}\ndetection:\n  s:\n    CommandLine|contains: 'aa'\n  condition: s\n"
        )
    };
    let texts: Vec<_> = (0..2_000).map(|n| (format!("r{n}.yml"), rule(n))).collect();
    let set = loaded(&texts);
    let event = exec("/usr/bin/x", &["x", &"a".repeat(30 << 10)]);
    let begin = Instant::now();
    assert!(set.evaluate(&event, &Memory::default()).is_empty());
    assert!(begin.elapsed().as_millis() < 500, "{:?}", begin.elapsed());
}
