//! A user and group id that nobody else on the host has: who shares one may kill or trace the other (kill(2), ptrace(2)).

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::Path;

/// Ids that no account, directory service or service manager gives out by itself (systemd's UIDS-GIDS.md: 1879048192 to 2147483647 and
/// 65520 to 65533 are unused; sssd's own range ends at 2000200000). The second is for containers that have no large ids.
const RANGES: [RangeInclusive<u32>; 2] = [2_100_000_000..=2_100_000_255, 65_520..=65_533];
/// Bytes of a list of accounts that are read.
const MAX_LIST: u64 = 4 << 20;
/// Processes that are looked at.
const MAX_PROCESSES: usize = 100_000;

/// The first of these ids that no account, group, range of subordinate ids or process has, and that this user namespace knows.
///
/// # Errors
/// When there is none.
pub(super) fn own_id() -> io::Result<u32> {
    let etc = |name: &str| text(&Path::new("/etc").join(name));
    let lists = [etc("passwd"), etc("group")];
    let ranges = [etc("subuid"), etc("subgid")];
    let maps = ["/proc/self/uid_map", "/proc/self/gid_map"].map(|path| text(Path::new(path)));
    let running = running();
    let is_free = |id: &u32| {
        maps.iter().all(|map| is_mapped(map, *id))
            && !lists.iter().any(|list| is_listed(list, *id))
            && !ranges.iter().any(|list| is_subordinate(list, *id))
            && !running.contains(id)
    };
    let none =
        || io::Error::other("no user id is free for the process that reads logs: 65520 to 65533 and 2100000000 to 2100000255 are taken");
    RANGES.into_iter().flatten().find(is_free).ok_or_else(none)
}

/// What cannot be read names nobody.
fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    let _ = std::fs::File::open(path).and_then(|file| file.take(MAX_LIST).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A line of passwd(5) or group(5) has this number; in passwd, the account or its group.
fn is_listed(list: &str, id: u32) -> bool {
    list.lines().any(|line| line.split(':').skip(2).take(2).any(|number| number.parse() == Ok(id)))
}

/// A line of subuid(5) or subgid(5) holds this number.
fn is_subordinate(list: &str, id: u32) -> bool {
    list.lines().any(|line| {
        let mut numbers = line.split(':').skip(1).map_while(|number| number.parse::<u64>().ok());
        matches!((numbers.next(), numbers.next()), (Some(first), Some(count)) if holds(first, count, id))
    })
}

/// This namespace knows the number (user_namespaces(7)); one whose map cannot be read knows all.
fn is_mapped(map: &str, id: u32) -> bool {
    let mut lines = map.lines().peekable();
    lines.peek().is_none()
        || lines.any(|line| {
            let numbers: Vec<u64> = line.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
            matches!(numbers.as_slice(), [first, _, count] if holds(*first, *count, id))
        })
}

fn holds(first: u64, count: u64, id: u32) -> bool {
    (first..first.saturating_add(count)).contains(&u64::from(id))
}

/// Ids that processes have.
fn running() -> BTreeSet<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten().take(MAX_PROCESSES);
    let processes = entries.filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit));
    let mut ids = BTreeSet::new();
    for process in processes {
        for line in text(&process.path().join("status")).lines() {
            let numbers = line.strip_prefix("Uid:").or_else(|| line.strip_prefix("Gid:"));
            ids.extend(numbers.into_iter().flat_map(str::split_ascii_whitespace).filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_somebody_has_or_may_get_is_not_free() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nx:x:2100000000:2100000001::/:/bin/false\nbroken\n";
        let listed = [0, 2_100_000_000, 2_100_000_001, 2_100_000_002].map(|id| is_listed(passwd, id));
        assert_eq!(listed, [true, true, true, false]);
        let subordinate = ["a:100000:65536", "a:2000000000:200000000", "broken", "a:b:c", "a:18446744073709551615:9"];
        assert_eq!(subordinate.map(|list| is_subordinate(list, 2_100_000_000)), [false, true, false, false, false]);
        let map = "         0     100000      65536\n";
        assert_eq!([65_520, 65_536].map(|id| is_mapped(map, id)), [true, false]);
        assert!(is_mapped("", 65_520));
        let own = own_id().unwrap();
        assert!(RANGES.iter().any(|range| range.contains(&own)) && !running().contains(&own));
    }
}
