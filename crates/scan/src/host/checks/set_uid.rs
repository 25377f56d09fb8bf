//! Programs that run as their owner, whoever starts them, and that no package brought, or that run whatever they are told to.

use crate::host::ownership::only_root_places;
use crate::host::set_uid_dangers::runs_or_copies_anything;
use crate::host::{Check, HostView, Looked, Notes, SetIdFile, quoted, shown};
use bartizan_model::Severity;

pub(in crate::host) const CHECK: Check = Check {
    id: "set-uid",
    title: "set-uid programs without a package",
    why: "A set-uid program of root's that no package brought is how an intruder keeps root, or a mistake that gives it away.",
    look,
};

const SET_UID: u32 = 0o4000;
/// Places where everybody may put files.
const LOOSE: [&[u8]; 5] = [b"/tmp/", b"/var/tmp/", b"/dev/shm/", b"/home/", b"/run/user/"];

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    let found = view.set_ids();
    for file in &found.files {
        if judge_danger(view, file, notes) {
            continue;
        }
        match view.package_of(&file.path) {
            Ok(Some(_)) if file.facts.mode & 0o022 == 0 => {}
            Ok(owner) => judge(view, file, owner.is_some(), notes),
            Err(why) => return Looked::NotPossible(why),
        }
    }
    found.unread.into_iter().for_each(|(what, why)| notes.unread(what, why));
    found.aside.into_iter().for_each(|(what, why, count)| notes.aside(what, why, count));
    Looked::Done
}

/// A shell, or a tool that runs or copies anything: no distribution ships one with these bits, so somebody has set them.
fn judge_danger(view: &dyn HostView, file: &SetIdFile, notes: &mut Notes) -> bool {
    let SetIdFile { path, facts, .. } = file;
    if !runs_or_copies_anything(path.as_bytes()) {
        return false;
    }
    let (severity, bit, who) = match facts.mode & SET_UID != 0 {
        true => (Severity::High, "set-uid", format!("uid {}", facts.uid)),
        false => (Severity::Medium, "set-gid", format!("gid {}", facts.gid)),
    };
    let who = if facts.mode & SET_UID != 0 && facts.uid == 0 { "root".to_owned() } else { who };
    let severity = if facts.mode & 0o022 != 0 { Severity::Critical } else { severity };
    let shown = shown(path.as_bytes());
    let title = format!("{shown} is {bit}: whoever starts it acts as {who}; no distribution ships it so");
    let evidence = format!("mode {:04o}, uid {}, gid {}", facts.mode, facts.uid, facts.gid);
    let fix = format!("{}; find out who set it: `stat {}`", take_away(view, file), quoted(path.as_bytes()));
    notes.found(severity, path.clone(), "danger", title, evidence.as_bytes(), fix);
    true
}

/// Takes the bits away, in a way that nobody turns against another file: where others can put a link in its place, the file is opened first, and
/// what was opened is changed only if it is the very inode that was found.
fn take_away(view: &dyn HostView, file: &SetIdFile) -> String {
    let path = quoted(file.path.as_bytes());
    if only_root_places(view, file.path.as_bytes()) {
        return format!("chmod a-s {path}");
    }
    let SetIdFile { device, inode, .. } = file;
    let opened = "/proc/self/fd/3";
    format!("( exec 3<{path} && [ \"$(stat -Lc %d:%i {opened})\" = {device}:{inode} ] && chmod a-s {opened} )")
}

fn judge(view: &dyn HostView, file: &SetIdFile, is_packaged: bool, notes: &mut Notes) {
    let SetIdFile { path, facts, .. } = file;
    let (bit, who) = if facts.mode & SET_UID != 0 { ("set-uid", facts.uid) } else { ("set-gid", facts.gid) };
    let evidence = format!("mode {:04o}, uid {}, gid {}", facts.mode, facts.uid, facts.gid);
    let as_whom = if who == 0 { "root".to_owned() } else { format!("{bit} {who}") };
    let look = quoted(path.as_bytes());
    let fix = format!("if nothing needs it: `{}`; look at it first: `file {look}; sha256sum {look}`", take_away(view, file));
    if facts.mode & 0o002 != 0 {
        let title = format!("{path} runs as {as_whom}, and every user can write to it");
        return notes.found(Severity::Critical, path.clone(), "writable", title, evidence.as_bytes(), fix);
    }
    if is_packaged {
        return;
    }
    let severity = match (bit, who) {
        ("set-uid", 0) if LOOSE.iter().any(|place| path.starts_with(place)) => Severity::Critical,
        ("set-uid", 0) => Severity::High,
        ("set-uid", _) => Severity::Medium,
        _ => Severity::Low,
    };
    let title = format!("{} runs as {as_whom}, whoever starts it, and belongs to no package ({bit})", shown(path.as_bytes()));
    notes.found(severity, path.clone(), "foreign", title, evidence.as_bytes(), fix);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Facts;
    use crate::host::trial::Fake;

    fn file(path: &str, mode: u32, uid: u32) -> SetIdFile {
        let facts = Facts { mode, uid, gid: 0, is_directory: false, is_device: false };
        SetIdFile { path: path.into(), facts, device: 2049, inode: 131 }
    }

    fn fixes(file: SetIdFile, fake: Fake) -> String {
        let mut notes = Notes::default();
        assert_eq!(look(&Fake { set_ids: vec![file], packaged: vec!["/usr/bin/su"], ..fake }, &mut notes), Looked::Done);
        notes.found.into_iter().map(|(_, weakness)| weakness.fix).collect()
    }

    #[test]
    fn where_others_make_links_the_very_inode_is_changed_and_nothing_else() {
        let fake = || Fake::default().directory("/opt", 0o755, 0).directory("/home/ann", 0o755, 1000);
        let fixed = fixes(file("/opt/y", 0o4755, 0), fake().with("/opt/y", "", 0o4755, 0));
        assert!(fixed.contains("`chmod a-s /opt/y`"), "{fixed}");
        let fixed = fixes(file("/home/ann/a'$(reboot) x", 0o4755, 0), fake().with("/home/ann/a'$(reboot) x", "", 0o4755, 0));
        let wanted =
            r#"( exec 3<'/home/ann/a'\''$(reboot) x' && [ "$(stat -Lc %d:%i /proc/self/fd/3)" = 2049:131 ] && chmod a-s /proc/self/fd/3 )"#;
        assert!(fixed.contains(wanted) && !fixed.contains("chmod a-s '/home"), "{fixed}");
    }

    /// The command as it is pasted, on a real file, and after somebody put a link in its place.
    #[test]
    fn the_command_changes_the_file_that_was_found_and_no_other() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let dir = tempfile::tempdir().unwrap();
        let (evil, other) = (dir.path().join("it's \\x41"), dir.path().join("other"));
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        for path in [&evil, &other] {
            std::fs::write(path, "").unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o4755)).unwrap();
        }
        let found = std::fs::metadata(&evil).unwrap();
        let file = SetIdFile { path: evil.to_str().unwrap().into(), device: found.dev(), inode: found.ino(), ..file("", 0o4755, 0) };
        let command = take_away(&Fake::default(), &file);
        let run = || std::process::Command::new("bash").args(["-c", &command]).status().unwrap().success();
        std::fs::rename(&evil, dir.path().join("away")).unwrap();
        std::os::unix::fs::symlink(&other, &evil).unwrap();
        assert!(!run() && mode(&other) == 0o4755, "{command}");
        std::fs::remove_file(&evil).unwrap();
        std::fs::rename(dir.path().join("away"), &evil).unwrap();
        assert!(run() && mode(&evil) == 0o755, "{command}");
    }

    #[test]
    fn only_what_no_package_brought_is_told() {
        let mut fake = Fake { set_ids: vec![file("/usr/bin/su", 0o4755, 0)], packaged: vec!["/usr/bin/su"], ..Fake::default() };
        assert_eq!(fake.finds(&CHECK), []);
        let bad = [("/tmp/.x", 0o4755, 0), ("/opt/y", 0o4755, 0), ("/opt/z", 0o4755, 7), ("/opt/g", 0o2755, 0), ("/usr/bin/su", 0o4757, 0)];
        fake.set_ids = bad.map(|(path, mode, uid)| file(path, mode, uid)).to_vec();
        let severities: Vec<_> = fake.finds(&CHECK).into_iter().map(|(severity, _)| severity).collect();
        use Severity::{Critical, High, Low, Medium};
        assert_eq!(severities, [Critical, High, Medium, Low, Critical]);
    }

    #[test]
    fn a_shell_or_tool_with_the_bit_is_told_though_a_package_owns_it() {
        let told = ["/usr/bin/bash", "/usr/bin/find", "/bin/cp", "/usr/bin/python3.11", "/usr/bin/vim.basic", "/usr/bin/perl5.36.0"];
        let quiet = ["/usr/bin/su", "/usr/bin/passwd", "/usr/lib/openssh/ssh-keysign", "/usr/bin/ping", "/usr/bin/sudo"];
        let all = || told.iter().chain(&quiet);
        let set_ids = all().map(|path| file(path, 0o4755, 0)).collect();
        let fake = Fake { set_ids, packaged: all().copied().collect(), ..Fake::default() };
        let found = fake.finds(&CHECK);
        assert_eq!(found.len(), told.len(), "{found:#?}");
        assert!(found.iter().all(|(severity, _)| *severity == Severity::High));
    }

    #[test]
    fn without_a_package_database_nothing_is_claimed() {
        let fake = Fake { set_ids: vec![file("/usr/bin/su", 0o4755, 0)], ..Fake::default() };
        assert!(matches!(fake.look(&CHECK).1, Looked::NotPossible(_)));
    }
}
