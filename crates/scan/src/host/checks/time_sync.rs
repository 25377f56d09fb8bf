//! Whether something keeps the clock right.

use crate::host::{Check, HostView, Looked, Notes};
use bartizan_model::Severity;

pub(in crate::host) const CHECK: Check = Check {
    id: "time-sync",
    title: "time synchronisation",
    why: "A wrong clock breaks certificates and one-time passwords, and makes logs of two hosts impossible to compare.",
    look,
};

/// Enabled units of systemd that keep the clock, by the links that enabling makes.
const ENABLED: [&str; 7] = [
    "/etc/systemd/system/sysinit.target.wants/systemd-timesyncd.service",
    "/etc/systemd/system/multi-user.target.wants/chrony.service",
    "/etc/systemd/system/multi-user.target.wants/chronyd.service",
    "/etc/systemd/system/multi-user.target.wants/ntp.service",
    "/etc/systemd/system/multi-user.target.wants/ntpsec.service",
    "/etc/systemd/system/multi-user.target.wants/ntpd.service",
    "/etc/systemd/system/multi-user.target.wants/openntpd.service",
];
/// Only on hosts without systemd a script alone starts one.
const SCRIPTS: [&str; 4] = ["/etc/init.d/chrony", "/etc/init.d/ntp", "/etc/init.d/ntpsec", "/etc/init.d/openntpd"];

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    let is_there = |path: &str| view.facts(path.as_bytes()).is_some();
    if is_there("/.dockerenv") || is_there("/run/.containerenv") || is_there("/run/systemd/container") {
        return Looked::NotHere("a container has the clock of its host");
    }
    let has_systemd = is_there("/run/systemd/system") || is_there("/etc/systemd/system");
    let kept = if has_systemd { ENABLED.iter().any(|path| is_there(path)) } else { SCRIPTS.iter().any(|path| is_there(path)) };
    if !kept && !has_systemd && !is_there("/etc") {
        return Looked::NotPossible("/etc cannot be looked at".to_owned());
    }
    if !kept {
        let fix = "apt install systemd-timesyncd && timedatectl set-ntp true".to_owned();
        let title = "nothing that starts with this host keeps its clock right".to_owned();
        notes.found(Severity::Low, "clock", "none", title, b"no time service is enabled", fix);
    }
    Looked::Done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    #[test]
    fn an_enabled_time_service_is_good() {
        let host = || Fake::default().directory("/run/systemd/system", 0o755, 0);
        assert_eq!(host().finds(&CHECK).len(), 1);
        assert_eq!(host().file(ENABLED[1], "").finds(&CHECK), []);
        assert_eq!(Fake::default().file(SCRIPTS[1], "").finds(&CHECK), []);
        assert!(matches!(Fake::default().file("/.dockerenv", "").look(&CHECK).1, Looked::NotHere(_)));
    }
}
