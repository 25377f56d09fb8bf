//! The servers from which this host's packages come: named in the sources of apt, dnf, zypper, pacman and apk, and resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

use bartizan_model::Unpoisoned as _;

/// Files that are read, and the longest part of each.
const MAX_FILES: usize = 256;
const LONGEST: u64 = 256 << 10;
/// Different servers that are asked for.
const MAX_NAMES: usize = 32;
/// Addresses of one server that are taken.
const MAX_ADDRESSES: usize = 16;
/// How long resolving may take, all together; nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Files and directories below the root, and what their names end with.
const SOURCES: [(&str, &str); 9] = [
    ("etc/apt/sources.list", ""),
    ("etc/apt/sources.list.d", ".list"),
    ("etc/apt/sources.list.d", ".sources"),
    ("etc/yum.repos.d", ".repo"),
    ("etc/dnf/repos.d", ".repo"),
    ("etc/zypp/repos.d", ".repo"),
    ("etc/pacman.conf", ""),
    ("etc/pacman.d", "mirrorlist"),
    ("etc/apk/repositories", ""),
];

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mirrors {
    /// Servers and their addresses.
    pub found: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Servers that are named and whose addresses are not known; one reason each, safe to show.
    pub unresolved: Vec<String>,
}

/// What is known, and whether somebody asks just now.
#[derive(Debug, Default)]
struct Known {
    mirrors: Mirrors,
    /// When the last look-up ended.
    at: Option<Instant>,
    asking: bool,
}

/// How long an answer counts, and one that lacks a server's addresses.
const FRESH: Duration = Duration::from_secs(1800);
const AGAIN: Duration = Duration::from_secs(300);
static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
static TOLD: Condvar = Condvar::new();

/// What was looked up before, at once: nobody waits for a name server. When that is old, a look-up begins beside.
pub fn known() -> Mirrors {
    let mut known = KNOWN.lock().unpoisoned();
    let known = known.get_or_insert_with(Known::default);
    refresh(known);
    match known.at {
        Some(_) => known.mirrors.clone(),
        None => Mirrors { unresolved: vec!["all of them: their names are being looked up".to_owned()], ..Mirrors::default() },
    }
}

/// The same, but the first look-up of all is waited for a while.
pub fn known_within(patience: Duration) -> Mirrors {
    let found = known();
    let until = Instant::now() + patience;
    let mut guard = KNOWN.lock().unpoisoned();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match guard.as_ref() {
            Some(Known { at: None, .. }) if !left.is_zero() => {
                guard = TOLD.wait_timeout(guard, left).unpoisoned().0;
            }
            Some(Known { at: Some(_), mirrors, .. }) => return mirrors.clone(),
            _ => return found,
        }
    }
}

/// Begins a look-up on a thread of its own unless what is known is fresh or somebody asks already.
fn refresh(known: &mut Known) {
    let counts = if known.mirrors.unresolved.is_empty() { FRESH } else { AGAIN };
    if known.asking || known.at.is_some_and(|at| at.elapsed() < counts) {
        return;
    }
    let ask = || {
        let found = find(Path::new("/"));
        let mut known = KNOWN.lock().unpoisoned();
        let known = known.get_or_insert_with(Known::default);
        known.mirrors = renewed(std::mem::take(&mut known.mirrors), found);
        (known.at, known.asking) = (Some(Instant::now()), false);
        TOLD.notify_all();
    };
    known.asking = std::thread::Builder::new().name("mirrors".to_owned()).spawn(ask).is_ok();
}

/// A server that is not answered for now keeps the addresses that it had, as long as the sources name it.
fn renewed(mut old: Mirrors, mut new: Mirrors) -> Mirrors {
    new.unresolved.retain(|line| {
        let Some((name, _)) = line.split_once(": ") else { return true };
        match old.found.remove(name) {
            Some(addresses) => new.found.insert(name.to_owned(), addresses).is_some(),
            None => true,
        }
    });
    new
}

/// Reads the sources below `root` and asks the system's resolver for each server.
fn find(root: &Path) -> Mirrors {
    resolve(names(root), PATIENCE)
}

/// Names or addresses of servers, each once.
fn names(root: &Path) -> BTreeSet<String> {
    let files = SOURCES.iter().flat_map(|(place, end)| {
        let place = root.join(place);
        let inside = fs::read_dir(&place).map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<PathBuf>>());
        let mut files = inside.unwrap_or_else(|_| vec![place]);
        files.retain(|file| file.to_string_lossy().ends_with(end));
        files.sort();
        files
    });
    let texts = files.take(MAX_FILES).filter_map(|file| {
        let mut bytes = Vec::new();
        File::open(file).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    });
    texts.flat_map(|text| servers(&text)).collect()
}

/// The server of every URL that is not commented out; `mirror+http://` and `baseurl=https://` too.
fn servers(text: &str) -> Vec<String> {
    let live = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let urls = live.flat_map(|line| ["http://", "https://", "ftp://"].map(|scheme| line.split(scheme).skip(1).collect::<Vec<_>>()));
    urls.flatten().filter_map(server).collect()
}

/// `user@[2001:db8::1]:80/path`
fn server(rest: &str) -> Option<String> {
    let authority = rest.split(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | ',' | '$') || c.is_whitespace()).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(six) => six.split(']').next()?,
        None => host.split(':').next()?,
    };
    let plain = !host.is_empty() && host.len() <= 253 && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:_".contains(&b));
    plain.then(|| host.to_ascii_lowercase())
}

/// Each on a thread of its own: a name server that does not answer holds one thread, not us.
fn resolve(names: BTreeSet<String>, patience: Duration) -> Mirrors {
    let mut mirrors = Mirrors::default();
    let over = names.len().saturating_sub(MAX_NAMES);
    if over > 0 {
        mirrors.unresolved.push(format!("{over} more servers than the {MAX_NAMES} that are asked for"));
    }
    let (told, answers) = mpsc::channel();
    let mut waiting: BTreeSet<String> = names.into_iter().take(MAX_NAMES).collect();
    for name in waiting.clone() {
        let told = told.clone();
        let ask = move || {
            let found = (name.as_str(), 80).to_socket_addrs().map(|all| all.map(|at| at.ip().to_canonical()).take(MAX_ADDRESSES).collect());
            // Nobody listens any more: the answer came too late.
            let _ = told.send((name, found));
        };
        if let Err(why) = std::thread::Builder::new().name("mirror-name".to_owned()).spawn(ask) {
            mirrors.unresolved.push(format!("no thread to ask for a name: {why}"));
        }
    }
    drop(told);
    let until = Instant::now() + patience;
    while let Ok((name, answer)) = answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
        let answer: std::io::Result<BTreeSet<IpAddr>> = answer;
        waiting.remove(&name);
        match answer {
            Ok(addresses) => drop(mirrors.found.insert(name, addresses)),
            Err(why) => mirrors.unresolved.push(format!("{name}: {why}")),
        }
    }
    mirrors.unresolved.extend(waiting.into_iter().map(|name| format!("{name}: no answer within {} s", patience.as_secs())));
    mirrors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_from_every_kind_of_source() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = dir.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("etc/apt/sources.list", "deb [signed-by=/x] http://deb.example.org/debian bookworm main\n# deb http://old.example.org/ x\n");
        write("etc/apt/sources.list.d/a.sources", "Types: deb\nURIs: https://user@sec.example.org:8080/debian https://[2001:db8::1]/d\n");
        write("etc/apt/sources.list.d/a.list.save", "deb http://saved.example.org x y\n");
        write("etc/yum.repos.d/b.repo", "[b]\nbaseurl=https://rpm.example.org/$releasever/\n#baseurl=http://no.example.org\n");
        write("etc/pacman.d/mirrorlist", "Server = https://arch.example.org/$repo/os/$arch\n");
        write("etc/apk/repositories", "https://apk.example.org/v3.20/main\n/media/cdrom/apks\n");
        let found: Vec<String> = names(dir.path()).into_iter().collect();
        let wanted = ["2001:db8::1", "apk.example.org", "arch.example.org", "deb.example.org", "rpm.example.org", "sec.example.org"];
        assert_eq!(found, wanted);
        let mirrors = resolve(BTreeSet::from(["198.51.100.3".to_owned()]), PATIENCE);
        assert_eq!(mirrors.found.get("198.51.100.3").unwrap().len(), 1, "{mirrors:?}");
    }

    #[test]
    fn a_name_that_is_not_answered_for_keeps_its_addresses() {
        let addresses = |text: &str| BTreeSet::from([text.parse().unwrap()]);
        let old = Mirrors {
            found: [("a".to_owned(), addresses("192.0.2.1")), ("b".to_owned(), addresses("192.0.2.2"))].into(),
            unresolved: vec![],
        };
        let unresolved = vec!["a: no answer within 10 s".to_owned(), "c: no answer within 10 s".to_owned()];
        let new = renewed(old, Mirrors { found: [("d".to_owned(), addresses("192.0.2.4"))].into(), unresolved });
        assert_eq!(new.found.keys().collect::<Vec<_>>(), ["a", "d"], "b is named no more");
        assert_eq!(new.unresolved, ["c: no answer within 10 s"]);
    }

    #[test]
    fn nobody_waits_for_a_name_server() {
        let began = Instant::now();
        let _ = known();
        assert!(began.elapsed() < Duration::from_millis(500));
    }

    proptest::proptest! {
        #[test]
        fn no_text_can_panic(text in ".{0,200}") {
            let _ = servers(&text);
        }
    }
}
