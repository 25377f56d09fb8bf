//! Executables on odd file systems, in a mount namespace of the test's own: this program starts itself in one.

use crate::process_stat::Stat;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::mount::{MsFlags, mount};

use super::*;

/// Set in the process inside.
const INSIDE: &str = "BARTIZAN_TEST_MOUNTS";

/// Runs `body` in a process with mounts of its own, which is ended after ten seconds. Needs root; says so and skips without.
fn with_own_mounts(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: needs root to mount");
    }
    let mut inside = Command::new("unshare");
    inside.arg("--mount").arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let mut inside = inside.stdin(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let status = loop {
        match inside.try_wait().unwrap() {
            Some(status) => break status,
            None if begun.elapsed() > Duration::from_secs(10) => {
                inside.kill().unwrap();
                panic!("it waits for a file system that never answers");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert!(status.success(), "{status}");
}

fn text(path: &Path) -> HostText {
    HostText::from(path.as_os_str().as_bytes())
}

#[test]
fn a_file_system_that_never_answers_is_not_asked() {
    with_own_mounts("exe_hash::mount_tests::a_file_system_that_never_answers_is_not_asked", || {
        let dir = tempfile::tempdir().unwrap();
        let Ok(silent) = OpenOptions::new().read(true).write(true).open("/dev/fuse") else {
            return eprintln!("skipped: no FUSE on this kernel");
        };
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", silent.as_raw_fd());
        mount(Some("silent"), dir.path(), Some("fuse.silent"), MsFlags::empty(), Some(options.as_str())).unwrap();
        let content = Content { device: 1, inode: 1, changed: 1 };
        let wanted = Wanted { pid: 0, start: 0, path: text(&dir.path().join("program")), content };
        let outcome = Executable::open(&wanted);
        assert!(matches!(&outcome, Err(HashError::Foreign(kind)) if kind == "fuse.silent"), "{outcome:?}");
        nix::mount::umount2(dir.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    });
}

/// Where stat(2) and the kernel's own sensors disagree about the device: overlays of two file systems, btrfs.
#[test]
fn a_file_is_known_by_the_device_of_its_mount_too() {
    with_own_mounts("exe_hash::mount_tests::a_file_is_known_by_the_device_of_its_mount_too", || {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["lower", "upper", "scratch", "merged"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        mount(Some("lower"), &at("lower"), Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        std::fs::copy("/bin/sleep", at("lower/program")).unwrap();
        let options = format!("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/scratch,xino=off", dir.path().display());
        if let Err(why) = mount(Some("overlay"), &at("merged"), Some("overlay"), MsFlags::empty(), Some(options.as_str())) {
            return eprintln!("skipped: no overlay here: {why}");
        }
        let program = at("merged/program");
        let mut sleeper = Command::new(&program).arg("60").spawn().unwrap();
        let file = File::open(&program).unwrap();
        let all = mounts::seen_by(std::process::id());
        let device = mounts::find(&all, mounts::id_of(file.as_fd()).unwrap()).unwrap().device;
        let found = identity(&file).unwrap().content;
        assert_ne!(found.device, device, "both tell the same device: the test shows nothing");
        let start = Stat::read(sleeper.id()).unwrap().start;
        let content = Content { device, inode: file.metadata().unwrap().ino(), changed: found.changed };
        let wanted = Wanted { pid: sleeper.id(), start, path: text(&program), content };
        let digest = Executable::open(&wanted).and_then(|mut open| open.sha256(&wanted, &|| true));
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert_eq!(digest.unwrap(), Sha256(sha2::Sha256::digest(std::fs::read("/bin/sleep").unwrap()).into()));
        let _detached = nix::mount::umount2(&at("merged"), nix::mount::MntFlags::MNT_DETACH);
        let _detached = nix::mount::umount2(&at("lower"), nix::mount::MntFlags::MNT_DETACH);
    });
}
