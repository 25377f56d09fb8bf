//! Rules about several events: what a correlation asks for, and why it cannot be evaluated here, if so.

use std::collections::BTreeMap;

use rsigma_parser::{ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType, WindowMode};

use super::Route;
use super::field::{argument, fields};
use super::rule::shown;

/// Longest time over which events are kept, in seconds: a day.
const MAX_SPAN: u64 = 24 * 3600;
/// Highest number that is counted to: so many events of one group are kept.
pub(crate) const MAX_COUNT: u64 = 1_000;
/// Most rules and fields that one correlation names.
const MAX_NAMED: usize = 16;

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Events.
    Events,
    /// Different values of these fields.
    Values(Vec<String>),
    /// That all rules match, in any order.
    Rules,
    /// The same, in the order in which they are named.
    Ordered,
}

/// One correlation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Correlation {
    pub(crate) counted: Counted,
    /// The rules that it correlates, by name or id.
    pub(crate) rules: Vec<String>,
    pub(crate) group_by: Vec<String>,
    /// In seconds.
    pub(crate) span: u64,
    bounds: Vec<(ConditionOperator, u64)>,
    /// What a field is called in the events of a rule: alias, rule, field.
    aliases: Vec<(String, BTreeMap<String, String>)>,
    /// Its rules report by themselves, too.
    pub(crate) generate: bool,
}

impl Correlation {
    /// What a parsed correlation asks for.
    ///
    /// # Errors
    /// Why it is not evaluated here, in a sentence.
    pub(crate) fn of(rule: &CorrelationRule) -> Result<Self, String> {
        let CorrelationCondition::Threshold { predicates, field, .. } = &rule.condition else {
            return Err("it has a condition over rules by name, which is not supported".to_owned());
        };
        let counted = match (rule.correlation_type, field) {
            (CorrelationType::EventCount, _) => Counted::Events,
            (CorrelationType::ValueCount, Some(fields)) if !fields.is_empty() => Counted::Values(fields.clone()),
            (CorrelationType::ValueCount, _) => return Err("it counts values and names no field".to_owned()),
            (CorrelationType::Temporal, _) => Counted::Rules,
            (CorrelationType::TemporalOrdered, _) => Counted::Ordered,
            (
                kind @ (CorrelationType::ValueSum
                | CorrelationType::ValueAvg
                | CorrelationType::ValuePercentile
                | CorrelationType::ValueMedian),
                _,
            ) => return Err(format!("it is a {}, which is not supported", kind.as_str())),
        };
        if rule.window != WindowMode::Sliding {
            return Err(format!("its window is {}, and only sliding ones are supported", rule.window.as_str()));
        }
        if rule.timespan.seconds == 0 || rule.timespan.seconds > MAX_SPAN {
            return Err("its timespan is not between a second and a day".to_owned());
        }
        if rule.rules.is_empty() || rule.rules.len() > MAX_NAMED || rule.group_by.len() > MAX_NAMED {
            return Err(format!("it names no rule, or more than {MAX_NAMED} rules or fields"));
        }
        let is_temporal = matches!(counted, Counted::Rules | Counted::Ordered);
        let floor = predicates.iter().filter_map(|(operator, value)| least(*operator, *value)).max().unwrap_or_default();
        if !is_temporal && floor == 0 {
            return Err("it asks for few events, for which the end of a time would have to be awaited".to_owned());
        }
        if predicates.iter().any(|(_, value)| *value >= MAX_COUNT) {
            return Err(format!("it counts to {MAX_COUNT} or more"));
        }
        let aliases = rule.aliases.iter().map(|one| (one.alias.clone(), one.mapping.clone().into_iter().collect())).collect();
        Ok(Self {
            counted,
            rules: rule.rules.clone(),
            group_by: rule.group_by.clone(),
            span: rule.timespan.seconds,
            bounds: if is_temporal { Vec::new() } else { predicates.clone() },
            aliases,
            generate: rule.generate,
        })
    }

    /// What a field of this correlation is called in the events of one of its rules.
    pub(crate) fn field<'a>(&'a self, name: &'a str, rules: &[&str]) -> &'a str {
        let alias = self.aliases.iter().find(|(alias, _)| alias == name);
        let of = |(rule, _): &(&String, &String)| rules.iter().any(|known| rule.eq_ignore_ascii_case(known));
        alias.and_then(|(_, mapping)| mapping.iter().find(of)).map_or(name, |(_, field)| field)
    }

    /// The first field that events of this route do not have, as seen by one of its rules.
    pub(crate) fn unknown_field(&self, route: Route, rules: &[&str]) -> Option<String> {
        let values: &[String] = if let Counted::Values(fields) = &self.counted { fields } else { &[] };
        let known =
            |name: &str| fields(route).iter().any(|field| field.name == name) || (route == Route::Auditd && argument(name).is_some());
        let asked = self.group_by.iter().chain(values).map(|name| self.field(name, rules));
        asked.filter(|name| !known(name)).map(|name| shown(name, 80)).next()
    }

    /// Whether this many are as many as it asks for.
    pub(crate) fn is_met(&self, count: u64) -> bool {
        self.bounds.iter().all(|(operator, value)| match operator {
            ConditionOperator::Lt => count < *value,
            ConditionOperator::Lte => count <= *value,
            ConditionOperator::Gt => count > *value,
            ConditionOperator::Gte => count >= *value,
            ConditionOperator::Eq => count == *value,
            ConditionOperator::Neq => count != *value,
        })
    }

    /// In words: what was found `count` times.
    pub(crate) fn found(&self, count: u64) -> String {
        let within = in_words(self.span);
        match &self.counted {
            Counted::Events => format!("{count} events within {within}"),
            Counted::Values(fields) => format!("{count} different values of {} within {within}", shown(&fields.join(", "), 80)),
            Counted::Rules => format!("all of its {} rules within {within}", self.rules.len()),
            Counted::Ordered => format!("its {} rules in their order within {within}", self.rules.len()),
        }
    }
}

/// The fewest that pass; 0: none at all may pass.
fn least(operator: ConditionOperator, value: u64) -> Option<u64> {
    match operator {
        ConditionOperator::Gt => Some(value.saturating_add(1)),
        ConditionOperator::Gte | ConditionOperator::Eq => Some(value),
        ConditionOperator::Lt | ConditionOperator::Lte | ConditionOperator::Neq => None,
    }
}

/// `90 s`, `5 min`, `2 h`.
fn in_words(span: u64) -> String {
    match span {
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
