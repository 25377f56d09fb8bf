//! One advisory of the OSV schema (ossf.github.io/osv-schema), and whether a version is affected by it.

use std::cmp::Ordering;

use serde::Deserialize;
use serde_json::Value;

use super::{Ecosystem, cvss, version};
use bartizan_model::Severity;

/// An advisory, as far as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct Advisory {
    pub(super) id: String,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
    #[serde(default)]
    pub(super) upstream: Vec<String>,
    #[serde(default)]
    pub(super) summary: String,
    #[serde(default)]
    pub(super) details: String,
    #[serde(default)]
    pub(super) withdrawn: Option<String>,
    #[serde(default)]
    severity: Vec<Score>,
    #[serde(default)]
    database_specific: Value,
    #[serde(default)]
    pub(super) affected: Vec<Affected>,
}

#[derive(Debug, Deserialize)]
struct Score {
    #[serde(default)]
    score: String,
}

/// One package of an advisory.
#[derive(Debug, Deserialize)]
pub(super) struct Affected {
    pub(super) package: Option<Named>,
    #[serde(default)]
    ranges: Vec<Range>,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    severity: Vec<Score>,
    #[serde(default)]
    ecosystem_specific: Value,
}

/// Which package.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) ecosystem: String,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
struct Range {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Debug, Deserialize, Default)]
struct Event {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
}

/// What an advisory says of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    NotAffected,
    /// The lowest version that is not, if there is one.
    Affected(Option<String>),
}

impl Affected {
    /// Whether this version is affected.
    pub(super) fn verdict(&self, ecosystem: Ecosystem, own: &str) -> Verdict {
        let listed = self.versions.iter().any(|one| version::compare(ecosystem, one, own) == Ordering::Equal);
        let ranges = || self.ranges.iter().filter(|range| range.kind != "GIT");
        if !listed && !ranges().any(|range| range.holds(ecosystem, own)) {
            return Verdict::NotAffected;
        }
        let fixed = ranges().flat_map(|range| &range.events).filter_map(|event| event.fixed.as_deref());
        let later = fixed.filter(|fixed| version::compare(ecosystem, fixed, own) == Ordering::Greater);
        Verdict::Affected(later.min_by(|a, b| version::compare(ecosystem, a, b)).map(str::to_owned))
    }
}

impl Range {
    /// The last event at or before this version decides.
    fn holds(&self, ecosystem: Ecosystem, own: &str) -> bool {
        let compare = |at: &str| if at == "0" { Ordering::Less } else { version::compare(ecosystem, at, own) };
        let mut events: Vec<(&str, bool, bool)> = Vec::new();
        for event in &self.events {
            events.extend(event.introduced.as_deref().map(|at| (at, true, false)));
            events.extend(event.fixed.as_deref().map(|at| (at, false, false)));
            events.extend(event.last_affected.as_deref().map(|at| (at, false, true)));
        }
        let order = |a: &str, b: &str| match (a, b) {
            ("0", "0") => Ordering::Equal,
            ("0", _) => Ordering::Less,
            (_, "0") => Ordering::Greater,
            _ => version::compare(ecosystem, a, b),
        };
        events.sort_by(|(a, ..), (b, ..)| order(a, b));
        let reached = |at: &str, is_last: bool| if is_last { compare(at) == Ordering::Less } else { compare(at) != Ordering::Greater };
        events.iter().filter(|(at, _, is_last)| reached(at, *is_last)).fold(false, |_, (_, begins, _)| *begins)
    }
}

impl Advisory {
    /// How bad it is: by its database's word, by CVSS, by Debian's urgency; `Medium` when nobody says.
    pub(super) fn severity(&self, of: &Affected) -> Severity {
        let word = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).and_then(by_word);
        let scores = || of.severity.iter().chain(&self.severity);
        word(&of.ecosystem_specific, "urgency")
            .or_else(|| word(&self.database_specific, "severity"))
            .or_else(|| scores().find_map(|score| cvss::severity(&score.score)))
            .unwrap_or(Severity::Medium)
    }

    /// The name by which people know it: the CVE if there is one.
    pub(super) fn best_name(&self) -> &str {
        let all = || std::iter::once(&self.id).chain(&self.aliases).chain(&self.upstream);
        all().find(|name| name.starts_with("CVE-")).unwrap_or(&self.id)
    }
}

/// Words of GitHub's advisories and of Debian's security tracker.
pub(super) fn by_word(word: &str) -> Option<Severity> {
    Some(match word.trim_end_matches('*').to_ascii_lowercase().as_str() {
        "critical" => Severity::Critical,
        "high" => Severity::High,
        "medium" | "moderate" => Severity::Medium,
        "low" => Severity::Low,
        "unimportant" => Severity::Info,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affected(text: &str) -> Affected {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn ranges_begin_and_end_where_they_say() {
        let range = r#"{"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.2.0"}, {"introduced": "2.0.0"}, {"last_affected": "2.3.0"}]}]}"#;
        let one = affected(range);
        let fixed = |version: &str| one.verdict(Ecosystem::Npm, version);
        assert_eq!(fixed("1.1.9"), Verdict::Affected(Some("1.2.0".into())));
        assert_eq!(fixed("1.2.0"), Verdict::NotAffected);
        assert_eq!(fixed("1.2.0-rc.1"), Verdict::Affected(Some("1.2.0".into())));
        assert_eq!(fixed("1.9.0"), Verdict::NotAffected);
        assert_eq!(fixed("2.3.0"), Verdict::Affected(None));
        assert_eq!(fixed("2.3.1"), Verdict::NotAffected);
        let listed = affected(r#"{"versions": ["1.0"], "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}"#);
        assert_eq!(listed.verdict(Ecosystem::PyPi, "1.0.0"), Verdict::Affected(None));
        assert_eq!(listed.verdict(Ecosystem::PyPi, "1.1"), Verdict::NotAffected);
        let debian = affected(r#"{"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.11-1~deb12u2"}]}]}"#);
        assert_eq!(debian.verdict(Ecosystem::Debian, "3.0.11-1~deb12u1"), Verdict::Affected(Some("3.0.11-1~deb12u2".into())));
    }
}
