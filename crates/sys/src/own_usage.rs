//! What the agent itself costs: CPU time and resident memory.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

/// CPU time used by this process so far, user and kernel together.
pub fn cpu_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let total = |t: nix::sys::time::TimeVal| {
        Duration::from_secs(u64::try_from(t.tv_sec()).unwrap_or(0)) + Duration::from_micros(u64::try_from(t.tv_usec()).unwrap_or(0))
    };
    total(usage.user_time()) + total(usage.system_time())
}

/// Resident memory in bytes (proc(5), statm); 0 when it cannot be read.
pub fn resident_bytes() -> u64 {
    let statm = procfs::process::Process::myself().and_then(|own| own.statm());
    statm.map_or(0, |statm| statm.resident * procfs::page_size())
}

/// Host name, for people; "unknown" when the kernel does not tell.
pub fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "unknown".to_owned())
}

/// Kernel release, as uname(2) tells it.
pub fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}
