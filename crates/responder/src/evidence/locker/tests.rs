//! Evidence of real processes: a deleted executable, an open socket, hostile names, bounds of size and time.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use super::*;
use bartizan_sys::pidfd::key_of;

/// Ended when the test is over, however it ends.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    fn key(&self) -> ProcessKey {
        key_of(self.0.id()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn kept(captured: &Captured, name: &str) -> Vec<u8> {
    std::fs::read(captured.directory.join(name)).unwrap()
}

#[test]
fn hostile_names_stay_on_their_line_and_the_same_executable_is_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    let cwd = dir.path().join("a\nb\x1b[31m -> /etc");
    std::fs::create_dir_all(&cwd).unwrap();
    let two = [(); 2].map(|()| Running::start(Command::new("sleep").arg("30").current_dir(&cwd).env("TOLD", "a\x1bb")));
    let keys = two.each_ref().map(Running::key);
    let locker = Locker::new(dir.path());
    let captured = locker.capture("A1-x", &keys, PATIENCE);
    assert_eq!(captured.missing, Vec::<String>::new());
    assert_eq!(captured.files.len(), 16, "{captured:?}");
    let fds = String::from_utf8(kept(&captured, &format!("{}/fds", keys[0].pid))).unwrap();
    assert!(fds.contains("a\\nb\\x1b[31m -> /etc\n") && fds.lines().count() >= 5, "{fds}");
    let environ = kept(&captured, &format!("{}/environ", keys[0].pid));
    assert!(environ.split(|byte| *byte == 0).any(|word| word == b"TOLD=a\x1bb"), "bytes stay as they are");
    let exes: Vec<_> = keys.iter().map(|key| captured.directory.join(format!("{}/exe", key.pid)).metadata().unwrap()).collect();
    assert_eq!(std::os::unix::fs::MetadataExt::nlink(&exes[0]), 2);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&locker.dir), mode(&captured.directory), mode(&captured.directory.join("manifest"))), (0o700, 0o700, 0o600));
    for file in &captured.files {
        assert_eq!(mode(&captured.directory.join(&file.name)), 0o600, "{}", file.name);
        assert_eq!(file.hash, blake3::hash(&kept(&captured, &file.name)).to_hex().to_string(), "{}", file.name);
    }
    let again = locker.capture("A1-x", &keys, PATIENCE);
    assert!(again.files.is_empty() && again.missing[0].contains("could not be made"), "nothing is written over: {again:?}");
}

#[test]
fn what_is_too_large_is_cut_and_told_and_the_oldest_goes_out() {
    let dir = tempfile::tempdir().unwrap();
    let sleeper = Running::start(Command::new("sleep").arg("30"));
    let limits = Limits { executable: 10_000, action: 100_000, all: 250_000 };
    let locker = Locker { limits, ..Locker::new(dir.path()) };
    let exe = format!("{}/exe", sleeper.key().pid);
    let first = locker.capture("A1-x", &[sleeper.key()], PATIENCE);
    assert_eq!(kept(&first, &exe).len(), 10_000);
    assert!(first.missing.iter().any(|line| line.contains("exe: all after its first 10000 of")), "{first:?}");
    let mut removed = Vec::new();
    for n in 2..12 {
        let one = locker.capture(&format!("A{n}-x"), &[sleeper.key()], PATIENCE);
        removed.extend(one.removed);
        assert!(shelf::make_room(&locker.dir, Path::new(""), limits.all).is_empty(), "never more than the limit");
    }
    assert!(removed.starts_with(&["A1-x".to_owned(), "A2-x".to_owned()]), "oldest first: {removed:?}");
    let tight = Locker { limits: Limits { action: 500, ..limits }, ..locker };
    let little = tight.capture("A20-x", &[sleeper.key()], PATIENCE);
    assert!(little.files.iter().map(|file| file.bytes).sum::<u64>() <= 500 && !little.missing.is_empty(), "{little:?}");
}

#[test]
fn who_has_ended_is_told_and_time_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let sleeper = Running::start(Command::new("sleep").arg("30"));
    let gone = ProcessKey { start: sleeper.key().start + 1, ..sleeper.key() };
    let locker = Locker::new(dir.path());
    let none = locker.capture("A1-x", &[gone], PATIENCE);
    assert!(none.files.is_empty() && none.missing[0].contains("has ended"), "{none:?}");
    let began = std::time::Instant::now();
    let hurried = locker.capture("A2-x", &vec![sleeper.key(); 3000], Duration::from_millis(1));
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert!(hurried.missing.iter().any(|line| line.contains("not done within")), "{:?}", hurried.missing);
    let listed = kept(&hurried, "manifest").split(|byte| *byte == b'\n').count() - 1;
    assert_eq!(listed, hurried.files.len());
}

#[test]
fn sockets_are_told_by_their_ends() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let captured = Locker::new(dir.path()).capture("A1-x", &[key_of(std::process::id()).unwrap()], PATIENCE);
    let text = String::from_utf8(kept(&captured, &format!("{}/sockets", std::process::id()))).unwrap();
    let (near, far) = (client.local_addr().unwrap().port(), listener.local_addr().unwrap().port());
    assert!(text.contains(&format!("127.0.0.1 port {near} with 127.0.0.1 port {far} Connected")), "{text}");
    assert!(text.contains(&format!("127.0.0.1 port {far} Listening")), "{text}");
}

#[test]
fn a_file_that_the_frozen_tree_itself_serves_cannot_hold_us_up() {
    // What a frozen server of a file system does to its readers, a pipe whose writer is silent does too.
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut writer = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let (began, (told, hears)) = (std::time::Instant::now(), mpsc::channel());
    let captured = Locker::new(dir.path()).bounded("A1-x", Duration::from_millis(200), move |shelf| {
        shelf.keep("1/status", b"first");
        told.send(shelf.keep_file("1/exe", std::fs::File::open(&pipe).unwrap(), 5, 5).is_ok()).unwrap();
        shelf.keep("1/late", b"late");
        Vec::new()
    });
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(captured.files.len() == 1 && captured.missing[0].contains("not done within"), "{captured:?}");
    std::io::Write::write_all(&mut writer, b"hello").unwrap();
    hears.recv_timeout(PATIENCE).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let names: Vec<_> = std::fs::read_dir(captured.directory.join("1")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["status"], "nothing is added once it is closed");
}

#[test]
fn sockets_of_another_network_are_told_as_its_own_tables_have_them() {
    use bartizan_sys::namespace::{Errand, Namespace};
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root to make a network namespace");
        return;
    }
    let (dir, address) = (tempfile::tempdir().unwrap(), std::net::Ipv4Addr::new(198, 51, 100, 7));
    let space = Namespace::new(address).unwrap();
    let listener = space.within(|| TcpListener::bind((address, 4444))).unwrap().unwrap();
    let script = "exec 7<>/dev/tcp/198.51.100.7/4444; echo up >&7; sleep 30 & wait";
    let (arguments, environment) = (vec!["-c".to_owned(), script.to_owned()], Vec::new());
    let resident = space.start(&Errand { program: "bash".into(), arguments, environment, directory: "/".into() }).unwrap();
    let mut accepted = listener.accept().unwrap().0;
    std::io::Read::read_exact(&mut accepted, &mut [0; 2]).unwrap();
    let captured = Locker::new(dir.path()).capture("A1-x", &[key_of(resident.pid()).unwrap()], PATIENCE);
    let text = String::from_utf8(kept(&captured, &format!("{}/sockets", resident.pid()))).unwrap();
    // 198.51.100.7 and port 4444 as the kernel writes them: the address in the processor's own byte order.
    let far = format!("{:08X}:115C", u32::from_ne_bytes(address.octets()));
    assert!(text.lines().count() == 1 && text.contains(" tcp ") && text.contains(&far), "{text}");
    space.evict(Duration::from_secs(2));
}
