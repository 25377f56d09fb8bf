//! Files whose content is worth a login: who besides their owner may read or write them.

use crate::host::ownership::only_root_places;
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
            judge(view, path.as_bytes(), &facts, &Mend::ByRoot, *forbidden, notes);
        }
    }
    let names = view.list(b"/etc/ssh");
    for name in names.iter().filter(|name| name.starts_with(b"ssh_host_") && name.ends_with(b"_key")) {
        let path = join(b"/etc/ssh", name);
        if let Some(facts) = view.facts(&path) {
            judge(view, &path, &facts, &Mend::ByRoot, 0o077, notes);
        }
    }
    let Some(passwd) = notes.read(view, b"/etc/passwd") else { return Looked::NotPossible("/etc/passwd cannot be read".to_owned()) };
    for account in accounts(&passwd).take(MAX_HOMES) {
        one_home(view, notes, &account);
    }
    Looked::Done
}

/// An account with its home directory.
struct Account {
    name: Vec<u8>,
    uid: u32,
    home: Vec<u8>,
}

/// How something is mended: a root who pastes a command must not follow a link that somebody else made.
enum Mend<'a> {
    /// Only root writes to the directories above it.
    ByRoot,
    /// Its owner may make links in the directories above it: only that user may touch what lies there.
    As(&'a Account),
}

/// Persons' accounts; of those of services, only root's.
fn accounts(passwd: &[u8]) -> impl Iterator<Item = Account> {
    passwd.split(|byte| *byte == b'\n').filter_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [name, _, uid, _, _, home, ..] = fields.as_slice() else { return None };
        let uid: u32 = std::str::from_utf8(uid).ok()?.parse().ok()?;
        let is_persons = (uid == 0 || uid >= 1000) && home.len() > 1 && *home != b"/nonexistent";
        is_persons.then(|| Account { name: name.to_vec(), uid, home: home.to_vec() })
    })
}

fn one_home(view: &dyn HostView, notes: &mut Notes, account: &Account) {
    let home = &account.home;
    let directory = join(home, b".ssh");
    for (path, forbidden) in [(home.clone(), 0o002), (directory.clone(), 0o022)] {
        if let Some(facts) = view.facts(&path).filter(|facts| facts.is_directory) {
            judge(view, &path, &facts, &mend(view, account, &path), forbidden, notes);
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
            judge(view, &path, &facts, &mend(view, account, &path), forbidden, notes);
        }
    }
}

/// Root's own files are mended by root where nobody else can make a link in the directories above them.
fn mend<'a>(view: &dyn HostView, account: &'a Account, path: &[u8]) -> Mend<'a> {
    if account.uid == 0 && only_root_places(view, path) { Mend::ByRoot } else { Mend::As(account) }
}

/// The first part of the path that is a link, and where it leads, in words; empty when none is.
fn link_in(view: &dyn HostView, path: &[u8], account: &Account) -> String {
    let from = account.home.len().min(path.len());
    let ends = (from..=path.len()).filter(|end| *end == path.len() || path.get(*end) == Some(&b'/'));
    let link = ends.filter_map(|end| path.get(..end)).find_map(|part| Some((part, view.link(part)?)));
    link.map_or_else(String::new, |(part, target)| format!("{} is a link to {}", shown(part), shown(&target)))
}

/// Of a group that may read, nothing is said where Debian gives it to `shadow` or `ssl-cert`: then `forbidden` leaves it out.
fn judge(view: &dyn HostView, path: &[u8], facts: &Facts, mend: &Mend, forbidden: u32, notes: &mut Notes) {
    let (owner, link) = match mend {
        Mend::ByRoot => (0, String::new()),
        Mend::As(account) => (account.uid, link_in(view, path, account)),
    };
    let mut evidence = format!("mode {:04o}, uid {}, gid {}", facts.mode, facts.uid, facts.gid);
    if !link.is_empty() {
        evidence = format!("{evidence}; {link}");
    }
    if facts.uid != 0 && facts.uid != owner {
        let title = format!("{} belongs to uid {}, who can change it", shown(path), facts.uid);
        notes.found(Severity::High, path, "owner", title, evidence.as_bytes(), fix_owner(mend, path, facts, &link));
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
    let fix = fix_mode(mend, path, facts, facts.mode & !bits, &link);
    notes.found(severity, path, "mode", format!("{}: {what}", shown(path)), evidence.as_bytes(), fix);
}

fn fix_mode(mend: &Mend, path: &[u8], facts: &Facts, mode: u32, link: &str) -> String {
    match mend {
        Mend::ByRoot => format!("chmod {mode:04o} {}", quoted(path)),
        Mend::As(_) if !link.is_empty() => {
            format!("{link}: look at where it leads first; its owner changes the mode there, not root through the link")
        }
        Mend::As(account) if facts.uid == account.uid && account.uid != 0 => {
            format!("runuser -u {} -- chmod {mode:04o} {}", quoted(&account.name), quoted(path))
        }
        Mend::As(account) if facts.uid == account.uid => {
            format!("others can make links in a directory above {}: see who with `namei -l`, and mend that first", quoted(path))
        }
        Mend::As(account) => format!(
            "it does not belong to {}: see who made it with `ls -ld {}`, and let its owner change it",
            shown(&account.name),
            quoted(path)
        ),
    }
}

fn fix_owner(mend: &Mend, path: &[u8], facts: &Facts, link: &str) -> String {
    match mend {
        Mend::ByRoot => format!("chown 0 {}", quoted(path)),
        Mend::As(_) if !link.is_empty() => format!("{link}: look at where it leads first, and remove the link if nobody needs it"),
        Mend::As(account) if facts.is_directory || account.uid == 0 => {
            format!("see who made it with `ls -ld {}`, move it away and make a new one that belongs to the account", quoted(path))
        }
        Mend::As(account) => {
            let (name, path) = (quoted(&account.name), quoted(path));
            format!(
                "read it first, then make it the account's own: runuser -u {name} -- cp {path} {path}.own && runuser -u {name} -- mv -f {path}.own {path}"
            )
        }
    }
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

    fn fixes(fake: &Fake) -> Vec<String> {
        let mut notes = Notes::default();
        look(fake, &mut notes);
        notes.found.into_iter().map(|(_, weak)| format!("{} [{}]", weak.fix, String::from_utf8_lossy(&weak.evidence))).collect()
    }

    #[test]
    fn below_a_home_no_command_is_run_by_root_and_links_are_told() {
        let open = debian().with("/home/ann/.ssh/id_rsa", "", 0o644, 1000).with("/home/ann/.ssh/authorized_keys", "", 0o644, 33);
        let plain = fixes(&open);
        assert!(plain.iter().any(|fix| fix.starts_with("runuser -u ann -- chmod 0600 /home/ann/.ssh/id_rsa")), "{plain:#?}");
        assert!(plain.iter().any(|fix| fix.contains("runuser -u ann -- mv -f")), "{plain:#?}");
        assert!(plain.iter().all(|fix| !fix.starts_with("ch") && !fix.contains("&& ch")), "{plain:#?}");
        for link in ["/home/ann", "/home/ann/.ssh", "/home/ann/.ssh/id_rsa"] {
            let mut linked = debian().with("/home/ann/.ssh/id_rsa", "", 0o644, 1000);
            linked.links.insert(link.into(), b"/etc/shadow".to_vec());
            let found = fixes(&linked);
            assert_eq!(found.len(), 1, "{found:#?}");
            assert!(found[0].contains(&format!("{link} is a link to /etc/shadow")) && !found[0].contains("chmod "), "{found:#?}");
        }
        // Another account of uid 0 lives where a user may make links.
        let twin = debian().file("/etc/passwd", "twin:x:0:0::/home/ann:/bin/sh\n").with("/home/ann/.ssh/id_rsa", "", 0o644, 0);
        assert!(fixes(&twin).iter().all(|fix| !fix.contains("chmod ") && !fix.starts_with("chown")), "{:#?}", fixes(&twin));
        let root = debian().directory("/root", 0o702, 0);
        assert!(fixes(&root)[0].starts_with("chmod 0700 /root"), "{:#?}", fixes(&root));
    }
}
