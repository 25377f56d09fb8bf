//! The kernel's clocks: which boot this is, and kernel time as wall-clock time.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::model::{BootId, Timestamp};

/// This boot: the first 32 bits of `/proc/sys/kernel/random/boot_id`; 0 when it cannot be read.
pub fn boot_id() -> BootId {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    BootId(text.get(..8).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or_default())
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
