//! The tools of this host (useradd, usermod, crontab) at work in a mount namespace of their own, watched from outside.

use std::path::Path;
use std::process::Command;

use super::accounts::Accounts;
use super::attribution::Attribution;
use super::persistence::Persistence;
use super::places::Places;
use super::test_bench::{beside, root, tree};
use bartizan_model::{Event, EventKind, PersistenceKind, UserChangeKind};

/// Runs a script with the tree's etc, home and spool mounted over the host's, for it alone; whether it went well, and what it complained of.
fn tools(script: &str, root: &Path) -> (bool, String) {
    let root = root.display();
    let mounts = format!(
        "mount --bind '{root}/etc' /etc && mount --bind '{root}/home' /home && {{ ! test -d /var/spool/cron || mount --bind '{root}/spool' /var/spool/cron; }}"
    );
    let done =
        Command::new("unshare").args(["-m", "--propagation", "private", "sh", "-c", &format!("{mounts} && {script}")]).output().unwrap();
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
}

/// A copy of this host's /etc, mounted over /etc in a mount namespace of the tools' own: the real useradd, usermod and
/// crontab change the copy, and the collectors watch it from outside.
#[test]
fn what_the_real_tools_do_is_told() {
    if !root() {
        return;
    }
    let root = tree(&["home", "spool/crontabs", "var/spool"]);
    let copied = Command::new("cp").args(["-a", "/etc"]).arg(root.path()).status().unwrap();
    assert!(copied.success());
    // Numbers that nobody on this machine has: userdel asks the processes, and other tests run some as people.
    let numbers = "sed -i -e 's/^UID_MIN.*/UID_MIN 41700/' -e 's/^UID_MAX.*/UID_MAX 41799/' \"$1/etc/login.defs\"";
    assert!(Command::new("sh").args(["-c", numbers, "sh"]).arg(root.path()).status().unwrap().success());
    std::os::unix::fs::symlink("../../spool", root.path().join("var/spool/cron")).unwrap();
    if let (false, why) = tools("command -v useradd usermod", root.path()) {
        return eprintln!("skipped: needs mount namespaces and useradd: {why}");
    }
    let is = |user: &'static str, change| move |event: &Event| matches!(&event.kind, EventKind::UserChange { account } if account.user == *user && account.change == change);
    let who = Attribution::by(|_| None);
    let mut probes = 0;
    let probe = || {
        probes += 1;
        tools(&format!("useradd -M probe{probes}"), root.path());
    };
    beside(Accounts::under(root.path(), who.clone()), probe, |seen| {
        assert_eq!(
            tools(
                "useradd -m -s /bin/sh eve && usermod -o -u 0 eve && usermod -a -G sudo eve && usermod -p x eve && userdel probe1",
                root.path()
            ),
            (true, String::new())
        );
        seen.wait("the removal", is("probe1", UserChangeKind::Removed));
        for change in
            [UserChangeKind::Added, UserChangeKind::BecameRoot, UserChangeKind::JoinedPrivilegedGroup, UserChangeKind::PasswordChanged]
        {
            seen.wait(&format!("{change:?}"), is("eve", change));
        }
    });
    let places = Places::under(root.path());
    let probe = || drop(tools("echo x > /etc/cron.d/probe", root.path()));
    beside(Persistence::new(places, who), probe, |seen| {
        assert!(tools("useradd -m bob && mkdir /home/bob/.ssh && echo k > /home/bob/.ssh/authorized_keys", root.path()).0);
        let kind = |kind, name: &'static str| move |event: &Event| matches!(&event.kind, EventKind::PersistenceChange { file } if file.persistence == Some(kind) && file.path.basename() == name);
        seen.wait("the skeleton's profile", kind(PersistenceKind::ShellProfile, ".bashrc"));
        seen.wait("the key", kind(PersistenceKind::AuthorizedKeys, "authorized_keys"));
        if tools("command -v crontab", root.path()).0 {
            assert!(tools("echo '* * * * * true' | crontab -", root.path()).0);
            seen.wait("the crontab", kind(PersistenceKind::Cron, "root"));
        } else {
            eprintln!("skipped: no crontab on this host");
        }
    });
}
