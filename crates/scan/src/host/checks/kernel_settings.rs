//! Settings of the kernel that close whole families of attacks (Documentation/admin-guide/sysctl of the kernel).

use crate::host::{Check, HostView, Looked, Notes, Reading};
use bartizan_model::Severity;

pub(in crate::host) const CHECK: Check = Check {
    id: "kernel-settings",
    title: "kernel settings",
    why: "These settings close whole families of attacks; most cost nothing, and the kernel's own defaults are older than the attacks.",
    look,
};

/// Name, lowest and highest value that is good, the value to write, how bad, what happens otherwise. What Debian ships is at most `Info`.
const SETTINGS: &[(&str, i64, i64, i64, Severity, &str)] = &[
    ("kernel.randomize_va_space", 2, 2, 2, Severity::High, "programs lie at addresses that an exploit can know in advance"),
    ("kernel.unprivileged_bpf_disabled", 1, 2, 2, Severity::Medium, "every user can load BPF programs, a frequent way to root"),
    ("kernel.dmesg_restrict", 1, 1, 1, Severity::Low, "every user reads kernel messages, and addresses in them"),
    ("kernel.kptr_restrict", 1, 2, 1, Severity::Info, "root's processes show kernel addresses to whoever reads their output"),
    ("kernel.yama.ptrace_scope", 1, 3, 1, Severity::Info, "a process can read the memory of every other of the same user"),
    ("kernel.kexec_load_disabled", 1, 1, 1, Severity::Info, "root can start another kernel without a reboot"),
    ("fs.protected_symlinks", 1, 1, 1, Severity::Medium, "links in shared directories lead programs of others astray"),
    ("fs.protected_hardlinks", 1, 1, 1, Severity::Medium, "users make hard links to files that are not theirs"),
    ("fs.protected_fifos", 1, 2, 1, Severity::Low, "programs write into pipes that others put into shared directories"),
    ("fs.protected_regular", 1, 2, 2, Severity::Low, "programs write into files that others put into shared directories"),
    ("fs.suid_dumpable", 0, 0, 0, Severity::Medium, "set-uid programs leave their memory in core files"),
    ("net.ipv4.tcp_syncookies", 1, 2, 1, Severity::Medium, "a flood of half-open connections stops all others"),
    ("net.ipv4.conf.all.accept_source_route", 0, 0, 0, Severity::Medium, "senders choose the way of packets through this host"),
    ("net.ipv4.conf.all.accept_redirects", 0, 0, 0, Severity::Info, "neighbours can redirect this host's IPv4 traffic"),
    ("net.ipv6.conf.all.accept_redirects", 0, 0, 0, Severity::Info, "neighbours can redirect this host's IPv6 traffic"),
    ("net.ipv4.icmp_echo_ignore_broadcasts", 1, 1, 1, Severity::Low, "this host answers pings to everybody and amplifies floods"),
];

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    let mut seen = 0;
    for (name, least, most, good, severity, meaning) in SETTINGS {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        // A kernel without the feature has no such file; one that is refused says nothing either way.
        let value = match view.read(path.as_bytes()) {
            Reading::Bytes(bytes) => std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse::<i64>().ok()),
            Reading::Missing => continue,
            Reading::Refused(why) => {
                notes.unread(path, why);
                continue;
            }
        };
        seen += 1;
        let Some(value) = value.filter(|value| !(*least..=*most).contains(value)) else { continue };
        // 2 writes such core files for root alone, by the kernel's own pipe (proc_sys_fs(5)).
        if *name == "fs.suid_dumpable" && value == 2 {
            continue;
        }
        let fix = format!("echo '{name} = {good}' > /etc/sysctl.d/60-{name}.conf && sysctl -p /etc/sysctl.d/60-{name}.conf");
        notes.found(*severity, path, name, format!("{name} is {value}: {meaning}"), value.to_string().as_bytes(), fix);
    }
    if seen == 0 { Looked::NotPossible("/proc/sys cannot be read".to_owned()) } else { Looked::Done }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    #[test]
    fn weak_values_are_told_and_good_ones_are_not() {
        let good = Fake::default().file("/proc/sys/kernel/randomize_va_space", "2\n").file("/proc/sys/fs/suid_dumpable", "2\n");
        assert_eq!(good.finds(&CHECK), []);
        let bad = Fake::default().file("/proc/sys/kernel/randomize_va_space", "0\n").file("/proc/sys/fs/suid_dumpable", "1\n");
        let severities: Vec<_> = bad.finds(&CHECK).into_iter().map(|(severity, _)| severity).collect();
        assert_eq!(severities, [Severity::High, Severity::Medium]);
        assert!(matches!(Fake::default().look(&CHECK).1, Looked::NotPossible(_)));
    }
}
