//! Programs that run as their owner, whoever starts them, and that no package brought.

use crate::host::{Check, Facts, HostView, Looked, Notes, quoted, shown};
use bartizan_model::{HostText, Severity};

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
    for (path, facts) in &found.files {
        match view.package_of(path) {
            Ok(Some(_)) if facts.mode & 0o022 == 0 => {}
            Ok(owner) => judge(path, facts, owner.is_some(), notes),
            Err(why) => return Looked::NotPossible(why),
        }
    }
    if let Some(why) = found.cut {
        notes.unread("set-uid files", why);
    }
    Looked::Done
}

fn judge(path: &HostText, facts: &Facts, is_packaged: bool, notes: &mut Notes) {
    let (bit, who) = if facts.mode & SET_UID != 0 { ("set-uid", facts.uid) } else { ("set-gid", facts.gid) };
    let evidence = format!("mode {:04o}, uid {}, gid {}", facts.mode, facts.uid, facts.gid);
    let as_whom = if who == 0 { "root".to_owned() } else { format!("{bit} {who}") };
    let fix = format!("if nothing needs it: `chmod a-s {0}`; look at it first: `file {0}; sha256sum {0}`", quoted(path.as_bytes()));
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
    use crate::host::trial::Fake;

    fn file(path: &str, mode: u32, uid: u32) -> (HostText, Facts) {
        (path.into(), Facts { mode, uid, gid: 0, is_directory: false, is_device: false })
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
    fn without_a_package_database_nothing_is_claimed() {
        let fake = Fake { set_ids: vec![file("/usr/bin/su", 0o4755, 0)], ..Fake::default() };
        assert!(matches!(fake.look(&CHECK).1, Looked::NotPossible(_)));
    }
}
