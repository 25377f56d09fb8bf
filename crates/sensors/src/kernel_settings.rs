//! Settings of the kernel on which the safety of a host depends: who writes one, is told with the value before and after.

use bartizan_model::{EventKind, HostText, Privilege, PrivilegeKind};

/// By the end of their path below /proc/sys, as sysctl.d(5) and hardening guides name them.
const WATCHED: [&str; 40] = [
    "kernel/core_pattern",
    "kernel/core_pipe_limit",
    "kernel/core_uses_pid",
    "kernel/modprobe",
    "kernel/hotplug",
    "kernel/poweroff_cmd",
    "kernel/usermodehelper/bset",
    "kernel/usermodehelper/inheritable",
    "kernel/kptr_restrict",
    "kernel/dmesg_restrict",
    "kernel/randomize_va_space",
    "kernel/yama/ptrace_scope",
    "kernel/perf_event_paranoid",
    "kernel/unprivileged_bpf_disabled",
    "net/core/bpf_jit_harden",
    "kernel/unprivileged_userns_clone",
    "kernel/apparmor_restrict_unprivileged_userns",
    "user/max_user_namespaces",
    "vm/unprivileged_userfaultfd",
    "vm/mmap_min_addr",
    "kernel/kexec_load_disabled",
    "kernel/modules_disabled",
    "kernel/sysrq",
    "kernel/ftrace_enabled",
    "kernel/nmi_watchdog",
    "kernel/io_uring_disabled",
    "fs/suid_dumpable",
    "fs/protected_hardlinks",
    "fs/protected_symlinks",
    "fs/protected_regular",
    "fs/protected_fifos",
    "net/ipv4/ip_forward",
    "/forwarding",
    "/rp_filter",
    "/accept_redirects",
    "/send_redirects",
    "/accept_source_route",
    "/log_martians",
    "/arp_ignore",
    "net/ipv4/tcp_syncookies",
];

/// The use of privilege, when the setting is one of these and gets another value.
pub(super) fn event_of(name: &HostText, before: &HostText, after: &HostText) -> Option<EventKind> {
    let trimmed = |text: &HostText| text.as_bytes().trim_ascii().to_vec();
    let (before, after) = (trimmed(before), trimmed(after));
    let watched = WATCHED.iter().any(|end| name.as_bytes().ends_with(end.as_bytes()));
    if !watched || before == after {
        return None;
    }
    let dotted: Vec<u8> = name.as_bytes().iter().map(|byte| if *byte == b'/' { b'.' } else { *byte }).collect();
    let detail = HostText::from([&dotted, &b" to "[..], &after, b", was ", &before].concat());
    Some(EventKind::PrivilegeUse { privilege: Privilege { detail: Some(detail), ..Privilege::new(PrivilegeKind::KernelSetting) } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_weakens_the_host_is_told_and_the_rest_is_not() {
        let detail = |name: &str, before: &str, after: &str| match event_of(&name.into(), &before.into(), &after.into()) {
            Some(EventKind::PrivilegeUse { privilege }) => privilege.detail.map(|detail| detail.escaped()),
            _ => None,
        };
        assert_eq!(
            detail("kernel/core_pattern", "core\n", "|/tmp/x %p\n").as_deref(),
            Some("kernel.core_pattern to |/tmp/x %p, was core"),
            "no sysctl name has a dot that matters"
        );
        assert!(detail("net/ipv6/conf/eth0/accept_redirects", "0\n", "1").is_some());
        assert_eq!(detail("kernel/kptr_restrict", "1\n", "1"), None, "nothing changed");
        assert_eq!(detail("kernel/hostname", "a", "b"), None);
    }
}
