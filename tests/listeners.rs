//! On a host with systemd: what boot and package work begin to listen is no news, what somebody dropped is; a socket unit is
//! named, and containment pauses logins on its port too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::time::Duration;

use support::agent::told;
use support::programs::Programs;
use support::systemd_host::{self, SystemdHost};
use support::wait_for;

/// Makes a package of the program `/root/listener`: a service on port 9091 that its installation starts.
const PACKAGE: &str = r#"set -e
mkdir -p /root/deb/DEBIAN /root/deb/usr/sbin /root/deb/usr/lib/systemd/system
cp /root/listener /root/deb/usr/sbin/newd
printf 'Package: newd\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n' >/root/deb/DEBIAN/control
printf '[Service]\nExecStart=/usr/sbin/newd 9091\n' >/root/deb/usr/lib/systemd/system/newd.service
printf '#!/bin/sh\nsystemctl daemon-reload\nsystemctl start newd.service\n' >/root/deb/DEBIAN/postinst
chmod 755 /root/deb/DEBIAN/postinst
dpkg-deb --build /root/deb /root/newd.deb >/dev/null
"#;

/// What was told of this port, or of this program.
fn told_of(host: &SystemdHost, word: &str) -> Vec<String> {
    let signals = host.json("signals");
    let sentences = signals.iter().map(|signal| signal["sentence"].as_str().unwrap().to_owned());
    sentences.filter(|sentence| sentence.contains("began to listen") && sentence.contains(word)).collect()
}

/// The unit that the event about a listener on this port names.
fn unit_of(host: &SystemdHost, port: u16) -> Option<String> {
    let events = host.json("events --kind net.listen");
    let on_port = events.into_iter().find(|event| event["net"]["sport"] == port)?;
    Some(on_port["unit"]["name"].as_str().unwrap_or("none").to_owned())
}

fn wait_for_unit(host: &SystemdHost, port: u16) -> String {
    wait_for(
        &format!("an event about port {port}"),
        Duration::from_secs(30),
        || unit_of(host, port),
        || format!("{:?}\n{}", host.json("events --kind net.listen"), told(&host.try_shell("ss -tlnp; bartizan doctor"))),
    )
}

#[test]
fn what_boot_and_packages_start_is_no_news_and_what_was_dropped_is() {
    if !systemd_host::can_run() || !support::can_run(&["cc"]) {
        return;
    }
    let programs = Programs::build(&["listener-static"]);
    let host = SystemdHost::boot();
    // As after a boot: the agent is there before the services are.
    host.shell("systemctl stop ssh.service ssh.socket 2>/dev/null; pkill -x sshd; true");
    host.start_agent();
    host.copy_in(&programs.path("listener-static"), "/root/listener");

    host.shell("systemctl start ssh.service");
    assert_eq!(wait_for_unit(&host, 22), "ssh.service");
    host.shell(PACKAGE);
    host.shell("dpkg -i /root/newd.deb");
    assert_eq!(wait_for_unit(&host, 9091), "newd.service");
    host.shell("systemctl stop ssh.service; mkdir -p /etc/systemd/system/ssh.socket.d");
    host.shell("printf '[Socket]\\nListenStream=\\nListenStream=2222\\n' >/etc/systemd/system/ssh.socket.d/port.conf");
    host.shell("systemctl daemon-reload; systemctl start ssh.socket");
    assert_eq!(wait_for_unit(&host, 2222), "ssh.socket");

    // A name alone, a place alone, and a unit that nobody installed.
    host.shell("cp /root/listener /tmp/sshd; systemd-run --quiet --unit=one /tmp/sshd 4441");
    host.shell("cp /root/listener /usr/sbin/sshd-helper; systemd-run --quiet --unit=two /usr/sbin/sshd-helper 4442");
    // The directory went with ssh.service.
    host.shell("mkdir -p /run/sshd; systemd-run --quiet --unit=three /usr/sbin/sshd -D -p 4443");
    for port in [4441, 4442, 4443] {
        let place = format!(":{port}");
        let heard = || (!told_of(&host, &place).is_empty()).then_some(());
        wait_for(&format!("a signal about port {port}"), Duration::from_secs(30), heard, || {
            host.shell("bartizan signals; bartizan events")
        });
    }
    for place in [":22", ":9091", ":2222", "systemd ("] {
        let of_place = told_of(&host, place);
        let exactly: Vec<_> = of_place.iter().filter(|sentence| sentence.ends_with(place) || place.ends_with('(')).collect();
        assert!(exactly.is_empty(), "{place}: {exactly:?}");
    }

    let rules = || host.shell("nft list set inet bartizan contain_ssh");
    host.shell("systemctl stop three.service; bartizan contain --for 60s");
    assert!(rules().contains("2222"), "{}", rules());
    host.shell("systemd-run --quiet --unit=four /usr/sbin/sshd -D -p 2244");
    wait_for("a port that came later", Duration::from_secs(20), || rules().contains("2244").then_some(()), rules);
    host.shell("bartizan rollback --all");
}
