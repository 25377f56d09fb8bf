//! The kernel programs against the running kernel.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use bartizan_model::HostText;

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
    let me = crate::proc_files::who(std::process::id()).unwrap_or_default();
    me.capabilities & (1 << 21) != 0 && std::path::Path::new("/sys/kernel/btf/vmlinux").exists()
}

/// Takes from both rings.
fn take(sensor: &mut Sensor, decoder: &mut Decoder, mut each: impl FnMut(RawEvent)) -> usize {
    let mut one = |record: &[u8]| {
        if let Some(event) = decoder.decode(record) {
            each(event);
        }
    };
    sensor.urgent.take(&mut one) + sensor.ordinary.take(&mut one)
}

fn drain_until(sensor: &mut Sensor, mut enough: impl FnMut(&RawEvent) -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(5);
    let (mut found, mut decoder) = (false, Decoder::default());
    while !found && Instant::now() < end {
        sensor.ordinary.wait(Duration::from_millis(100)).unwrap();
        take(sensor, &mut decoder, |event| found |= enough(&event));
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
        assert!(Sensor::load_object(object, 1 << 16, 1 << 12).is_ok());
    }
}

/// Since 6.13 the kernel keeps a note in the same word that somebody asked for the moment.
#[test]
fn the_moment_of_change_is_that_of_stat_also_after_somebody_asked() {
    use std::os::unix::fs::MetadataExt;
    if sensor().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    std::fs::copy("/bin/true", &program).unwrap();
    let asked = std::fs::metadata(&program).unwrap();
    let wanted = asked.ctime() * 1_000_000_000 + asked.ctime_nsec();
    for object in [OBJECT, aya::include_bytes_aligned!("prebuilt/sensor.bpf.o")] {
        let mut sensor = Sensor::load_object(object, 1 << 16, 1 << 16).unwrap();
        let mut child = loop {
            match Command::new(&program).spawn() {
                // A child of another test still holds the descriptor that wrote it.
                Err(why) if why.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::sleep(Duration::from_millis(5)),
                child => break child.unwrap(),
            }
        };
        child.wait().unwrap();
        let mut told = 0;
        let found = drain_until(&mut sensor, |event| match event {
            RawEvent::Exec(who, image) if who.pid == child.id() => {
                told = image.exe_file.changed;
                true
            }
            _ => false,
        });
        assert_eq!((found, told), (true, wanted));
    }
}

#[test]
fn what_does_not_fit_is_counted_exactly() {
    if sensor().is_none() {
        return;
    }
    let mut small = Sensor::load_object(OBJECT, 4096, 4096).unwrap();
    for _ in 0..60 {
        Command::new("/bin/true").status().unwrap();
    }
    let (mut before, mut taken, mut decoder) = (small.counters.read(), 0, Decoder::default());
    // What others did meanwhile counts too: read until nothing came between reading and counting.
    loop {
        taken += take(&mut small, &mut decoder, |_| {});
        let now = small.counters.read();
        if now == before {
            break;
        }
        before = now;
    }
    assert!(before.dropped() >= 60, "{before:?}");
    assert_eq!((taken as u64, decoder.malformed), (before.delivered(), 0));
    let lost = before.lost_since(&Counters::default());
    assert_eq!(lost.values().sum::<u64>(), before.dropped());
    assert!(lost.contains_key("process.exec"), "{lost:?}");
}

#[test]
fn what_grows_below_a_marked_process_is_urgent() {
    let Some(mut sensor) = sensor() else { return };
    let mut shell =
        Command::new("/bin/sh").arg("-c").arg("read line; /bin/sh -c '/bin/true; exit 3'; exit 0").stdin(Stdio::piped()).spawn().unwrap();
    sensor.marks.urgent(shell.id());
    drop(shell.stdin.take());
    shell.wait().unwrap();
    let (mut decoder, mut execs, mut codes) = (Decoder::default(), Vec::new(), Vec::new());
    sensor.urgent.take(|record| match decoder.decode(record) {
        Some(RawEvent::Exec(who, image)) => {
            assert!(who.urgent);
            execs.push(image.exe.basename().into_owned());
        }
        Some(RawEvent::Exit { exit, .. }) => codes.push(exit.code),
        _ => {}
    });
    assert_eq!(execs.last().map(String::as_str), Some("true"), "{execs:?}");
    assert_eq!(codes, [Some(0), Some(3), Some(0)]);
}

#[test]
fn arguments_are_whole_up_to_their_limit() {
    let Some(mut sensor) = sensor() else { return };
    for (length, truncated) in [(20_000, false), (60_000, true)] {
        let long = "x".repeat(length);
        let mut child = Command::new("/bin/true").args([&long, "end"]).env_clear().env("LD_PRELOAD", "").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let mut seen = None;
        assert!(drain_until(&mut sensor, |event| match event {
            RawEvent::Exec(who, image) if who.pid == pid => {
                seen = Some(image.clone());
                true
            }
            _ => false,
        }));
        let image = seen.unwrap();
        assert_eq!(image.argv_truncated, truncated);
        assert_eq!(image.environment.iter().map(|variable| variable.name.escaped()).collect::<Vec<_>>(), ["LD_PRELOAD"]);
        if !truncated {
            assert_eq!(image.argv, ["/bin/true", &long, "end"].map(HostText::from));
        }
        assert!(image.exe_file.changed > 0);
    }
}

#[test]
fn who_ends_a_guarded_process_is_told() {
    let Some(mut sensor) = sensor() else { return };
    let mut victim = Command::new("/bin/sleep").arg("60").spawn().unwrap();
    sensor.marks.guard(victim.id());
    let pid = victim.id();
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(drain_until(&mut sensor, |event| matches!(
        event,
        RawEvent::Kill { who, target, signal: 9 } if who.pid == std::process::id() && target.0 == pid
    )));
}

/// False names that a process was told of since the last look: all, and how many of them in the urgent ring.
fn false_names(sensor: &mut Sensor, pid: u32) -> (usize, usize) {
    let (mut decoder, mut counts) = (Decoder::default(), [0; 2]);
    for (ring, count) in [&mut sensor.urgent, &mut sensor.ordinary].into_iter().zip(&mut counts) {
        ring.take(|record| {
            let event = decoder.decode(record);
            *count += usize::from(matches!(event, Some(RawEvent::FalseName(who, _)) if who.pid == pid));
        });
    }
    (counts.iter().sum(), counts[0])
}

fn rename(name: &str) {
    let name = std::ffi::CString::new(name).unwrap();
    nix::sys::prctl::set_name(&name).unwrap();
}

#[test]
fn who_renames_itself_in_a_loop_is_told_once_a_second_and_pushes_nothing_out() {
    let Some(mut sensor) = sensor() else { return };
    let me = std::process::id();
    sensor.marks.urgent(me);
    // Nearly a name of the kernel: nothing to tell, and no way to use up what is told.
    ["kworkerx", "[x", "kthread", "ksoftirq"].into_iter().for_each(rename);
    assert_eq!(false_names(&mut sensor, me), (0, 0));
    (0..5_000).for_each(|number| rename(&format!("kworker/{number}")));
    let (all, urgent) = false_names(&mut sensor, me);
    assert!((1..=5).contains(&all) && urgent == 0, "{all} told, {urgent} of them urgent");
}

#[test]
fn a_program_that_is_called_like_the_kernel_takes_no_false_name_by_being_started() {
    let Some(mut sensor) = sensor() else { return };
    let dir = tempfile::tempdir().unwrap();
    for name in ["kthreadd", "rcu_x", "[x]"] {
        std::fs::copy("/bin/true", dir.path().join(name)).unwrap();
    }
    std::fs::write(dir.path().join("rcu_script"), "#!/bin/true\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path().join("rcu_script"), mode).unwrap();
    for name in ["kthreadd", "rcu_x", "[x]", "rcu_script"] {
        let mut child = Command::new(dir.path().join(name)).spawn().unwrap();
        assert!(child.wait().unwrap().success(), "{name}");
        assert_eq!(false_names(&mut sensor, child.id()), (0, 0), "{name}: its exec tells of it");
    }
}

#[test]
fn a_kernel_without_a_probe_point_names_what_is_not_seen_and_why() {
    let absent = ["module_load: not there", "task_rename: not there", "on_setting: cgroup2 is not mounted"].map(str::to_owned);
    let what: Vec<(&str, String)> = unseen(&absent);
    assert_eq!(
        what,
        [
            ("processes that take the name of a kernel thread while they run", "not there".to_owned()),
            ("writing of kernel settings", "cgroup2 is not mounted".to_owned())
        ],
        "a kernel without modules has none to be loaded"
    );
    if let Some(sensor) = sensor() {
        let points = MORE_PROGRAMS.map(|(_, point)| point).into_iter().chain([SETTINGS_PROGRAM]);
        let known: Vec<&str> = points.collect();
        assert!(
            sensor.programs.absent().iter().all(|line| known.iter().any(|point| line.starts_with(point))),
            "{:?}",
            sensor.programs.absent()
        );
    }
}
