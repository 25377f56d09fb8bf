//! Lists as they are published, hostile ones, and what a look-up finds in them.

use proptest::prelude::*;

use super::*;

fn at(day: u32) -> Timestamp {
    chrono::NaiveDate::from_ymd_opt(2026, 11, day).unwrap().and_hms_opt(12, 0, 0).unwrap().and_utc()
}

fn of(lists: &[(&str, &str)]) -> Indicators {
    let mut indicators = Indicators::new(["9.9.9.9".parse().unwrap()]);
    for (file, text) in lists {
        indicators.add((*file).to_owned(), text.as_bytes(), (at(1), at(10)), TimeDelta::days(30));
    }
    indicators
}

fn address(indicators: &Indicators, addr: &str) -> Option<String> {
    indicators.address(addr.parse().unwrap(), at(10)).map(|listed| listed.indicator)
}

fn domain(indicators: &Indicators, name: &str) -> Option<String> {
    indicators.domain(name, at(10)).map(|listed| listed.indicator)
}

#[test]
fn published_lists_are_read_as_they_are() {
    let drop = "; Spamhaus DROP List 2026/11/09 - (c) 2026 The Spamhaus Project\n; Last-Modified: Mon, 09 Nov 2026 14:03:07 GMT\n; Expires: Tue, 10 Nov 2026 15:12:01 GMT\n1.10.16.0/20 ; SBL256894\n2.57.122.0/24 ; SBL636050\n";
    let feodo = "################################################################\n# abuse.ch Feodo Tracker Botnet C2 IP Blocklist (CSV)          #\n# Last updated: 2026-11-09 10:30:12 UTC                        #\n################################################################\n#\n\"first_seen_utc\",\"dst_ip\",\"dst_port\",\"c2_status\",\"last_online\",\"malware\"\r\n\"2021-01-17 07:30:05\",\"67.213.75.205\",\"443\",\"offline\",\"2026-11-08\",\"Dridex\"\r\n# END 1 entries\r\n";
    let bazaar = "# \"first_seen_utc\",\"sha256_hash\",\"md5_hash\"\n\"2026-11-09 08:00:00\", \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\", \"d41d8cd98f00b204e9800998ecf8427e\"\n";
    let hosts = "# URLhaus hosts\n127.0.0.1\tlocalhost\n127.0.0.1\tbad.shop.example.net\n";
    let all = of(&[("drop.txt", drop), ("feodo.csv", feodo), ("bazaar.csv", bazaar), ("hosts.txt", hosts)]);
    assert!(all.lists().iter().all(|list| list.bad == 0), "{:?}", all.lists());
    assert_eq!(all.lists().iter().map(List::count).collect::<Vec<_>>(), [2, 1, 1, 1]);
    assert_eq!(all.lists()[0].dated.to_rfc3339(), "2026-11-09T14:03:07+00:00");
    assert_eq!(address(&all, "1.10.31.255").as_deref(), Some("1.10.16.0/20"));
    assert_eq!(address(&all, "1.10.32.0"), None);
    assert_eq!(address(&all, "67.213.75.205").as_deref(), Some("67.213.75.205"));
    assert_eq!(domain(&all, "bad.shop.example.net").as_deref(), Some("bad.shop.example.net"));
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse().unwrap();
    assert_eq!(all.digest(digest, at(10)).unwrap().list.name(), "bazaar.csv");
    assert!(all.address("1.10.16.1".parse().unwrap(), at(11)).is_none(), "Spamhaus says that its list has expired by then");
}

#[test]
fn a_domain_matches_on_label_boundaries() {
    let list = of(&[("names.txt", "evil.example\n*.bad.example.org\n")]);
    for (name, found) in [
        ("evil.example", Some("evil.example")),
        ("EVIL.Example.", Some("evil.example")),
        ("a.b.evil.example", Some("evil.example")),
        ("notevil.example", None),
        ("evil.example.com", None),
        ("example", None),
        ("bad.example.org", Some("bad.example.org")),
        ("", None),
        ("...", None),
    ] {
        assert_eq!(domain(&list, name).as_deref(), found, "{name}");
    }
}

#[test]
fn whoever_writes_a_list_cannot_accuse_what_everybody_talks_to() {
    let poisoned = "0.0.0.0/0\n::/0\n10.0.0.0/8\n127.0.0.1\n169.254.169.254\n9.9.9.9\n::ffff:9.9.9.9\ncom\n64:ff9b::808:808\n8.8.8.0/24\n";
    let list = of(&[("poisoned.txt", poisoned)]);
    for spared in ["10.1.2.3", "127.0.0.1", "169.254.169.254", "9.9.9.9", "::ffff:9.9.9.9", "1.1.1.1", "2606:4700::1", "fe80::1"] {
        assert_eq!(address(&list, spared), None, "{spared}");
    }
    assert_eq!(address(&list, "64:ff9b::808:808").as_deref(), Some("8.8.8.0/24"), "a translated address is the address itself");
    let bad: Vec<usize> = list.lists()[0].bad_lines.iter().map(|bad| bad.line).collect();
    assert_eq!((bad, list.lists()[0].local), (vec![1, 2, 8], 4));
}

#[test]
fn a_bad_line_is_named_and_the_rest_goes_on() {
    let text = b"5.6.7.8\nnonsense here\n\xff\xfe\n\x1b[2J\x07evil\n6.7.8.9\n".to_vec();
    let mut indicators = Indicators::new([]);
    indicators.add("a.txt".to_owned(), &text, (at(1), at(10)), TimeDelta::days(30));
    let list = &indicators.lists()[0];
    assert_eq!((list.networks, list.bad), (2, 3));
    assert_eq!(list.bad_lines[0].line, 2);
    assert!(list.bad_lines.iter().all(|bad| bad.problem.chars().all(|c| !c.is_control())), "{:?}", list.bad_lines);
    assert_eq!(address(&indicators, "6.7.8.9").as_deref(), Some("6.7.8.9"));
}

#[test]
fn an_expired_list_is_shown_and_not_matched() {
    let list = of(&[("old.txt", "# fetched: 2026-09-01\n5.6.7.8\n"), ("new.txt", "# expires: 2026-11-20\n5.6.7.8\n")]);
    assert_eq!(list.lists().iter().map(|list| list.is_in_force(at(10))).collect::<Vec<_>>(), [false, true]);
    assert_eq!(list.lists()[0].networks, 1, "what it would match is still said");
    assert_eq!(list.address("5.6.7.8".parse().unwrap(), at(19)).unwrap().list.name(), "new.txt");
    assert!(list.address("5.6.7.8".parse().unwrap(), at(21)).is_none(), "it expires while the agent runs");
    let claims = of(&[
        ("eternal.txt", "# fetched: 2026-11-09\n# expires: 9999-01-01\n5.6.7.8\n"),
        ("future.txt", "# fetched: 2040-01-01\n6.7.8.9\n"),
    ]);
    assert_eq!(claims.lists()[0].expires.to_rfc3339(), "2027-11-10T00:00:00+00:00", "a year at the longest");
    assert_eq!(claims.lists()[1].dated, at(1), "nobody dates a list into the future");
}

#[test]
fn the_narrowest_network_and_the_list_that_lasts_longest_are_told() {
    let list = of(&[("short.txt", "# expires: 2026-11-12\n5.6.0.0/16\n5.6.7.8\n"), ("long.txt", "# expires: 2026-11-28\n5.6.0.0/16\n")]);
    assert_eq!(address(&list, "5.6.7.8").as_deref(), Some("5.6.7.8"));
    let later = list.address("5.6.7.8".parse().unwrap(), at(20)).unwrap();
    assert_eq!((later.indicator.as_str(), later.list.name()), ("5.6.0.0/16", "long.txt"));
}

#[test]
fn lists_are_bounded_and_a_huge_one_crowds_out_no_other() {
    let huge: String = (0..120_000u32).map(|n| format!("{}\n", std::net::Ipv4Addr::from(0x0500_0000 + n))).collect();
    let list = of(&[("huge.txt", &huge), ("small.txt", "8.8.4.4\n")]);
    assert_eq!((list.lists()[0].networks, list.lists()[0].left_out), (MAX_IN_LIST, 20_000));
    assert_eq!(address(&list, "8.8.4.4").as_deref(), Some("8.8.4.4"));
    let lists: Vec<(String, String)> = (0..4u32)
        .map(|n| {
            (
                format!("{n}.txt"),
                (0..100_000u32).map(|k| format!("{}\n", std::net::Ipv4Addr::from(0x0500_0000 + n * 0x10_0000 + k))).collect(),
            )
        })
        .collect();
    let lists: Vec<(&str, &str)> = lists.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
    let full = of(&lists);
    assert_eq!(full.len(), MAX_INDICATORS);
    assert_eq!(full.lists().iter().map(|list| list.left_out).collect::<Vec<_>>(), [0, 0, 50_000, 100_000]);
}

/// What a look-up costs with 200,000 indicators of all kinds: far below a thousandth of what an event costs altogether.
#[test]
fn a_look_up_takes_about_a_microsecond() {
    let networks: String =
        (0..100_000u32).map(|n| format!("{}/{}\n", std::net::Ipv4Addr::from(0x0500_0000 + n * 256), 24 + n % 9)).collect();
    let names: String = (0..100_000u32).map(|n| format!("host{n}.bad{}.example.net\n", n % 1000)).collect();
    let list = of(&[("networks.txt", &networks), ("names.txt", &names)]);
    assert_eq!(list.len(), 200_000);
    let begin = std::time::Instant::now();
    let rounds = 100_000u32;
    let mut found = 0;
    for n in 0..rounds {
        found += usize::from(list.address(IpAddr::V4(std::net::Ipv4Addr::from(0x4000_0000 + n * 977)), at(10)).is_some());
        found += usize::from(list.domain("a.b.c.ordinary.example.org", at(10)).is_some());
    }
    let each = begin.elapsed().as_nanos() / u128::from(rounds);
    println!("{each} ns for an address and a name");
    assert_eq!(found, 0);
    assert!(each < 50_000, "{each} ns");
}

proptest! {
    #[test]
    fn any_file_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), csv in any::<bool>()) {
        let mut indicators = Indicators::new([]);
        let file = if csv { "x.csv" } else { "x.txt" };
        indicators.add(file.to_owned(), &bytes, (at(1), at(10)), TimeDelta::days(30));
        prop_assert!(indicators.lists()[0].bad_lines.len() <= 20);
    }

    #[test]
    fn an_address_is_found_in_a_network_exactly_when_it_lies_in_it(net in 0x0100_0000u32..0x09ff_ffff, length in 8u8..=32, addr in 0x0100_0000u32..0x09ff_ffff) {
        let network = ipnet::Ipv4Net::new(net.into(), length).unwrap().trunc();
        let list = of(&[("a.txt", &network.to_string())]);
        let addr = std::net::Ipv4Addr::from(addr);
        let expected = network.contains(&addr) && is_public(addr.into()) && addr.octets() != [9, 9, 9, 9];
        prop_assert_eq!(list.address(addr.into(), at(10)).is_some(), expected);
    }
}
