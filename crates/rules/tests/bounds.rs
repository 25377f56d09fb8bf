//! Rule files are hostile bytes: nothing in one takes memory, time or the stack without bound, and a bad one is refused by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

use std::time::{Duration, Instant};

use bartizan_rules::{MAX_RULE_BYTES, Pack, RuleSet, Switches, parse};

const GOOD: &str = "title: t\nid: 5013c3c5-1b1b-4c1b-9c1b-1b1b1b1b1b1b\nlogsource: {product: linux, category: process_creation}\ndetection:\n  s:\n    CommandLine|contains: 'needle'\n  condition: s\n";

#[test]
fn a_bad_rule_is_refused_by_name_within_bounds() {
    let laughs: String = std::iter::once("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned())
        .chain((1..40).map(|n| {
            let inner = vec![format!("*a{}", n - 1); 9].join(",");
            format!("a{n}: &a{n} [{inner}]\n")
        }))
        .collect();
    let cases = [
        ("laughs", format!("{GOOD}{laughs}")),
        ("large", format!("{GOOD}# {}\n", "x".repeat(MAX_RULE_BYTES))),
        ("deep-flow", format!("title: t\nx: {}\n", "[".repeat(20_000))),
        ("deep-lines", format!("title: t\nx: {}\n", "[\n ".repeat(20_000))),
        ("deep-plain", format!("title: t\nx: {}\n", "[a),".repeat(12_000))),
        ("deep-block", format!("title: t\nx:\n {}y\n", "- ".repeat(20_000))),
        ("parentheses", GOOD.replace("condition: s", &format!("condition: {}s{}", "(".repeat(9_000), ")".repeat(9_000)))),
        ("parentheses-lines", GOOD.replace("condition: s", &format!("condition: |\n    {}s", "(\n    ".repeat(3_000)))),
        ("parentheses-quoted", GOOD.replace("condition: s", &format!("condition: \"{}s\"", "\\x28".repeat(3_000)))),
        ("not-quoted", GOOD.replace("condition: s", &format!("condition: \"{}s\"", "not\\x20".repeat(3_000)))),
        ("repeated", format!("{GOOD}x: [{}]\n{}", "a,".repeat(3_000), "---\naction: repeat\n".repeat(1_000))),
        ("not", GOOD.replace("condition: s", &format!("condition: {}s", "not ".repeat(9_000)))),
        ("regex", GOOD.replace("CommandLine|contains: 'needle'", "CommandLine|re: '(a{1000}){1000}'")),
        ("broken-regex", GOOD.replace("CommandLine|contains: 'needle'", "CommandLine|re: '(['")),
        ("no-selection", GOOD.replace("condition: s", "condition: other")),
        ("not-yaml", "title: [\n".to_owned()),
        ("empty", String::new()),
        ("not-sigma", "a: b\n".to_owned()),
    ];
    for (name, text) in cases {
        let begin = Instant::now();
        let refused = parse(&format!("{name}.yml"), &text, Pack::Imported).unwrap_err();
        let told = refused.to_string();
        assert!(told.starts_with(&format!("{name}.yml: ")) && told.len() < 400 && !told.contains('\n'), "{told}");
        println!("{name}: {:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(2), "{name} took {:?}", begin.elapsed());
    }
    assert_eq!(parse("good.yml", GOOD, Pack::Imported).unwrap().len(), 1);
}

#[test]
fn a_rule_that_is_there_twice_is_refused_and_the_rest_goes_on() {
    let rules = ["a.yml", "b.yml"].iter().flat_map(|file| parse(file, GOOD, Pack::Imported).unwrap()).collect();
    let (set, problems) = RuleSet::new(rules, &Switches::default());
    assert_eq!((set.rules().len(), problems.len()), (1, 1));
    assert!(problems[0].to_string().starts_with("b.yml: another rule is called"), "{}", problems[0]);
}

#[test]
fn a_title_cannot_command_a_terminal() {
    let rule = parse("x.yml", &GOOD.replace("title: t", "title: \"a\\e[2Jb\\u202ec\""), Pack::Imported).unwrap().remove(0);
    assert!(rule.title.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{}", rule.title);
}

#[test]
fn an_anchor_and_an_alias_are_refused_wherever_they_can_stand() {
    let aliases = ["a"; 3_000].join(",");
    let large = format!("x: {{&a b: [{aliases}], c: [{}]}}\n", ["*a"; 3_000].join(", "));
    let mut cases = vec![large];
    cases.extend(
        [
            "x: {&a b: c}", "x:  &a c", "x:\t&a c", "&a x: c", "x:\n  &a\n  b: c", "x: !!seq &a [b]", "x: &_a c", "x: &a-b c", "x: [&a b]",
            "x: [b,&a c]", "x: [b,\n&a c]", "x: {\"b\":&a c}", "x:\n- &a b", "x:\n- - &a b", "? &a b\n: c", "? b\n: &a c", "x: *a",
            "x: [*a]", "x:\n- *a", "*a : b", "x: !t,&a b", "---\n&a x: c", "--- &a\nx: c", "x: 'b' # '\ny: &a c", "x: it's\ny: &a it's",
            "x: b\n  'c\ny: &a d\nz: 'e", "x: |\n  b\ny: &a c", "- x: |\n  y: &a b", "x: |\ny: &a b", "x: |1\n  b\ny: &a c",
            "x: \"b\"#: 'c\ny: &a d", "# b\u{85}x: &a c", "# b\rx: &a c", "x: |\n     \n  b: &a c", "x: >\n  b\n\t\ny: &a c",
            "\u{feff}&a x: c",
        ]
        .map(|text| format!("{text}\n")),
    );
    for case in cases {
        let begin = Instant::now();
        let refused = parse("x.yml", &case, Pack::Imported).unwrap_err().to_string();
        assert!(refused.contains("YAML anchor or alias"), "{case:?}: {refused}");
        assert!(begin.elapsed() < Duration::from_secs(1), "{case:?}");
    }
}

#[test]
fn what_only_looks_like_an_anchor_is_text() {
    let values = [
        "'*needle'", "\"&needle\"", "'it''s *needle'", "\"\\\" &needle\"", "a &needle", "a *needle", "a&needle", "R&D", "a # &needle",
        "|\n        &needle\n        *needle", ">-\n      &needle: *needle", "b\n      &needle", "['*needle', a*needle, \"&needle\"]",
        "b # &needle", "'b\n      *needle'", "[b\n  &needle]", "'& x'", "!!str a &needle",
    ];
    for value in values {
        let text = GOOD.replace("'needle'", value);
        assert_eq!(parse("x.yml", &text, Pack::Imported).map(|rules| rules.len()).map_err(|bad| bad.to_string()), Ok(1), "{text}");
    }
}
