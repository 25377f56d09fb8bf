//! Probe: which rights the process holds.

use super::{degraded, missing, works};
use bartizan_model::Check;

/// Bit, name and purpose of each capability that a part needs (capabilities(7), linux/capability.h).
const NEEDED: [(u32, &str, &str); 7] = [
    (21, "CAP_SYS_ADMIN", "file sensor, network namespaces"),
    (12, "CAP_NET_ADMIN", "blocking addresses, process connector"),
    (39, "CAP_BPF", "eBPF sensor"),
    (38, "CAP_PERFMON", "eBPF sensor"),
    (19, "CAP_SYS_PTRACE", "reading other users' processes"),
    (5, "CAP_KILL", "stopping processes"),
    (2, "CAP_DAC_READ_SEARCH", "reading every file that is watched"),
];

pub(super) fn capabilities() -> Check {
    const NAME: &str = "rights";
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let Some(held) = field("CapEff:").and_then(|hex| u64::from_str_radix(hex, 16).ok()) else {
        return missing(NAME, "cannot read our capabilities from /proc/self/status", "mount /proc");
    };
    // CAP_SYS_ADMIN stood for CAP_BPF and CAP_PERFMON before 5.8, and still does.
    let has = |bit: u32| held & (1 << bit) != 0 || (matches!(bit, 38 | 39) && held & (1 << 21) != 0);
    let lacking: Vec<String> = NEEDED.iter().filter(|(bit, ..)| !has(*bit)).map(|(_, name, why)| format!("{name} ({why})")).collect();
    let uid = field("Uid:").and_then(|ids| ids.split_whitespace().nth(1)).unwrap_or("?").to_owned();
    match lacking.len() {
        0 => works(NAME, format!("user id {uid} with every capability that is needed")),
        n if n == NEEDED.len() => {
            missing(NAME, format!("user id {uid} without any capability that is needed"), "run it as root: sudo bartizan")
        }
        _ => degraded(NAME, format!("user id {uid} lacks {}", lacking.join(", ")), "grant these to the unit, or run it as root"),
    }
}
