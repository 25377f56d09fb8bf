//! Attacks on a web server, played as lines of its logs through parser, judge and detectors.

use bartizan_logs::web::error::read_apache;
use bartizan_logs::web::{AccessReader, judge};
use bartizan_model::Severity;

use super::*;

pub(super) const EVIL: &str = "203.0.113.9";

/// A site whose logs are read. A second passes with each request.
pub(super) struct Site {
    pub(super) detectors: WebDetectors,
    pub(super) now: Timestamp,
    pub(super) findings: Vec<Finding>,
}

impl Site {
    pub(super) fn new() -> Self {
        let policy = Policy::parse("[holds]\nproxies = [\"198.51.100.1\", \"10.0.0.0/8\"]\n", "test").unwrap();
        let detectors = WebDetectors::new(&policy, 7);
        Self { detectors, now: "2026-11-28T10:00:00Z".parse().unwrap(), findings: Vec::new() }
    }

    pub(super) fn wait(&mut self, seconds: i64) {
        self.now += chrono::TimeDelta::seconds(seconds);
    }

    /// A line of an access log, written now.
    pub(super) fn line(&mut self, client: &str, request: &str, status: u16, rest: &str) -> Option<Finding> {
        self.wait(1);
        let at = self.now.format("%d/%b/%Y:%H:%M:%S +0000");
        let line = format!(r#"{client} - - [{at}] "{request} HTTP/1.1" {status} {rest}"#);
        let access = AccessReader::guessing().read(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
        let finding = self.detectors.observe(&access, &judge(&access), self.now);
        self.findings.extend(finding.clone());
        finding
    }

    pub(super) fn get(&mut self, client: &str, target: &str, status: u16) -> Option<Finding> {
        self.line(client, &format!("GET {target}"), status, "153 \"-\" \"Mozilla/5.0\"")
    }

    /// Who was named for an action.
    pub(super) fn named(&self) -> Vec<String> {
        self.findings.iter().filter_map(|finding| finding.hostile).map(|address| address.to_string()).collect()
    }

    pub(super) fn alerts(&self) -> usize {
        self.findings.iter().filter(|finding| !matches!(finding.fold, Fold::Joins(_))).count()
    }
}

/// Different attacks of several kinds.
pub(super) fn attack(n: usize) -> String {
    match n % 4 {
        0 => format!("/item?id={n}%20UNION%20SELECT%20{n},null,version()--"),
        1 => format!("/show?name=%3Cscript%3Ealert({n})%3C/script%3E"),
        2 => format!("/page?file=../../../../../etc/passwd%00{n}"),
        _ => format!("/ping?host=127.0.0.1;cat%20/etc/shadow%7Cmail%20{n}"),
    }
}

const SECRETS: [&str; 10] = [
    "/.env", "/.git/config", "/.aws/credentials", "/wp-config.php.bak", "/app/.env", "/.svn/entries", "/.ssh/id_rsa", "/.htpasswd",
    "/old/.git/HEAD", "/api/.env",
];

#[test]
fn a_few_attacks_are_counted_and_many_different_ones_name_who_sent_them() {
    let mut site = Site::new();
    (0..3).for_each(|n| assert_eq!(site.get(EVIL, &attack(n), 404), None, "{n}"));
    assert_eq!(site.detectors.counts().attacks, 3);
    let found = (3..12).find_map(|n| site.get(EVIL, &attack(n), 404)).unwrap();
    assert_eq!((found.info.name, found.hostile, found.strikes), ("web_attacks", EVIL.parse().ok(), 1), "{}", found.sentence);
    assert!(matches!(found.fold, Fold::Opens(number) if number >> 32 == 1), "{:?}", found.fold);
    assert!(found.sentence.starts_with("203.0.113.9 sent about 5 different attacks of"), "{}", found.sentence);
}

#[test]
fn who_goes_on_is_named_again_and_the_same_request_over_and_over_is_one_attack() {
    let mut site = Site::new();
    (0..200).for_each(|_| drop(site.get(EVIL, &attack(0), 200)));
    assert_eq!(site.findings, []);
    for visit in 1..=3 {
        (0..12).for_each(|n| drop(site.get(EVIL, &attack(n), 404)));
        assert_eq!(site.findings.last().unwrap().strikes, visit);
        site.wait(700);
    }
    assert_eq!(site.alerts(), 1, "one campaign");
}

#[test]
fn one_kind_alone_takes_four_times_as_many_different_attacks() {
    let mut site = Site::new();
    let send = |site: &mut Site, n: usize| site.get(EVIL, &format!("/item?id={n}%20UNION%20SELECT%20{}--", "null,".repeat(n % 30)), 200);
    let at = (1..200).find(|n| send(&mut site, *n).is_some());
    assert!(at.is_none_or(|at| at >= 15), "{at:?}: {:?}", site.findings);
}

#[test]
fn a_search_for_secrets_is_one_finding_that_names_the_client() {
    let mut site = Site::new();
    SECRETS.iter().for_each(|path| drop(site.get(EVIL, path, 404)));
    let names: Vec<_> = site.findings.iter().map(|finding| finding.info.name).collect();
    assert_eq!((names.as_slice(), site.named()), (&["web_probing"][..], vec![EVIL.to_owned()]));
}

#[test]
fn failed_logins_are_counted_by_page_and_by_error_log_and_never_twice() {
    let mut site = Site::new();
    for n in 1..=30 {
        let found = site.line(EVIL, "POST /wp-login.php", 200, "5124 \"-\" \"Mozilla/5.0\"");
        assert_eq!(found.is_some(), n == 20, "{n}");
    }
    assert_eq!((site.findings[0].info.name, site.named()), ("web_login_flood", vec![EVIL.to_owned()]));
    let mut site = Site::new();
    for n in 1..=20 {
        site.wait(1);
        let stamp = site.now.format("%a %b %d %H:%M:%S.0 %Y");
        let line = format!("[{stamp}] [auth_basic:error] [pid 7] [client {EVIL}:5] AH01618: user bob not found: /private");
        let found = site.detectors.observe_error(&read_apache(line.as_bytes(), 0).unwrap(), site.now);
        let at = site.now.format("%d/%b/%Y:%H:%M:%S +0000");
        let line = format!(r#"{EVIL} - bob [{at}] "GET /private HTTP/1.1" 401 5 "-" "x""#);
        let access = AccessReader::guessing().read(line.as_bytes()).unwrap();
        let again = site.detectors.observe(&access, &[], site.now);
        assert_eq!(found.is_some() || again.is_some(), n == 20, "{n}: both logs tell of each");
    }
}

#[test]
fn a_web_shell_that_answers_is_told_and_a_site_of_one_page_is_not() {
    let mut site = Site::new();
    let found = site.line(EVIL, "GET /wp-content/uploads/b374k.php", 200, "8123 \"-\" \"x\"").unwrap();
    assert_eq!((found.info.name, found.severity, found.hostile), ("web_shell_answered", Severity::High, None));
    let mut site = Site::new();
    site.line("192.0.2.1", "GET /", 200, "611 \"-\" \"Mozilla/5.0\"");
    assert_eq!(site.line(EVIL, "GET /.env", 200, "611 \"-\" \"x\""), None, "the front page again");
    assert_eq!(site.line(EVIL, "GET /.git/config", 304, "0 \"-\" \"x\""), None);
}

#[test]
fn many_addresses_are_one_campaign_and_no_address_of_them_is_named() {
    let mut site = Site::new();
    for n in 0..120_usize {
        (0..2).for_each(|k| drop(site.get(&format!("192.0.2.{n}"), &attack(n + k), 404)));
    }
    assert_eq!((site.alerts(), site.named().len()), (1, 0));
    assert_eq!(site.findings[0].info.name, "web_many_clients");
    assert_eq!(site.detectors.campaigns()[0].kind, CampaignKind::Web);
    assert!(site.detectors.campaigns()[0].sentence().contains("attack requests from"), "{}", site.detectors.campaigns()[0].sentence());
}

fn attacks_of(site: &mut Site, client: &str) {
    (0..8).for_each(|n| drop(site.get(client, &attack(n), 404)));
}

#[test]
fn a_changed_life_of_campaigns_holds_for_the_one_that_is_open() {
    let mut site = Site::new();
    attacks_of(&mut site, EVIL);
    site.wait(3700);
    attacks_of(&mut site, "203.0.113.10");
    assert_eq!(site.alerts(), 1, "eight hours are one alert");
    site.detectors.set_policy(&Policy::parse("[web]\ncampaign = \"1h\"\n", "test").unwrap());
    attacks_of(&mut site, "203.0.113.11");
    assert_eq!(site.alerts(), 2);
}

#[test]
fn an_attack_is_told_after_a_clock_that_ran_years_ahead_was_set_back() {
    let mut site = Site::new();
    site.wait(10 * 365 * 86_400);
    attacks_of(&mut site, EVIL);
    site.wait(-10 * 365 * 86_400);
    for client in [EVIL, "203.0.113.10"] {
        attacks_of(&mut site, client);
    }
    assert_eq!((site.alerts(), site.detectors.campaigns().len()), (2, 2));
    assert_eq!(site.named().iter().filter(|name| *name == EVIL).count(), 2, "its counts began anew");
}

#[test]
fn whom_a_proxy_or_a_header_names_is_held_only_behind_a_configured_proxy() {
    for (peer, forwarded, named) in [
        ("203.0.113.9", "-", Some("203.0.113.9")),
        ("203.0.113.9", "8.8.8.8", Some("203.0.113.9")),
        ("198.51.100.1", "8.8.8.8", Some("8.8.8.8")),
        ("198.51.100.1", "-", None),
        ("10.1.2.3", "-", None),
        ("192.168.1.5", "8.8.8.8", None),
        ("127.0.0.1", "-", None),
    ] {
        let mut detectors = Site::new().detectors;
        let format = bartizan_logs::web::Format::nginx(
            "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" \"$http_x_forwarded_for\"",
            Default::default(),
        );
        let reader = AccessReader::of(format);
        let now = "2026-11-28T10:00:00Z".parse().unwrap();
        let found = (0..12).find_map(|n| {
            let line = format!("{peer} - - [28/Nov/2026:10:00:00 +0000] \"GET {} HTTP/1.1\" 404 5 \"-\" \"x\" \"{forwarded}\"", attack(n));
            let access = reader.read(line.as_bytes()).unwrap();
            detectors.observe(&access, &judge(&access), now)
        });
        let hostile = found.unwrap().hostile.map(|address| address.to_string());
        assert_eq!(hostile.as_deref(), named, "{peer} {forwarded}");
    }
}

#[test]
fn of_an_ipv6_network_an_address_is_named_only_for_attacks_of_its_own() {
    let mut site = Site::new();
    (0..12).for_each(|n| drop(site.get(&format!("2001:db8:1:2::{n:x}"), &attack(n), 404)));
    assert_eq!((site.findings.len(), site.named().len()), (1, 0));
    assert!(site.findings[0].sentence.starts_with("2001:db8:1:2::/64"), "{}", site.findings[0].sentence);
    let mut site = Site::new();
    (0..12).for_each(|n| drop(site.get("2001:db8:1:2::bad", &attack(n), 404)));
    assert_eq!(site.named(), ["2001:db8:1:2::bad"]);
}

#[test]
fn a_million_visitors_take_no_more_memory_and_crowd_no_attacker_out() {
    let mut site = Site::new();
    (0..3).for_each(|n| drop(site.get(EVIL, &attack(n), 404)));
    let before = site.detectors.memory();
    for n in 0..300_000_u32 {
        let access = Access { peer: Some(std::net::Ipv4Addr::from(0x0b00_0000 + n).into()), status: Some(200), ..Access::default() };
        site.detectors.observe(&access, &[], site.now);
    }
    assert_eq!((site.detectors.memory(), before < 8 << 20), (before, true), "{before}");
    assert_eq!(site.detectors.clients(1)[0].address.to_string(), EVIL);
    assert!(site.detectors.counts().crowded_out > 0);
    assert!((3..12).any(|n| site.get(EVIL, &attack(n), 404).is_some()), "what it did before still counts");
}

#[test]
fn a_stamp_of_another_year_opens_and_closes_no_window() {
    let mut site = Site::new();
    let read = |site: &mut Site, year: u32, n: usize| {
        let line = format!(r#"{EVIL} - - [28/Nov/{year}:10:00:00 +0000] "GET {} HTTP/1.1" 404 5 "-" "x""#, attack(n));
        let access = AccessReader::guessing().read(line.as_bytes()).unwrap();
        site.detectors.observe(&access, &judge(&access), site.now)
    };
    let found = (0..12).find_map(|n| read(&mut site, [1970, 2026, 2040][n % 3], n));
    assert_eq!(found.unwrap().info.name, "web_attacks");
}

#[test]
fn a_request_and_what_the_server_ran_behind_it_are_told_together() {
    use super::super::scene::Scene as Host;
    let mut host = Host::new();
    let nginx = host.daemon("/usr/sbin/nginx");
    let shell = host.child(&nginx, "/usr/bin/dash -c id");
    let (event, signals) = host.told(&shell);
    // The line comes when the answer is out, or before: either way one finding.
    for line_first in [true, false] {
        let mut site = Site::new();
        site.now = event.at;
        if !line_first {
            assert_eq!(site.detectors.tree_changed(&event, &signals), None);
        }
        let mut found = site.get(EVIL, "/up.php?cmd=id%3Bcat%20/etc/passwd", 200);
        if line_first {
            assert_eq!(found, None);
            found = site.detectors.tree_changed(&event, &signals);
        }
        let found = found.unwrap();
        assert_eq!((found.info.name, found.hostile, found.address), ("web_request_ran", None, EVIL.parse().ok()));
        assert_eq!((found.act, found.act.is_some()), (signals[0].act, true), "the shell and its request are one act");
        assert!(signals[0].entities.iter().any(|entity| found.entities.contains(entity)), "{:?}", found.entities);
        assert_eq!(site.get(EVIL, "/up.php?cmd=id%3Bcat%20/etc/passwd", 200), None, "told once");
    }
}

#[test]
fn the_first_request_to_a_script_counts_only_once_scripts_are_known_and_only_within_seconds() {
    use super::super::scene::Scene as Host;
    let mut host = Host::new();
    let nginx = host.daemon("/usr/sbin/nginx");
    let shell = host.child(&nginx, "/usr/bin/dash -c id");
    let (mut event, signals) = host.told(&shell);
    let mut site = Site::new();
    let mut run = |site: &mut Site| {
        event.at = site.now;
        site.detectors.tree_changed(&event, &signals)
    };
    site.get("192.0.2.7", "/index.php", 200);
    site.get("192.0.2.7", "/new.php", 200);
    assert_eq!(run(&mut site), None, "scripts are still being learned");
    site.wait(900);
    site.get("192.0.2.7", "/index.php", 200);
    site.get(EVIL, "/uploads/gone.php", 404);
    assert_eq!(run(&mut site), None, "known, or not there");
    site.wait(10);
    site.get(EVIL, "/style/x.php", 200);
    let found = run(&mut site).unwrap();
    assert_eq!((found.info.name, found.severity, found.address), ("web_request_ran", Severity::Medium, EVIL.parse().ok()));
    site.wait(10);
    site.get(EVIL, "/style/y.php", 200);
    site.wait(10);
    assert_eq!(run(&mut site), None, "too long ago");
    site.wait(10);
    site.get(EVIL, "/style/z.php", 200);
    site.get("192.0.2.7", "/style/w.php", 200);
    assert_eq!(run(&mut site), None, "two clients could have been it");
}
