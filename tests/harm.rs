//! A whole agent beside real servers: what strangers and name servers do to the host undoes nothing and hinders nothing, and a
//! quiet host is left alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::agent::{Home, told};
use support::can_run;
use support::lan::{HOST, Lan, OPERATOR};
use support::ssh::{Session, SshServer};

const NEEDS: [&str; 6] = ["ip", "nft", "nsenter", "unshare", "ssh", "ssh-keygen"];

fn prepared() -> bool {
    let sshd = std::path::Path::new("/usr/sbin/sshd").is_file();
    if !sshd {
        eprintln!("skipped: there is no /usr/sbin/sshd (./test.sh installs it where it may)");
    }
    can_run(&NEEDS) && sshd
}

#[test]
fn strangers_who_fill_the_ssh_server_have_no_block_undone_and_a_quiet_host_is_not_connected_to() {
    if !prepared() {
        return;
    }
    let lan = Lan::new();
    let server = SshServer::start(&lan.host, "");
    let mut session = Session::open(&server, &lan.operator, OPERATOR[0], HOST[0]);
    let home = Home::on(&lan.host);
    let before = server.log().lines().count();
    let _agent = home.start();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(server.log().lines().count(), before, "nobody connects while nothing is done: {}", server.log());
    let blocked = home.run(&["block", "203.0.113.5", "--for", "5m"]);
    assert!(blocked.status.success(), "{}", told(&blocked));
    // MaxStartups is 100:30:200 here.
    let crowd: Vec<TcpStream> = lan.stranger.within(|| (0..260).filter_map(|_| TcpStream::connect((HOST[0], 22)).ok()).collect());
    assert!(crowd.len() > 150, "{}", crowd.len());
    std::thread::sleep(Duration::from_secs(8));
    let actions = home.json(&["actions"]);
    assert_eq!(actions[0]["state"], "live", "{actions:?}");
    assert!(session.echoes(Duration::from_secs(10)));
    let contained = home.run(&["contain", "--for", "1m"]);
    assert!(contained.status.success(), "{}", told(&contained));
    std::thread::sleep(Duration::from_secs(6));
    let actions = home.json(&["actions", "--active"]);
    assert_eq!(actions.len(), 2, "{actions:?}");
    assert!(session.echoes(Duration::from_secs(10)));
    drop(crowd);
    home.run(&["rollback", "--all"]);
    home.end_agent();
}

#[test]
fn containment_works_at_the_first_try_where_name_servers_swallow_questions() {
    if !prepared() {
        return;
    }
    let lan = Lan::new();
    for words in
        ["add table inet deaf", "add chain inet deaf in { type filter hook input priority 0 ; }", "add rule inet deaf in udp dport 53 drop"]
    {
        let argv = [&["nft"][..], &words.split(' ').collect::<Vec<_>>()].concat();
        let net = format!("--net={}", lan.resolver.file());
        assert!(std::process::Command::new("nsenter").arg(net).args(argv).status().unwrap().success(), "{words}");
    }
    lan.host.shell("mkdir -p /etc/apt && echo 'deb http://packages.example.org/debian stable main' >/etc/apt/sources.list");
    let home = Home::on(&lan.host);
    let _agent = home.start();
    for _ in 0..2 {
        let began = Instant::now();
        let contained = home.run(&["contain", "--for", "1m"]);
        assert!(contained.status.success(), "{}", told(&contained));
        eprintln!("contained in {:?} without a name server", began.elapsed());
        let actions = home.json(&["actions", "--active"]);
        assert_eq!((actions.len(), &actions[0]["state"]), (1, &"live".into()), "{actions:?}");
        assert!(!told(&contained).contains("somebody"), "{}", told(&contained));
        let undone = home.run(&["rollback", "--all"]);
        assert!(undone.status.success(), "{}", told(&undone));
    }
    home.end_agent();
}
