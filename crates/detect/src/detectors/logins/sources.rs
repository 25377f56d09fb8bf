//! Sources of failed logins: the table that remembers them, and the worst of it. 65,536 places, 9 MiB with the sketch.
//!
//! An address of an IPv6 network is named for an action only for failures of its own, and others may live there.

use bartizan_model::{Attacker, Timestamp};

use super::super::tally::Table;
use super::source::Source;

/// The table.
pub(super) type Sources = Table<Source, 8192>;

/// The worst by attempts.
pub(super) fn worst(sources: &Sources, most: usize) -> Vec<Attacker> {
    let mut places: Vec<&Source> = sources.all().filter(|one| one.total > 0).collect();
    places.sort_by_key(|one| std::cmp::Reverse(one.total));
    places.truncate(most);
    let shown = |one: &Source| Attacker {
        address: one.address(),
        attempts: one.total,
        accounts: one.accounts.count(),
        first: Timestamp::from_timestamp(i64::from(one.presence.first), 0),
        last: Timestamp::from_timestamp(i64::from(one.presence.last), 0),
        strikes: one.presence.told.strikes,
        held: None,
        asked: None,
        elsewhere: None,
    };
    places.into_iter().map(shown).collect()
}

/// The worst, as they are handed to the next run.
pub(super) fn remember(sources: &Sources, most: usize) -> Vec<Source> {
    let mut places: Vec<Source> = sources.all().copied().collect();
    places.sort_by_key(|one| std::cmp::Reverse((one.total, one.presence.last)));
    places.truncate(most);
    places
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_million_addresses_take_no_more_room_than_one_and_the_worst_keep_their_place() {
        let mut sources = Sources::new(7);
        let before = sources.memory();
        let evil: IpAddr = "203.0.113.9".parse().unwrap();
        for n in 0..1_000_000_u32 {
            sources.touch(IpAddr::V4(std::net::Ipv4Addr::from(0x0b00_0000 + n)), 1000 + n / 1000, 1);
            if n % 1000 == 0 {
                let place = sources.touch(evil, 1000 + n / 1000, 1).unwrap();
                sources.get(place).unwrap().total += 1;
            }
        }
        assert_eq!(sources.memory(), before);
        assert!(before <= 12 << 20, "{before} bytes");
        assert_eq!(worst(&sources, 1)[0].address, evil);
        assert_eq!(worst(&sources, 1)[0].attempts, 1000);
        assert!(sources.crowded_out() > 0);
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_an_ipv4_address_is_one_however_it_is_written() {
        let mut sources = Sources::new(7);
        let place = sources.touch("2001:db8:1:2::5".parse().unwrap(), 1000, 1);
        assert_eq!(sources.touch("2001:db8:1:2:ffff::9".parse().unwrap(), 1001, 1), place);
        assert_ne!(sources.touch("2001:db8:1:3::5".parse().unwrap(), 1000, 1), place);
        let v4 = sources.touch("::ffff:192.0.2.1".parse().unwrap(), 1000, 1).unwrap();
        assert_eq!(sources.get(v4).unwrap().address(), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
