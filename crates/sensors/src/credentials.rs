//! Who opens secrets: password hashes, keys, credentials of clouds, clusters and programs, shell histories, password stores.
//!
//! Marks are on the files themselves, so that a hard link, a bind mount or another path makes no difference. A file that
//! is replaced is marked again as soon as its directory says so; an opening within those few milliseconds is not seen.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::attribution::Attribution;
use super::file_class::{FileClasses, in_home};
use super::gather::{emit, gather, open, patience, source};
use super::places::Places;
use super::{Collector, CollectorError, Sink, Stop};
use bartizan_model::{EventKind, FileChange, FileChangeKind, FileClass, HostText};
use bartizan_sys::file_watch::{FileWatch, Interest, Noticed, Toucher};

/// The hop's name in loss counts.
const HOP: &str = "fanotify-credentials";
/// Most secrets watched: a few for the host, a few for each user.
const MAX_SECRETS: usize = 16_384;
/// Directories are read anew at most this often when they keep changing.
const REFRESH: Duration = Duration::from_millis(100);

/// Watches secrets.
pub struct Credentials {
    files: Vec<String>,
    places: Places,
    who: Attribution,
    /// Where secrets lie or would lie, and of what kind each is.
    secrets: BTreeMap<PathBuf, FileClass>,
}

impl Credentials {
    /// The policy's files, and the keys that are found below the places' root.
    pub fn new(files: &[String], places: Places, who: Attribution) -> Self {
        Self { files: files.to_vec(), places, who, secrets: BTreeMap::new() }
    }

    /// Where secrets lie or may come to lie. What the policy names comes last: it says what a file is.
    fn find(&self) -> BTreeMap<PathBuf, FileClass> {
        let root = self.places.root();
        let mut secrets: BTreeMap<PathBuf, FileClass> = FileClasses::under(root).on_host().into_iter().collect();
        secrets.extend(files_like(&root.join("etc/ssh"), "ssh_host_", "_key").map(|path| (path, FileClass::HostKey)));
        for home in self.places.homes() {
            secrets.extend(in_home(&home));
            let keys = files_like(&home.join(".ssh"), "id_", "").filter(|path| path.extension().is_none_or(|end| end != "pub"));
            secrets.extend(keys.map(|path| (path, FileClass::PrivateKey)));
        }
        let named = self.files.iter().map(|file| root.join(file.trim_start_matches('/')));
        secrets.extend(named.map(|path| (path, FileClass::PasswordHashes)));
        secrets
    }

    /// What to watch now: secrets that exist, and the directories in which they come and go.
    fn to_watch(&self) -> BTreeMap<PathBuf, Interest> {
        let root = self.places.root();
        let mut watch: BTreeMap<PathBuf, Interest> = BTreeMap::new();
        let directories = ["etc/ssh", "home"].map(|directory| root.join(directory));
        let homes = self.places.homes().into_iter().flat_map(|home| [home.join(".ssh"), home]);
        watch.extend(directories.into_iter().chain(homes).map(|directory| (directory, Interest::Entries)));
        // A directory that is not there yet comes in the nearest one that is.
        let parents = self.secrets.keys().filter_map(|path| path.ancestors().skip(1).find(|above| above.is_dir()));
        watch.extend(parents.filter(|above| above.starts_with(root)).map(|above| (above.to_owned(), Interest::Entries)));
        let present = self.secrets.keys().filter(|path| path.symlink_metadata().is_ok());
        watch.extend(present.take(MAX_SECRETS).map(|path| (path.clone(), Interest::Opening)));
        watch
    }

    fn watch_all(&mut self, watch: &mut FileWatch, sink: &dyn Sink) {
        self.secrets = self.find();
        for (path, interest) in self.to_watch() {
            match watch.watch(&path, interest) {
                Ok(_) => {}
                // Not there now; its directory will say when it comes.
                Err(why) if matches!(why.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {}
                Err(why) => {
                    tracing::warn!(path = %HostText::from(path.as_os_str().as_bytes()), %why, "a secret cannot be watched");
                    sink.account(HOP, 0, 1);
                }
            }
        }
    }
}

impl Collector for Credentials {
    fn name(&self) -> &'static str {
        "credentials"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let mut watch = open("credentials")?;
        self.places.refresh();
        self.watch_all(&mut watch, sink);
        let source = source(&watch);
        let (mut stale, mut refreshed) = (false, Instant::now());
        while !stop.is_set() {
            let look = gather(&mut watch, if stale { Duration::from_millis(20) } else { Stop::LOOK }, HOP, sink)?;
            let mut opened: Vec<(PathBuf, Option<Toucher>)> = Vec::new();
            stale |= look.overflow;
            for noticed in look.noticed {
                match noticed {
                    Noticed::Touched(touched) if touched.what.opened => {
                        // The kernel already folded repetitions; what is left differs by process or by moment.
                        let this = (touched.path, touched.by);
                        if opened.last() != Some(&this) {
                            opened.push(this);
                        }
                    }
                    Noticed::Touched(touched) => stale |= self.concerns(&touched.path, touched.what.directory),
                    _ => stale = true,
                }
            }
            // First the marks, then the telling: a replaced file must not stay unwatched while we wait for a name.
            if stale && refreshed.elapsed() >= REFRESH {
                self.places.refresh();
                self.watch_all(&mut watch, sink);
                (stale, refreshed) = (false, Instant::now());
            }
            let until = patience();
            for (path, by) in opened {
                let (process, complete) = self.who.of(by, until);
                let class = self.secrets.get(&path).copied();
                let file = FileChange { class, ..FileChange::new(HostText::from(path.as_os_str().as_bytes()), FileChangeKind::Opened) };
                emit(sink, EventKind::FileOpen { file }, process, source, complete);
            }
        }
        Ok(())
    }
}

impl Credentials {
    /// Whether what came or went can be a secret, or a directory of some.
    fn concerns(&self, path: &Path, directory: bool) -> bool {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        directory || name.starts_with(b"id_") || name.starts_with(b"ssh_host_") || name == b"passwd" || self.secrets.contains_key(path)
    }
}

/// Files in a directory whose names begin and end so.
fn files_like(directory: &Path, begin: &'static str, end: &'static str) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().take(MAX_SECRETS);
    entries
        .filter(move |entry| {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            name.starts_with(begin.as_bytes()) && name.ends_with(end.as_bytes())
        })
        .map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::super::test_bench::{Shell, about, at, beside, root, tree};
    use super::*;

    #[test]
    fn credentials_of_every_kind_are_told_with_their_kind_also_when_they_come_later() {
        if !root() {
            return;
        }
        let root = tree(&["etc", "home/ann/.config", "home/ann/.aws"]);
        std::fs::write(at(&root, "home/ann/.aws/credentials"), "key").unwrap();
        std::fs::write(at(&root, "home/ann/.bash_history"), "ls").unwrap();
        let mut shell = Shell::start(root.path());
        let collector = Credentials::new(&["/etc/shadow".to_owned()], Places::under(root.path()), shell.table());
        let mut prober = Shell::start(root.path());
        beside(
            collector,
            || prober.run("read x < home/ann/.aws/credentials"),
            |seen| {
                let wait = |seen: &super::super::test_bench::Seen, path: &str, class| {
                    let event = seen.wait(path, |event| about(event, &at(&root, path)));
                    assert_eq!(super::super::test_bench::file(&event).and_then(|file| file.class), Some(class), "{path}");
                };
                shell.run("read x < home/ann/.aws/credentials; read x < home/ann/.bash_history");
                wait(seen, "home/ann/.aws/credentials", FileClass::CloudCredentials);
                wait(seen, "home/ann/.bash_history", FileClass::ShellHistory);
                shell.run("mkdir -p home/ann/.kube home/ann/.config/gcloud");
                std::thread::sleep(Duration::from_millis(400));
                shell.run("echo t > home/ann/.kube/config; echo t > home/ann/.config/gcloud/credentials.db; echo t > home/ann/.pgpass");
                std::thread::sleep(Duration::from_millis(400));
                seen.clear();
                shell.run("read x < home/ann/.kube/config; read x < home/ann/.config/gcloud/credentials.db; read x < home/ann/.pgpass");
                wait(seen, "home/ann/.kube/config", FileClass::ContainerCredentials);
                wait(seen, "home/ann/.config/gcloud/credentials.db", FileClass::CloudCredentials);
                wait(seen, "home/ann/.pgpass", FileClass::ProgramCredentials);
            },
        );
    }

    #[test]
    fn a_link_of_one_person_makes_no_secret_of_anothers_file() {
        use std::os::unix::fs::{chown, symlink};
        if !root() {
            return;
        }
        let root = tree(&["etc", "home/eve/.ssh", "srv"]);
        for file in ["etc/shadow", "srv/index.html", "home/eve/real"] {
            std::fs::write(at(&root, file), "x").unwrap();
        }
        let links = [("etc/shadow", "home/eve/.netrc"), ("srv/index.html", "home/eve/.ssh/id_x"), ("home/eve/real", "home/eve/.pgpass")];
        for (file, link) in links {
            symlink(at(&root, file), at(&root, link)).unwrap();
            std::os::unix::fs::lchown(at(&root, link), Some(54321), Some(54321)).unwrap();
        }
        for own in ["home/eve", "home/eve/.ssh", "home/eve/real"] {
            chown(at(&root, own), Some(54321), Some(54321)).unwrap();
        }
        let mut shell = Shell::start(root.path());
        let collector = Credentials::new(&["/etc/shadow".to_owned()], Places::under(root.path()), shell.table());
        let mut prober = Shell::start(root.path());
        beside(
            collector,
            || prober.run("read x < etc/shadow"),
            |seen| {
                seen.clear();
                shell.run("read x < srv/index.html; read x < home/eve/real; read x < etc/shadow");
                let hashes = seen.wait("the hashes, under their own name", |event| about(event, &at(&root, "etc/shadow")));
                assert_eq!(super::super::test_bench::file(&hashes).and_then(|file| file.class), Some(FileClass::PasswordHashes));
                seen.wait("a link to a file of one's own", |event| about(event, &at(&root, "home/eve/.pgpass")));
                for link in ["home/eve/.netrc", "home/eve/.ssh/id_x"] {
                    assert_eq!(seen.count(|event| about(event, &at(&root, link))), 0, "{link}");
                }
            },
        );
    }

    #[test]
    fn who_opens_a_secret_is_told_by_whatever_name() {
        if !root() {
            return;
        }
        let root = tree(&["etc/ssh", "home/ann/.ssh"]);
        for secret in ["etc/shadow", "etc/ssh/ssh_host_rsa_key", "home/ann/.ssh/id_rsa"] {
            std::fs::write(at(&root, secret), "secret").unwrap();
        }
        let mut shell = Shell::start(root.path());
        let collector = Credentials::new(&["/etc/shadow".to_owned()], Places::under(root.path()), shell.table());
        let mut prober = Shell::start(root.path());
        beside(
            collector,
            || prober.run("read x < etc/shadow"),
            |seen| {
                for secret in ["etc/shadow", "etc/ssh/ssh_host_rsa_key", "home/ann/.ssh/id_rsa"] {
                    shell.run(&format!("read x < {secret}"));
                    let open = seen.wait(secret, |event| about(event, &at(&root, secret)));
                    assert_eq!((open.process.map(|process| process.pid), open.complete), (Some(shell.pid()), true), "{secret}");
                }
                seen.clear();
                std::fs::hard_link(at(&root, "etc/shadow"), at(&root, "innocent")).unwrap();
                shell.run("read x < innocent");
                seen.wait("the hard link", |event| about(event, &at(&root, "etc/shadow")));

                // Replaced, as passwd(1) does, and read again.
                shell.run("echo new > etc/nshadow; mv etc/nshadow etc/shadow");
                std::thread::sleep(Duration::from_millis(300));
                seen.clear();
                shell.run("read x < etc/shadow; read x < etc/ssh/../../etc/shadow; : > etc/other");
                seen.wait("the new file", |event| about(event, &at(&root, "etc/shadow")));

                shell.run("mkdir -p home/bob/.ssh; echo k > home/bob/.ssh/id_ed25519; echo k > home/bob/.ssh/id_ed25519.pub");
                std::thread::sleep(Duration::from_millis(400));
                seen.clear();
                shell.run("read x < home/bob/.ssh/id_ed25519.pub; read x < home/bob/.ssh/id_ed25519");
                seen.wait("a key made later", |event| about(event, &at(&root, "home/bob/.ssh/id_ed25519")));
                assert_eq!(seen.count(|event| about(event, &at(&root, "home/bob/.ssh/id_ed25519.pub"))), 0, "public keys are public");
            },
        );
    }
}
