//! Who becomes root without a password, by the files of sudo (sudoers(5)).

use crate::host::{Check, HostView, Looked, Notes, join, shown};
use bartizan_model::{HostText, Severity};

pub(in crate::host) const CHECK: Check = Check {
    id: "sudoers",
    title: "sudo rules",
    why: "Whoever gets into an account that runs everything without a password is root at once.",
    look,
};

const FILE: &[u8] = b"/etc/sudoers";
const DIRECTORY: &[u8] = b"/etc/sudoers.d";
/// Files of the directory that are read.
const MAX_FILES: usize = 128;

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    let Some(main) = notes.text(view, FILE) else {
        return if notes.unread.is_empty() {
            Looked::NotHere("sudo is not installed")
        } else {
            Looked::NotPossible("its rules cannot be read".to_owned())
        };
    };
    judge(FILE, &main, notes);
    // sudo leaves out names with a dot or a tilde at the end (sudoers(5)).
    let names = view.list(DIRECTORY).into_iter().filter(|name| !name.contains(&b'.') && !name.ends_with(b"~"));
    for name in names.take(MAX_FILES) {
        let path = join(DIRECTORY, &name);
        if let Some(text) = notes.text(view, &path) {
            judge(&path, &text, notes);
        }
    }
    Looked::Done
}

fn judge(path: &[u8], text: &str, notes: &mut Notes) {
    for (line, number) in whole_lines(text) {
        let location = HostText::from(path);
        let fix =
            format!("run `visudo -f {}` and take NOPASSWD out of line {number}, or name the single commands that need it", shown(path));
        if line.starts_with("Defaults") {
            if line.contains("!authenticate") {
                let title = format!("{} line {number}: sudo asks nobody for a password", shown(path));
                let fix = format!("run `visudo -f {}` and remove `!authenticate` in line {number}", shown(path));
                notes.found(Severity::Medium, location, &line, title, line.as_bytes(), fix);
            }
            continue;
        }
        let Some((who, rule)) = line.split_once('=') else { continue };
        let who = who.split_ascii_whitespace().next().unwrap_or_default();
        let Some(commands) = rule.split_once("NOPASSWD:").map(|(_, commands)| commands) else { continue };
        if who == "root" {
            continue;
        }
        let everything = commands.split(',').any(|command| command.rsplit(':').next().unwrap_or_default().trim() == "ALL");
        let who = HostText::from(who).escaped();
        let (severity, what) = if everything { (Severity::Medium, "everything") } else { (Severity::Info, "some commands") };
        let title = format!("{} line {number}: {who} runs {what} as root without a password", shown(path));
        notes.found(severity, location, &line, title, line.as_bytes(), fix);
    }
}

/// Lines without comments, joined where a backslash ends one, with the number of their first line. `#include` and `#1000` are no comments,
/// and neither gives rights here.
fn whole_lines(text: &str) -> Vec<(String, u64)> {
    let mut whole: Vec<(String, u64)> = Vec::new();
    let mut goes_on = false;
    for (line, number) in text.lines().zip(1..) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (part, more) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        match whole.last_mut().filter(|_| goes_on) {
            Some((last, _)) => last.push_str(part),
            None if part.is_empty() => {}
            None => whole.push((part.to_owned(), number)),
        }
        goes_on = more;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    const DEBIAN: &str = "Defaults\tenv_reset\nroot\tALL=(ALL:ALL) ALL\n%sudo\tALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n";

    #[test]
    fn who_is_root_without_a_password_is_told() {
        assert!(Fake::default().file("/etc/sudoers", DEBIAN).finds(&CHECK).is_empty());
        let cloud = Fake::default()
            .file("/etc/sudoers", DEBIAN)
            .file(
                "/etc/sudoers.d/90-cloud",
                "# User rules\nadmin ALL=(ALL) \\\n  NOPASSWD:ALL\n%ops ALL=(root) NOPASSWD: /usr/bin/systemctl restart x\n",
            )
            .file("/etc/sudoers.d/old.bak", "eve ALL=(ALL) NOPASSWD: ALL\n");
        let found = cloud.finds(&CHECK);
        let severities: Vec<_> = found.iter().map(|(severity, _)| *severity).collect();
        assert_eq!(severities, [Severity::Medium, Severity::Info], "{found:?}");
        assert!(found[0].1.contains("line 2: admin runs everything"), "{found:?}");
        let free = Fake::default().file("/etc/sudoers", "Defaults !authenticate\n");
        assert_eq!(free.finds(&CHECK).len(), 1);
    }

    #[test]
    fn a_name_cannot_command_the_terminal() {
        let found = Fake::default().file("/etc/sudoers", "\u{1b}[2Jx ALL=(ALL) NOPASSWD: ALL\n").finds(&CHECK);
        assert!(found[0].1.contains("\\x1b[2Jx runs"), "{found:?}");
    }
}
