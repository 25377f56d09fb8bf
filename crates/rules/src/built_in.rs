//! The rules that the program carries: `config/rules/`, one folder a tactic, each file with recorded examples beside it.

include!(concat!(env!("OUT_DIR"), "/pack.rs"));

#[cfg(test)]
mod tests {
    use super::super::{Example, Pack, RuleSet, Switches, parse};
    use super::{EXAMPLES, PACK};

    #[test]
    fn each_rule_of_ours_matches_its_positive_examples_and_none_of_its_negative_ones() {
        let mut bad = Vec::new();
        for (file, text) in PACK {
            let rules = parse(file, text, Pack::BuiltIn).unwrap_or_else(|error| panic!("{error}"));
            let beside = file.replace(".yml", ".examples.jsonl");
            let examples = EXAMPLES.iter().find(|(name, _)| *name == beside).unwrap_or_else(|| panic!("{beside} is missing"));
            let examples = Example::parse_all(examples.1).unwrap_or_else(|error| panic!("{beside}: {error}"));
            for wanted in [true, false] {
                assert!(examples.iter().any(|example| example.matches == wanted), "{beside}: no example with match {wanted}");
            }
            let (set, problems) = RuleSet::new(rules, &Switches::default());
            assert!(problems.is_empty(), "{problems:?}");
            assert!(set.rules().iter().all(|rule| rule.reason.is_none() && rule.missing.is_empty()), "{file} is evaluated whole");
            for example in &examples {
                if example.is_reported_by(&set) != example.matches {
                    bad.push(format!("{beside}:{}: expected match {}", example.line, example.matches));
                }
            }
        }
        assert!(bad.is_empty(), "{}", bad.join("\n"));
    }

    #[test]
    fn the_pack_is_one_set_without_a_key_used_twice() {
        let rules = PACK.iter().flat_map(|(file, text)| parse(file, text, Pack::BuiltIn).unwrap()).collect();
        let (set, problems) = RuleSet::new(rules, &Switches::default());
        assert!(problems.is_empty() && set.rules().len() >= PACK.len(), "{problems:?}");
        for rule in set.rules() {
            assert!(!rule.techniques.is_empty() && !rule.false_positives.is_empty() && !rule.description.is_empty(), "{}", rule.key);
        }
    }
}
