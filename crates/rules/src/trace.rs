//! Why rules matched an event, or did not.

use bartizan_model::Event;

use super::record::Facts;
use super::{Memory, Rule, RuleSet};

/// What became of one rule on one event.
#[derive(Debug)]
pub struct Trace<'a> {
    /// Which rule.
    pub rule: &'a Rule,
    /// It matched.
    pub matched: bool,
    /// Each condition with its parts, what they asked for and what they found.
    pub why: serde_json::Value,
}

impl RuleSet {
    /// The rules that the event met, the matching ones first. With `name`, that rule alone, met or not.
    pub fn trace(&self, event: &Event, memory: &Memory, name: Option<&str>) -> Vec<Trace<'_>> {
        let mut met: Vec<(&Rule, bool)> = Vec::new();
        match name {
            Some(name) => met.extend(self.rule(name).map(|rule| (rule, false))),
            None => drop(self.met(event, memory, |rule, matched| met.push((rule, matched)))),
        }
        met.sort_by_key(|(_, matched)| !matched);
        met.into_iter().filter_map(|(rule, _)| self.explained(event, memory, rule)).collect()
    }

    fn explained<'a>(&self, event: &Event, memory: &Memory, rule: &'a Rule) -> Option<Trace<'a>> {
        let compiled = rule.compiled.as_ref()?;
        let parent = event.process.as_deref().and_then(|process| memory.parent_command(process));
        let facts = Facts::new(event, parent.as_deref());
        let records = facts.records();
        let each: Vec<_> = records
            .iter()
            .filter(|record| Some(record.route()) == rule.route)
            .map(|record| rsigma_eval::explain_rule(compiled, record))
            .collect();
        let told = each.iter().find(|one| one.matched).or(each.first())?;
        Some(Trace { rule, matched: told.matched, why: serde_json::to_value(&told.conditions).unwrap_or_default() })
    }
}

/// The fields that rules see of an event: one object for each record.
pub fn seen(event: &Event) -> Vec<serde_json::Value> {
    use rsigma_eval::Event as _;
    let facts = Facts::new(event, None);
    facts.records().iter().map(|record| serde_json::json!({ "record": record.route().name(), "fields": record.to_json() })).collect()
}
