//! All rules over one text: one pass for the keywords of all of them, then each pattern where its keywords stand.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::allowlist::Seen;
use super::place::At;
use super::rule::Rule;
use super::{entropy, redact};
use bartizan_model::Severity;

/// Secrets of one file that are told, the worst of all; a file with more is full of them.
const MAX_HITS: usize = 100;
/// Matches that are looked at in one piece of a file.
const MAX_MATCHES: usize = 10_000;
/// Bytes of a line that allowlists and comments are looked for in, on each side of a match.
const MAX_LINE: usize = 2_000;
/// Comments by which an author says that a line holds no secret.
const COMMENTS: [&[u8]; 2] = [b"bartizan:allow", b"gitleaks:allow"];
/// Signs that assign, and how far behind the beginning of a keyword the first stands at most.
const ASSIGNS: &[u8] = b"=>|:?,";
const NEAR: usize = 96;
/// Bytes that patterns may be held against for each byte of a text, and for a small one.
const MAX_WORK: usize = 12;
const LEAST_WORK: usize = 512 << 10;
/// Bytes that a try counts for when nothing matches: most end after a few.
const TRIED: usize = 64;

/// Rules, ready to be used by several threads.
#[derive(Debug)]
pub struct Scanner {
    rules: Vec<Rule>,
    /// Finds keywords; each belongs to the rules at the same place of `owners`.
    keywords: AhoCorasick,
    owners: Vec<Vec<usize>>,
    /// Rules that are tried on every text, for they have no keyword.
    always: Vec<usize>,
}

/// One secret, without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Which rule: its name, what it finds, how bad that is.
    pub rule: String,
    /// What it finds.
    pub what: String,
    /// How bad.
    pub severity: Severity,
    /// Line, from 1; 0 when the name of the file is meant.
    pub line: u64,
    /// What may be shown of it.
    pub shown: Vec<u8>,
    /// Tells it apart from others without telling it.
    pub digest: [u8; 32],
}

/// Of several rules that find the same secret the one with the least rank tells: the worse, not one for anything, the first of the file.
type Rank = (Reverse<Severity>, bool, usize);

/// What is known of one file while its pieces are scanned.
#[derive(Debug, Default)]
pub struct FileScan {
    hits: Vec<Hit>,
    /// Which rule tells of it so far.
    seen: BTreeMap<[u8; 32], Rank>,
    /// Secrets that are not told one by one.
    pub more: u64,
    /// Matches that the author of the file says to be no secret.
    pub commented: u64,
    /// A piece had more matches than are looked at.
    pub cut: bool,
}

impl FileScan {
    /// What was found.
    pub fn hits(self) -> Vec<Hit> {
        self.hits
    }
}

impl Scanner {
    /// Of these rules.
    ///
    /// # Errors
    /// When the keywords cannot be put into one automaton.
    pub fn new(mut rules: Vec<Rule>) -> Result<Self, String> {
        rules.iter_mut().zip(0..).for_each(|(rule, order)| rule.order = order);
        let mut words: Vec<&str> = rules.iter().flat_map(|rule| rule.keywords.iter().map(String::as_str)).collect();
        words.sort_unstable();
        words.dedup();
        let mut owners = vec![Vec::new(); words.len()];
        let mut always = Vec::new();
        for (rule, number) in rules.iter().zip(0usize..) {
            if rule.keywords.is_empty() && !rule.is_about_names() {
                always.push(number);
            }
            for keyword in &rule.keywords {
                if let Some(owner) = words.binary_search(&keyword.as_str()).ok().and_then(|place| owners.get_mut(place)) {
                    owner.push(number);
                }
            }
        }
        let mut builder = AhoCorasick::builder();
        builder.ascii_case_insensitive(true).match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::DFA));
        let keywords = builder.build(&words).map_err(|why| why.to_string())?;
        Ok(Self { rules, keywords, owners, always })
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Rules that are about the name of a file alone.
    pub fn name(&self, path: &[u8], scan: &mut FileScan) {
        for rule in self.rules.iter().filter(|rule| rule.is_about_names()) {
            if rule.path.as_ref().is_some_and(|pattern| pattern.is_match(path))
                && !rule.allowlists.iter().any(|list| list.allows_path(path))
            {
                add(scan, rule, b"", || 0);
            }
        }
    }

    /// One piece of a file, of which `line` is the number of the first line.
    pub fn piece(&self, path: &[u8], text: &[u8], line: u64, scan: &mut FileScan) {
        let budget = text.len().saturating_mul(MAX_WORK) + LEAST_WORK;
        let mut piece = Piece { path, text, line, scan, budget };
        // Whole patterns are tried once a piece, others where a keyword stands.
        let mut whole: BTreeSet<usize> = self.always.iter().copied().collect();
        let mut reached = vec![0usize; self.rules.len()];
        // Surroundings of keywords overlap: they are put together, so that no byte is held against a pattern twice.
        let mut surroundings: Vec<Option<(usize, usize)>> = vec![None; self.rules.len()];
        for found in self.keywords.find_overlapping_iter(text) {
            for number in self.owners.get(found.pattern().as_usize()).into_iter().flatten() {
                let (Some(rule), Some(reached)) = (self.rules.get(*number), reached.get_mut(*number)) else { continue };
                match rule.at {
                    At::Anywhere => {
                        whole.insert(*number);
                    }
                    At::Keyword { word, after } => {
                        let is_free = !word || found.start() == 0 || text.get(found.start() - 1).is_none_or(|byte| !is_word(*byte));
                        if is_free && found.start() >= *reached {
                            piece.at_keyword(rule, found.start(), after, reached);
                        }
                    }
                    At::Around { before, after } => {
                        let (start, end) = (found.start().saturating_sub(before), (found.end() + after).min(text.len()));
                        let Some(open) = surroundings.get_mut(*number) else { continue };
                        match open {
                            Some((_, until)) if start <= *until => *until = end.max(*until),
                            _ => {
                                if let Some((from, until)) = open.replace((start, end)) {
                                    piece.between(rule, from, until);
                                }
                            }
                        }
                    }
                }
            }
            if piece.budget == 0 {
                break;
            }
        }
        for (rule, open) in self.rules.iter().zip(surroundings) {
            if let Some((from, until)) = open {
                piece.between(rule, from, until);
            }
        }
        for rule in whole.into_iter().filter_map(|number| self.rules.get(number)) {
            piece.between(rule, 0, text.len());
        }
        if piece.budget == 0 {
            scan.cut = true;
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A piece of a file at work.
struct Piece<'a> {
    path: &'a [u8],
    text: &'a [u8],
    line: u64,
    scan: &'a mut FileScan,
    /// Bytes that patterns may still be held against: a file can be made so that every byte of it begins a keyword.
    budget: usize,
}

impl Piece<'_> {
    /// Tries a pattern that begins with its keyword.
    fn at_keyword(&mut self, rule: &Rule, start: usize, after: usize, reached: &mut usize) {
        let Some(part) = self.text.get(start..(start + after).min(self.text.len())) else { return };
        // A name that nothing is assigned to is most of what is found: told apart without the pattern.
        if rule.is_assignment() && !part.iter().take(NEAR).any(|byte| ASSIGNS.contains(byte)) {
            return;
        }
        self.budget = self.budget.saturating_sub(TRIED);
        let Some(found) = rule.pattern().and_then(|pattern| pattern.captures(part)) else { return };
        self.judge(rule, start, &found);
        if let Some(whole) = found.get(0) {
            self.budget = self.budget.saturating_sub(whole.len());
            *reached = start + whole.end().max(1);
        }
    }

    /// Tries a pattern in a part of the text.
    fn between(&mut self, rule: &Rule, start: usize, end: usize) {
        let (Some(part), Some(pattern)) = (self.text.get(start..end), rule.pattern()) else { return };
        if self.budget == 0 {
            return;
        }
        self.budget = self.budget.saturating_sub(part.len());
        for found in pattern.captures_iter(part).take(MAX_MATCHES) {
            self.judge(rule, start, &found);
        }
    }

    fn judge(&mut self, rule: &Rule, offset: usize, found: &regex::bytes::Captures) {
        let Some(whole) = found.get(0) else { return };
        let first = || found.iter().skip(1).flatten().find(|group| !group.is_empty());
        let secret = rule.group.filter(|group| *group > 0).map_or_else(first, |group| found.get(group)).unwrap_or(whole).as_bytes();
        let secret = secret.trim_ascii();
        let is_weak = rule.entropy.is_some_and(|least| entropy::of(secret) <= least);
        if secret.is_empty() || is_weak || rule.path.as_ref().is_some_and(|only| !only.is_match(self.path)) {
            return;
        }
        let at = offset + whole.start();
        let around = line_around(self.text, at, offset + whole.end());
        let seen = Seen { path: self.path, secret, matched: whole.as_bytes(), line: around };
        if rule.allowlists.iter().any(|list| list.allows_path(self.path) || list.allows(&seen)) {
            return;
        }
        if COMMENTS.iter().any(|comment| memchr::memmem::find(around, comment).is_some()) {
            self.scan.commented += 1;
            return;
        }
        let (before, line) = (self.text.get(..at).unwrap_or_default(), self.line);
        add(self.scan, rule, secret, || line + memchr::memchr_iter(b'\n', before).count() as u64);
    }
}

/// The lines that a match is in.
fn line_around(text: &[u8], start: usize, end: usize) -> &[u8] {
    let before = text.get(start.saturating_sub(MAX_LINE)..start).unwrap_or_default();
    let begin = start - memchr::memrchr(b'\n', before).map_or(before.len(), |at| before.len() - at - 1);
    let after = text.get(end..(end + MAX_LINE).min(text.len())).unwrap_or_default();
    text.get(begin..end + memchr::memchr(b'\n', after).unwrap_or(after.len())).unwrap_or_default()
}

/// The same secret is told once, by the rule that says most of it.
fn add(scan: &mut FileScan, rule: &Rule, secret: &[u8], line: impl FnOnce() -> u64) {
    let digest = *blake3::hash(if secret.is_empty() { rule.id.as_bytes() } else { secret }).as_bytes();
    let rank = (Reverse(rule.severity), rule.id.starts_with("generic"), rule.order);
    match scan.seen.insert(digest, rank) {
        None => {}
        Some(told) if told <= rank => {
            scan.seen.insert(digest, told);
            return;
        }
        Some(_) => {
            if let Some(hit) = scan.hits.iter_mut().find(|hit| hit.digest == digest) {
                (hit.rule, hit.what, hit.severity) = (rule.id.clone(), rule.what.clone(), rule.severity);
            }
            return;
        }
    }
    if scan.hits.len() >= MAX_HITS {
        scan.more += 1;
        let mildest = scan.hits.iter().zip(0usize..).min_by_key(|(hit, _)| hit.severity).map(|(hit, place)| (hit.severity, place));
        match mildest {
            Some((severity, place)) if severity < rule.severity => drop(scan.hits.remove(place)),
            _ => return,
        }
    }
    let shown = if secret.is_empty() { Vec::new() } else { redact::redacted(secret) };
    scan.hits.push(Hit { rule: rule.id.clone(), what: rule.what.clone(), severity: rule.severity, line: line(), shown, digest });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::parse;

    #[test]
    fn the_worse_rule_tells_of_a_secret_wherever_it_stands_in_the_file() {
        let generic = "[[rules]]\nid='generic'\nregex='token=(\\w{9})'\nkeywords=['token']\nseverity='medium'\n";
        let own = "[[rules]]\nid='own'\nregex='[ab]x_\\w{6}'\nkeywords=['ax_', 'bx_']\n";
        for rules in [format!("{generic}{own}"), format!("{own}{generic}")] {
            let scanner = Scanner::new(parse(&rules).unwrap()).unwrap();
            let mut scan = FileScan::default();
            scanner.piece(b"f", b"token=ax_123456\n", 1, &mut scan);
            let hits = scan.hits();
            assert_eq!(hits.iter().map(|hit| (hit.rule.as_str(), hit.severity)).collect::<Vec<_>>(), [("own", Severity::High)]);
        }
    }

    #[test]
    fn a_text_full_of_keywords_is_looked_at_as_a_whole() {
        // A rule whose surroundings reach far, and a word of it in every line, as in documentation.
        let rule =
            "[[rules]]\nid='r'\nregex='(?:key|test)[-_][a-f0-9]{32}Z[a-z]{400,}|live_[0-9]{40}'\nkeywords=['key-', 'test_', 'live_']\n";
        let scanner = Scanner::new(parse(rule).unwrap()).unwrap();
        let mut text = "the test_ of a key- is like a live_ one\n".repeat(20_000).into_bytes();
        text.extend_from_slice(format!("live_{}\n", "1234567890".repeat(4)).as_bytes());
        let mut scan = FileScan::default();
        scanner.piece(b"f", &text, 1, &mut scan);
        assert!(!scan.cut);
        assert_eq!(scan.hits().iter().map(|hit| hit.line).collect::<Vec<_>>(), [20_001]);
    }
}
