//! One record of utmp(5) or wtmp(5), and what it says about where somebody came from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One record on Linux with glibc, 64 bits (bits/utmp.h).
pub(super) const RECORD: usize = 384;
const USER_PROCESS: i16 = 7;
/// Where its fields stand, and how long the texts are.
const PID: usize = 4;
const USER: usize = 44;
const USER_LENGTH: usize = 32;
const HOST: usize = 76;
const HOST_LENGTH: usize = 256;
const SECONDS: usize = 340;
const ADDRESS: usize = 348;

/// Somebody logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) pid: u32,
    pub(super) user: Vec<u8>,
    pub(super) seconds: u64,
    pub(super) source: Source,
}

/// From where, and how far that is to be believed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The field for the address, which a login server writes as root; the helpers that any user may call leave it empty.
    Server(IpAddr),
    /// An address in the field for the host's name.
    Claimed(IpAddr),
    /// A name in that field.
    Named(String),
    /// This host: a console, a display, or nothing said.
    Here,
}

/// `None` for what is no login.
pub(super) fn parse(record: &[u8]) -> Option<Record> {
    if i16::from_ne_bytes(*record.first_chunk()?) != USER_PROCESS {
        return None;
    }
    let pid = u32::from_ne_bytes(*record.get(PID..)?.first_chunk()?);
    let seconds = u64::from(u32::from_ne_bytes(*record.get(SECONDS..)?.first_chunk()?));
    let bytes: [u8; 16] = *record.get(ADDRESS..)?.first_chunk()?;
    // An IPv4 address fills the first four bytes and leaves the rest zero.
    let addr = match bytes {
        [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => IpAddr::from(Ipv4Addr::new(a, b, c, d)),
        bytes => IpAddr::from(Ipv6Addr::from(bytes)).to_canonical(),
    };
    let source = if addr.is_unspecified() { host(text(record, HOST, HOST_LENGTH)?) } else { Source::Server(addr) };
    Some(Record { pid, user: text(record, USER, USER_LENGTH)?.to_vec(), seconds, source })
}

fn text(record: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    let field = record.get(at..at + length)?;
    field.split(|byte| *byte == 0).next()
}

/// `203.0.113.5 via mosh [10383]`, `203.0.113.6:S.0` (screen), `203.0.113.7:pts/3:S.1`, `fe80::1%eth0`, `[2001:db8::1]`,
/// `tmux(1234).%0`, `:0`, `client.example.org`.
pub(super) fn host(field: &[u8]) -> Source {
    let said = String::from_utf8_lossy(field);
    let Some(word) = said.split_ascii_whitespace().next() else { return Source::Here };
    let bare = word.trim_start_matches('[').split(']').next().unwrap_or(word);
    let mut rest = bare;
    // What a program hangs on after a colon is taken off piece by piece: an IPv6 address is full of colons itself.
    loop {
        if let Ok(addr) = rest.split('%').next().unwrap_or(rest).parse::<IpAddr>() {
            let addr = addr.to_canonical();
            return if addr.is_unspecified() || addr.is_loopback() { Source::Here } else { Source::Claimed(addr) };
        }
        match rest.rsplit_once(':') {
            Some((before, _)) if !before.is_empty() => rest = before,
            _ => break,
        }
    }
    let is_name = rest.contains('.') && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if is_name { Source::Named(rest.chars().take(255).collect()) } else { Source::Here }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in super::super) fn record(kind: i16, pid: u32, user: &str, host: &str, seconds: u32, addr: &[u8]) -> Vec<u8> {
        let mut record = vec![0u8; RECORD];
        record[..2].copy_from_slice(&kind.to_ne_bytes());
        record[PID..PID + 4].copy_from_slice(&pid.to_ne_bytes());
        record[USER..USER + user.len()].copy_from_slice(user.as_bytes());
        record[HOST..HOST + host.len()].copy_from_slice(host.as_bytes());
        record[SECONDS..SECONDS + 4].copy_from_slice(&seconds.to_ne_bytes());
        record[ADDRESS..ADDRESS + addr.len()].copy_from_slice(addr);
        record
    }

    #[test]
    fn the_layout_is_the_c_librarys() {
        use std::mem::offset_of;
        assert_eq!(size_of::<libc::utmpx>(), RECORD);
        let of_libc = [offset_of!(libc::utmpx, ut_pid), offset_of!(libc::utmpx, ut_user), offset_of!(libc::utmpx, ut_host)];
        assert_eq!(of_libc, [PID, USER, HOST]);
        assert_eq!([offset_of!(libc::utmpx, ut_tv), offset_of!(libc::utmpx, ut_addr_v6)], [SECONDS, ADDRESS]);
    }

    #[test]
    fn logins_have_an_address_and_reboots_have_none() {
        let read = |kind, host: &str, addr: &[u8]| parse(&record(kind, 7, "ann", host, 5, addr)).map(|record| record.source);
        assert_eq!(read(USER_PROCESS, "", &[192, 0, 2, 1]), Some(Source::Server("192.0.2.1".parse().unwrap())));
        assert_eq!(read(2, "", &[1, 2, 3, 4]), None);
        let six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        assert_eq!(read(USER_PROCESS, "x", &six), Some(Source::Server("2001:db8::9".parse().unwrap())));
        let whole = parse(&record(USER_PROCESS, 4711, "ann", "203.0.113.5", 9, &[])).unwrap();
        assert_eq!((whole.pid, whole.user.as_slice(), whole.seconds), (4711, b"ann".as_slice(), 9));
    }

    #[test]
    fn the_host_field_is_read_as_programs_write_it() {
        for (said, meant) in [
            ("203.0.113.5 via mosh [10383]", Some("203.0.113.5")),
            ("203.0.113.6:S.0", Some("203.0.113.6")),
            ("203.0.113.7:pts/3:S.12", Some("203.0.113.7")),
            ("2001:db8::9:S.0", Some("2001:db8::9")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("fe80::1%eth0 via mosh [1]", Some("fe80::1")),
            ("::ffff:203.0.113.8", Some("203.0.113.8")),
            ("[2001:db8::7]", Some("2001:db8::7")),
            (":0", None),
            (":0.0", None),
            ("tmux(1234).%0", None),
            ("mosh [10383]", None),
            ("127.0.0.1", None),
            ("", None),
        ] {
            let wanted = meant.map_or(Source::Here, |addr| Source::Claimed(addr.parse().unwrap()));
            assert_eq!(host(said.as_bytes()), wanted, "{said}");
        }
        assert_eq!(host(b"client.example.org"), Source::Named("client.example.org".to_owned()));
    }

    proptest! {
        #[test]
        fn no_record_can_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = parse(&bytes);
            let _ = host(&bytes);
        }
    }
}
