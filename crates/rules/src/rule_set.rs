//! Many rules as one: an event meets only those of which a literal stands in it.

use std::collections::{BTreeSet, HashSet};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use bartizan_model::Event;

use super::bounds::MAX_RULES;
use super::record::Facts;
use super::rule::shown;
use super::shape::shapes;
use super::{BadRule, Memory, PACK, Pack, Route, Rule, parse};

/// Most correlations that are evaluated: what they remember stays below 12 MiB.
const MAX_CORRELATIONS: usize = 32;

/// Rules that a person switched off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switches {
    /// Their keys or ids.
    pub off: BTreeSet<String>,
}

impl Switches {
    /// Whether this rule is switched off.
    pub fn is_off(&self, rule: &Rule) -> bool {
        self.off.iter().any(|name| rule.is_called(name))
    }
}

/// All rules, ready to be evaluated.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    off: HashSet<usize>,
    /// Literals of all rules; a literal's number is its place in `owners`.
    prefilter: Option<AhoCorasick>,
    owners: Vec<Vec<u32>>,
    /// Rules of which nothing can be said beforehand.
    always: Vec<u32>,
    /// Correlations that are evaluated, and the rules that each is about.
    correlated: Vec<(usize, Vec<usize>)>,
}

impl RuleSet {
    /// The rules of the program and of these files (path, text, pack), and what of them cannot be used: the rest goes on without it.
    pub fn load(files: &[(String, String, Pack)], switches: &Switches) -> (Self, Vec<BadRule>) {
        let own = PACK.iter().map(|(file, text)| (*file, *text, Pack::BuiltIn));
        let (mut rules, mut bad) = (Vec::new(), Vec::new());
        for (file, text, pack) in own.chain(files.iter().map(|(file, text, pack)| (file.as_str(), text.as_str(), *pack))) {
            match parse(file, text, pack) {
                Ok(more) => rules.extend(more),
                Err(problem) => bad.push(problem),
            }
        }
        let (set, twice) = Self::new(rules, switches);
        bad.extend(twice);
        (set, bad)
    }

    /// A set of these rules, and what could not be taken in: a key that another rule has, or rules beyond the bound.
    pub fn new(rules: Vec<Rule>, switches: &Switches) -> (Self, Vec<BadRule>) {
        let (mut kept, mut problems, mut keys) = (Vec::with_capacity(rules.len()), Vec::new(), HashSet::new());
        for rule in rules {
            if kept.len() >= MAX_RULES {
                problems.push(BadRule { file: rule.file, problem: format!("more than {MAX_RULES} rules") });
            } else if !keys.insert(rule.key.to_ascii_lowercase()) {
                problems.push(BadRule { problem: format!("another rule is called {}", rule.key), file: rule.file });
            } else {
                kept.push(rule);
            }
        }
        let off = kept.iter().enumerate().filter(|(_, rule)| switches.is_off(rule)).map(|(index, _)| index).collect();
        let mut set = Self { rules: kept, off, prefilter: None, owners: Vec::new(), always: Vec::new(), correlated: Vec::new() };
        set.relate();
        set.index();
        (set, problems)
    }

    /// Finds the rules that each correlation is about, or why it cannot be evaluated.
    fn relate(&mut self) {
        for number in 0..self.rules.len() {
            let Some(rule) = self.rules.get(number).filter(|rule| rule.correlation.is_some() && !self.is_off(number)) else { continue };
            let found = match self.correlated.len() < MAX_CORRELATIONS {
                true => self.members(rule),
                false => Err(format!("more than {MAX_CORRELATIONS} rules about several events")),
            };
            match found {
                Ok(members) => self.correlated.push((number, members)),
                Err(reason) => self.rules.get_mut(number).into_iter().for_each(|rule| rule.reason = Some(reason.clone())),
            }
        }
        self.silence();
    }

    fn members(&self, rule: &Rule) -> Result<Vec<usize>, String> {
        let Some(correlation) = &rule.correlation else { return Ok(Vec::new()) };
        let each = correlation.rules.iter().map(|name| {
            let shown = shown(name, 80);
            let place = self
                .rules
                .iter()
                .position(|rule| rule.is_called(name))
                .ok_or_else(|| format!("it correlates {shown}, and no rule is called so"))?;
            let member = self
                .rules
                .get(place)
                .filter(|_| !self.is_off(place))
                .ok_or_else(|| format!("it correlates {shown}, which is switched off"))?;
            let route = member.route.filter(|_| member.compiled.is_some());
            let route = route.ok_or_else(|| format!("it correlates {shown}, which is not evaluated for one event"))?;
            let names = [member.key.as_str(), member.id.as_deref().unwrap_or(&member.key)];
            match correlation.unknown_field(route, &names) {
                Some(field) => Err(format!("it asks for {field} of {shown}, which no such event has")),
                None => Ok(place),
            }
        });
        each.collect()
    }

    /// The rules of a correlation report by themselves only where one says so. Those of other files always do: nobody silences another's rule.
    fn silence(&mut self) {
        let spoken = |silent: bool| {
            let of = self.correlated.iter().filter_map(|(number, members)| Some((self.rules.get(*number)?, members)));
            let such = of.filter(|(rule, _)| rule.correlation.as_ref().is_some_and(|one| one.generate != silent));
            such.flat_map(|(rule, members)| members.iter().copied().filter(|member| self.is_beside(rule, *member))).collect::<HashSet<_>>()
        };
        let (silent, loud) = (spoken(true), spoken(false));
        for (number, rule) in self.rules.iter_mut().enumerate() {
            rule.silent = silent.contains(&number) && !loud.contains(&number);
        }
    }

    fn is_beside(&self, rule: &Rule, other: usize) -> bool {
        self.rules.get(other).is_some_and(|other| other.file == rule.file && other.pack == rule.pack)
    }

    /// Correlations that are evaluated, and the rules that each is about.
    pub(crate) fn correlated(&self) -> &[(usize, Vec<usize>)] {
        &self.correlated
    }

    fn index(&mut self) {
        let mut literals: Vec<&str> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.compiled.is_none() || self.off.contains(&index) {
                continue;
            }
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            let Some(needed) = &rule.literals else {
                self.always.push(number);
                continue;
            };
            for literal in needed {
                let place = *places.entry(literal.as_str()).or_insert_with(|| {
                    literals.push(literal);
                    self.owners.push(Vec::new());
                    self.owners.len() - 1
                });
                self.owners.get_mut(place).into_iter().for_each(|owners| owners.push(number));
            }
        }
        let bytes: usize = literals.iter().map(|literal| literal.len()).sum();
        // The whole automaton as a table while it stays small, some 4 MiB; a compact one beyond.
        let kind = (bytes <= 16 << 10).then_some(AhoCorasickKind::DFA);
        let built = AhoCorasickBuilder::new().kind(kind).build(&literals);
        match built {
            Ok(prefilter) => self.prefilter = Some(prefilter),
            // Then every rule meets every event of its route: slower, and as true.
            Err(_) => self.always = self.switched_on(),
        }
    }

    fn switched_on(&self) -> Vec<u32> {
        (0..).take(self.rules.len()).filter(|number| !self.is_off(*number as usize)).collect()
    }

    /// All rules, also those that are not evaluated or switched off.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether the rule at this place was switched off.
    pub fn is_off(&self, index: usize) -> bool {
        self.off.contains(&index)
    }

    /// The rule of this key or id.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.is_called(name))
    }

    /// How many rules can match anything and are switched on.
    pub fn evaluated(&self) -> usize {
        self.rules.iter().enumerate().filter(|(index, rule)| rule.compiled() && !self.is_off(*index)).count()
    }

    /// The rules that match an event.
    pub fn evaluate(&self, event: &Event, memory: &Memory) -> Vec<&Rule> {
        self.met(event, memory, |_, _| {})
    }

    /// The same; `each` hears of every rule that the event met, and whether it matched.
    pub(crate) fn met<'a>(&'a self, event: &Event, memory: &Memory, each: impl FnMut(&'a Rule, bool)) -> Vec<&'a Rule> {
        let routes = shapes(&event.kind);
        if routes.is_empty() || (self.always.is_empty() && self.owners.is_empty()) {
            return Vec::new();
        }
        let parent = event.process.as_deref().and_then(|process| memory.parent_command(process));
        let facts = Facts::new(event, parent.as_deref());
        let candidates = self.candidates(&facts);
        if candidates.is_empty() {
            return Vec::new();
        }
        self.ask(&facts, candidates, each)
    }

    /// The rules that match an event, each asked whether or not a literal of it stands there: slow, to measure the prefilter by.
    pub fn evaluate_unfiltered(&self, event: &Event, memory: &Memory) -> Vec<&Rule> {
        let parent = event.process.as_deref().and_then(|process| memory.parent_command(process));
        self.ask(&Facts::new(event, parent.as_deref()), self.switched_on(), |_, _| {})
    }

    fn ask<'a>(&'a self, facts: &Facts<'_>, candidates: Vec<u32>, mut each: impl FnMut(&'a Rule, bool)) -> Vec<&'a Rule> {
        let records = facts.records();
        let mut out = Vec::new();
        for rule in candidates.into_iter().filter_map(|number| self.rules.get(number as usize)) {
            let (Some(compiled), Some(route)) = (&rule.compiled, rule.route) else { continue };
            let mut of_route = records.iter().filter(|record| record.route() == route).peekable();
            if of_route.peek().is_none() {
                continue;
            }
            let matches = of_route.any(|record| rsigma_eval::evaluate_rule(compiled, record).is_some());
            each(rule, matches);
            if matches {
                out.push(rule);
            }
        }
        out
    }

    /// Rules that could match, in their order.
    fn candidates(&self, facts: &Facts<'_>) -> Vec<u32> {
        let mut out = self.always.clone();
        let Some(prefilter) = &self.prefilter else { return out };
        let mut haystack = String::with_capacity(512);
        facts.haystack(&mut haystack);
        // A literal counts once, however often a hostile command repeats it.
        let mut met = vec![0_u64; self.owners.len().div_ceil(64)];
        for found in prefilter.find_overlapping_iter(&haystack) {
            let place = found.pattern().as_usize();
            let Some(bits) = met.get_mut(place / 64) else { continue };
            let bit = 1 << (place % 64);
            if *bits & bit == 0 {
                *bits |= bit;
                out.extend(self.owners.get(place).into_iter().flatten());
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Rules by route: evaluated, and of those how many meet every event of the route.
    pub fn by_route(&self) -> Vec<(Route, usize, usize)> {
        let of = |route: Route| self.rules.iter().filter(move |rule| rule.route == Some(route) && rule.compiled.is_some());
        Route::ALL.into_iter().map(|route| (route, of(route).count(), of(route).filter(|rule| rule.literals.is_none()).count())).collect()
    }
}
