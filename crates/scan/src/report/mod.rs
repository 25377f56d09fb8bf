//! A report for people and programs: Markdown, one HTML page, SARIF. Names of files are chosen by others: everything is escaped.

mod html;
mod markdown;
mod sarif;
mod words;

pub use html::html;
pub use markdown::markdown;
pub use sarif::sarif;
pub use words::verdict;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Findings, Weakness};
    use bartizan_model::{HostText, ScannerRun, ScannerState, SecurityReport, Severity, Timestamp};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn hostile(name: &[u8], evidence: &[u8]) -> SecurityReport {
        let at = Timestamp::from_timestamp(0, 0).unwrap();
        let mut findings = Findings::new("secrets", at);
        let title = format!("{}: a key", HostText::from(name));
        let weak = Weakness {
            rule: "key".into(),
            location: name.into(),
            line: Some(3),
            title,
            evidence: evidence.to_vec(),
            ..Weakness::default()
        };
        findings.add(Severity::High, Weakness { why: "why".into(), fix: "fix".into(), ..weak });
        let mut run = ScannerRun::begin(name.into(), at);
        run.leave_out(name.into(), "permission denied", 1, true);
        let missing = ScannerRun::without("host".into(), at, ScannerState::Missing, "no advisories");
        let scanners = BTreeMap::from([("secrets".to_owned(), run), ("deps".to_owned(), missing)]);
        SecurityReport::new(findings.finish().0, scanners, 0, Severity::Medium, at)
    }

    #[test]
    fn every_format_says_that_it_did_not_pass_and_what_is_missing() {
        let report = hostile(b"/srv/x", b"AKIA****");
        for text in [markdown(&report), html(&report)] {
            for word in ["NOT PASSED", "/srv/x", "missing", "no advisories", "permission denied", "AKIA"] {
                assert!(text.contains(word), "{word} in {text}");
            }
        }
        let sarif: serde_json::Value = serde_json::from_str(&sarif(&report).unwrap()).unwrap();
        assert_eq!(sarif["version"], "2.1.0");
        let runs = sarif["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 2);
        assert_eq!(runs[0]["invocations"][0]["executionSuccessful"], false, "missing: {sarif}");
        assert_eq!(runs[1]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "file:///srv/x");
        assert_eq!(runs[1]["results"][0]["level"], "error");
    }

    #[test]
    fn a_page_has_no_script_and_a_name_adds_none() {
        let page = html(&hostile(b"/</code><script>alert(1)</script>\" onload=\"x", b"<img src=x onerror=y>&'"));
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("\" onload"), "{page}");
        assert!(page.contains("default-src 'none'") && page.contains("width=device-width"));
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_place(name in prop::collection::vec(any::<u8>(), 1..40), evidence in prop::collection::vec(any::<u8>(), 1..40)) {
            let report = hostile(&name, &evidence);
            let plain = hostile(b"name", b"evidence");
            let tags = |page: &str| page.matches('<').count();
            prop_assert_eq!(tags(&html(&report)), tags(&html(&plain)));
            let text = markdown(&report);
            prop_assert_eq!(text.lines().count(), markdown(&plain).lines().count());
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
            prop_assert!(serde_json::from_str::<serde_json::Value>(&sarif(&report).unwrap()).is_ok());
        }
    }
}
