//! Packages against advisories, one at a time, so that a database of any size takes no more memory than its largest advisory.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use aho_corasick::AhoCorasick;

use super::advisory::{self, Advisory, Verdict};
use super::{Ecosystem, Package, SOURCE, debian_tracker, version};
use crate::findings::{Findings, Weakness};
use bartizan_model::{Finding, HostText, Severity, Timestamp};

/// Characters of a summary.
const MAX_SUMMARY: usize = 160;

/// Which release of a distribution this is: `12` and `bookworm`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    /// `VERSION_ID` of os-release(5).
    pub number: String,
    /// `VERSION_CODENAME`.
    pub codename: String,
}

/// Packages that wait for advisories.
#[derive(Debug)]
pub struct Matcher {
    packages: Vec<Package>,
    by_name: HashMap<(Ecosystem, String), Vec<usize>>,
    /// Names in quotes: an advisory that holds none of them is about others.
    names: Option<AhoCorasick>,
    /// The ecosystems of the packages: each is looked for in advisories until one is about it.
    tags: AhoCorasick,
    ecosystems: BTreeSet<Ecosystem>,
    release: Release,
}

/// What was found so far; each thread has its own.
#[derive(Debug)]
pub struct Matches {
    findings: Findings,
    /// Advisories that were read.
    pub advisories: u64,
    /// Ecosystems, of Debian this release of it, that at least one advisory is about.
    about: BTreeSet<Ecosystem>,
}

impl Matches {
    /// Takes in what another thread found.
    pub fn absorb(&mut self, other: Self) {
        self.advisories += other.advisories;
        self.findings.absorb(other.findings);
        self.about.extend(other.about);
    }

    /// All of them, and how many were not kept.
    pub fn finish(self) -> (Vec<Finding>, u64) {
        self.findings.finish()
    }
}

impl Matcher {
    /// Of these packages on this release.
    ///
    /// # Errors
    /// When their names cannot be put into one automaton.
    pub fn new(packages: Vec<Package>, release: Release) -> Result<Self, String> {
        let mut by_name: HashMap<_, Vec<usize>> = HashMap::new();
        for (place, package) in packages.iter().enumerate() {
            by_name.entry((package.ecosystem, package.ecosystem.normal(&package.name))).or_default().push(place);
        }
        // PyPI and Composer write names in several ways: then every advisory is read.
        let is_plain = packages.iter().all(|package| !matches!(package.ecosystem, Ecosystem::PyPi | Ecosystem::Composer));
        let quoted: BTreeSet<String> = packages.iter().map(|package| format!("\"{}\"", package.name)).collect();
        let names = if is_plain { Some(AhoCorasick::new(quoted).map_err(|why| why.to_string())?) } else { None };
        let ecosystems: BTreeSet<Ecosystem> = packages.iter().map(|package| package.ecosystem).collect();
        let tags = AhoCorasick::new(ecosystems.iter().map(|one| format!("\"{}", one.name()))).map_err(|why| why.to_string())?;
        Ok(Self { packages, by_name, names, tags, ecosystems, release })
    }

    /// Ecosystems of which there are packages, how many, and no advisory that these matches saw is about them: nothing is known of them.
    pub fn unknown(&self, matches: &Matches) -> Vec<(Ecosystem, u64)> {
        let count = |of: Ecosystem| self.packages.iter().filter(|package| package.ecosystem == of).count() as u64;
        self.ecosystems.difference(&matches.about).map(|one| (*one, count(*one))).collect()
    }

    /// Whether an advisory about this release of this ecosystem is about this host. Where the release is not known, none is.
    fn is_ours(&self, ecosystem: Ecosystem, release: Option<&str>) -> bool {
        match (ecosystem, release) {
            (Ecosystem::Debian, Some(of)) => !of.is_empty() && of == self.release.number,
            (Ecosystem::Debian, None) => !self.release.number.is_empty() || !self.release.codename.is_empty(),
            _ => true,
        }
    }

    /// Nothing found yet.
    pub fn begin(&self, at: Timestamp) -> Matches {
        Matches { findings: Findings::new(SOURCE, at), advisories: 0, about: BTreeSet::new() }
    }

    /// Holds one advisory of OSV against the packages.
    ///
    /// # Errors
    /// Why it is none.
    pub fn advisory(&self, bytes: &[u8], matches: &mut Matches) -> Result<(), String> {
        matches.advisories += 1;
        if !is_whole(bytes) {
            return Err("it is no whole JSON object".to_owned());
        }
        // One that names none of our packages still says that the database knows our ecosystem.
        let may_tell = matches.about.len() < self.ecosystems.len() && self.tags.is_match(bytes);
        if !may_tell && self.names.as_ref().is_some_and(|names| !names.is_match(bytes)) {
            return Ok(());
        }
        let advisory: Advisory = serde_json::from_slice(bytes).map_err(|why| why.to_string())?;
        if advisory.withdrawn.is_some() {
            return Ok(());
        }
        for affected in &advisory.affected {
            let Some(named) = &affected.package else { continue };
            let Some((ecosystem, release)) = Ecosystem::parse(&named.ecosystem) else { continue };
            if !self.is_ours(ecosystem, release) {
                continue;
            }
            matches.about.insert(ecosystem);
            for package in self.called(ecosystem, &named.name) {
                if let Verdict::Affected(fixed) = affected.verdict(ecosystem, &package.version) {
                    let summary = if advisory.summary.is_empty() { &advisory.details } else { &advisory.summary };
                    let name = advisory.best_name();
                    let aliases = std::iter::once(&advisory.id).chain(&advisory.aliases).filter(|alias| *alias != name).cloned().collect();
                    let about = About { name, aliases, summary, fixed, severity: advisory.severity(affected) };
                    about.found(package, &mut matches.findings);
                }
            }
        }
        Ok(())
    }

    /// Holds the data of Debian's security tracker against the packages.
    ///
    /// # Errors
    /// Why it is not such data, or this host no Debian.
    pub fn tracker(&self, bytes: &[u8], matches: &mut Matches) -> Result<(), String> {
        if self.release.codename.is_empty() {
            return Err("this host does not say which release of Debian it is (/etc/os-release)".to_owned());
        }
        let wants = |name: &str| self.by_name.contains_key(&(Ecosystem::Debian, name.to_owned()));
        debian_tracker::read(bytes, &wants, &mut |name, cve, entry| {
            matches.advisories += 1;
            let Some(here) = entry.releases.get(&self.release.codename) else { return };
            matches.about.insert(Ecosystem::Debian);
            let fixed = here.fixed_version.clone().filter(|_| here.status == "resolved");
            for package in self.called(Ecosystem::Debian, name) {
                let is_affected = match (here.status.as_str(), &fixed) {
                    ("open", _) => true,
                    // 0: this release never had it.
                    (_, Some(fixed)) => fixed != "0" && version::compare(Ecosystem::Debian, &package.version, fixed) == Ordering::Less,
                    (_, None) => false,
                };
                if is_affected {
                    let severity = advisory::by_word(&here.urgency).unwrap_or(Severity::Medium);
                    let about = About { name: cve, aliases: Vec::new(), summary: &entry.description, fixed: fixed.clone(), severity };
                    about.found(package, &mut matches.findings);
                }
            }
        })
    }

    fn called(&self, ecosystem: Ecosystem, name: &str) -> impl Iterator<Item = &Package> {
        let places = self.by_name.get(&(ecosystem, ecosystem.normal(name)));
        places.into_iter().flatten().filter_map(|place| self.packages.get(*place))
    }
}

/// What is said of one affected package.
struct About<'a> {
    name: &'a str,
    aliases: Vec<String>,
    summary: &'a str,
    fixed: Option<String>,
    severity: Severity,
}

impl About<'_> {
    fn found(&self, package: &Package, findings: &mut Findings) {
        let text = |words: &str| HostText::from(words).escaped();
        let summary: String = self.summary.lines().next().unwrap_or_default().chars().take(MAX_SUMMARY).collect();
        let summary = if summary.is_empty() { String::new() } else { format!(": {}", text(&summary)) };
        let installed = package.installed_as.as_deref().unwrap_or(&package.name);
        let fix = match (&self.fixed, package.ecosystem) {
            (Some(fixed), Ecosystem::Debian) => format!("apt install --only-upgrade {}   # {} or later", text(installed), text(fixed)),
            (Some(fixed), _) => format!("update {} to {} or later, and its lock file", text(&package.name), text(fixed)),
            (None, _) => "no fixed version is known yet: look at the advisory for what to do meanwhile".to_owned(),
        };
        let weakness = Weakness {
            rule: text(self.name),
            aliases: self.aliases.iter().map(|alias| text(alias)).collect(),
            key: [package.name.as_bytes(), b" ", installed.as_bytes()].concat(),
            location: package.location.clone(),
            line: None,
            title: format!("{} {} has {}{summary}", text(installed), text(&package.version), text(self.name)),
            evidence: format!("{} {} ({})", package.name, package.version, package.ecosystem.name()).into_bytes(),
            why: "It is publicly known how to attack this version.".to_owned(),
            fix,
        };
        findings.add(self.severity, weakness);
    }
}

/// Whether it begins and ends like an advisory: one that was cut must not count as one that names none of our packages.
fn is_whole(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii();
    bytes.len() > 2 && bytes.starts_with(b"{") && bytes.ends_with(b"}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher() -> Matcher {
        let location = HostText::from("/x");
        let package = |ecosystem, name, version| Package::new(ecosystem, name, version, &location).unwrap();
        let packages = vec![package(Ecosystem::Debian, "openssl", "3.0.11-1~deb12u1"), package(Ecosystem::PyPi, "Jinja2", "2.4.1")];
        Matcher::new(packages, Release { number: "12".into(), codename: "bookworm".into() }).unwrap()
    }

    fn found(look: impl FnOnce(&Matcher, &mut Matches)) -> Vec<(String, Severity, String)> {
        let matcher = matcher();
        let mut matches = matcher.begin(Timestamp::from_timestamp(0, 0).unwrap());
        look(&matcher, &mut matches);
        matches.finish().0.into_iter().map(|finding| (finding.rule, finding.severity, finding.fix)).collect()
    }

    #[test]
    fn an_advisory_that_was_cut_does_not_count_as_harmless() {
        for cut in ["", "{", "{}", r#"{"id": "X", "affected": [{"package": {"eco"#] {
            let matcher = matcher();
            let mut matches = matcher.begin(Timestamp::from_timestamp(0, 0).unwrap());
            assert!(matcher.advisory(cut.as_bytes(), &mut matches).is_err(), "{cut}");
        }
    }

    #[test]
    fn advisories_of_osv_find_what_they_are_about() {
        let debian = |release: &str| {
            format!(
                r#"{{"id": "DEBIAN-CVE-2023-5678", "upstream": ["CVE-2023-5678"], "affected": [{{"package": {{"ecosystem": "Debian:{release}", "name": "openssl"}},
                "ranges": [{{"type": "ECOSYSTEM", "events": [{{"introduced": "0"}}, {{"fixed": "3.0.11-1~deb12u2"}}]}}], "ecosystem_specific": {{"urgency": "low"}}}}]}}"#
            )
        };
        let one = found(|matcher, matches| matcher.advisory(debian("12").as_bytes(), matches).unwrap());
        assert_eq!((one[0].0.as_str(), one[0].1), ("CVE-2023-5678", Severity::Low));
        assert!(one[0].2.contains("3.0.11-1~deb12u2"));
        assert!(found(|matcher, matches| matcher.advisory(debian("11").as_bytes(), matches).unwrap()).is_empty());
        let python = r#"{"id": "GHSA-x", "aliases": ["CVE-2014-1402"], "database_specific": {"severity": "MODERATE"}, "affected": [{"package":
            {"ecosystem": "PyPI", "name": "jinja2"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.7.2"}]}]}]}"#;
        assert_eq!(found(|matcher, matches| matcher.advisory(python.as_bytes(), matches).unwrap())[0].1, Severity::Medium);
        let withdrawn = python.replace("\"aliases\"", "\"withdrawn\": \"2024-01-01T00:00:00Z\", \"aliases\"");
        assert!(found(|matcher, matches| matcher.advisory(withdrawn.as_bytes(), matches).unwrap()).is_empty());
        assert!(found(|matcher, matches| assert!(matcher.advisory(b"{\"id\": 7}", matches).is_err())).is_empty());
        let deep = "[".repeat(100_000);
        assert!(found(|matcher, matches| assert!(matcher.advisory(deep.as_bytes(), matches).is_err())).is_empty());
    }

    #[test]
    fn what_no_advisory_is_about_is_not_called_harmless() {
        let unknown = |release: Release, advisories: &[&str]| {
            let location = HostText::from("/x");
            let debian = Package::new(Ecosystem::Debian, "bash", "5.2", &location).unwrap();
            let crate_of_rust = Package::new(Ecosystem::Cargo, "time", "0.1.0", &location).unwrap();
            let matcher = Matcher::new(vec![debian.clone(), debian, crate_of_rust], release).unwrap();
            let mut matches = matcher.begin(Timestamp::from_timestamp(0, 0).unwrap());
            advisories.iter().for_each(|one| matcher.advisory(one.as_bytes(), &mut matches).unwrap());
            matcher.unknown(&matches)
        };
        let twelve = || Release { number: "12".into(), codename: "bookworm".into() };
        let one =
            |ecosystem: &str| format!(r#"{{"id": "X", "affected": [{{"package": {{"ecosystem": "{ecosystem}", "name": "other"}}}}]}}"#);
        let (debian, other, rust) = (one("Debian:12"), one("Debian:11"), one("crates.io"));
        assert_eq!(unknown(twelve(), &[&debian, &rust]), []);
        assert_eq!(unknown(twelve(), &[&other, &rust]), [(Ecosystem::Debian, 2)]);
        assert_eq!(unknown(twelve(), &[&debian]), [(Ecosystem::Cargo, 1)]);
        assert_eq!(unknown(Release::default(), &[&debian, &one("Debian"), &rust]), [(Ecosystem::Debian, 2)]);
    }

    #[test]
    fn the_security_tracker_is_read_for_this_release() {
        let tracker = |status: &str, fixed: &str| {
            format!(
                r#"{{"other": {{"CVE-1": [1, 2]}}, "openssl": {{"CVE-2023-5678": {{"description": "x", "releases": {{
                "bookworm": {{"status": "{status}", "fixed_version": "{fixed}", "urgency": "not yet assigned"}}}}}}}}}}"#
            )
        };
        let count = |status: &str, fixed: &str| {
            found(|matcher, matches| matcher.tracker(tracker(status, fixed).as_bytes(), matches).unwrap()).len()
        };
        assert_eq!(count("resolved", "3.0.11-1~deb12u2"), 1);
        assert_eq!(count("resolved", "3.0.11-1~deb12u1"), 0);
        assert_eq!(count("resolved", "0"), 0);
        assert_eq!(count("open", "1"), 1);
        assert_eq!(count("undetermined", "9"), 0);
        assert!(found(|matcher, matches| assert!(matcher.tracker(b"{\"openssl\": 7}", matches).is_err())).is_empty());
    }
}
