//! The tap against real answers on a network of the test's own, and the reader against hostile ones.

use super::*;
use bartizan_isolation::own_netns::in_own_network;
use proptest::prelude::*;
use std::net::UdpSocket;
use std::time::Instant;

/// A message with these header counts and this body.
fn raw(flags: u16, counts: [u16; 4], body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x12, 0x34];
    out.extend(flags.to_be_bytes());
    counts.iter().for_each(|count| out.extend(count.to_be_bytes()));
    out.extend(body);
    out
}

fn name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend(label.bytes());
    }
    out.push(0);
    out
}

fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut out = owner.to_vec();
    out.extend(kind.to_be_bytes());
    out.extend(1_u16.to_be_bytes());
    out.extend(ttl.to_be_bytes());
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
    out
}

fn question(asked: &str, kind: u16) -> Vec<u8> {
    [name(asked), kind.to_be_bytes().to_vec(), vec![0, 1]].concat()
}

/// What a resolver says when asked for WWW.Example.org: an alias, its addresses, and one thing nobody asked for.
fn reply() -> Vec<u8> {
    let asked = question("WWW.Example.org", 1);
    let records = [
        record(&[0xc0, 12], 5, 300, &name("edge.cdn.net")), // the owner points to the question
        record(&name("EDGE.cdn.net"), 1, 20, &[203, 0, 113, 9]),
        record(&name("edge.cdn.net"), 28, 20, &Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).octets()),
        record(&name("bank.example"), 1, 20, &[203, 0, 113, 66]),
    ];
    raw(0x8180, [1, 4, 0, 0], &[asked, records.concat()].concat())
}

#[test]
fn an_alias_is_followed_and_what_nobody_asked_for_is_not_believed() {
    let answer = parse(&reply()).unwrap();
    assert_eq!(answer.name, HostText::from("www.example.org"));
    let wanted: [IpAddr; 2] = ["203.0.113.9".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    assert_eq!(answer.addresses, wanted.map(|address| (address, 20)));
}

#[test]
fn a_label_with_a_dot_is_no_two_labels() {
    let asked = [&[8][..], b"evil.com", &[3], b"org", &[0], &[0, 1, 0, 1]].concat();
    let message = raw(0x8180, [1, 1, 0, 0], &[asked, record(&[0xc0, 12], 1, 60, &[192, 0, 2, 1])].concat());
    assert_eq!(parse(&message).unwrap().name.as_bytes(), b"evil\\.com.org");
}

#[test]
fn a_sender_who_lies_about_how_much_follows_costs_nothing() {
    let begun = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(parse(&raw(0x8180, [1, u16::MAX, u16::MAX, u16::MAX], &question("a.b", 1))), None);
        assert_eq!(parse(&raw(0x8180, [u16::MAX; 4], &question("a.b", 1))), None);
    }
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
}

proptest! {
    #[test]
    fn no_message_can_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&bytes);
        let _ = message(&bytes, V4_HEADERS).and_then(parse);
        let _ = message(&bytes, V6_HEADERS).and_then(parse);
    }

    #[test]
    fn no_damage_to_a_true_answer_can_panic(at in 0..200_usize, value in any::<u8>(), cut in 0..200_usize) {
        let mut bytes = reply();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(100)));
        let _ = parse(&bytes);
    }

    #[test]
    fn no_record_of_any_kind_can_panic(kind in any::<u16>(), data in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = parse(&raw(0x8180, [1, 1, 0, 0], &[question("a.b", kind), record(&[0xc0, 12], kind, 1, &data)].concat()));
    }
}

/// Takes everything that comes within half a second.
fn taken(tap: &mut DnsTap) -> (Vec<Answer>, usize) {
    let (mut answers, mut packets, begun) = (Vec::new(), 0, Instant::now());
    while begun.elapsed() < Duration::from_millis(500) {
        if tap.wait(Duration::from_millis(50)).unwrap() {
            packets += tap.drain(64, |answer| answers.push(answer)).unwrap();
        }
    }
    (answers, packets)
}

#[test]
fn a_resolver_on_loopback_is_heard_and_nothing_else() {
    in_own_network(|| {
        let mut tap = DnsTap::open_here().unwrap();
        for local in ["127.0.0.1", "::1"] {
            let (resolver, other) = (UdpSocket::bind((local, 53)).unwrap(), UdpSocket::bind((local, 5353)).unwrap());
            let client = UdpSocket::bind((local, 0)).unwrap();
            // The question itself, an answer from another port, an error, an answer without a record: none reaches us.
            client.send_to(&raw(0x0100, [1, 0, 0, 0], &question("www.example.org", 1)), (local, 53)).unwrap();
            other.send_to(&reply(), client.local_addr().unwrap()).unwrap();
            resolver.send_to(&raw(0x8183, [1, 0, 0, 0], &question("no.example.org", 1)), client.local_addr().unwrap()).unwrap();
            resolver.send_to(&raw(0x8180, [1, 0, 0, 0], &question("empty.example.org", 1)), client.local_addr().unwrap()).unwrap();
            let (answers, packets) = taken(&mut tap);
            assert_eq!((answers, packets), (vec![], 0), "{local}");
            resolver.send_to(&reply(), client.local_addr().unwrap()).unwrap();
            let (answers, packets) = taken(&mut tap);
            assert_eq!((answers, packets), (vec![parse(&reply()).unwrap()], 1), "{local}");
        }
        assert_eq!(tap.lost(), 0);
    });
}

#[test]
fn what_the_kernel_had_no_room_for_is_counted() {
    in_own_network(|| {
        let mut tap = DnsTap::open_here().unwrap();
        let (resolver, client) = (UdpSocket::bind("127.0.0.1:53").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let sent = 5_000;
        for _ in 0..sent {
            resolver.send_to(&reply(), client.local_addr().unwrap()).unwrap();
        }
        let (answers, packets) = taken(&mut tap);
        let lost = tap.lost();
        assert_eq!((answers.len(), packets as u64 + lost), (packets, sent), "{lost} lost");
        assert!(lost > 0, "nothing was lost: the test shows nothing");
        eprintln!("{packets} heard, {lost} counted as lost, of {sent}");
    });
}
