//! Isolating a container for real: a dockerd of the test's own with two networks, fixed addresses and aliases.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::account_tests::responder;
use super::tests::{now, order, until};
use super::*;
use bartizan_isolation::own_mounts::in_own_etc;
use bartizan_isolation::own_netns::killed_in_a_child;
use bartizan_model::{ActionKind, ActionState, HostText, Isolation, Target};

/// A running dockerd at /run/docker.sock of the test's own /run, with the image `busybox`.
struct Docker {
    daemon: Child,
    dir: PathBuf,
    parent: String,
}

impl Docker {
    /// `None`, said aloud, where there is none.
    fn start(dir: &Path) -> Option<Self> {
        let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|path| Path::new(path).is_file());
        let dockerd = ["/usr/sbin/dockerd", "/usr/bin/dockerd"].into_iter().find(|path| Path::new(path).is_file());
        let (Some(busybox), Some(dockerd)) = (busybox, dockerd) else {
            eprintln!("skipped: no dockerd or no busybox");
            return None;
        };
        let path = |name: &str| dir.join(name).display().to_string();
        let parent = format!("/bartizan-people-{}", std::process::id());
        fs::write(dir.join("none.json"), "{}").unwrap();
        let mut command = Command::new(dockerd);
        command.args([
            "--data-root",
            &path("docker"),
            "--exec-root",
            &path("exec"),
            "--pidfile",
            &path("pid"),
            "--config-file",
            &path("none.json"),
        ]);
        command.args(["-H", "unix:///run/docker.sock", "--cgroup-parent", &parent, "--bridge=none", "--userland-proxy=false"]);
        command.args(["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]);
        let log = fs::File::create(dir.join("log")).unwrap();
        let daemon = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let docker = Self { daemon, dir: dir.to_owned(), parent };
        let began = Instant::now();
        while !docker.run("version").status.success() {
            assert!(began.elapsed() < Duration::from_secs(40), "{}", fs::read_to_string(dir.join("log")).unwrap());
            std::thread::sleep(Duration::from_millis(100));
        }
        fs::create_dir_all(dir.join("root/bin")).unwrap();
        fs::copy(busybox, dir.join("root/bin/busybox")).unwrap();
        assert!(Command::new("tar").args(["-C", &path("root"), "-cf", &path("root.tar"), "."]).status().unwrap().success());
        docker.must(&format!("import {} busybox", path("root.tar")));
        docker.must("network create --subnet 10.97.1.0/24 blue");
        docker.must("network create --subnet 10.97.2.0/24 --ipv6 --subnet fd97::/64 amber");
        Some(docker)
    }

    fn run(&self, words: &str) -> Output {
        Command::new("docker").args(["-H", "unix:///run/docker.sock"]).args(words.split(' ')).output().unwrap()
    }

    fn must(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "docker {words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A container that sleeps, first on blue and then on amber, each with a fixed address.
    fn sleeper(&self, name: &str, last: u8) -> String {
        let how = format!("run -d --name {name} --hostname {name} --network blue --ip 10.97.1.{last} --network-alias web-{name}");
        let id = self.must(&format!("{how} busybox /bin/busybox sleep 600"));
        self.must(&format!(
            "network connect --ip 10.97.2.{last} --ip6 fd97::{last} --alias db-{name} --driver-opt some.option=yes amber {name}"
        ));
        id
    }

    fn inspect(&self, id: &str) -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&self.must(&format!("inspect {id}"))).unwrap()[0].clone()
    }

    /// Its networks without the id that is new with every connection; aliases are a set.
    fn networks(&self, id: &str) -> serde_json::Value {
        let mut networks = self.inspect(id)["NetworkSettings"]["Networks"].clone();
        for endpoint in networks.as_object_mut().unwrap().values_mut() {
            let endpoint = endpoint.as_object_mut().unwrap();
            endpoint.remove("EndpointID");
            if let Some(aliases) = endpoint.get_mut("Aliases").and_then(serde_json::Value::as_array_mut) {
                aliases.sort_by_key(ToString::to_string);
            }
        }
        networks
    }

    /// Hardware and network addresses inside, in the order of the interfaces. Their names are left out: Docker gives a
    /// running container eth2 where it had eth0.
    fn inside(&self, id: &str) -> String {
        let told = self.must(&format!("exec {id} /bin/busybox ip addr"));
        let lines = told.lines().filter(|line| line.contains("inet") || line.contains("ether")).map(str::trim);
        let own = lines.filter(|line| !line.contains("fe80:") && !line.contains("127.0.0.1") && !line.contains("::1/128"));
        own.map(|line| line.split(" global").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let all = self.run("ps -aq");
        for id in String::from_utf8_lossy(&all.stdout).split_whitespace() {
            let _ = self.run(&format!("rm -f {id}"));
        }
        // SIGTERM: it ends the containerd that it started.
        if let Some(key) = bartizan_sys::pidfd::key_of(self.daemon.id()) {
            let _ = bartizan_sys::pidfd::PidFd::open(key).and_then(|hold| hold.signal(15));
        }
        let began = Instant::now();
        while self.daemon.try_wait().unwrap().is_none() {
            if began.elapsed() > Duration::from_secs(20) {
                let _ = self.daemon.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap_or_default();
        let below = self.dir.display().to_string();
        for place in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).filter(|place| place.starts_with(&below)) {
            let _ = Command::new("umount").args(["-l", place]).output();
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = fs::remove_dir(hierarchy.path().join(self.parent.trim_start_matches('/')));
        }
    }
}

fn isolate(id: &str, isolation: Isolation, lasts: Duration) -> bartizan_court::Warrant {
    let target = Target::Container { id: id.to_owned(), name: HostText::from("c"), isolation };
    order(ActionPlan::new(ActionKind::IsolateContainer, target, lasts).unwrap())
}

const LONG: Duration = Duration::from_secs(600);

fn with_docker(body: impl FnOnce(&Path, &Docker) + Send) {
    in_own_etc(|dir| {
        if let Some(docker) = Docker::start(dir) {
            body(dir, &docker);
        }
    });
}

#[test]
fn a_container_is_cut_off_and_comes_back_as_it_was() {
    with_docker(|dir, docker| {
        let id = docker.sleeper("web", 77);
        docker.sleeper("peer", 78);
        let ping = |name: &str| docker.run(&format!("exec web /bin/busybox ping -c 1 -W 2 {name}")).status.success();
        assert!(ping("10.97.1.78") && ping("10.97.2.78") && ping("db-peer"), "it reaches the other by address and name");
        let (before, inside) = (docker.networks(&id), docker.inside(&id));
        let responder = responder(dir);
        eprintln!("seen: {:#?}", responder.preview(isolate(&id, Isolation::Network, LONG).plan()).unwrap());
        let began = Instant::now();
        let action = responder.execute(isolate(&id, Isolation::Network, LONG), now()).unwrap();
        eprintln!("measured: container off two networks in {:?}", began.elapsed());
        assert_eq!(action.state, ActionState::Live, "{}", action.note);
        assert!(action.note.contains("only lo"), "{}", action.note);
        assert!(!ping("10.97.1.78") && !ping("10.97.2.78"));
        assert_eq!(docker.networks(&id), serde_json::json!({}));
        assert_eq!(docker.inside(&id), "");

        let undone = responder.rollback(action.id, "root", now()).unwrap();
        assert_eq!((docker.networks(&id), docker.inside(&id)), (before, inside), "{}", undone.note);
        assert!(ping("10.97.1.78") && ping("10.97.2.78") && ping("db-peer"));
        assert!(docker.run("exec peer /bin/busybox ping -c 1 -W 2 web-web").status.success(), "its alias is known again");
        assert_eq!(
            fs::read_dir(dir.join("data/expiry")).unwrap().flatten().filter(|e| e.file_name().to_string_lossy().starts_with('A')).count(),
            0
        );
    });
}

#[test]
fn a_paused_container_is_frozen_and_runs_on() {
    with_docker(|dir, docker| {
        let id = docker.sleeper("still", 77);
        let responder = responder(dir);
        let action = responder.execute(isolate(&id[..12], Isolation::Pause, LONG), now()).unwrap();
        assert!(action.note.contains("the kernel shows its group frozen"), "{}", action.note);
        assert_eq!(docker.inspect(&id)["State"]["Paused"], true);
        // Somebody lets it run: it is brought back.
        docker.must("unpause still");
        let changed = responder.reconcile(now()).unwrap();
        assert!(changed[0].state == ActionState::Live && changed[0].note.contains("brought back"), "{}", changed[0].note);
        assert_eq!(docker.inspect(&id)["State"]["Paused"], true);
        responder.rollback(action.id, "root", now()).unwrap();
        assert_eq!(docker.inspect(&id)["State"]["Status"], "running");
        let again = responder.execute(isolate(&id, Isolation::Pause, LONG), now()).unwrap();
        docker.must("rm -f still");
        let gone = responder.rollback(again.id, "root", now()).unwrap();
        assert!(gone.note.contains("removed meanwhile"), "{}", gone.note);
        assert!(responder.execute(isolate(&id, Isolation::Pause, LONG), now()).unwrap_err().to_string().contains("no runtime"));
    });
}

#[test]
fn what_has_no_network_of_its_own_is_refused_and_drift_is_mended() {
    with_docker(|dir, docker| {
        let responder = responder(dir);
        let host = docker.must("run -d --network host busybox /bin/busybox sleep 600");
        let refused = responder.execute(isolate(&host, Isolation::Network, LONG), now()).unwrap_err().to_string();
        assert!(refused.contains("network mode host") && refused.contains("pause it instead"), "{refused}");
        let id = docker.sleeper("web", 77);
        let action = responder.execute(isolate(&id, Isolation::Network, LONG), now()).unwrap();
        docker.must("network create --subnet 10.97.3.0/24 third");
        docker.must("network connect third web");
        let changed = responder.reconcile(now()).unwrap();
        assert!(changed[0].note.contains("brought back"), "{}", changed[0].note);
        assert_eq!(docker.networks(&id), serde_json::json!({}));
        docker.must("restart -t 0 web");
        docker.must("rename web other");
        assert!(responder.reconcile(now()).unwrap().iter().all(|action| action.state == ActionState::Live));
        assert_eq!(docker.networks(&id), serde_json::json!({}), "a restart brings no network back");
        // Another takes its address on one network, and one network is removed.
        docker.must("run -d --network blue --ip 10.97.1.77 busybox /bin/busybox sleep 600");
        docker.must("network rm third");
        let note = responder.rollback(action.id, "root", now()).unwrap().note;
        assert!(note.contains("another address") && note.contains("third was removed"), "{note}");
        let networks = docker.networks(&id);
        assert_eq!(networks["amber"]["IPAddress"], "10.97.2.77");
        assert!(networks["blue"]["IPAddress"].as_str().unwrap().starts_with("10.97.1."));
    });
}

/// Cut off by a process that is killed then.
fn ends_outside(dir: &Path, docker: &Docker, isolation: Isolation) {
    let id = docker.sleeper("web", 77);
    let before = (docker.networks(&id), docker.inside(&id));
    assert!(killed_in_a_child(|| {
        let action = responder(dir).execute(isolate(&id, isolation, Duration::from_secs(2)), now());
        if action.is_ok() {
            bartizan_isolation::own_netns::die();
        }
    }));
    let notes =
        || fs::read_dir(dir.join("data/expiry")).unwrap().flatten().filter(|e| e.file_name().to_string_lossy().starts_with('A')).count();
    assert!((0..6).any(|_| until(|| notes() == 0)), "its note is still there");
    assert_eq!(docker.inspect(&id)["State"]["Paused"], false);
    assert_eq!((docker.networks(&id), docker.inside(&id)), before);
    let settled = responder(dir).recover(now()).unwrap();
    assert!(!settled[0].state.is_active(), "{}", settled[0].note);
    docker.must("rm -f web");
}

#[test]
fn it_ends_outside_of_us_when_we_are_killed() {
    with_docker(|dir, docker| {
        ends_outside(dir, docker, Isolation::Network);
        ends_outside(dir, docker, Isolation::Pause);
    });
}
