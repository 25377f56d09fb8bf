//! Whether security updates arrive by themselves, and whether an update waits for a reboot.

use crate::host::{Check, HostView, Looked, Notes, join, lines};
use bartizan_model::Severity;

pub(in crate::host) const CHECK: Check = Check {
    id: "updates",
    title: "automatic security updates",
    why: "Most intrusions use a hole for which an update existed; an update that nobody installs closes nothing.",
    look,
};

const APT: &[u8] = b"/etc/apt/apt.conf.d";

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    if let Some(facts) = view.facts(b"/run/reboot-required") {
        let packages = notes.text(view, b"/run/reboot-required.pkgs").unwrap_or_default();
        let title = "an update is installed but not in force: this host must be rebooted".to_owned();
        let evidence = if packages.is_empty() { format!("mode {:o}", facts.mode) } else { packages.replace('\n', " ") };
        notes.found(
            Severity::Medium,
            "/run/reboot-required",
            "reboot",
            title,
            evidence.trim().as_bytes(),
            "reboot at a quiet time".to_owned(),
        );
    }
    if view.facts(b"/usr/bin/apt-get").is_some() {
        of_apt(view, notes);
    } else if view.facts(b"/usr/bin/dnf").is_some() {
        let is_on = ["dnf-automatic.timer", "dnf-automatic-install.timer", "dnf5-automatic.timer"]
            .iter()
            .any(|timer| view.facts(format!("/etc/systemd/system/timers.target.wants/{timer}").as_bytes()).is_some());
        if !is_on {
            let fix = "dnf install dnf-automatic && systemctl enable --now dnf-automatic-install.timer".to_owned();
            notes.found(
                Severity::Low,
                "/etc/dnf/automatic.conf",
                "off",
                "security updates are not installed by themselves".to_owned(),
                b"",
                fix,
            );
        }
    } else {
        return Looked::NotHere("neither apt nor dnf is here");
    }
    Looked::Done
}

fn of_apt(view: &dyn HostView, notes: &mut Notes) {
    let has_program = view.facts(b"/usr/bin/unattended-upgrade").is_some();
    let mut on = None;
    for name in view.list(APT) {
        let Some(text) = notes.text(view, &join(APT, &name)) else { continue };
        // Files are read in the order of their names; the last word counts (apt.conf(5)).
        for (_, line) in lines(&text).filter(|(_, line)| !line.starts_with("//")) {
            if let Some(value) = line.strip_prefix("APT::Periodic::Unattended-Upgrade") {
                on = Some(value.trim_matches([' ', '\t', '"', ';']) != "0");
            }
        }
    }
    if !(has_program && on == Some(true)) {
        let evidence =
            if has_program { "unattended-upgrades is installed, and switched off" } else { "unattended-upgrades is not installed" };
        let fix = "apt install unattended-upgrades && dpkg-reconfigure -plow unattended-upgrades".to_owned();
        let title = "security updates are not installed by themselves".to_owned();
        notes.found(Severity::Low, "/etc/apt/apt.conf.d", "off", title, evidence.as_bytes(), fix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    #[test]
    fn updates_that_install_themselves_are_good() {
        let debian = || Fake::default().file("/usr/bin/apt-get", "");
        let on = debian()
            .file("/usr/bin/unattended-upgrade", "")
            .file("/etc/apt/apt.conf.d/20auto-upgrades", "// x\nAPT::Periodic::Unattended-Upgrade \"1\";\n");
        assert_eq!(on.finds(&CHECK), []);
        let off = on.file("/etc/apt/apt.conf.d/99local", "APT::Periodic::Unattended-Upgrade \"0\";\n");
        assert_eq!(off.finds(&CHECK).len(), 1);
        assert_eq!(debian().file("/run/reboot-required", "").finds(&CHECK).len(), 2);
        assert!(matches!(Fake::default().look(&CHECK).1, Looked::NotHere(_)));
    }
}
