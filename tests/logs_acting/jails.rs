//! A jail that was taken over from fail2ban holds whom it names, for its own time; whom fail2ban itself holds is not held twice.

use std::fs;
use std::io::Write;
use std::time::Duration;

use crate::host::Host;
use crate::is_possible;
use crate::support::lan::{SECOND_STRANGER, STRANGER};
use crate::support::wait_for;

/// The log of an application of one's own, and what its lines look like: none that syslog(3) would write, which anybody can call.
const LOG: &str = "/var/log/shop.log";
const FILTER: &str = "[Definition]\nfailregex = ^\\s*WARNING refused <HOST>$\n";
const JAIL: &str =
    "[DEFAULT]\nbantime = 20m\nfindtime = 5m\nignoreip = 198.18.0.1\n[shop]\nenabled = true\nmaxretry = 2\nlogpath = /var/log/sh*.log\n";

fn take_over(host: &Host) {
    fs::write(host.lan.host.path(LOG), "").unwrap();
    let folder = host.home.path("fail2ban");
    fs::create_dir_all(folder.join("filter.d")).unwrap();
    fs::write(folder.join("filter.d/shop.conf"), FILTER).unwrap();
    fs::write(folder.join("jail.conf"), JAIL).unwrap();
    let taken = host.command(&["logs", "import-fail2ban", folder.to_str().unwrap()]).output().unwrap();
    assert!(taken.status.success(), "{}", crate::support::agent::told(&taken));
}

#[test]
fn an_imported_jail_holds_whom_it_names_for_its_own_time_and_nobody_whom_fail2ban_holds() {
    if !is_possible() {
        return;
    }
    let host = Host::boot_after("", take_over);
    host.lan.host.shell(&format!(
        "nft 'add table inet f2b-table; add set inet f2b-table addr-set-shop {{ type ipv4_addr; }}; \
         add element inet f2b-table addr-set-shop {{ {SECOND_STRANGER} }}'"
    ));
    let mut log = fs::OpenOptions::new().append(true).open(host.lan.host.path(LOG)).unwrap();
    let mut refused = |from: &str, times: usize| {
        let line = format!("{} WARNING refused {from}\n", chrono::Local::now().format("%Y-%m-%d %H:%M:%S,%3f"));
        log.write_all(line.repeat(times).as_bytes()).unwrap();
    };
    refused(SECOND_STRANGER, 4);
    refused("198.18.0.1", 4);
    refused(STRANGER[0], 2);
    let held = || host.about("actions", STRANGER[0]).into_iter().find(|action| action["state"] == "live");
    let said = || format!("{:#?}\n{:#?}", host.json(&["logs"]), host.json(&["incidents"]));
    let action = wait_for("whom the jail names to be held", Duration::from_secs(20), held, said);
    assert!(action["reason"].as_str().unwrap().contains("203.0.113.66 failed 2 times within 5m (fail2ban's jail shop)"), "{action:#}");
    let row = |rows: Vec<serde_json::Value>, addr: &str| rows.into_iter().find(|row| row["address"] == addr);
    let attackers = || host.json(&["logs", "attackers"]);
    let until = row(attackers(), STRANGER[0]).unwrap()["held"]["until"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let left = (until - chrono::Utc::now()).num_seconds();
    assert!((20 * 60 * 9 / 10 - 60..=20 * 60).contains(&left), "{left} seconds of bantime, 20 minutes");
    let other = row(attackers(), SECOND_STRANGER).unwrap();
    let by = other["elsewhere"].as_str().unwrap_or_default();
    assert_eq!((by, &other["attempts"]), ("fail2ban (set addr-set-shop of table inet f2b-table)", &4.into()), "{other:#}");
    assert!(host.about("actions", SECOND_STRANGER).is_empty() && host.about("approvals", SECOND_STRANGER).is_empty());
    assert!(row(attackers(), "198.18.0.1").is_none(), "ignoreip");
    // Rows are told once in a while.
    let read = || host.json(&["logs"]).into_iter().find(|log| log["name"] == LOG && log["records"] == 10 && log["format"] == "jail shop");
    wait_for("the log's row", Duration::from_secs(10), read, || format!("{:#?}", host.json(&["logs"])));
}
