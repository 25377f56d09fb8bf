//! A file that the baseline covers came, or changed, and its content is dangerous: a webshell, a key, a unit that runs what it fetches.

use bartizan_model::{Entity, Event, EventKind, Family, FileFinding, Process, Severity, Stage, Tier};

use super::kinship::{by_package_manager, by_person, grown_from, named, named_root, network_facing, path, subject};
use super::{Detection, Detector, DetectorContext, Info};

static INFO: Info = Info {
    name: "dangerous_file",
    title: "Dangerous content in a watched file",
    technique: &["T1505.003", "T1098.004", "T1543.002", "T1548.003", "T1574.006", "T1136.001", "T1059", "T1059.004", "T1496", "T1014"],
    family: Family::Files,
    stage: Stage::Persistence,
    tier: Tier::Experimental,
    severity: Severity::High,
    confidence: 0.7,
    meaning: "A file of the baseline of `bartizan fim` is new or changed, and it runs what a request sends or what it decodes, lets somebody in, or loads a library into every program: a webshell or another way to come back. Or a YARA rule matches it: a reverse shell, a miner, a rootkit, or what a rule pack of the owner is about.",
    false_positives: "Administration tools written in PHP; installers that fetch what they run. What a person's own session or a package wrote counts little or not at all.",
    quiet: "Accept the file with `bartizan fim approve`; what the baseline knows is no finding.",
};

pub(super) struct DangerousFile;

impl Detector for DangerousFile {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, _sight: &DetectorContext<'_>) -> Option<Detection> {
        let EventKind::FileChange { file } = &event.kind else {
            return None;
        };
        let integrity = file.integrity.as_ref()?;
        let finding = integrity.findings.first()?;
        let what = format!("{}: {}", path(&file.path), finding.sentence);
        let detection = match event.behind() {
            None if integrity.late => Detection::new(format!("while nobody watched, a file became dangerous: {what}")),
            None => Detection::new(format!("somebody unseen wrote {what}")),
            Some(process) if by_package_manager(process) && !integrity.packages.is_empty() => return None,
            Some(process) => written(process, event.process.is_some(), finding, &what)?,
        };
        Some(detection.technique(technique(finding)).about(Entity::File(file.path.clone())))
    }
}

/// Who wrote it counts: a web server that writes a webshell is no deploy by a person.
fn written(process: &Process, seen: bool, finding: &FileFinding, what: &str) -> Option<Detection> {
    let who = if seen {
        format!("{} wrote {what}", named(process))
    } else {
        format!("in a directory that {} had just made, somebody unseen wrote {what}", named(process))
    };
    let is_webshell = finding.technique == "T1505.003";
    Some(match grown_from(process).or_else(|| network_facing(process)) {
        Some(service) => {
            Detection::new(format!("{who}, below {}", named_root(service))).rated(Severity::Critical, 0.9).on(subject(process))
        }
        None if by_person(process) && !is_webshell => return None,
        None if by_person(process) => Detection::new(who).rated(Severity::Medium, 0.4).on(process.key),
        None => Detection::new(who).on(process.key),
    })
}

fn technique(finding: &FileFinding) -> &'static [&'static str] {
    match finding.technique.as_str() {
        "T1098.004" => &["T1098.004"],
        "T1543.002" => &["T1543.002"],
        "T1548.003" => &["T1548.003"],
        "T1574.006" => &["T1574.006"],
        "T1136.001" => &["T1136.001"],
        "T1059" => &["T1059"],
        "T1059.004" => &["T1059.004"],
        "T1496" => &["T1496"],
        "T1014" => &["T1014"],
        // A rule of a pack says so of itself, or of something that we have no name for.
        other if other != "T1505.003" => &[],
        _ => &["T1505.003"],
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, as_role, by, names};
    use bartizan_model::{EventKind, FileChange, FileChangeKind, FileFinding, FileIntegrity, Process, ServiceRole, Severity, Signal};

    fn write(scene: &mut Scene, process: Option<&Process>, finding: Option<(&str, &str)>, package: bool) -> Vec<Signal> {
        let finding = finding.map(|(rule, technique)| FileFinding {
            rule: rule.to_owned(),
            technique: technique.to_owned(),
            sentence: "what a request sends is executed".to_owned(),
        });
        let integrity = FileIntegrity {
            sentence: "file added".to_owned(),
            changes: 1,
            version: 1,
            findings: finding.into_iter().collect(),
            packages: if package { vec!["adminer".into()] } else { Vec::new() },
            late: false,
        };
        let file = FileChange { integrity: Some(Box::new(integrity)), ..FileChange::new("/srv/www/a.php".into(), FileChangeKind::Created) };
        scene.see(process, EventKind::FileChange { file })
    }

    #[test]
    fn a_webshell_that_a_web_server_writes_is_graver_than_one_of_a_person() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let shell = scene.child(&nginx, "/usr/bin/env sh");
        let webshell = Some(("php-shell", "T1505.003"));
        let signals = write(&mut scene, Some(&shell), webshell, false);
        let signal = by(&signals, "dangerous_file");
        assert_eq!((signal.severity, signal.subject), (Severity::Critical, Some(shell.key)));
        assert!(signal.sentence.contains("/srv/www/a.php") && signal.sentence.contains("nginx"), "{}", signal.sentence);
        let unseen = write(&mut scene, None, webshell, false);
        assert_eq!(by(&unseen, "dangerous_file").severity, Severity::High);
        assert!(names(&write(&mut scene, Some(&shell), None, false)).is_empty(), "a change that is not dangerous is no signal");
    }

    #[test]
    fn a_package_that_brings_its_own_file_is_no_signal_and_another_file_is() {
        let mut scene = Scene::new();
        let dpkg = as_role(scene.daemon("/usr/bin/dpkg"), ServiceRole::PackageManager);
        let webshell = Some(("php-shell", "T1505.003"));
        assert!(names(&write(&mut scene, Some(&dpkg), webshell, true)).is_empty());
        assert_eq!(names(&write(&mut scene, Some(&dpkg), webshell, false)), ["dangerous_file"]);
    }
}
