//! What a rule of a family is, and all rules compiled: one automaton over their words, and one expression each for the few that a word wakes.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::{Family, families};

/// How much a rule proves by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// Not what a program sends for a field of its own; people write it in searches and texts.
    Fair,
    /// Nobody writes this but to attack, wherever it stands.
    Strong,
}

/// Which form of a text a rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Decoded, in small letters; and once more without comments, and what was in base64.
    Plain,
    /// Decoded, with its case.
    Cased,
    /// Decoded, in small letters, without the quotes that break up words; only where there were some.
    Unquoted,
}

impl Form {
    /// In the order in which they are written above.
    const ALL: [Self; 3] = [Self::Plain, Self::Cased, Self::Unquoted];
}

/// One thing that proves an attack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// In small letters; without one of them the expression is never tried.
    pub(super) words: &'static [&'static str],
    /// An expression; `%NAME%` stands for a list of the family.
    pub(super) pattern: &'static str,
    pub(super) strength: Strength,
    pub(super) form: Form,
    /// What was seen, for people: "a union of two selects".
    pub(super) why: &'static str,
}

/// A rule that proves little by itself.
pub(super) const fn fair(words: &'static [&'static str], pattern: &'static str, why: &'static str) -> Rule {
    Rule { words, pattern, strength: Strength::Fair, form: Form::Plain, why }
}

/// A rule that proves an attack by itself.
pub(super) const fn strong(words: &'static [&'static str], pattern: &'static str, why: &'static str) -> Rule {
    Rule { words, pattern, strength: Strength::Strong, form: Form::Plain, why }
}

/// The same, on another form of the text.
impl Rule {
    pub(super) const fn on(self, form: Form) -> Self {
        Self { form, ..self }
    }
}

/// The rules of one family, and the lists that its expressions name.
#[derive(Debug, Clone, Copy)]
pub(super) struct RuleSet {
    pub(super) family: Family,
    pub(super) lists: &'static [(&'static str, &'static str)],
    pub(super) rules: &'static [Rule],
}

/// A rule that can be tried.
struct Compiled {
    family: Family,
    rule: Rule,
    expression: Regex,
}

/// All rules of all families.
pub(super) struct Rules {
    words: Option<AhoCorasick>,
    /// For each word the rules that it wakes.
    wakes: Vec<Woken>,
    /// The rules that read each form: the strong ones, and all.
    readers: [[Woken; 2]; Form::ALL.len()],
    rules: Vec<Compiled>,
}

/// What a rule found.
pub(super) struct Found<'r> {
    pub(super) family: Family,
    pub(super) rule: &'r Rule,
    pub(super) at: Range<usize>,
}

/// The most rules there can be: one bit each.
const MAX_RULES: usize = 256;

/// Which rules a text has woken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Woken([u64; MAX_RULES / 64]);

impl Woken {
    fn of(rules: impl Iterator<Item = usize>) -> Self {
        let mut woken = Self::default();
        for rule in rules {
            if let Some(bits) = woken.0.get_mut(rule / 64) {
                *bits |= 1 << (rule % 64);
            }
        }
        woken
    }

    fn wake(&mut self, rules: &Self) {
        self.0.iter_mut().zip(rules.0).for_each(|(own, more)| *own |= more);
    }

    /// Those that are in the other, too, the first ones first.
    fn common(&self, other: &Self) -> impl Iterator<Item = usize> + use<> {
        let both: [u64; MAX_RULES / 64] = std::array::from_fn(|part| self.0.get(part).zip(other.0.get(part)).map_or(0, |(a, b)| a & b));
        both.into_iter().enumerate().flat_map(|(part, mut bits)| {
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(part * 64 + bit)
            })
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0 == [0; MAX_RULES / 64]
    }
}

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::compile(&families()));

impl Rules {
    /// Compiled once, at the first line.
    pub(super) fn all() -> &'static Self {
        &RULES
    }

    fn compile(sets: &[RuleSet]) -> Self {
        let mut rules = Vec::new();
        for set in sets {
            for rule in set.rules {
                // That each one compiles is shown by a test; a rule that did not would only be missing.
                rules.extend(expression(set, rule).ok().map(|expression| Compiled { family: set.family, rule: *rule, expression }));
            }
        }
        rules.truncate(MAX_RULES);
        rules.sort_by_key(|compiled| std::cmp::Reverse(compiled.rule.strength));
        let mut words: Vec<&str> = rules.iter().flat_map(|compiled| compiled.rule.words).copied().collect();
        words.sort_unstable();
        words.dedup();
        let wakes =
            |word: &&str| Woken::of(rules.iter().enumerate().filter(|(_, compiled)| compiled.rule.words.contains(word)).map(|(at, _)| at));
        let wakes = words.iter().map(wakes).collect();
        let words = AhoCorasick::builder().match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::DFA)).build(&words).ok();
        let readers = Form::ALL.map(|form| {
            [Strength::Strong, Strength::Fair].map(|least| {
                let reads = |rule: &Rule| rule.form == form && rule.strength >= least;
                Woken::of(rules.iter().enumerate().filter(|(_, compiled)| reads(&compiled.rule)).map(|(at, _)| at))
            })
        });
        Self { words, wakes, readers, rules }
    }

    /// How many rules there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }

    /// The rules whose words stand in a text of small letters.
    pub(super) fn woken(&self, lower: &[u8]) -> Woken {
        let mut woken = Woken::default();
        if let Some(words) = &self.words {
            for hit in words.find_overlapping_iter(lower) {
                self.wakes.get(hit.pattern().as_usize()).into_iter().for_each(|rules| woken.wake(rules));
            }
        }
        woken
    }

    /// What the woken rules of one form find in a text, where they prove at least this much, the strong ones first. Each try takes the
    /// text's length from `work`; what it no longer covers is not tried.
    pub(super) fn find<'r>(
        &'r self,
        woken: &Woken,
        (form, least): (Form, Strength),
        text: &[u8],
        work: &mut usize,
        mut found: impl FnMut(Found<'r>),
    ) {
        if woken.is_empty() {
            return;
        }
        let by_strength = self.readers.get(form as usize);
        let Some(readers) = by_strength.and_then(|readers| readers.get(usize::from(least == Strength::Fair))) else { return };
        for compiled in woken.common(readers).filter_map(|at| self.rules.get(at)) {
            let Some(left) = work.checked_sub(text.len()) else {
                *work = 0;
                return;
            };
            *work = left;
            if let Some(hit) = compiled.expression.find(text) {
                found(Found { family: compiled.family, rule: &compiled.rule, at: hit.range() });
            }
        }
    }
}

/// Bytes without Unicode's classes, so that tables stay small, and `.` meets line ends, too.
pub(super) fn expression(set: &RuleSet, rule: &Rule) -> Result<Regex, regex::Error> {
    let mut pattern = rule.pattern.to_owned();
    for (name, list) in set.lists {
        pattern = pattern.replace(&format!("%{name}%"), list);
    }
    RegexBuilder::new(&pattern).unicode(false).dot_matches_new_line(true).size_limit(1 << 20).dfa_size_limit(1 << 18).build()
}
