//! The findings of one run: bounded, each with a name that stays the same in every scan.

use bartizan_model::{Finding, FindingState, HostText, Severity, Timestamp};

/// Findings of one scanner's run that are kept; more are counted.
pub const MAX_FINDINGS: usize = 2_000;
/// Bytes of evidence that are kept of one finding.
const MAX_EVIDENCE: usize = 400;
/// Characters of a title that are kept: names of the host stand in it.
const MAX_TITLE: usize = 300;

/// What one scanner found so far.
#[derive(Debug)]
pub struct Findings {
    source: &'static str,
    at: Timestamp,
    found: Vec<Finding>,
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
        Self { source, at, found: Vec::new(), more: 0 }
    }

    /// Adds one; the same thing a second time changes nothing.
    pub fn add(&mut self, severity: Severity, weakness: Weakness) {
        let id = name(self.source, &weakness);
        if self.found.iter().any(|finding| finding.id == id) {
            return;
        }
        if self.found.len() >= MAX_FINDINGS {
            self.more += 1;
            return;
        }
        let Weakness { rule, aliases, location, line, title, evidence, why, fix, .. } = weakness;
        let evidence = evidence.get(..MAX_EVIDENCE).unwrap_or(&evidence);
        self.found.push(Finding {
            id,
            severity,
            title: title.chars().take(MAX_TITLE).collect(),
            source: self.source.to_owned(),
            rule,
            aliases,
            location,
            line,
            evidence: HostText::from(evidence),
            why,
            fix,
            first_seen: self.at,
            last_seen: self.at,
            state: FindingState::Open,
        });
    }

    /// Takes in what another found.
    pub fn absorb(&mut self, other: Self) {
        for finding in other.found {
            if self.found.iter().any(|known| known.id == finding.id) {
                continue;
            }
            if self.found.len() < MAX_FINDINGS { self.found.push(finding) } else { self.more += 1 }
        }
        self.more += other.more;
    }

    /// All of them, and how many were not kept.
    pub fn finish(self) -> (Vec<Finding>, u64) {
        (self.found, self.more)
    }
}

/// `F` and twelve hex digits: of scanner, rule, place and key, not of line or words, which change without the thing changing.
fn name(source: &str, weakness: &Weakness) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("bartizan finding 1");
    for part in [source.as_bytes(), weakness.rule.as_bytes(), weakness.location.as_bytes(), &weakness.key] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let hex = hasher.finalize().to_hex();
    format!("F{}", hex.get(..12).unwrap_or_default())
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
}
