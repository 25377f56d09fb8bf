//! On a host with systemd.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use support::systemd_host::{self, SystemdHost};

#[test]
fn boots() {
    if !systemd_host::can_run() {
        return;
    }
    let t = std::time::Instant::now();
    let host = SystemdHost::boot();
    eprintln!("booted {:?}", t.elapsed());
    host.start_agent();
    eprintln!("agent {:?}", t.elapsed());
    eprintln!("{}", host.shell("systemctl status bartizan --no-pager; bartizan doctor || true; bartizan status; ls -la /run/bartizan /run/bartizan/freeze; systemctl list-units --failed --no-pager"));
    eprintln!("{}", host.shell("useradd -m alice; systemd-run --unit=victim --uid=alice sleep 1000; P=$(systemctl show -p MainPID --value victim); bartizan freeze $P --for 8s; cat /proc/$P/cgroup; systemctl list-timers --all --no-pager; sleep 9; cat /proc/$P/cgroup"));
}
#[test]
fn mark() {
    let m = blake3::hash(b"bookworm systemd,systemd-sysv,dbus,nftables,openssh-server,openssh-client,iproute2,procps,passwd").to_hex();
    println!("MARK {}", &m[..8]);
}
