//! The table on the real kernel, each test in a network namespace of its own.

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use super::*;
use bartizan_isolation::own_netns::in_own_network;
use bartizan_model::Direction;

const MINUTE: Duration = Duration::from_secs(60);

fn all(_: &[Change]) -> Result<(), String> {
    Ok(())
}

fn nft_lists() -> String {
    let out = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

fn made() -> Nft {
    let nft = Nft::open().unwrap();
    nft.change(Table::Make(Pieces::all()), &[], &[], &all).unwrap();
    nft
}

fn add(nft: &Nft, member: Member, lasts: Duration) -> Result<(), NftError> {
    nft.change(Table::Keep, &[], &[Element { member, lasts }], &all)
}

fn reaches(address: &str) -> bool {
    let listener = TcpListener::bind((address, 0)).unwrap();
    TcpStream::connect_timeout(&listener.local_addr().unwrap(), Duration::from_millis(300)).is_ok()
}

/// Addresses of this host that are none of loopback's, where nobody is ever blocked.
fn own_addresses(addresses: &[&str]) {
    for address in addresses {
        assert!(Command::new("ip").args(["address", "add", address, "dev", "lo"]).status().unwrap().success(), "{address}");
    }
}

fn listed(nft: &Nft) -> Vec<String> {
    let mut found = nft.lines(kind::GET_TABLE, decode::table_line).unwrap();
    found.extend(nft.lines(kind::GET_SET, decode::set_line).unwrap());
    found.extend(nft.lines(kind::GET_CHAIN, decode::chain_line).unwrap());
    found.extend(nft.lines(kind::GET_RULE, decode::rule_line).unwrap());
    found
}

fn only(piece: Piece) -> Pieces {
    [piece].into_iter().collect()
}

/// What the reader says of the bytes that the writer makes of these pieces.
fn said(pieces: Pieces) -> Vec<String> {
    let mut batch = Batch::begin();
    skeleton::make(&mut batch, TABLE, &Layout::of(pieces));
    let said = decode(&batch.close().0).unwrap();
    said.into_iter().filter_map(|c| if let Change::Shape(line) = c { Some(line) } else { None }).collect()
}

/// The page must be what the kernel shows of what the writer makes, and what the reader says of the bytes: for all pieces, for
/// each alone, and for any two.
#[test]
fn the_page_is_the_table() {
    in_own_network(|| {
        let found = listed(&made());
        if std::env::var_os("BARTIZAN_WRITE_SKELETON").is_some() {
            let alone: Vec<(Piece, Vec<String>)> = Piece::ALL.into_iter().map(|piece| (piece, said(only(piece)))).collect();
            let tags = |line: &String| {
                let of: Vec<&str> = alone.iter().filter(|(_, lines)| lines.contains(line)).map(|(piece, _)| piece.name()).collect();
                if of.len() == alone.len() { "always".to_owned() } else { of.join(" ") }
            };
            let page: String = found.iter().map(|line| format!("{} | {line}\n", tags(line))).collect();
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/nft/skeleton.txt"), &page).unwrap();
            eprintln!("{}", nft_lists());
        }
        assert_eq!(found, lines(Pieces::all()));
        assert_eq!(said(Pieces::all()), found);
        let nft = Nft::open().unwrap();
        for one in Piece::ALL {
            for other in Piece::ALL {
                let both: Pieces = [one, other].into_iter().collect();
                nft.change(Table::Replace(both), &[], &[], &all).unwrap();
                assert_eq!(nft.table_state().unwrap(), TableState::Intact(both));
                assert_eq!(said(both), lines(both));
            }
        }
    });
}

/// Only what a live action needs is there: no other set, rule or hook.
#[test]
fn one_block_has_one_set_and_one_rule_for_each_way_in() {
    in_own_network(|| {
        let nft = Nft::open().unwrap();
        nft.change(Table::Make(only(Piece::BlockIn4)), &[], &[], &all).unwrap();
        let found = listed(&nft);
        let count = |what: &str| found.iter().filter(|line| line.starts_with(what)).count();
        assert_eq!((count("set "), count("chain "), count("rule ")), (1, 2, 2), "{found:#?}");
        assert!(!found.iter().any(|line| line.contains("hook 3")), "nothing of what goes out is looked at: {found:#?}");
    });
}

/// Any way from one shape to another, with elements that stay: none is lost, and the result is as if made at once.
#[test]
fn pieces_come_and_go_around_the_elements_of_others() {
    in_own_network(|| {
        let nft = Nft::open().unwrap();
        let kept = Member::Block("198.51.100.7".parse().unwrap(), Direction::In);
        let element = Element { member: kept, lasts: MINUTE };
        nft.change(Table::Make(only(Piece::BlockIn4)), &[], &[element], &all).unwrap();
        let mut from = only(Piece::BlockIn4);
        // A fixed walk that visits every piece, in company and alone with the block.
        let others = Piece::ALL.into_iter().flat_map(|piece| [only(piece), only(piece).and(only(Piece::Contain)), Pieces::default()]);
        for to in others.map(|pieces| pieces.and(only(Piece::BlockIn4))).chain([Pieces::all(), only(Piece::BlockIn4)]) {
            nft.change(Table::Reshape { from, to }, &[], &[], &all).unwrap();
            assert_eq!(nft.table_state().unwrap(), TableState::Intact(to), "{from:?} to {to:?}");
            assert!(nft.holds(kept.place()).unwrap(), "{from:?} to {to:?}");
            from = to;
        }
    });
}

#[test]
fn a_piece_that_the_kernel_refuses_costs_only_its_own_action() {
    use super::rules::Step;
    in_own_network(|| {
        let nft = Nft::open().unwrap();
        assert!(nft.refused(Pieces::all()).unwrap().is_empty(), "this kernel takes all");
        // As on a kernel that lacks it: an expression that this one refuses, in turn in each piece.
        for broken in Piece::ALL {
            let layouts = Piece::ALL.into_iter().map(|piece| {
                let mut layout = Layout::of(only(piece));
                if piece == broken {
                    let chain = layout.chains.first().unwrap().0;
                    layout.rules.push((chain, vec![Step::Cgroup(super::rules::R1, 4000)]));
                }
                (piece, layout)
            });
            let refused = nft.refused_of(layouts).unwrap();
            assert_eq!(refused.iter().map(|(piece, _)| *piece).collect::<Vec<_>>(), [broken]);
            assert!(in_words(&refused).contains(broken.words().0), "{}", in_words(&refused));
            assert_eq!(nft_lists(), "", "trying leaves nothing");
            let rest = Piece::ALL.into_iter().filter(|piece| *piece != broken).collect();
            nft.change(Table::Make(rest), &[], &[], &all).unwrap();
            assert_eq!(nft.table_state().unwrap(), TableState::Intact(rest));
            nft.delete_table().unwrap();
        }
    });
}

#[test]
fn the_kernel_shows_what_we_made_and_drops_what_we_blocked() {
    in_own_network(|| {
        own_addresses(&["198.51.100.5/32", "198.51.100.6/32", "2001:db8::5/128"]);
        assert_eq!(nft_lists(), "");
        let nft = Nft::open().unwrap();
        assert_eq!(nft.table_state().unwrap(), TableState::Absent);
        let nft = made();
        assert!(matches!(nft.change(Table::Make(Pieces::all()), &[], &[], &all), Err(NftError::Exists)));
        for (address, direction) in [("198.51.100.5", Direction::Out), ("198.51.100.6", Direction::In), ("2001:db8::5", Direction::Out)] {
            let member = Member::Block(address.parse().unwrap(), direction);
            assert!(reaches(address), "{address} before");
            add(&nft, member, MINUTE).unwrap();
            assert!(matches!(add(&nft, member, MINUTE), Err(NftError::Exists)));
            assert!(nft_lists().contains(&format!("{address} timeout 1m")), "{}", nft_lists());
            let entry = *nft.list(member.place().set).unwrap().get(&member.place().key).unwrap();
            assert_eq!(entry.timeout, Some(MINUTE));
            assert!(entry.remaining.unwrap() > Duration::from_secs(55));
            assert!(!reaches(address), "{address} blocked");
            assert!(nft.remove(&[member.place()]).unwrap());
            assert!(!nft.remove(&[member.place()]).unwrap());
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
        own_addresses(&["198.51.100.5/32"]);
        let nft = made();
        add(&nft, Member::Block("::ffff:198.51.100.5".parse().unwrap(), Direction::Out), Duration::from_millis(700)).unwrap();
        assert!(!reaches("198.51.100.5"));
        std::thread::sleep(Duration::from_millis(800));
        assert!(reaches("198.51.100.5"));
        assert!(nft.list(Set::BlockOut4).unwrap().is_empty());
    });
}

#[test]
fn every_kind_of_tampering_is_seen() {
    in_own_network(|| {
        let nft = made();
        for change in [
            "flush chain inet bartizan input",
            "insert rule inet bartizan output accept",
            "add chain inet bartizan other",
            "add set inet bartizan more { type ipv4_addr; }",
            "add table inet bartizan { flags dormant; }",
        ] {
            assert!(Command::new("nft").args(change.split(' ')).status().unwrap().success());
            assert!(matches!(nft.table_state().unwrap(), TableState::Altered(_)), "{change}");
            nft.change(Table::Replace(Pieces::all()), &[], &[], &all).unwrap();
            assert_eq!(nft.table_state().unwrap(), TableState::Intact(Pieces::all()), "{change}");
        }
    });
}

#[test]
fn a_limited_source_has_a_bucket_of_its_own() {
    in_own_network(|| {
        own_addresses(&["198.51.100.1/32", "198.51.100.7/32", "198.51.100.8/32", "198.51.100.9/32"]);
        let nft = made();
        for addr in ["198.51.100.7", "198.51.100.8"] {
            add(&nft, Member::Limit(addr.parse().unwrap(), 5), MINUTE).unwrap();
        }
        let kept = *nft.list(Set::Limit4).unwrap().get(&Member::Limit("198.51.100.7".parse().unwrap(), 5).place().key).unwrap();
        assert_eq!(kept.rate, Some(5));
        let to = std::net::UdpSocket::bind("198.51.100.1:0").unwrap();
        to.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let arrives = |from: &str| {
            let socket = std::net::UdpSocket::bind((from, 0)).unwrap();
            (0..50).for_each(|_| drop(socket.send_to(b"x", to.local_addr().unwrap())));
            std::iter::repeat_with(|| to.recv(&mut [0; 8])).take_while(Result::is_ok).count()
        };
        for (from, least, most) in [("198.51.100.7", 5, 7), ("198.51.100.8", 5, 7), ("198.51.100.9", 50, 50)] {
            let got = arrives(from);
            assert!((least..=most).contains(&got), "{from}: {got} of 50");
        }
    });
}

#[test]
fn ten_thousand_come_and_are_read_whole() {
    in_own_network(|| {
        let nft = made();
        let members = |from: u32| (0..5000).map(move |n| Member::Block(Ipv4Addr::from(from + n).into(), Direction::In));
        let elements: Vec<Element> = members(0x0a00_0000).map(|member| Element { member, lasts: MINUTE }).collect();
        nft.change(Table::Replace(Pieces::of(&elements)), &[], &elements, &all).unwrap();
        let began = Instant::now();
        assert_eq!(nft.list(Set::BlockIn4).unwrap().len(), 5000);
        eprintln!("5000 elements read in {:?}", began.elapsed());
        let mut each: Vec<Duration> = members(0x0b00_0000)
            .take(1000)
            .map(|member| {
                let began = Instant::now();
                add(&nft, member, MINUTE).unwrap();
                began.elapsed()
            })
            .collect();
        each.sort();
        eprintln!("one element added: median {:?}, p99 {:?}", each.get(500).unwrap(), each.get(990).unwrap());
        assert_eq!(nft.list(Set::BlockIn4).unwrap().len(), 6000);
    });
}

#[test]
fn a_refused_change_is_not_sent() {
    in_own_network(|| {
        let nft = made();
        let addr: IpAddr = "198.51.100.7".parse().unwrap();
        let come = [Element { member: Member::Block(addr, Direction::In), lasts: MINUTE }];
        let refused = nft.change(Table::Keep, &[], &come, &|changes| {
            assert_eq!(
                changes,
                [Change::Add(Added { set: "block_in4".into(), key: vec![198, 51, 100, 7], timeout: Some(60_000), over: None })]
            );
            Err("no".into())
        });
        assert!(matches!(refused, Err(NftError::Refused(_))), "{refused:?}");
        assert!(nft.list(Set::BlockIn4).unwrap().is_empty());
    });
}

proptest::proptest! {
    #[test]
    fn no_bytes_can_break_the_examiner(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
        let _ = (decode::rule_line(&bytes), decode::set_line(&bytes), decode::chain_line(&bytes), decode::table_line(&bytes));
    }
}

#[test]
fn another_process_that_touches_our_table_is_named() {
    in_own_network(|| {
        let nft = made();
        let mut monitor = super::monitor::Monitor::open().unwrap();
        add(&nft, Member::Block("198.51.100.9".parse().unwrap(), Direction::In), MINUTE).unwrap();
        let mut other = Command::new("nft").args(["flush", "set", "inet", "bartizan", "block_in4"]).spawn().unwrap();
        other.wait().unwrap();
        let began = Instant::now();
        let heard: Vec<_> = std::iter::repeat_with(|| monitor.hear().unwrap())
            .take_while(|_| began.elapsed() < Duration::from_millis(900))
            .flatten()
            .collect();
        assert_eq!(heard.len(), 1, "our own change is not told: {heard:?}");
        let touched = heard.first().unwrap();
        assert_eq!((touched.name.as_str(), touched.what.as_str()), ("nft", "element removed"));
        let first = std::fs::read_link("/proc/self/ns/pid").unwrap().as_os_str() == "pid:[4026531836]";
        assert!(!first || touched.pid == other.id(), "{touched:?}, not {}", other.id());
    });
}
