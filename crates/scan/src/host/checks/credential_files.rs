//! Files whose content is worth a login: who besides their owner may read or write them.

use crate::host::{Check, Facts, HostView, Looked, Notes, join, quoted, shown};
use bartizan_model::Severity;

pub(in crate::host) const CHECK: Check = Check {
    id: "credential-files",
    title: "permissions of passwords and keys",
    why: "Whoever reads a password hash or a private key can use it elsewhere; whoever writes a list of keys lets himself in.",
    look,
};

/// Path, permission bits that nobody needs there.
const SYSTEM: &[(&str, u32)] = &[
    ("/etc/passwd", 0o022),
    ("/etc/group", 0o022),
    ("/etc/shadow", 0o037),
    ("/etc/gshadow", 0o037),
    ("/etc/shadow-", 0o037),
    ("/etc/gshadow-", 0o037),
    ("/etc/sudoers", 0o022),
    ("/etc/ssh/sshd_config", 0o022),
    ("/boot/grub/grub.cfg", 0o022),
];
/// Home directories that are looked at.
const MAX_HOMES: usize = 256;
/// Names of private keys as ssh-keygen(1) gives them.
const KEYS: [&[u8]; 5] = [b"id_rsa", b"id_ed25519", b"id_ecdsa", b"id_dsa", b"id_xmss"];

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    for (path, forbidden) in SYSTEM {
        if let Some(facts) = view.facts(path.as_bytes()) {
            judge(path.as_bytes(), &facts, 0, *forbidden, notes);
        }
    }
    let names = view.list(b"/etc/ssh");
    for name in names.iter().filter(|name| name.starts_with(b"ssh_host_") && name.ends_with(b"_key")) {
        let path = join(b"/etc/ssh", name);
        if let Some(facts) = view.facts(&path) {
            judge(&path, &facts, 0, 0o077, notes);
        }
    }
    let Some(passwd) = notes.read(view, b"/etc/passwd") else { return Looked::NotPossible("/etc/passwd cannot be read".to_owned()) };
    for (uid, home) in homes(&passwd).take(MAX_HOMES) {
        one_home(view, notes, uid, &home);
    }
    Looked::Done
}

/// Owner and home directory of accounts; of those of services, only root's.
fn homes(passwd: &[u8]) -> impl Iterator<Item = (u32, Vec<u8>)> {
    passwd.split(|byte| *byte == b'\n').filter_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [_, _, uid, _, _, home, ..] = fields.as_slice() else { return None };
        let uid: u32 = std::str::from_utf8(uid).ok()?.parse().ok()?;
        let is_persons = (uid == 0 || uid >= 1000) && home.len() > 1 && *home != b"/nonexistent";
        is_persons.then(|| (uid, home.to_vec()))
    })
}

fn one_home(view: &dyn HostView, notes: &mut Notes, uid: u32, home: &[u8]) {
    let directory = join(home, b".ssh");
    for (path, forbidden) in [(home.to_vec(), 0o002), (directory.clone(), 0o022)] {
        if let Some(facts) = view.facts(&path).filter(|facts| facts.is_directory) {
            judge(&path, &facts, uid, forbidden, notes);
        }
    }
    for name in view.list(&directory) {
        let forbidden = match &name[..] {
            b"authorized_keys" | b"authorized_keys2" | b"config" => 0o022,
            name if KEYS.contains(&name) => 0o077,
            _ => continue,
        };
        let path = join(&directory, &name);
        if let Some(facts) = view.facts(&path).filter(|facts| !facts.is_directory) {
            judge(&path, &facts, uid, forbidden, notes);
        }
    }
}

/// Of a group that may read, nothing is said where Debian gives it to `shadow` or `ssl-cert`: then `forbidden` leaves it out.
fn judge(path: &[u8], facts: &Facts, owner: u32, forbidden: u32, notes: &mut Notes) {
    let evidence = format!("mode {:04o}, uid {}, gid {}", facts.mode, facts.uid, facts.gid);
    if facts.uid != 0 && facts.uid != owner {
        let title = format!("{} belongs to uid {}, who can change it", shown(path), facts.uid);
        notes.found(Severity::High, path, "owner", title, evidence.as_bytes(), format!("chown {owner} {}", quoted(path)));
    }
    // A group of the same number as its owner is that user's own (adduser(8)).
    let own_group = facts.gid == owner && !facts.is_directory || facts.gid == facts.uid;
    let bits = facts.mode & forbidden & if own_group && forbidden & 0o044 == 0 { 0o707 } else { 0o777 };
    if bits == 0 {
        return;
    }
    let (severity, what) = match bits {
        _ if bits & 0o002 != 0 => (Severity::Critical, "every user can write to it"),
        _ if bits & 0o020 != 0 => (Severity::High, "its group can write to it"),
        _ if bits & 0o004 != 0 => (Severity::High, "every user can read it"),
        _ => (Severity::Medium, "more than its owner can read or run it"),
    };
    let fix = format!("chmod {:04o} {}", facts.mode & !bits, quoted(path));
    notes.found(severity, path, "mode", format!("{}: {what}", shown(path)), evidence.as_bytes(), fix);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nwww:x:33:33::/var/www:/x\nann:x:1000:1000::/home/ann:/bin/sh\n";

    fn debian() -> Fake {
        Fake::default()
            .file("/etc/passwd", PASSWD)
            .with("/etc/shadow", "", 0o640, 0)
            .with("/etc/sudoers", "", 0o440, 0)
            .with("/etc/ssh/ssh_host_rsa_key", "", 0o600, 0)
            .file("/etc/ssh/ssh_host_rsa_key.pub", "")
            .directory("/root", 0o700, 0)
            .directory("/home/ann", 0o755, 1000)
            .directory("/home/ann/.ssh", 0o775, 1000)
            .with("/home/ann/.ssh/authorized_keys", "", 0o664, 1000)
            .with("/home/ann/.ssh/id_rsa", "", 0o600, 1000)
    }

    #[test]
    fn ordinary_permissions_are_quiet_and_open_ones_are_told() {
        assert_eq!(debian().finds(&CHECK), []);
        let bad = debian()
            .with("/etc/shadow", "", 0o644, 0)
            .with("/etc/ssh/ssh_host_rsa_key", "", 0o640, 0)
            .directory("/home/ann", 0o777, 1000)
            .with("/home/ann/.ssh/authorized_keys", "", 0o644, 33)
            .with("/home/ann/.ssh/id_rsa", "", 0o644, 1000);
        let found = bad.finds(&CHECK);
        let severities: Vec<_> = found.iter().map(|(severity, _)| *severity).collect();
        use Severity::{Critical, High, Medium};
        assert_eq!(severities, [High, Medium, Critical, High, High], "{found:#?}");
    }
}
