//! Accounts that anybody can use, or that are root under another name (passwd(5), shadow(5)).

use std::collections::HashMap;

use crate::host::{Check, HostView, Looked, Notes};
use bartizan_model::{HostText, Severity};

pub(in crate::host) const CHECK: Check = Check {
    id: "accounts",
    title: "accounts and passwords",
    why: "An account without a password is open to everybody who can reach a login, and a second root is a way back in.",
    look,
};

const PASSWD: &str = "/etc/passwd";
const SHADOW: &str = "/etc/shadow";
/// Shells that let nobody in.
const CLOSED: [&str; 4] = ["nologin", "false", "sync", "halt"];

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    let Some(passwd) = notes.text(view, PASSWD.as_bytes()) else { return Looked::NotPossible(format!("{PASSWD} cannot be read")) };
    let accounts: Vec<Vec<&str>> = passwd.lines().map(|line| line.split(':').collect()).collect();
    let mut shells = HashMap::new();
    for fields in &accounts {
        let [name, password, uid, _, _, _, shell, ..] = fields.as_slice() else { continue };
        shells.insert(*name, *shell);
        one_account(name, password, uid, notes);
    }
    let Some(shadow) = notes.text(view, SHADOW.as_bytes()) else { return Looked::NotPossible(format!("{SHADOW} cannot be read")) };
    for (name, hash) in
        shadow.lines().filter_map(|line| line.split_once(':')).map(|(name, rest)| (name, rest.split(':').next().unwrap_or_default()))
    {
        one_password(name, hash, shells.get(name).copied(), notes);
    }
    Looked::Done
}

fn one_account(name: &str, password: &str, uid: &str, notes: &mut Notes) {
    let shown = HostText::from(name).escaped();
    if uid == "0" && name != "root" {
        let fix = format!("if it is not yours: `userdel {shown}`; else give it an id of its own and use sudo");
        notes.found(Severity::High, PASSWD, name, format!("account {shown} is root under another name (uid 0)"), b"uid 0", fix);
    }
    if name.starts_with('+') {
        let fix = format!("remove the line that begins with + from {PASSWD}");
        notes.found(Severity::Medium, PASSWD, name, format!("{PASSWD} takes in accounts of a NIS server"), name.as_bytes(), fix);
    }
    if password.is_empty() {
        let fix = format!("passwd -l {shown}");
        notes.found(Severity::Critical, PASSWD, &format!("empty {name}"), format!("account {shown} has no password at all"), b"", fix);
    } else if password.len() > 4 && !password.starts_with(['*', '!']) {
        let title = format!("the password hash of {shown} lies in {PASSWD}, which every user can read");
        notes.found(Severity::High, PASSWD, &format!("hash {name}"), title, b"", "pwconv".to_owned());
    }
}

fn one_password(name: &str, hash: &str, shell: Option<&str>, notes: &mut Notes) {
    let shown = HostText::from(name).escaped();
    let is_closed = shell.is_none_or(|shell| CLOSED.contains(&shell.rsplit('/').next().unwrap_or_default()));
    if hash.is_empty() {
        let (severity, how) = if is_closed { (Severity::Low, ", though its shell lets nobody in") } else { (Severity::Critical, "") };
        let title = format!("account {shown} has an empty password{how}");
        notes.found(severity, SHADOW, &format!("empty {name}"), title, b"", format!("passwd -l {shown}"));
    }
    // crypt(5): traditional DES has 13 characters, MD5 begins with $1$. Both are tried by the billion.
    let scheme = match hash {
        _ if hash.starts_with("$1$") => "MD5",
        _ if hash.len() == 13 && !hash.starts_with(['*', '!', '$']) => "DES",
        _ => return,
    };
    let title = format!("the password of {shown} is kept as {scheme}, which is quickly guessed from a stolen copy");
    let fix = format!("have a new password set: `passwd {shown}`");
    notes.found(Severity::Medium, SHADOW, &format!("hash {name}"), title, scheme.as_bytes(), fix);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    fn host(passwd: &str, shadow: &str) -> Vec<(Severity, String)> {
        Fake::default().file(PASSWD, passwd).with(SHADOW, shadow, 0o640, 0).finds(&CHECK)
    }

    #[test]
    fn open_accounts_and_second_roots_are_told() {
        let good = host(
            "root:x:0:0:root:/root:/bin/bash\nsync:x:4:65534:sync:/bin:/bin/sync\nann:x:1000:1000::/home/ann:/bin/bash\n",
            "root:*:19000:0:99999:7:::\nsync:*:1::::::\nann:$y$j9T$abc$def:19000:0:99999:7:::\n",
        );
        assert!(good.is_empty(), "{good:?}");
        let bad = host(
            "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nbob:x:1001:1001::/:/bin/sh\ndaemon:x:1:1::/:/usr/sbin/nologin\n+::0:0:::\nx:abcdefghijklm:7:7::/:/bin/sh\n",
            "root:$1$aa$bb:1::::::\nbob::1::::::\ndaemon::1::::::\n",
        );
        let severities: Vec<_> = bad.iter().map(|(severity, _)| *severity).collect();
        use Severity::{Critical, High, Low, Medium};
        assert_eq!(severities, [High, High, Medium, Critical, High, Medium, Critical, Low], "{bad:#?}");
    }

    #[test]
    fn a_shadow_file_that_cannot_be_read_is_no_pass() {
        let look = Fake::default().file(PASSWD, "root:x:0:0::/root:/bin/sh\n").look(&CHECK);
        assert!(matches!(look.1, Looked::NotPossible(_)));
    }
}
