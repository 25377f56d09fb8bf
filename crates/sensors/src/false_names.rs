//! Names that lie: a program of a user that calls itself like a thread of the kernel. ATT&CK T1036.011.

use bartizan_model::{EventKind, HostText, Privilege, PrivilegeKind, Process};

/// How the kernel's own threads call themselves; `settings.h` holds the same list.
const THREADS: [&str; 16] = [
    "kworker/", "ksoftirqd/", "kthreadd", "migration/", "rcu_", "kswapd", "jbd2/", "cpuhp/", "irq/", "scsi_eh_", "khugepaged", "kdevtmpfs",
    "kcompactd", "kauditd", "khungtaskd", "oom_reaper",
];

/// The use of privilege, when a program was started under such a name. A thread of the kernel has no file and no arguments, so
/// whoever has both is none.
pub(super) fn lie(process: &Process) -> Option<EventKind> {
    let name = process.argv.first()?;
    let bytes = name.as_bytes();
    let bracketed = bytes.starts_with(b"[") && bytes.ends_with(b"]") && bytes.len() > 2;
    let named = THREADS.iter().any(|thread| bytes.starts_with(thread.as_bytes()));
    // A program of that name, started by it: its own name, if a strange one.
    let honest = process.exe.basename().as_bytes() == bytes;
    (bracketed || (named && !honest)).then(|| event_of(name.clone()))
}

/// The same, when a running process or thread took this name: as long as the kernel keeps, so a bracket may be cut off. The kernel's
/// side has left out what a program is called itself.
pub(super) fn taken(name: HostText) -> Option<EventKind> {
    let bytes = name.as_bytes();
    let lies = (bytes.starts_with(b"[") && bytes.len() > 2) || THREADS.iter().any(|thread| bytes.starts_with(thread.as_bytes()));
    lies.then(|| event_of(name))
}

fn event_of(name: HostText) -> EventKind {
    EventKind::PrivilegeUse { privilege: Privilege { detail: Some(name), ..Privilege::new(PrivilegeKind::FalseName) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::{BootId, ProcessKey, Timestamp};

    /// What the kernel's side lets through and we do not tell would use up the one record that a process has each second.
    #[test]
    fn the_kernels_side_knows_the_same_names() {
        let header = include_str!("../../sys/src/bpf/settings.h");
        for thread in THREADS {
            assert!(header.contains(&format!("IS(n, \"{thread}\")")), "{thread}");
        }
        assert_eq!(header.matches("IS(n, ").count(), THREADS.len());
    }

    #[test]
    fn who_calls_itself_like_the_kernel_is_told() {
        let lies = |exe: &str, argv: &str| {
            let key = ProcessKey { boot: BootId(1), pid: 7, start: 1 };
            lie(&Process { exe: exe.into(), argv: vec![argv.into()], ..Process::unknown(key, Timestamp::UNIX_EPOCH) }).is_some()
        };
        for name in ["[kworker/0:1]", "kworker/u8:2", "[x]", "jbd2/vda1-8"] {
            assert!(lies("/tmp/.x/miner", name), "{name}");
        }
        for (exe, name) in
            [("/usr/bin/test", "["), ("/usr/bin/test", "[]"), ("/usr/bin/kthreadd", "kthreadd"), ("/usr/sbin/sshd", "sshd: x")]
        {
            assert!(!lies(exe, name), "{name}");
        }
    }
}
