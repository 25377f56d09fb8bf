//! The book's bounds, and the road from a real resolver's answer to a name.

use super::super::test_bench::Seen;
use super::*;
use bartizan_isolation::own_netns::in_own_network;
use std::net::{Ipv4Addr, UdpSocket};

fn answer(name: &str, address: u32, seconds: u32) -> Answer {
    Answer { name: name.into(), addresses: vec![(Ipv4Addr::from(address).into(), seconds)] }
}

fn asked(book: &NameBook, address: u32, now: Instant) -> Option<HostText> {
    book.name_of(Ipv4Addr::from(address).into(), now)
}

#[test]
fn a_name_lapses_and_the_latest_counts() {
    let (mut book, now) = (NameBook::default(), Instant::now());
    book.learn(&answer("short", 1, 0), now);
    book.learn(&answer("long", 2, u32::MAX), now);
    book.learn(&answer("first", 3, 300), now);
    book.learn(&answer("second", 3, 300), now);
    assert_eq!(asked(&book, 1, now + SHORTEST), Some("short".into()));
    assert_eq!(asked(&book, 1, now + SHORTEST + Duration::from_secs(1)), None);
    assert_eq!(asked(&book, 2, now + LONGEST), Some("long".into()));
    assert_eq!(asked(&book, 2, now + LONGEST + Duration::from_secs(1)), None);
    assert_eq!(asked(&book, 3, now), Some("second".into()));
    assert_eq!(book.name_of("::ffff:0.0.0.3".parse().unwrap(), now), Some("second".into()));
}

#[test]
fn a_flood_makes_the_book_forget_the_oldest_and_grow_no_further() {
    let (mut book, now, most) = (NameBook::default(), Instant::now(), MOST as u32);
    for address in 0..most + 100 {
        book.learn(&answer("flood", address, 60), now);
        book.learn(&answer("always the same", u32::MAX, 60), now);
    }
    assert_eq!((book.by_address.len(), book.by_age.len()), (MOST, MOST));
    assert_eq!(asked(&book, 0, now), None);
    assert_eq!(asked(&book, most + 99, now), Some("flood".into()));
}

/// An answer as a resolver makes it: the question again, and one address for it.
fn reply(query: &[u8], address: [u8; 4]) -> Vec<u8> {
    let mut reply = query.to_vec();
    reply[2..4].copy_from_slice(&[0x81, 0x80]);
    reply[6..8].copy_from_slice(&[0, 1]);
    reply[8..12].fill(0);
    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4]);
    reply.extend(address);
    reply
}

#[test]
fn a_name_is_known_when_its_answer_arrived() {
    in_own_network(|| {
        let cache = Arc::new(ProcessCache::default());
        let mut names = ResolverNames { cache: Arc::clone(&cache), open: DnsTap::open_here };
        let (stop, seen) = (Stop::default(), Seen::default());
        let resolver = UdpSocket::bind("127.0.0.1:53").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(b"\x05drill\x07example\0\0\x01\0\x01");
        let known = || cache.enrichment().name_of("203.0.113.5".parse().unwrap());
        let serve = |address: [u8; 4]| {
            let mut asked = [0; 512];
            client.send_to(&query, "127.0.0.1:53").unwrap();
            let (length, from) = resolver.recv_from(&mut asked).unwrap();
            resolver.send_to(&reply(&asked[..length], address), from).unwrap();
        };
        let until = |what: &str, done: &dyn Fn() -> bool| {
            let begun = Instant::now();
            while !done() {
                assert!(begun.elapsed() < Duration::from_secs(5), "{what}");
                std::thread::sleep(Duration::from_millis(1));
            }
            begun.elapsed()
        };
        std::thread::scope(|scope| {
            // The thread lives in the network of the one that starts it.
            let running = scope.spawn(|| names.run(&seen, &stop));
            std::thread::sleep(Duration::from_millis(200));
            serve([203, 0, 113, 5]);
            let took = until("no name", &|| known().is_some());
            assert_eq!(known(), Some("drill.example".into()));
            eprintln!("known {took:?} after it was sent");
            cache.enrichment().pause_names(true);
            serve([203, 0, 113, 6]);
            std::thread::sleep(Duration::from_millis(700));
            let other = || cache.enrichment().name_of("203.0.113.6".parse().unwrap());
            assert_eq!(other(), None, "listened while paused");
            cache.enrichment().pause_names(false);
            std::thread::sleep(Duration::from_millis(300));
            serve([203, 0, 113, 6]);
            until("not resumed", &|| other().is_some());
            stop.set();
            running.join().unwrap().unwrap();
        });
    });
}
