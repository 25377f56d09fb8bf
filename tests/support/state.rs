//! Everything about a host that an action could have changed, read by other programs than ours, and how two such
//! readings differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::docker::Docker;
use super::guarded::Guarded;

/// What is looked at.
pub struct Scene<'a> {
    pub host: &'a Guarded,
    /// Processes whose cgroups and states count, with all others below our own group.
    pub pids: Vec<u32>,
    /// Directories in which the agent keeps notes for those who undo its work.
    pub notes: Vec<PathBuf>,
    /// Name of the agent's ledger: groups that end in it count; other agents of this machine have theirs.
    pub instance: &'a str,
    /// Whose containers count.
    pub docker: Option<&'a Docker>,
}

/// One reading: what, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State(BTreeMap<String, String>);

impl State {
    pub fn read(scene: &Scene<'_>) -> Self {
        let mut all = BTreeMap::new();
        packet_filter(scene.host, &mut all);
        files(&scene.host.path("/etc"), &mut all);
        attributes(scene.host, &mut all);
        let mounts = scene.host.shell("cat /proc/self/mounts");
        // What other tests of this machine mount comes and goes.
        let foreign = |line: &&str| {
            let places = ["/tmp/", "/run/netns/", "/run/docker/", "/var/lib/docker/", "/var/cache/bartizan-tests/"];
            places.iter().any(|place| line.contains(&format!(" {place}")))
        };
        all.extend(mounts.lines().filter(|line| !foreign(line)).map(|line| (format!("mount {line}"), String::new())));
        for pid in &scene.pids {
            all.insert(format!("process {pid}"), process(*pid));
        }
        groups(scene.instance, &mut all);
        for place in &scene.notes {
            let names = std::fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
            all.extend(names.map(|name| (format!("note {}", name.display()), String::new())));
        }
        let timers =
            scene.host.try_shell("[ -d /run/systemd/system ] && systemctl list-units --all --plain --no-legend 'bartizan-expiry*'");
        all.extend(String::from_utf8_lossy(&timers.stdout).lines().map(|line| (format!("timer {line}"), String::new())));
        if let Some(docker) = scene.docker {
            containers(docker, &mut all);
        }
        Self(all)
    }

    /// The same of a host that is reached by a shell alone: `run` gives what a line printed. `pids` are its own.
    pub fn by_shell(run: &dyn Fn(&str) -> String, pids: &[u32]) -> Self {
        let mut all = BTreeMap::new();
        listed_rules(&run("nft list ruleset"), &mut all);
        let mut each = |what: &str, line: &str| {
            all.extend(run(line).lines().map(|found| (format!("{what} {found}"), String::new())));
        };
        each(
            "file",
            "find /etc -xdev ! -type f -printf '%p %y %m %U:%G %l\\n'; find /etc -xdev -type f -printf '%p %y %m %U:%G '  -exec sha256sum {} \\; 2>/dev/null; true",
        );
        each("attribute", "command -v getfattr >/dev/null && getfattr -R -h -d -m - --absolute-names /etc 2>/dev/null; true");
        each("mount", "cat /proc/self/mounts");
        each(
            "unit",
            "systemctl list-units --all --plain --no-legend 'bartizan-expiry*'; ls -1d /etc/systemd/system/bartizan-expiry* /etc/cron.d/bartizan-expiry* 2>/dev/null; true",
        );
        each("note", "find /run/bartizan/freeze /var/lib/bartizan/expiry ! -type d ! -name '.*' 2>/dev/null; true");
        for pid in pids {
            let shown = run(&format!(
                "sed 's/^.*) //; s/ .*//; s/[RD]/S/' /proc/{pid}/stat 2>/dev/null; grep -v :cpuset: /proc/{pid}/cgroup 2>/dev/null; true"
            ));
            all.insert(format!("process {pid}"), shown.replace('\n', " "));
        }
        Self(all)
    }

    /// One line for each difference; empty when there is none.
    pub fn differences(&self, after: &Self) -> String {
        let mut out = String::new();
        for (what, how) in &self.0 {
            match after.0.get(what) {
                None => {
                    let _ = writeln!(out, "gone:    {what}: {how}");
                }
                Some(now) if now != how => {
                    let _ = writeln!(out, "changed: {what}:\n    was {how}\n    is  {now}");
                }
                Some(_) => {}
            }
        }
        let new = after.0.iter().filter(|(what, _)| !self.0.contains_key(*what));
        for (what, how) in new {
            let _ = writeln!(out, "new:     {what}: {how}");
        }
        out
    }

    /// The same but for what is no part of it.
    pub fn without(mut self, drop: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|what, _| !drop(what));
        self
    }

    /// The same with another content of one file, told by its BLAKE3: what a person decided to keep.
    pub fn holding(mut self, file: &str, content: &str) -> Self {
        let line = self.0.get_mut(&format!("file {file}")).unwrap();
        let (status, _) = line.rsplit_once(' ').unwrap();
        *line = format!("{status} {content}");
        self
    }

    /// Without what of our table has no effect: sets without elements and the rules that look into them. The kernel ends
    /// elements by itself; the empty table goes when somebody of ours lives again, or is told to go.
    pub fn effective(mut self) -> Self {
        self.0.retain(|what, how| !what.starts_with("nft table inet bartizan") || how.contains("elements"));
        self
    }

    /// How much is compared.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

/// Fails with a readable difference unless both are equal.
pub fn assert_same(before: &State, after: &State, when: &str) {
    let differences = before.differences(after);
    assert!(differences.is_empty(), "{when}: the host is not as it was:\n{differences}");
}

fn packet_filter(host: &Guarded, all: &mut BTreeMap<String, String>) {
    listed_rules(&host.shell("nft list ruleset"), all);
}

fn listed_rules(text: &str, all: &mut BTreeMap<String, String>) {
    let mut table = String::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("table") {
            table = line.to_owned();
        }
        // What has been counted is no part of the state.
        let words: Vec<&str> = line.split(' ').collect();
        let counted = |at: usize| at > 0 && matches!(words[at - 1], "packets" | "bytes" | "expires");
        let words: Vec<&str> = words.iter().enumerate().map(|(at, word)| if counted(at) { "_" } else { *word }).collect();
        all.insert(format!("nft {table} {number:04}"), words.join(" "));
    }
}

/// Mode, owner, size and BLAKE3 of everything below.
fn files(top: &Path, all: &mut BTreeMap<String, String>) {
    let mut places = vec![top.to_owned()];
    while let Some(place) = places.pop() {
        let Ok(status) = std::fs::symlink_metadata(&place) else { continue };
        let content = if status.is_dir() {
            places.extend(std::fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path()));
            "directory".to_owned()
        } else if status.is_symlink() {
            format!("-> {}", std::fs::read_link(&place).unwrap_or_default().display())
        } else if status.is_file() {
            std::fs::read(&place).map_or_else(|why| why.to_string(), |bytes| blake3::hash(&bytes).to_string())
        } else {
            "special".to_owned()
        };
        let name = Path::new("/etc").join(place.strip_prefix(top).unwrap());
        all.insert(format!("file {}", name.display()), format!("{:o} {}:{} {content}", status.mode(), status.uid(), status.gid()));
    }
}

/// Extended attributes below /etc, where `getfattr` is installed.
fn attributes(host: &Guarded, all: &mut BTreeMap<String, String>) {
    let listed = host.try_shell("command -v getfattr >/dev/null && getfattr -R -h -d -m - --absolute-names /etc 2>/dev/null");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut file = "";
    for line in text.lines() {
        match line.strip_prefix("# file: ") {
            Some(name) => file = name,
            // The overlay's own bookkeeping.
            None if line.is_empty() || line.contains("overlay.") => {}
            None => drop(all.insert(format!("attribute {file} {line}"), String::new())),
        }
    }
}

/// Its state letter and its cgroups; a process that merely waits and one that runs are the same.
fn process(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let letter = stat.rsplit(')').next().unwrap_or_default().split_whitespace().next().unwrap_or("gone").replace(['R', 'D'], "S");
    format!("{letter} {}", groups_of(pid).join(" "))
}

/// The cgroups that can hold a process: of the many hierarchies of version 1 that is one. Others come and go, and their
/// numbers change, when somebody mounts them.
pub fn groups_of(pid: u32) -> Vec<String> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let holds = groups.lines().filter(|line| line.starts_with("0::") || line.contains(":freezer:"));
    holds.filter_map(|line| line.split_once(':')).map(|(_, rest)| rest.to_owned()).collect()
}

/// Groups below ours, in every hierarchy.
fn groups(instance: &str, all: &mut BTreeMap<String, String>) {
    for line in std::fs::read_to_string("/proc/self/mounts").unwrap().lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(place), Some(kind)) = (fields.next(), fields.next()) else { continue };
        let ours = Path::new(place).join("bartizan");
        if kind.starts_with("cgroup") && ours.is_dir() {
            let mine =
                |entry: &std::fs::DirEntry| entry.path().is_dir() && entry.file_name().to_string_lossy().ends_with(&format!("-{instance}"));
            let names = std::fs::read_dir(&ours).into_iter().flatten().flatten().filter(mine);
            all.extend(names.map(|entry| (format!("group {}", entry.path().display()), String::new())));
        }
    }
}

/// Each container's run state and networks. What Docker gives anew at each connection (endpoint ids) does not count.
fn containers(docker: &Docker, all: &mut BTreeMap<String, String>) {
    let ids = docker.run(&["ps", "-aq", "--no-trunc"]);
    for id in String::from_utf8_lossy(&ids.stdout).lines() {
        let inspected = docker.run(&["inspect", id]);
        let mut told: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
        let container = &mut told[0];
        for network in container["NetworkSettings"]["Networks"].as_object_mut().into_iter().flatten() {
            network.1["EndpointID"] = serde_json::Value::Null;
        }
        for part in ["State", "HostConfig", "Config", "NetworkSettings"] {
            let pieces = container[part].as_object().cloned().unwrap_or_default();
            let volatile = |name: &str| matches!(name, "SandboxID" | "SandboxKey" | "EndpointID");
            let pieces = pieces.into_iter().filter(|(name, _)| !volatile(name));
            all.extend(pieces.map(|(name, value)| (format!("container {} {part}.{name}", &id[..12]), value.to_string())));
        }
    }
}
