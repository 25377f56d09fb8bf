//! The kernel's clocks: which boot this is, and kernel time as wall-clock time.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use bartizan_model::{BootId, Timestamp};

/// The kernel's name of this boot, another one after every boot; empty when it cannot be read (`random/boot_id`, proc(5)).
pub fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| procfs::sys::kernel::random::boot_id().unwrap_or_default().trim().to_owned())
}

/// This boot: the first 32 bits of `/proc/sys/kernel/random/boot_id`; 0 when it cannot be read.
pub fn boot_id() -> BootId {
    BootId(boot().get(..8).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or_default())
}

/// The clock that nobody can set, and the boot that it belongs to; another one for tests of clock jumps and reboots.
#[derive(Clone)]
pub struct Clock {
    boot: BootId,
    ns: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:08x}, {})", self.boot.0, self.now())
    }
}

impl Clock {
    /// CLOCK_BOOTTIME of this boot.
    pub fn of_this_host() -> Self {
        Self::new(boot_id(), boot_ns)
    }

    /// A clock that says what `ns` says: nanoseconds since `boot`.
    pub fn new(boot: BootId, ns: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { boot, ns: Arc::new(ns) }
    }

    /// Which boot.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// Nanoseconds since that boot.
    pub fn now(&self) -> u64 {
        (self.ns)()
    }
}

/// Nanoseconds since boot, suspended time included.
pub fn boot_ns() -> u64 {
    nanoseconds(ClockId::CLOCK_BOOTTIME)
}

/// Nanoseconds that the boot clock is ahead of the monotonic one: the time spent suspended.
pub fn suspended_ns() -> u64 {
    boot_ns().saturating_sub(nanoseconds(ClockId::CLOCK_MONOTONIC))
}

/// The wall-clock time of a moment on the boot clock. Asked anew each time, so a corrected clock is followed.
pub fn wall(boot: u64) -> Timestamp {
    let ago = boot_ns().saturating_sub(boot);
    chrono::Utc::now() - Duration::from_nanos(ago)
}

fn nanoseconds(clock: ClockId) -> u64 {
    clock_gettime(clock).map(|t| Duration::from(t).as_nanos() as u64).unwrap_or_default()
}
