//! Where people lately logged in from: the binary records of utmp(5) and wtmp(5).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Found;
use crate::model::LifelineReason;

/// One record on Linux with glibc, 64 bits (bits/utmp.h).
const RECORD: usize = 384;
const USER_PROCESS: i16 = 7;
/// Where the seconds and the address stand in it.
const SECONDS: usize = 340;
const ADDRESS: usize = 348;
/// Logins older than this are no longer "lately".
const LATELY: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The most different sources, newest first.
const MOST: usize = 20;
/// The end of a wtmp that is looked at: about 10,000 logins.
const TAIL: u64 = 4 << 20;

pub(super) fn recent(found: &mut Found) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut sources: Vec<IpAddr> = Vec::new();
    for file in ["/run/utmp", "/var/run/utmp", "/var/log/wtmp"] {
        match tail(file) {
            Ok(bytes) => {
                for (_, addr) in logins(&bytes).into_iter().rev().filter(|(at, _)| now.saturating_sub(*at) <= LATELY.as_secs()) {
                    if sources.len() < MOST && !sources.contains(&addr) {
                        sources.push(addr);
                    }
                }
            }
            // Some hosts keep no such file; live sessions are known from their sockets.
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => found.unknown("recent logins", why),
        }
    }
    for addr in sources {
        found.address(addr, LifelineReason::RecentLogin);
    }
}

/// The last [`TAIL`] bytes, beginning at a whole record.
fn tail(file: &str) -> io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    let whole = length - length % RECORD as u64;
    let start = whole.saturating_sub(TAIL - TAIL % RECORD as u64);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(whole - start).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Remote logins as (seconds, address), in the order of the file.
fn logins(bytes: &[u8]) -> Vec<(u64, IpAddr)> {
    bytes.chunks_exact(RECORD).filter_map(login).collect()
}

fn login(record: &[u8]) -> Option<(u64, IpAddr)> {
    if i16::from_ne_bytes(*record.first_chunk()?) != USER_PROCESS {
        return None;
    }
    let seconds = u64::from(u32::from_ne_bytes(*record.get(SECONDS..)?.first_chunk()?));
    let bytes: [u8; 16] = *record.get(ADDRESS..)?.first_chunk()?;
    // An IPv4 address fills the first four bytes and leaves the rest zero.
    let addr = match bytes {
        [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => IpAddr::from(Ipv4Addr::new(a, b, c, d)),
        bytes => IpAddr::from(Ipv6Addr::from(bytes)).to_canonical(),
    };
    (!addr.is_unspecified()).then_some((seconds, addr))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(kind: i16, seconds: u32, addr: &[u8]) -> Vec<u8> {
        let mut record = vec![0u8; RECORD];
        record[..2].copy_from_slice(&kind.to_ne_bytes());
        record[SECONDS..SECONDS + 4].copy_from_slice(&seconds.to_ne_bytes());
        record[ADDRESS..ADDRESS + addr.len()].copy_from_slice(addr);
        record
    }

    #[test]
    fn the_layout_is_the_c_librarys() {
        assert_eq!(size_of::<libc::utmpx>(), RECORD);
        assert_eq!(std::mem::offset_of!(libc::utmpx, ut_tv), SECONDS);
        assert_eq!(std::mem::offset_of!(libc::utmpx, ut_addr_v6), ADDRESS);
    }

    #[test]
    fn logins_have_an_address_and_reboots_have_none() {
        let bytes = [
            record(USER_PROCESS, 5, &[192, 0, 2, 1]),
            record(2, 6, &[1, 2, 3, 4]),
            record(USER_PROCESS, 7, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]),
            record(USER_PROCESS, 8, &[]),
        ]
        .concat();
        assert_eq!(logins(&bytes), [(5, "192.0.2.1".parse().unwrap()), (7, "2001:db8::9".parse().unwrap())]);
    }

    proptest! {
        #[test]
        fn no_file_can_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
            let _ = logins(&bytes);
        }
    }
}
