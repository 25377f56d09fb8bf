//! Places that a baseline covers and that were not there when it was made.

use super::scan::FimError;
use bartizan_integrity::decode;
use bartizan_model::HostText;
use bartizan_store::{Baseline, BaselineVersion};

/// The roots of which the baseline says that they are not there.
///
/// # Errors
/// What the database says.
pub fn absent(baseline: &Baseline, version: &BaselineVersion) -> Result<Vec<HostText>, FimError> {
    let reader = baseline.reader()?;
    let mut absent = Vec::new();
    for root in &version.roots {
        let mut parts = root.as_bytes().rsplitn(2, |byte| *byte == b'/');
        let (Some(name), Some(parent)) = (parts.next(), parts.next()) else { continue };
        // The root of all has no name and is always there.
        let row = reader.directory(if parent.is_empty() { b"/" } else { parent })?;
        let entries = row.as_deref().map(decode).and_then(Result::ok).unwrap_or_default();
        absent.extend((!name.is_empty() && !entries.iter().any(|entry| entry.name == name)).then(|| root.clone()));
    }
    Ok(absent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fim::{Adds, Ask, Excluded, Report, Writing, scan};
    use bartizan_model::Timestamp;
    use std::fs;
    use std::path::PathBuf;

    #[test]
    fn a_place_that_was_not_there_is_a_change_when_it_comes() {
        let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = dir.path().canonicalize().unwrap();
        let baseline = Baseline::open(data.path()).unwrap();
        let now = Timestamp::from_timestamp(2_000_000_000, 0).unwrap();
        let scanned = |paths: Vec<PathBuf>, adds: Option<Adds>| -> Report {
            let writing = adds.map(|adds| Writing { by: "ann".into(), what: "baseline".into(), at: now, adds });
            let ask = Ask { paths, full: false, excluded: Excluded::default(), writing, yara: None };
            scan(&baseline, &ask, now, &mut |_| {}, &mut |_| true).unwrap()
        };
        fs::create_dir(dir.join("ann")).unwrap();
        fs::write(dir.join("ann/.profile"), "").unwrap();
        let places = ["ann/.profile", "ann/.bash_profile", "ann/.ssh", "gone/.ssh"].map(|place| dir.join(place)).to_vec();
        let (version, _) = scanned(places, Some(Adds::Places)).made.unwrap();
        let missing = absent(&baseline, &version).unwrap();
        let text = |place: &str| HostText::from(dir.join(place).to_str().unwrap());
        assert_eq!(missing, ["ann/.bash_profile", "ann/.ssh", "gone/.ssh"].map(text));
        assert!(scanned(Vec::new(), None).changes.is_empty());
        fs::write(dir.join("ann/.bash_profile"), "x").unwrap();
        for ssh in ["ann/.ssh", "gone/.ssh"] {
            fs::create_dir_all(dir.join(ssh)).unwrap();
            fs::write(dir.join(ssh).join("authorized_keys"), "ssh-ed25519 AAAA eve\n").unwrap();
        }
        let report = scanned(Vec::new(), None);
        let found: Vec<HostText> = report.changes.iter().map(|change| change.path.clone()).collect();
        let wanted = ["ann/.bash_profile", "ann/.ssh", "ann/.ssh/authorized_keys", "gone/.ssh", "gone/.ssh/authorized_keys"];
        assert_eq!(found, wanted.map(text));
        assert_eq!((report.dangers.len(), report.directories), (2, 2), "the keys are told, and only what was looked into is counted");
        // What was found and refused makes no version.
        let ask = Ask { paths: vec![dir.join("ann/.ssh")], full: false, excluded: Excluded::default(), writing: None, yara: None };
        let writing = Writing { by: "ann".into(), what: "approved".into(), at: now, adds: Adds::Nothing };
        let refused = scan(&baseline, &Ask { writing: Some(writing), ..ask }, now, &mut |_| {}, &mut |report| report.changes.is_empty());
        assert!(refused.unwrap().made.is_none());
        assert_eq!(baseline.versions().unwrap().len(), 1);
    }
}
