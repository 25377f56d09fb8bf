//! The kernel programs against the running kernel.

use std::process::Command;
use std::time::{Duration, Instant};

use super::*;
use crate::model::HostText;

fn sensor() -> Option<Sensor> {
    match Sensor::load() {
        Ok(sensor) => Some(sensor),
        Err(error) => {
            // With every privilege a refusal is our fault: a program that the verifier rejects must not pass as absent.
            assert!(!all_powerful(), "{error}");
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// CAP_SYS_ADMIN (21) is effective, and the kernel describes its types.
fn all_powerful() -> bool {
    let me = crate::host::procfs::who(std::process::id()).unwrap_or_default();
    me.capabilities & (1 << 21) != 0 && std::path::Path::new("/sys/kernel/btf/vmlinux").exists()
}

fn drain_until(sensor: &mut Sensor, mut enough: impl FnMut(&RawEvent) -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(5);
    let mut found = false;
    while !found && Instant::now() < end {
        sensor.wait(Duration::from_millis(100)).unwrap();
        sensor.drain(|event| found |= enough(&event));
    }
    found
}

#[test]
fn an_exec_arrives_with_everything() {
    let Some(mut sensor) = sensor() else { return };
    let mut child = Command::new("/bin/sleep").arg("0.01").current_dir("/usr").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    let mut seen = None;
    assert!(drain_until(&mut sensor, |event| match event {
        RawEvent::Exec(who, image) if who.pid == pid => {
            seen = Some((*who, image.clone()));
            true
        }
        _ => false,
    }));
    let (who, image) = seen.unwrap();
    assert_eq!((who.ppid, who.uid, who.euid), (std::process::id(), nix::unistd::getuid().as_raw(), nix::unistd::geteuid().as_raw()));
    assert_eq!(image.argv, ["/bin/sleep", "0.01"].map(HostText::from));
    assert_eq!((image.cwd, image.complete), (HostText::from("/usr"), true));
    assert_eq!(image.exe, HostText::from(std::fs::canonicalize("/bin/sleep").unwrap().to_str().unwrap()));
}

#[test]
fn the_committed_object_loads_too() {
    let object = aya::include_bytes_aligned!("prebuilt/sensor.bpf.o");
    if sensor().is_some() {
        assert!(Sensor::load_object(object, 1 << 16).is_ok());
    }
}

#[test]
fn what_does_not_fit_into_the_ring_is_counted() {
    if sensor().is_none() {
        return;
    }
    let mut small = Sensor::load_object(OBJECT, 4096).unwrap();
    for _ in 0..60 {
        Command::new("/bin/true").status().unwrap();
    }
    let counted = small.counters();
    let mut taken = 0;
    small.drain(|_| taken += 1);
    assert!(counted.dropped >= 60, "{counted:?}");
    assert!(counted.delivered > 0 && taken as u64 >= counted.delivered, "{taken} {counted:?}");
    assert_eq!(small.counters().malformed, 0);
}
