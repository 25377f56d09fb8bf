//! What root runs by itself, at boot or at a time: units, cron, profiles. Only root may write there.

use crate::host::ownership::only_root_writes;
use crate::host::{Check, HostView, Looked, Notes, join};

pub(in crate::host) const CHECK: Check = Check {
    id: "startup-files",
    title: "units, cron and start-up files",
    why: "Root runs these by itself: whoever can write to one of them becomes root without any exploit.",
    look,
};

/// Single files.
const FILES: [&str; 8] = [
    "/etc/crontab", "/etc/anacrontab", "/etc/rc.local", "/etc/profile", "/etc/bash.bashrc", "/etc/ld.so.preload", "/etc/ld.so.conf",
    "/etc/environment",
];
/// Directories of which every file is run or read.
const DIRECTORIES: [&str; 17] = [
    "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly", "/etc/systemd/system",
    "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/etc/init.d", "/etc/profile.d", "/etc/ld.so.conf.d", "/etc/pam.d",
    "/etc/modprobe.d", "/etc/udev/rules.d", "/etc/apt/apt.conf.d", "/etc/sudoers.d", "/etc/update-motd.d",
];
/// Files of one directory that are looked at.
const MAX_FILES: usize = 4096;

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    if view.facts(b"/etc").is_none() && FILES.iter().all(|file| view.facts(file.as_bytes()).is_none()) {
        return Looked::NotPossible("/etc cannot be looked at".to_owned());
    }
    for file in FILES {
        only_root_writes(view, notes, file.as_bytes(), "root's programs obey it");
    }
    for directory in DIRECTORIES {
        let directory = directory.as_bytes();
        only_root_writes(view, notes, directory, "root runs or reads what lies in it");
        let names = view.list(directory);
        if names.len() > MAX_FILES {
            notes.unread(directory, format!("only {MAX_FILES} of {} files were looked at", names.len()));
        }
        for name in names.iter().take(MAX_FILES) {
            only_root_writes(view, notes, &join(directory, name), "root runs or obeys it");
        }
    }
    Looked::Done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;
    use bartizan_model::Severity;

    #[test]
    fn only_root_may_write_what_root_runs() {
        let good = Fake::default()
            .directory("/etc", 0o755, 0)
            .file("/etc/crontab", "")
            .directory("/etc/cron.d", 0o755, 0)
            .device("/etc/systemd/system/masked.service")
            .file("/etc/cron.d/php", "");
        assert_eq!(good.finds(&CHECK), []);
        let bad = good
            .with("/etc/cron.d/php", "", 0o666, 0)
            .with("/etc/systemd/system/x.service", "", 0o644, 1000)
            .with("/etc/profile.d/a'b.sh", "", 0o777, 0);
        let found = bad.finds(&CHECK);
        let severities: Vec<_> = found.iter().map(|(severity, _)| *severity).collect();
        assert_eq!(severities, [Severity::Critical, Severity::High, Severity::Critical], "{found:#?}");
    }
}
