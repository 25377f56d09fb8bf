//! The calls that are left to a process without rights (seccomp(2)): reading and answering by descriptors that it has, memory, time, its
//! end. It can open, connect, execute, signal and change nothing.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// With whatever arguments.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    // To end itself: `abort` signals its own thread.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// From here on every other call ends this process (and all its threads) with SIGSYS.
pub(super) fn apply() -> io::Result<()> {
    let program = compiled().map_err(|error| io::Error::other(format!("seccomp: {error}")))?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| io::Error::other(format!("seccomp: {error}")))
}

fn compiled() -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<libc::c_long, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let without = |argument, flags: libc::c_int| {
        let flags = SeccompCmpOp::MaskedEq(u64::from(flags.unsigned_abs()));
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, flags, 0)
    };
    // Shared memory and memory that grows like a stack are not counted by RLIMIT_DATA (mm/vma.c, is_data_mapping).
    let own = without(3, libc::MAP_SHARED | libc::MAP_GROWSDOWN)?;
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![without(2, libc::PROT_EXEC)?, own])?]);
    rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![without(2, libc::PROT_EXEC | libc::PROT_GROWSDOWN)?])?]);
    // Builds with debug assertions ask whether a descriptor is open before they close it.
    let asks = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(libc::F_GETFD.unsigned_abs()))?;
    rules.insert(libc::SYS_fcntl, vec![SeccompRule::new(vec![asks])?]);
    let own = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(std::process::id()))?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![own])?]);
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?.try_into()
}
