//! Our own nftables table, by netlink and without the `nft` program: addresses that the kernel drops, each for a
//! time that the kernel itself keeps, so that a block ends although we may be dead.

pub mod conntrack;
mod ruleset;
mod wire;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::Direction;
pub use ruleset::TABLE;
use ruleset::{INET, SETS, kind};
use wire::{Batch, Existing, Socket, attr, attrs, text};

/// Why nftables could not be used.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The kernel has no nf_tables: a degraded mode, blocks are impossible here.
    #[error(
        "this kernel has no nf_tables ({0}): addresses cannot be blocked here; load it with `modprobe nf_tables` or use a kernel that has it"
    )]
    Missing(io::Error),
    /// We may not.
    #[error("the kernel refused to {what}: {why}; run the agent as root or with CAP_NET_ADMIN")]
    Denied {
        /// What was tried.
        what: &'static str,
        /// errno in words.
        why: io::Error,
    },
    /// It is blocked already, by us or by someone who uses our table.
    #[error("{0} is already in table inet {TABLE}")]
    Exists(IpAddr),
    /// Anything else.
    #[error("could not {what} in table inet {TABLE}: {why}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// errno in words.
        why: io::Error,
    },
}

/// One blocked address as the kernel lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// Whom.
    pub addr: IpAddr,
    /// Which packets.
    pub direction: Direction,
    /// How long it lasts from being added; `None` when somebody added it without an end.
    pub timeout: Option<Duration>,
    /// How long it still lasts.
    pub remaining: Option<Duration>,
}

/// Whether our table is there and as we made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableState {
    /// There is no table of our name.
    Absent,
    /// Every chain and rule is as we made it.
    Intact,
    /// Somebody changed it; the first difference, safe to show.
    Altered(String),
}

/// The door to nftables, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Nft(Socket);

/// The name of the set for this direction and family, and the bytes of the address. IPv4-mapped addresses are IPv4.
fn place(addr: IpAddr, direction: Direction) -> (&'static str, Vec<u8>) {
    match (direction, addr.to_canonical()) {
        (Direction::In, IpAddr::V4(v4)) => ("block_in4", v4.octets().to_vec()),
        (Direction::In, IpAddr::V6(v6)) => ("block_in6", v6.octets().to_vec()),
        (Direction::Out, IpAddr::V4(v4)) => ("block_out4", v4.octets().to_vec()),
        (Direction::Out, IpAddr::V6(v6)) => ("block_out6", v6.octets().to_vec()),
    }
}

/// The nft command that would add the same: for previews and for people.
pub fn as_command(addr: IpAddr, direction: Direction, lasts: Duration) -> String {
    let (set, _) = place(addr, direction);
    format!("nft add element inet {TABLE} {set} {{ {} timeout {}s }}", addr.to_canonical(), lasts.as_secs())
}

impl Nft {
    /// Opens the door and tries whether nf_tables is behind it.
    ///
    /// # Errors
    /// [`NftError::Missing`] without nf_tables, [`NftError::Denied`] without the right.
    pub fn open() -> Result<Self, NftError> {
        let socket = Socket::open().map_err(|why| classify("open a netlink socket", why))?;
        let nft = Self(socket);
        match nft.table_exists() {
            // A kernel whose nfnetlink does not know the subsystem answers EINVAL to a harmless listing.
            Err(NftError::Kernel { why, .. }) if why.raw_os_error() == Some(libc::EINVAL) => Err(NftError::Missing(why)),
            Err(error) => Err(error),
            Ok(_) => Ok(nft),
        }
    }

    /// Whether a table of our name exists.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn table_exists(&self) -> Result<bool, NftError> {
        let tables = self.0.dump(kind::GET_TABLE, INET, |_| {}).map_err(|why| classify("list tables", why))?;
        Ok(tables.iter().any(|table| text(attr(table, 1)) == TABLE))
    }

    /// Whether the table is as we made it: hooks, priorities, policies, and every rule with its verdict.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn table_state(&self) -> Result<TableState, NftError> {
        if !self.table_exists()? {
            return Ok(TableState::Absent);
        }
        let (chains, rules) = ruleset::expected();
        let dump = |what, reader: fn(&[u8]) -> Option<String>| -> Result<Vec<String>, NftError> {
            let found = self.0.dump(what, INET, |b| b.name(1, TABLE)).map_err(|why| classify("list chains and rules", why))?;
            Ok(found.iter().filter_map(|bytes| reader(bytes)).collect())
        };
        let (mut found_chains, mut wanted_chains) = (dump(kind::GET_CHAIN, ruleset::read_chain)?, chains);
        found_chains.sort();
        wanted_chains.sort();
        let mut found_rules = dump(kind::GET_RULE, ruleset::read_rule)?;
        let mut wanted_rules = rules;
        found_rules.sort();
        wanted_rules.sort();
        let difference = first_difference(&wanted_chains, &found_chains).or_else(|| first_difference(&wanted_rules, &found_rules));
        Ok(difference.map_or(TableState::Intact, TableState::Altered))
    }

    /// Makes the table, whole or not at all. No error when it is there already.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create_table(&self) -> Result<(), NftError> {
        let mut batch = Batch::begin();
        ruleset::write(&mut batch);
        match self.0.commit(batch) {
            Err(why) if why.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            done => done.map_err(|why| classify("make the table", why)),
        }
    }

    /// Removes whatever table bears our name and makes ours with these addresses, in one transaction: no moment
    /// passes in which they are not blocked. Elements without remaining time are left out.
    ///
    /// # Errors
    /// When the kernel refuses; then nothing changed.
    pub fn rebuild(&self, elements: &[Blocked]) -> Result<(), NftError> {
        let exists = self.table_exists()?;
        let mut batch = Batch::begin();
        if exists {
            batch.change(kind::DELETE_TABLE, Existing::Need, INET, |b| b.name(1, TABLE));
        }
        ruleset::write(&mut batch);
        for element in elements {
            if let Some(remaining) = element.remaining.filter(|left| !left.is_zero()) {
                write_element(&mut batch, kind::NEW_ELEMENT, Existing::Refuse, element.addr, element.direction, Some(remaining));
            }
        }
        self.0.commit(batch).map_err(|why| classify("rebuild the table", why))
    }

    /// Blocks an address; the kernel removes it after `lasts` by itself.
    ///
    /// # Errors
    /// [`NftError::Exists`] when it is blocked already; others when the kernel refuses or there is no table.
    pub fn add(&self, addr: IpAddr, direction: Direction, lasts: Duration) -> Result<(), NftError> {
        let mut batch = Batch::begin();
        write_element(&mut batch, kind::NEW_ELEMENT, Existing::Refuse, addr, direction, Some(lasts));
        match self.0.commit(batch) {
            Err(why) if why.raw_os_error() == Some(libc::EEXIST) => Err(NftError::Exists(addr)),
            done => done.map_err(|why| classify("block an address", why)),
        }
    }

    /// Ends a block. `false`: there was none.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&self, addr: IpAddr, direction: Direction) -> Result<bool, NftError> {
        let mut batch = Batch::begin();
        write_element(&mut batch, kind::DELETE_ELEMENT, Existing::Need, addr, direction, None);
        match self.0.commit(batch) {
            Err(why) if why.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            done => done.map(|()| true).map_err(|why| classify("end a block", why)),
        }
    }

    /// Every blocked address, with the time it still has. Empty without a table.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn blocked(&self) -> Result<Vec<Blocked>, NftError> {
        if !self.table_exists()? {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for (set, ..) in SETS {
            let direction = if set.starts_with("block_in") { Direction::In } else { Direction::Out };
            let dump = self.0.dump(kind::GET_ELEMENT, INET, |b| {
                b.name(1, TABLE);
                b.name(2, set);
            });
            let answers = match dump {
                // Somebody removed the set or the table since: nothing is blocked by it.
                Err(why) if why.raw_os_error() == Some(libc::ENOENT) => continue,
                answers => answers.map_err(|why| classify("list blocked addresses", why))?,
            };
            let elements = answers.iter().flat_map(|answer| attrs(attr(answer, 3)));
            all.extend(elements.filter_map(|(_, element)| read_element(element, direction)));
        }
        Ok(all)
    }

    /// The kernel's entry for one address.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn find(&self, addr: IpAddr, direction: Direction) -> Result<Option<Blocked>, NftError> {
        let addr = addr.to_canonical();
        Ok(self.blocked()?.into_iter().find(|entry| entry.addr == addr && entry.direction == direction))
    }

    /// Removes our table with everything in it. `false`: there was none.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn delete_table(&self) -> Result<bool, NftError> {
        let mut batch = Batch::begin();
        batch.change(kind::DELETE_TABLE, Existing::Need, INET, |b| b.name(1, TABLE));
        match self.0.commit(batch) {
            Err(why) if why.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            done => done.map(|()| true).map_err(|why| classify("delete the table", why)),
        }
    }
}

fn write_element(batch: &mut Batch, what: u16, existing: Existing, addr: IpAddr, direction: Direction, lasts: Option<Duration>) {
    let (set, key) = place(addr, direction);
    batch.change(what, existing, INET, |b| {
        b.name(1, TABLE);
        b.name(2, set);
        b.nest(3, |b| {
            b.nest(1, |b| {
                b.nest(1, |b| b.attr(1, &key));
                if let Some(lasts) = lasts {
                    let milliseconds = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX).max(1);
                    b.attr(4, &milliseconds.to_be_bytes());
                }
            });
        });
    });
}

fn read_element(bytes: &[u8], direction: Direction) -> Option<Blocked> {
    let key = attr(attr(bytes, 1), 1);
    let addr = match key.len() {
        4 => IpAddr::from(*key.first_chunk::<4>()?),
        16 => IpAddr::from(*key.first_chunk::<16>()?),
        _ => return None,
    };
    let time = |kind| attr(bytes, kind).first_chunk().map(|ms| Duration::from_millis(u64::from_be_bytes(*ms)));
    Some(Blocked { addr, direction, timeout: time(4), remaining: time(5) })
}

fn first_difference(wanted: &[String], found: &[String]) -> Option<String> {
    if let Some(missing) = wanted.iter().find(|line| !found.contains(line)) {
        return Some(format!("missing: {}", missing.escape_debug()));
    }
    if let Some(extra) = found.iter().find(|line| !wanted.contains(line)) {
        return Some(format!("not ours: {}", extra.escape_debug().take(200).collect::<String>()));
    }
    (wanted.len() != found.len()).then(|| format!("{} rules or chains instead of {}", found.len(), wanted.len()))
}

fn classify(what: &'static str, why: io::Error) -> NftError {
    match why.raw_os_error() {
        Some(libc::EPROTONOSUPPORT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT) => NftError::Missing(why),
        Some(libc::EPERM | libc::EACCES) => NftError::Denied { what, why },
        _ => NftError::Kernel { what, why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::own_netns::in_own_network;
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;

    fn nft_lists() -> String {
        let out = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    }

    fn reaches(address: &str) -> bool {
        let listener = TcpListener::bind((address, 0)).unwrap();
        TcpStream::connect_timeout(&listener.local_addr().unwrap(), Duration::from_millis(300)).is_ok()
    }

    #[test]
    fn the_kernel_shows_what_we_made_and_drops_what_we_blocked() {
        in_own_network(|| {
            assert_eq!(nft_lists(), "");
            let nft = Nft::open().unwrap();
            assert_eq!(nft.table_state().unwrap(), TableState::Absent);
            nft.create_table().unwrap();
            nft.create_table().unwrap();
            assert_eq!(nft.table_state().unwrap(), TableState::Intact);
            let listed = nft_lists();
            assert!(listed.contains("ip saddr @block_in4 counter packets 0 bytes 0 drop"), "{listed}");
            assert!(listed.contains("ip6 daddr @block_out6 counter packets 0 bytes 0 drop"), "{listed}");
            assert!(
                listed.contains("type filter hook forward priority -10; policy accept;") || listed.contains("priority filter - 10"),
                "{listed}"
            );
            for (address, direction) in [("127.0.0.5", Direction::Out), ("127.0.0.6", Direction::In), ("::1", Direction::Out)] {
                let addr: IpAddr = address.parse().unwrap();
                assert!(reaches(address), "{address} before");
                nft.add(addr, direction, Duration::from_secs(60)).unwrap();
                assert!(matches!(nft.add(addr, direction, Duration::from_secs(60)), Err(NftError::Exists(_))));
                assert!(nft_lists().contains(&format!("{address} timeout 1m")), "{}", nft_lists());
                let entry = nft.find(addr, direction).unwrap().unwrap();
                assert_eq!(entry.timeout, Some(Duration::from_secs(60)));
                assert!(entry.remaining.unwrap() > Duration::from_secs(55));
                assert!(!reaches(address), "{address} blocked");
                assert!(nft.remove(addr, direction).unwrap());
                assert!(!nft.remove(addr, direction).unwrap());
                assert!(reaches(address), "{address} after");
            }
            assert!(nft.delete_table().unwrap());
            assert!(!nft.delete_table().unwrap());
            assert_eq!(nft_lists(), "");
        });
    }

    #[test]
    fn the_kernel_ends_a_block_by_itself_and_a_mapped_address_is_its_ipv4_self() {
        in_own_network(|| {
            let nft = Nft::open().unwrap();
            nft.create_table().unwrap();
            nft.add("::ffff:127.0.0.5".parse().unwrap(), Direction::Out, Duration::from_millis(700)).unwrap();
            assert!(!reaches("127.0.0.5"));
            std::thread::sleep(Duration::from_millis(800));
            assert!(reaches("127.0.0.5"));
            assert_eq!(nft.blocked().unwrap(), vec![]);
        });
    }

    #[test]
    fn tampering_is_seen_and_rebuilding_keeps_the_remaining_time() {
        in_own_network(|| {
            let nft = Nft::open().unwrap();
            nft.create_table().unwrap();
            let addr: IpAddr = "198.51.100.7".parse().unwrap();
            nft.add(addr, Direction::In, Duration::from_secs(100)).unwrap();
            for change in ["flush chain inet bartizan input", "insert rule inet bartizan output accept", "add chain inet bartizan other"] {
                assert!(Command::new("nft").args(change.split(' ')).status().unwrap().success());
                assert!(matches!(nft.table_state().unwrap(), TableState::Altered(_)), "{change}");
                nft.rebuild(&nft.blocked().unwrap()).unwrap();
                assert_eq!(nft.table_state().unwrap(), TableState::Intact, "{change}");
            }
            let left = nft.find(addr, Direction::In).unwrap().unwrap().remaining.unwrap();
            assert!(left > Duration::from_secs(95) && left <= Duration::from_secs(100), "{left:?}");
        });
    }

    #[test]
    fn a_full_dump_is_read_whole() {
        in_own_network(|| {
            let nft = Nft::open().unwrap();
            nft.create_table().unwrap();
            for n in 0..3000u32 {
                nft.add(std::net::Ipv4Addr::from(0x0a00_0000 + n).into(), Direction::In, Duration::from_secs(600)).unwrap();
            }
            assert_eq!(nft.blocked().unwrap().len(), 3000);
        });
    }
}
