//! A runtime played by a thread, and a real Docker daemon where one is installed.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use super::super::test_bench::Seen;
use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn container(event: &Event) -> Option<(&'static str, &Container)> {
    match &event.kind {
        EventKind::ContainerStart { container } => Some(("start", container)),
        EventKind::ContainerStop { container } => Some(("stop", container)),
        _ => None,
    }
}

fn is(event: &Event, what: &str, name: &str) -> bool {
    container(event).is_some_and(|(found, container)| found == what && container.name == *name)
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs the collector beside `test`.
fn beside(mut containers: Containers, seen: &Seen, test: impl FnOnce()) -> Result<(), CollectorError> {
    let stop = Stop::default();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| containers.run(seen, &stop));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        stop.set();
        let ended = running.join().unwrap();
        outcome.unwrap();
        ended
    })
}

#[test]
fn a_host_without_a_runtime_is_no_trouble() {
    let (cache, seen, dir) = (Arc::new(ProcessCache::default()), Seen::default(), tempfile::tempdir().unwrap());
    let containers = Containers::new("docker", &dir.path().join("none"), cache);
    beside(containers, &seen, || std::thread::sleep(Duration::from_millis(300))).unwrap();
    assert_eq!(seen.all().len(), 0);
}

#[test]
fn a_runtime_without_a_stream_is_polled_and_one_that_talks_nonsense_is_told_of() {
    let (cache, seen, dir) = (Arc::new(ProcessCache::default()), Seen::default(), tempfile::tempdir().unwrap());
    let listener = UnixListener::bind(dir.path().join("s")).unwrap();
    let runtime = std::thread::spawn(move || {
        loop {
            let (mut caller, _) = listener.accept().unwrap();
            let mut request = [0; 2048];
            let read = caller.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let body = match request.split(' ').nth(1).unwrap() {
                "/end" => return,
                "/containers/json" => format!(r#"[{{"Id":"{ID}"}}]"#),
                path if path.starts_with("/containers/") => {
                    format!(r#"{{"Id":"{ID}","Name":"/polled","State":{{"Running":true,"Pid":0,"StartedAt":"2199-01-01T00:00:00Z"}}}}"#)
                }
                _ => {
                    caller.write_all(b"HTTP/1.0 501 no\r\n\r\nno stream").unwrap();
                    continue;
                }
            };
            write!(caller, "HTTP/1.0 200 OK\r\n\r\n{body}").unwrap();
        }
    });
    let socket = dir.path().join("s");
    beside(Containers::new("podman", &socket, Arc::clone(&cache)), &seen, || {
        let told = seen.wait("a container in the list", |event| is(event, "start", "polled"));
        assert!(!told.complete, "without a pid");
        assert_eq!(cache.enrichment().containers().name_of(&ID[..12]), Some("polled".into()));
    })
    .unwrap();
    let _ = ContainerApi::at(&socket, "podman").post("/end", None);
    runtime.join().unwrap();

    std::fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let nonsense = std::thread::spawn(move || {
        for answer in ["HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n{]"] {
            let (mut caller, _) = listener.accept().unwrap();
            let _request = caller.read(&mut [0; 2048]).unwrap();
            caller.write_all(answer.as_bytes()).unwrap();
        }
    });
    let mut containers = Containers::new("docker", &socket, cache);
    let error = containers.run(&seen, &Stop::default()).unwrap_err();
    assert!(error.what == "containers of docker" && error.why.contains("something else"), "{error}");
    nonsense.join().unwrap();
}

/// A daemon of the test's own: its own network and mounts, its own files, nothing of the machine's.
struct Daemon {
    dir: PathBuf,
    child: Child,
}

impl Daemon {
    fn start(dir: &Path) -> Self {
        let at = |name: &str| dir.join(name).display().to_string();
        let mut dockerd = Command::new("unshare");
        dockerd.args(["--net", "--mount", "dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"]);
        dockerd.args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")]);
        dockerd.args(["-H", &format!("unix://{}", at("s")), "--config-file", &at("no-config")]);
        std::fs::write(dir.join("no-config"), "{}").unwrap();
        let log = std::fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
        let child = dockerd.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0).spawn().unwrap();
        let daemon = Self { dir: dir.to_owned(), child };
        until("dockerd does not answer", || daemon.docker(&["version"]).status.success());
        daemon
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("s")
    }

    fn docker(&self, words: &[&str]) -> Output {
        let host = format!("unix://{}", self.socket().display());
        Command::new("docker").env("DOCKER_HOST", host).args(words).stdin(Stdio::null()).output().unwrap()
    }

    fn does(&self, words: &[&str]) -> String {
        let out = self.docker(words);
        assert!(out.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    fn import(&self) {
        let script = format!(
            "mkdir -p {0}/root/bin && cp $(command -v busybox) {0}/root/bin/ && ln -sf busybox {0}/root/bin/sleep && tar -C {0}/root -c . | docker import - small",
            self.dir.display()
        );
        let host = format!("unix://{}", self.socket().display());
        let out = Command::new("sh").env("DOCKER_HOST", host).args(["-c", &script]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    fn run(&self, name: &str) -> u32 {
        self.does(&["run", "-d", "--network", "none", "--name", name, "small", "/bin/sleep", "300"]);
        self.does(&["inspect", "-f", "{{.State.Pid}}", name]).parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It ends its containers and its containerd; our own unreaped child, so its pid is no other's.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), nix::sys::signal::Signal::SIGTERM);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if self.child.try_wait().unwrap().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        eprintln!("dockerd did not end: {}", std::fs::read_to_string(self.dir.join("log")).unwrap_or_default());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a daemon can be started here; says so aloud when not.
fn docker_is_here() -> bool {
    let here =
        |program: &str| ["/usr/sbin", "/usr/bin", "/bin", "/usr/local/bin"].iter().any(|place| Path::new(place).join(program).exists());
    let missing: Vec<_> = ["dockerd", "docker", "busybox", "unshare"].into_iter().filter(|program| !here(program)).collect();
    let root = nix::unistd::geteuid().is_root();
    if !root || !missing.is_empty() {
        eprintln!("skipped: root: {root}; not installed: {missing:?}");
    }
    root && missing.is_empty()
}

#[test]
fn a_real_docker_is_followed() {
    if !docker_is_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (cache, seen) = (Arc::new(ProcessCache::default()), Seen::default());
    let daemon = std::cell::RefCell::new(Some(Daemon::start(dir.path())));
    let with = |pid: u32| cache.adopt(pid).unwrap();
    let (socket, old) = {
        let daemon = daemon.borrow();
        let daemon = daemon.as_ref().unwrap();
        daemon.import();
        (daemon.socket(), daemon.run("before"))
    };
    std::thread::sleep(Duration::from_secs(1)); // it began before us beyond doubt
    let nameless = with(old);
    assert!(nameless.container.is_some() && nameless.container_name.is_none(), "{nameless:?}");
    let begun = Instant::now();
    beside(Containers::new("docker", &socket, Arc::clone(&cache)), &seen, || {
        until("the one that was there is not known", || cache.get(nameless.key).unwrap().container_name == Some("before".into()));
        eprintln!("known {:?} after the start", begun.elapsed());
        let asked = daemon.borrow();
        let docker = asked.as_ref().unwrap();
        let pid = docker.run("during");
        let started = seen.wait("a start", |event| is(event, "start", "during"));
        let (_, told) = container(&started).unwrap();
        assert_eq!((told.pid, &told.image, told.runtime.as_str(), started.complete), (Some(pid), &"small".into(), "docker", true));
        let process = with(pid);
        assert_eq!((process.container.as_ref(), &process.container_name), (Some(&told.id), &Some("during".into())));
        assert_eq!(process.package, None);

        docker.does(&["rename", "during", "renamed"]);
        until("a new name is not taken over", || with(pid).container_name == Some("renamed".into()));
        let api = ContainerApi::at(&socket, "docker");
        api.post("/containers/renamed/pause", None).unwrap();
        assert_eq!(docker.does(&["inspect", "-f", "{{.State.Paused}}", "renamed"]), "true");
        api.post("/containers/renamed/unpause", None).unwrap();
        assert!(matches!(api.post("/containers/nobody/pause", None), Err(ApiError::Refused(_, 404, _))));
        docker.does(&["kill", "renamed"]);
        seen.wait("an end", |event| is(event, "stop", "renamed"));
        docker.does(&["run", "--network", "none", "--name", "short", "small", "/bin/sleep", "0"]);
        seen.wait("the start of a short one", |event| is(event, "start", "short"));
        seen.wait("the end of a short one", |event| is(event, "stop", "short"));
        drop(asked);

        // The daemon goes, and its containers with it; when it is back, that is told.
        drop(daemon.borrow_mut().take());
        let again = Daemon::start(dir.path());
        again.does(&["start", "renamed"]);
        until("not followed again", || seen.count(|event| is(event, "start", "renamed")) == 1);
        assert_eq!(seen.count(|event| is(event, "stop", "before")), 1, "{:?}", seen.all());
        *daemon.borrow_mut() = Some(again);
    })
    .unwrap();
    assert_eq!(seen.count(|event| is(event, "start", "before")), 0, "{:?}", seen.all());
    drop(daemon.borrow_mut().take());
}
