//! What our actions leave on a host, as other programs show it, and what the rows say that there should be.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use bartizan_model::{Action, ActionKind, Direction, Target, Whose};
use serde_json::Value;

use super::guarded::Guarded;

/// One effect a line: `nft block_in4 203.0.113.5`, `group A3-1f2e3d4c`, `note freeze/A3-1f2e3d4c`.
pub type Effects = BTreeSet<String>;

/// What one action of this kind leaves while it is live. A new kind is one line here.
fn left_by(action: &Action, instance: &str) -> Vec<String> {
    let name = format!("{}-{instance}", action.id);
    match (action.kind, &action.target) {
        (ActionKind::BlockAddress, Target::Address { addr, direction }) => {
            let direction = if *direction == Direction::In { "in" } else { "out" };
            vec![format!("nft block_{direction}{} {addr}", family(*addr))]
        }
        (ActionKind::FreezeTree, _) => {
            vec![format!("group {name}"), format!("note freeze/{name}"), format!("deadline {name}"), format!("watchdog {name}")]
        }
        (ActionKind::BlockAddresses, Target::Addresses { addrs }) => {
            addrs.iter().map(|addr| format!("nft block_in{} {addr}", family(*addr))).collect()
        }
        (ActionKind::LimitSource, Target::Source { addr, .. }) => vec![format!("nft limit{} {addr}", family(*addr))],
        (ActionKind::BlockDestination, Target::Destination { addr, whose }) => {
            // What goes to an address that nobody is denied is not asked whose it is: `deny_to` chooses.
            let sets: &[&str] = match whose {
                Whose::User { .. } => &["uid", "to"],
                Whose::Cgroup { .. } => &["cgroup", "to"],
                Whose::Container { .. } => &["from"],
            };
            sets.iter().map(|set| format!("nft deny_{set}{} {addr}", family(*addr))).collect()
        }
        (ActionKind::ContainHost, _) => vec!["nft contain".to_owned()],
        // What outlives a reboot is noted on disk; the change itself is found by comparing /etc and the containers.
        (ActionKind::DisableUser | ActionKind::RestoreFile | ActionKind::IsolateContainer, _) => {
            vec![format!("note expiry/{name}"), format!("deadline {name}"), format!("watchdog {name}")]
        }
        // It has ended what it was about.
        (ActionKind::KillTree, _) => Vec::new(),
        (kind, target) => panic!("a {kind} of {target} makes no sense"),
    }
}

fn family(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 4 } else { 6 }
}

/// What all these actions leave.
pub fn wanted<'a>(actions: impl IntoIterator<Item = &'a Action>, instance: &str) -> Effects {
    actions.into_iter().flat_map(|action| left_by(action, instance)).collect()
}

/// What is there: the packet filter by `nft`, groups, notes and watchdogs by looking.
pub fn found(host: &Guarded, runtime: &Path, data: &Path, instance: &str) -> Effects {
    let mut found = Effects::new();
    elements(host, &mut found);
    groups(instance, &mut found);
    for (directory, name) in [(runtime.join("freeze"), "freeze"), (data.join("expiry"), "expiry")] {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            // Files of the standing watchdog itself begin with a dot; what is left of a killed writer ends in `.new`.
            if file.starts_with('.') || file.ends_with(".new") {
                continue;
            }
            // Somebody is ending it at this very moment; without its note the claim is a leftover.
            if file.strip_suffix(".ending").is_some_and(|note| entry.path().with_file_name(note).exists()) {
                continue;
            }
            if let Some(note) = file.strip_suffix(".watchdog") {
                found.extend(is_watched(&entry.path()).then(|| format!("watchdog {note}")));
                continue;
            }
            if let Some(note) = file.strip_suffix(".until") {
                found.insert(format!("deadline {note}"));
                found.extend(is_watched(&entry.path().with_file_name(".watchdog")).then(|| format!("watchdog {note}")));
                continue;
            }
            found.insert(format!("note {name}/{file}"));
        }
    }
    found
}

/// Every element of every set of our table.
fn elements(host: &Guarded, found: &mut Effects) {
    let output = host.command("nft", &["-j", "list", "ruleset"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let ours = |thing: &Value| thing["family"] == "inet" && thing["table"] == "bartizan";
    for set in listed["nftables"].as_array().into_iter().flatten().map(|object| &object["set"]).filter(|set| ours(set)) {
        for element in set["elem"].as_array().into_iter().flatten() {
            let (name, value) =
                (set["name"].as_str().unwrap(), if element["elem"].is_object() { &element["elem"]["val"] } else { element });
            // Containment is many elements, some of which the kernel adds by itself.
            if name.starts_with("contain_") {
                found.insert("nft contain".to_owned());
                continue;
            }
            // Of several values joined, the address.
            let parts = value["concat"].as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            let address = parts.iter().rev().filter_map(Value::as_str).find(|part| part.parse::<IpAddr>().is_ok());
            found.insert(format!("nft {name} {}", address.map_or_else(|| value.to_string(), str::to_owned)));
        }
    }
}

/// Groups of ours in any hierarchy.
fn groups(instance: &str, found: &mut Effects) {
    for line in std::fs::read_to_string("/proc/self/mounts").unwrap().lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(place), Some(kind)) = (fields.next(), fields.next()) else { continue };
        if !kind.starts_with("cgroup") {
            continue;
        }
        let names = std::fs::read_dir(Path::new(place).join("bartizan")).into_iter().flatten().flatten();
        let names = names.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().to_string_lossy().into_owned());
        found.extend(names.filter(|name| name.ends_with(&format!("-{instance}"))).map(|name| format!("group {name}")));
    }
}

/// A watchdog's file names a pid and when it started (field 22 of proc(5) stat): that very process lives.
fn is_watched(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [pid, start, ..] = words[..] else { return false };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.get(19) == Some(&start) && fields.first() != Some(&"Z")
}

/// Processes whose command line names this directory, by pid: watchdogs. After the last action none may be left.
pub fn watchers(below: &Path) -> Vec<u32> {
    let output = Command::new("ps").args(["-eo", "pid=,args="]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let place = below.display().to_string();
    let lines = text.lines().filter(|line| line.contains("bartizan-expire") && line.contains(&place));
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}
