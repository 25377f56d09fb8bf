//! The findings of one run: bounded to the worst, each with a name that stays the same in every scan.

use std::collections::HashSet;

use bartizan_model::{Finding, FindingState, HostText, Severity, Timestamp};

/// Findings of one scanner's run that are kept, the worst of all; the rest are counted.
pub const MAX_FINDINGS: usize = 2_000;
/// Bytes of evidence that are kept of one finding.
const MAX_EVIDENCE: usize = 400;
/// Characters of a title that are kept: names of the host stand in it.
const MAX_TITLE: usize = 300;
/// Bytes of a path that are kept (PATH_MAX of Linux).
const MAX_LOCATION: usize = 4096;
/// Characters of a reason or a remedy: two commands on the longest path, escaped.
const MAX_WORDS: usize = 40_000;
/// Names of the same thing that are kept.
const MAX_ALIASES: usize = 20;

/// What one scanner found so far.
#[derive(Debug)]
pub struct Findings {
    source: &'static str,
    at: Timestamp,
    /// Up to twice the bound: the worst are picked from them each time that they are too many.
    found: Vec<Finding>,
    known: HashSet<String>,
    more: u64,
}

/// What is said of one weakness.
#[derive(Debug, Clone, Default)]
pub struct Weakness {
    /// Which rule, check or advisory.
    pub rule: String,
    /// Other names of the same thing.
    pub aliases: Vec<String>,
    /// What tells it apart from others of the same rule at the same place; stays the same in every scan.
    pub key: Vec<u8>,
    /// The file, or what else it is about.
    pub location: HostText,
    /// Line in the file, from 1.
    pub line: Option<u64>,
    /// One plain sentence, with names of the host escaped.
    pub title: String,
    /// What was seen, redacted.
    pub evidence: Vec<u8>,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub fix: String,
}

impl Findings {
    /// Of this scanner, at this moment.
    pub fn new(source: &'static str, at: Timestamp) -> Self {
        Self { source, at, found: Vec::new(), known: HashSet::new(), more: 0 }
    }

    /// Adds one; the same thing a second time changes nothing.
    pub fn add(&mut self, severity: Severity, weakness: Weakness) {
        let id = name(self.source, &weakness);
        let Weakness { rule, mut aliases, location, line, title, evidence, why, fix, .. } = weakness;
        let evidence = evidence.get(..MAX_EVIDENCE).unwrap_or(&evidence);
        aliases.truncate(MAX_ALIASES);
        let location = location.as_bytes().get(..MAX_LOCATION).map_or(location.clone(), HostText::from);
        self.take(Finding {
            id,
            severity,
            title: title.chars().take(MAX_TITLE).collect(),
            source: self.source.to_owned(),
            rule,
            aliases,
            location,
            line,
            evidence: HostText::from(evidence),
            why: why.chars().take(MAX_WORDS).collect(),
            fix: fix.chars().take(MAX_WORDS).collect(),
            first_seen: self.at,
            last_seen: self.at,
            state: FindingState::Open,
        });
    }

    /// Takes in what another found.
    pub fn absorb(&mut self, other: Self) {
        other.found.into_iter().for_each(|finding| self.take(finding));
        self.more += other.more;
    }

    fn take(&mut self, finding: Finding) {
        if self.known.contains(&finding.id) {
            return;
        }
        self.known.insert(finding.id.clone());
        self.found.push(finding);
        if self.found.len() >= 2 * MAX_FINDINGS {
            self.keep_the_worst();
        }
    }

    /// The same ones in whatever order they were found.
    fn keep_the_worst(&mut self) {
        if self.found.len() <= MAX_FINDINGS {
            return;
        }
        self.found.sort_unstable_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.id.cmp(&b.id)));
        for dropped in self.found.drain(MAX_FINDINGS..) {
            self.known.remove(&dropped.id);
            self.more += 1;
        }
    }

    /// The worst of them, and how many were not kept.
    pub fn finish(mut self) -> (Vec<Finding>, u64) {
        self.keep_the_worst();
        (self.found, self.more)
    }
}

/// `F` and twelve hex digits: of scanner, rule, place and key, not of line or words, which change without the thing changing.
pub fn name(source: &str, weakness: &Weakness) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("bartizan finding 1");
    for part in [source.as_bytes(), weakness.rule.as_bytes(), weakness.location.as_bytes(), &weakness.key] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let hex = hasher.finalize().to_hex();
    format!("F{}", hex.get(..12).unwrap_or_default())
}

/// The paths of a scan as one name. A long list is cut after 2,000 bytes, and told apart from others by the digest of all.
pub fn target_name(paths: &[HostText]) -> HostText {
    const LONGEST: usize = 2_000;
    let all = paths.iter().map(HostText::as_bytes).collect::<Vec<_>>().join(&b' ');
    match all.get(..LONGEST) {
        Some(beginning) => [beginning, b"... ", blake3::hash(&all).to_hex().get(..16).unwrap_or_default().as_bytes()].concat().into(),
        None => all.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_keeps_its_name_and_a_flood_is_counted() {
        let at = Timestamp::from_timestamp(0, 0).unwrap();
        let weak = |key: usize, line| Weakness { rule: "r".into(), key: key.to_string().into(), line: Some(line), ..Weakness::default() };
        let mut findings = Findings::new("host", at);
        findings.add(Severity::Low, weak(0, 1));
        findings.add(Severity::Low, weak(0, 2));
        assert_eq!(findings.found.len(), 1, "another line is the same thing");
        for key in 1..MAX_FINDINGS + 5 {
            findings.add(Severity::Low, weak(key, 1));
        }
        let (found, more) = findings.finish();
        assert_eq!((found.len(), more), (MAX_FINDINGS, 5));
        assert!(found[0].id.len() == 13 && found[0].id != found[1].id);
    }

    #[test]
    fn the_worst_are_kept_though_they_come_last() {
        let at = Timestamp::from_timestamp(0, 0).unwrap();
        let mut findings = Findings::new("host", at);
        let all = 3 * MAX_FINDINGS + 7;
        for key in 0..all {
            let severity = if key + 3 >= all { Severity::Critical } else { Severity::Low };
            findings.add(severity, Weakness { key: key.to_string().into(), ..Weakness::default() });
        }
        let (found, more) = findings.finish();
        assert_eq!((found.len(), more), (MAX_FINDINGS, (all - MAX_FINDINGS) as u64));
        assert_eq!(found.iter().filter(|finding| finding.severity == Severity::Critical).count(), 3);
    }
}
