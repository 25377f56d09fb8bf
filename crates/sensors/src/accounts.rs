//! Changes to accounts: who was added, removed, made root, let into a privileged group, given another password.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::account_book::{Book, Files};
use super::attribution::Attribution;
use super::gather::{emit, gather, open, patience};
use super::settling::Settling;
use super::{Collector, CollectorError, Sink, Stop};
use bartizan_model::{EventKind, Source};
use bartizan_sys::digest::read_bounded;
use bartizan_sys::file_watch::{Interest, Noticed, Toucher};
use bartizan_sys::random;

/// The hop's name in loss counts.
const HOP: &str = "fanotify-accounts";
/// Longest account file that is read, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;
/// The account files, below /etc.
const NAMES: [&str; 3] = ["passwd", "group", "shadow"];
/// The files are compared at least this often, should a change have escaped the watch.
const ANYWAY: Duration = Duration::from_secs(30);

/// Watches the account files.
pub struct Accounts {
    etc: PathBuf,
    who: Attribution,
}

impl Accounts {
    /// Of the host whose tree begins at `root`.
    pub fn under(root: &Path, who: Attribution) -> Self {
        Self { etc: root.join("etc"), who }
    }

    /// The accounts now; `None` when a file cannot be read or is being written, so that it is not taken for an empty one.
    fn book(&self, key: &[u8; 32]) -> Option<Book> {
        let read = |name: &str| match read_bounded(&self.etc.join(name), LONGEST) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(file = %self.etc.join(name).display(), %why, "an account file cannot be read");
                None
            }
            bytes => Some(bytes.unwrap_or_default()),
        };
        let [passwd, group, shadow] = NAMES.map(read);
        Some(Book::read(&Files { passwd: passwd?, group: group?, shadow: shadow? }, key)).filter(|book| !book.is_empty())
    }
}

impl Collector for Accounts {
    fn name(&self) -> &'static str {
        "accounts"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let fail = |what: String, why: std::io::Error| CollectorError { what, why: why.to_string(), mend: "run as root".to_owned() };
        let key = random::key().map_err(|why| fail("reading the kernel's random numbers".to_owned(), why))?;
        let mut watch = open("accounts")?;
        watch.watch(&self.etc, Interest::Content).map_err(|why| fail(format!("{}: watching", self.etc.display()), why))?;
        let mut known = self.book(&key);
        let (mut settling, mut compared) = (Settling::default(), Instant::now());
        while !stop.is_set() {
            let look = gather(&mut watch, if settling.is_empty() { Stop::LOOK } else { Duration::from_millis(20) }, HOP, sink)?;
            let mut due = look.overflow || compared.elapsed() >= ANYWAY;
            for noticed in look.noticed {
                match noticed {
                    Noticed::Touched(touched) if NAMES.iter().any(|name| touched.path == self.etc.join(name)) => {
                        settling.add(touched, Instant::now())
                    }
                    Noticed::Gone(_) => return Err(fail(format!("{}: watching", self.etc.display()), std::io::ErrorKind::NotFound.into())),
                    _ => {}
                }
            }
            let touched = settling.take(Instant::now());
            due |= !touched.is_empty();
            if due && let Some(now) = self.book(&key) {
                compared = Instant::now();
                self.tell(known.as_ref(), &now, touched.last().and_then(|touched| touched.by), sink);
                known = Some(now);
            }
        }
        Ok(())
    }
}

impl Accounts {
    fn tell(&self, before: Option<&Book>, now: &Book, by: Option<Toucher>, sink: &dyn Sink) {
        let changes = before.map(|before| before.changes(now)).unwrap_or_default();
        if changes.is_empty() {
            return;
        }
        let (process, complete) = self.who.of(by, patience());
        for account in changes {
            emit(sink, EventKind::UserChange { account }, process.clone(), Source::Accounts, complete);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_bench::{Shell, at, beside, root, tree};
    use super::*;
    use bartizan_model::{Event, UserChangeKind};

    fn is(event: &Event, user: &str, change: UserChangeKind) -> bool {
        matches!(&event.kind, EventKind::UserChange { account } if account.user == *user && account.change == change)
    }

    #[test]
    fn who_made_whom_mighty_is_told() {
        if !root() {
            return;
        }
        let root = tree(&["etc"]);
        std::fs::write(at(&root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n").unwrap();
        std::fs::write(at(&root, "etc/group"), "sudo:x:27:\n").unwrap();
        std::fs::write(at(&root, "etc/shadow"), "root:*:1\nann:$6$verysecret:1\n").unwrap();
        let mut shell = Shell::start(root.path());
        let collector = Accounts::under(root.path(), shell.table());
        let mut prober = Shell::start(root.path());
        let mut probes = 0;
        let probe = || {
            probes += 1;
            prober.run(&format!("echo 'p{probes}:x:2000:2000::/:/bin/sh' >> etc/passwd"));
        };
        beside(collector, probe, |seen| {
            shell.run("echo 'eve::0:0::/:/bin/sh' >> etc/passwd");
            let made = seen.wait("the new root", |event| is(event, "eve", UserChangeKind::BecameRoot));
            assert_eq!((made.process.map(|process| process.pid), made.complete), (Some(shell.pid()), true));
            seen.wait("the new account", |event| is(event, "eve", UserChangeKind::Added));

            shell.run("echo 'sudo:x:27:ann' > etc/group");
            seen.wait("the new administrator", |event| is(event, "ann", UserChangeKind::JoinedPrivilegedGroup));
            shell.run("printf 'root:*:1\\nann:!$6$verysecret:1\\n' > etc/nshadow; mv etc/nshadow etc/shadow");
            let locked = seen.wait("the lock", |event| is(event, "ann", UserChangeKind::PasswordChanged));
            assert!(!serde_json::to_string(&locked).unwrap().contains("verysecret"), "no secret in an event");

            seen.clear();
            shell.run("echo 'root:x:0:0::/root:/bin/sh' > etc/npasswd; : > etc/hosts; mv etc/npasswd etc/passwd");
            seen.wait("the removal", |event| is(event, "eve", UserChangeKind::Removed));
            assert_eq!(seen.count(|event| is(event, "root", UserChangeKind::Removed)), 0);
        });
    }
}
