//! Events that correlations wait for, in event time and within bounds.

mod groups;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};

use bartizan_model::{Event, EventId};
use rsigma_eval::Event as _;

use super::correlation::{Correlation, Counted};
use super::record::{Facts, Record};
use super::{Memory, Rule, RuleSet};
use groups::{Groups, Seen};

/// What correlations remember. They are known by their keys, so that a reload of the rules loses nothing; one that asks for something
/// else after it begins anew.
#[derive(Debug, Default)]
pub struct Correlations {
    held: HashMap<String, Groups>,
    /// Keyed by chance: nobody outside can choose values that look alike.
    hasher: RandomState,
}

/// A correlation that is met.
#[derive(Debug)]
pub struct Met<'a> {
    /// Which rule.
    pub rule: &'a Rule,
    /// What was found, in words.
    pub found: String,
    /// The newest events that it rests on, oldest first.
    pub events: Vec<EventId>,
}

impl Correlations {
    /// Forgets what belongs to no correlation of this set.
    pub fn keep_only(&mut self, set: &RuleSet) {
        self.held.retain(|key, groups| set.rule(key).and_then(|rule| rule.correlation.as_ref()).is_some_and(|now| groups.is_of(now)));
    }

    fn groups(&mut self, key: &str, correlation: &Correlation) -> &mut Groups {
        let held = self.held.entry(key.to_owned()).or_insert_with(|| Groups::new(correlation));
        if !held.is_of(correlation) {
            *held = Groups::new(correlation);
        }
        held
    }

    /// One number for the values of these fields; nothing when the record lacks one of them.
    fn hash(&self, record: &Record<'_>, names: &[String], called: impl Fn(&str) -> String) -> Option<u64> {
        let mut hasher = self.hasher.build_hasher();
        for name in names {
            record.get_field(&called(name))?.to_json().to_string().hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    /// What an event is grouped by and what is counted of it, as this rule sees it; nothing when it lacks one of the fields.
    fn values(&self, records: &[Record<'_>], member: &Rule, correlation: &Correlation) -> Option<(u64, u64)> {
        let (compiled, route) = (member.compiled.as_ref()?, member.route?);
        let names = [member.key.as_str(), member.id.as_deref().unwrap_or(&member.key)];
        let called = |name: &str| correlation.field(name, &names).to_owned();
        let record = records.iter().find(|one| one.route() == route && rsigma_eval::evaluate_rule(compiled, *one).is_some())?;
        let counted: &[String] = if let Counted::Values(fields) = &correlation.counted { fields } else { &[] };
        Some((self.hash(record, &correlation.group_by, called)?, self.hash(record, counted, called)?))
    }
}

impl RuleSet {
    /// The correlations that an event completes; `matched` are the rules that match it.
    pub fn correlate<'a>(&'a self, event: &Event, memory: &Memory, matched: &[&Rule], state: &mut Correlations) -> Vec<Met<'a>> {
        let is_matched = |rule: &Rule| matched.iter().any(|one| one.key == rule.key);
        let is_touched =
            |(_, members): &&(usize, Vec<usize>)| members.iter().filter_map(|member| self.rules().get(*member)).any(is_matched);
        let touched: Vec<_> = self.correlated().iter().filter(|_| !matched.is_empty()).filter(is_touched).collect();
        if touched.is_empty() {
            return Vec::new();
        }
        let parent = event.process.as_deref().and_then(|process| memory.parent_command(process));
        let facts = Facts::new(event, parent.as_deref());
        let (records, owner) = (facts.records(), event.process.as_deref().map(|process| process.uid));
        let mut out = Vec::new();
        for (number, members) in touched {
            let Some((rule, correlation)) = self.rules().get(*number).and_then(|rule| Some((rule, rule.correlation.as_ref()?))) else {
                continue;
            };
            let (mut group, mut seen) = (None, Vec::new());
            for (place, member) in (0_u8..).zip(members) {
                let Some(member) = self.rules().get(*member).filter(|rule| is_matched(rule)) else { continue };
                let Some((of, value)) = state.values(&records, member, correlation) else { continue };
                // One event counts once, however many of the rules match it, unless the rules are what is waited for.
                let is_first = seen.is_empty() || matches!(correlation.counted, Counted::Rules | Counted::Ordered);
                if *group.get_or_insert(of) == of && is_first {
                    seen.push(Seen { at: event.at.timestamp_millis(), value, event: event.id, rule: place });
                }
            }
            let met = group.and_then(|group| state.groups(&rule.key, correlation).take(group, owner, &seen));
            out.extend(met.map(|(count, events)| Met { rule, found: correlation.found(count), events }));
        }
        out
    }
}

#[cfg(test)]
mod tests;
