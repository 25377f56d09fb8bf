//! Hardening of the host: each check is one file in `checks/` and one line here.

mod checks;
mod ownership;
mod set_uid_dangers;
#[cfg(test)]
mod trial;
mod view;

use bartizan_model::{Finding, HostText, ScannerRun, Severity, Timestamp};

use crate::findings::{Findings, Weakness};
pub use view::{Facts, HostView, Listener, Reading, SetIdFile, SetIds};

/// The scanner's name in reports.
pub const SOURCE: &str = "host";
/// Findings of one check: the worst are kept, the rest counted.
const MAX_OF_CHECK: usize = 64;

/// One thing that is checked.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name: `ssh-server`. Findings are named after it.
    pub id: &'static str,
    /// What is checked, in a few words.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// Looks and notes what is weak.
    look: fn(&dyn HostView, &mut Notes) -> Looked,
}

/// How looking went.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Looked {
    /// It was looked at.
    Done,
    /// There is nothing of the kind here.
    NotHere(&'static str),
    /// It should have been looked at, and could not be.
    NotPossible(String),
}

/// All checks.
const CHECKS: &[Check] = &[
    checks::ssh_server::CHECK,
    checks::sudoers::CHECK,
    checks::accounts::CHECK,
    checks::credential_files::CHECK,
    checks::startup_files::CHECK,
    checks::directories::CHECK,
    checks::set_uid::CHECK,
    checks::listeners::CHECK,
    checks::kernel_settings::CHECK,
    checks::updates::CHECK,
    checks::time_sync::CHECK,
    checks::firewall::CHECK,
    checks::docker_daemon::CHECK,
    checks::docker_containers::CHECK,
    checks::certificates::CHECK,
];

/// All checks, for references and tests.
pub fn checks() -> &'static [Check] {
    CHECKS
}

/// What one check noted.
#[derive(Debug, Default)]
struct Notes {
    found: Vec<(Severity, Weakness)>,
    unread: Vec<(HostText, String)>,
    /// What is left out on purpose, and how often.
    aside: Vec<(HostText, String, u64)>,
    more: u64,
}

impl Notes {
    /// Something weak: `what` tells it apart from others of this check at this place.
    fn found(&mut self, severity: Severity, location: impl Into<HostText>, what: &str, title: String, evidence: &[u8], fix: String) {
        if self.found.len() >= MAX_OF_CHECK {
            self.more += 1;
            let mildest = self.found.iter().enumerate().min_by_key(|(_, (severity, _))| *severity);
            match mildest.map(|(place, (severity, _))| (place, *severity)) {
                Some((place, mildest)) if mildest < severity => drop(self.found.remove(place)),
                _ => return,
            }
        }
        let (key, location, evidence) = (what.as_bytes().to_vec(), location.into(), evidence.to_vec());
        self.found.push((severity, Weakness { key, location, title, evidence, fix, ..Weakness::default() }));
    }

    /// A part that should have been looked at, and could not be.
    fn unread(&mut self, what: impl Into<HostText>, why: String) {
        if self.unread.len() < MAX_OF_CHECK {
            self.unread.push((what.into(), why));
        }
    }

    /// A part that is left out on purpose.
    fn aside(&mut self, what: impl Into<HostText>, why: String, count: u64) {
        if self.aside.len() < MAX_OF_CHECK {
            self.aside.push((what.into(), why, count));
        }
    }

    /// The content of a file; what is not there is `None`, what cannot be read is noted.
    fn read(&mut self, view: &dyn HostView, path: &[u8]) -> Option<Vec<u8>> {
        match view.read(path) {
            Reading::Bytes(bytes) => Some(bytes),
            Reading::Missing => None,
            Reading::Refused(why) => {
                self.unread(path, why);
                None
            }
        }
    }

    /// The same as text, odd bytes replaced.
    fn text(&mut self, view: &dyn HostView, path: &[u8]) -> Option<String> {
        self.read(view, path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Makes every check; findings, and what could not be checked, go into `run`. Findings beyond the bound are counted in the second part.
pub fn examine(view: &dyn HostView, at: Timestamp, run: &mut ScannerRun) -> (Vec<Finding>, u64) {
    let mut findings = Findings::new(SOURCE, at);
    let mut more = 0;
    for check in CHECKS {
        let mut notes = Notes::default();
        let looked = (check.look)(view, &mut notes);
        match looked {
            Looked::Done => *run.looked_at.entry("checks".to_owned()).or_default() += 1,
            Looked::NotHere(why) => run.leave_out(check.id.into(), why, 1, false),
            Looked::NotPossible(why) => run.leave_out(check.id.into(), why, 1, true),
        }
        for (what, why) in notes.unread {
            run.leave_out(what, format!("{}: {why}", check.id), 1, true);
        }
        for (what, why, count) in notes.aside {
            run.leave_out(what, format!("{}: {why}", check.id), count, false);
        }
        for (severity, weakness) in notes.found {
            findings.add(severity, Weakness { rule: check.id.to_owned(), why: check.why.to_owned(), ..weakness });
        }
        more += notes.more;
    }
    let (found, beyond) = findings.finish();
    (found, beyond + more)
}

/// Lines of a configuration file without comments, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    let numbered = text.lines().zip(1..).map(|(line, number)| (number, line.split('#').next().unwrap_or_default().trim()));
    numbered.filter(|(_, line)| !line.is_empty())
}

/// A path below a directory.
fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    [directory.strip_suffix(b"/").unwrap_or(directory), b"/", name].concat()
}

/// A path for a sentence.
fn shown(path: &[u8]) -> String {
    HostText::from(path).escaped()
}

/// A path as one word for a POSIX shell, for a fix that can be pasted. One that cannot be shown as it is stands as it looks escaped.
fn quoted(path: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(byte);
    let escaped = shown(path);
    match std::str::from_utf8(path) {
        Ok(text) if path.iter().all(plain) && !path.starts_with(b"-") => text.to_owned(),
        Ok(text) if escaped == text => format!("'{}'", text.replace('\'', "'\\''")),
        _ => format!("$'{}'", escaped.replace('\'', "\\'")),
    }
}

#[cfg(test)]
mod tests {
    use super::trial::Fake;
    use super::*;
    use bartizan_model::ScannerState;

    #[test]
    fn every_check_has_a_name_of_its_own_and_says_why() {
        let mut names: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHECKS.len());
        assert!(CHECKS.iter().all(|check| check.why.ends_with('.') && !check.title.is_empty()));
    }

    #[test]
    fn a_host_of_which_nothing_can_be_read_is_not_complete() {
        let at = Timestamp::from_timestamp(0, 0).unwrap();
        let mut run = ScannerRun::begin("host".into(), at);
        let fake = Fake { refuses: true, ..Fake::default() };
        let (found, _) = examine(&fake, at, &mut run);
        assert_eq!((found.len(), run.state), (0, ScannerState::Incomplete), "{found:?}");
    }

    #[test]
    fn of_too_many_findings_of_a_check_the_worst_are_kept() {
        let mut notes = Notes::default();
        for number in 0..MAX_OF_CHECK + 9 {
            let severity = if number < MAX_OF_CHECK { Severity::Low } else { Severity::Critical };
            notes.found(severity, "/x", &number.to_string(), String::new(), b"", String::new());
        }
        let worst = notes.found.iter().filter(|(severity, _)| *severity == Severity::Critical).count();
        assert_eq!((notes.found.len(), worst, notes.more), (MAX_OF_CHECK, 9, 9));
    }

    #[test]
    fn a_path_in_a_fix_is_one_word_of_the_shell() {
        assert_eq!(quoted(b"/etc/shadow"), "/etc/shadow");
        assert_eq!(quoted(b"/tmp/a b"), "'/tmp/a b'");
        assert_eq!(quoted(b"/tmp/'; rm -rf /"), "'/tmp/'\\''; rm -rf /'");
        assert_eq!(quoted(b"/tmp/\n'x"), "$'/tmp/\\n\\'x'");
    }
}
