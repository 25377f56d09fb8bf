//! The `git` program on a repository that somebody else may have made: only plumbing with fixed arguments, and nothing of the repository's
//! own configuration that runs a program.
//!
//! A repository can name hooks, filters, text converters, a monitor of files, transports and aliases, and git runs them as whoever calls it.
//! Here git is called with all of them off, without the configuration of the caller, and by root only as the repository's owner.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::child::{PROGRAMS, die_with_us};
use super::fork_guard;
use super::umask::own_uid;

/// How long one that was killed or ended its output may take to be gone.
const FAREWELL: Duration = Duration::from_secs(5);
/// Bytes of a complaint that are kept.
const MAX_COMPLAINT: u64 = 4 << 10;
/// What is switched off, whatever the repository says (git-config(1)). Of transports none is allowed: a missing object of a partial clone
/// would be fetched by a program that the repository names.
const OFF: [&str; 9] = [
    "core.fsmonitor=false", "core.hooksPath=/dev/null", "core.commitGraph=false", "core.alternateRefsCommand=false", "core.pager=cat",
    "protocol.allow=never", "diff.external=", "submodule.recurse=false", "log.showSignature=false",
];
/// Objects as they are: no replacements, no grafts, nothing fetched, no question asked.
const ENVIRONMENT: [(&str, &str); 12] = [
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_GRAFT_FILE", "/dev/null"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_PAGER", "cat"),
    ("HOME", "/nonexistent"),
    ("LC_ALL", "C"),
];

/// A repository, and as whom git looks at it.
#[derive(Debug, Clone)]
pub struct Repository {
    path: PathBuf,
    /// Of the repository, when we are root and it is another's.
    owner: Option<(u32, u32)>,
    trusted: bool,
}

/// A git that answers: killed and reaped when this is dropped.
#[derive(Debug)]
pub struct Talk {
    child: Child,
    /// What it reads, if it was started to read something.
    pub input: Option<ChildStdin>,
    /// What it says.
    pub output: ChildStdout,
}

impl Repository {
    /// The one at or around this directory. `trusted`: git itself called us for it, so that its owner was checked already
    /// (`safe.directory` of git-config(1)).
    ///
    /// # Errors
    /// When the directory cannot be looked at.
    pub fn at(path: &Path, trusted: bool) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let facts = path.join(".git").symlink_metadata().or_else(|_| path.symlink_metadata())?;
        let owner = (own_uid() == 0 && facts.uid() != 0).then(|| (facts.uid(), facts.gid()));
        Ok(Self { path, owner, trusted })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// We are root, and it belongs to somebody else: git is run as that user.
    pub fn is_anothers(&self) -> bool {
        self.owner.is_some()
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new("git");
        // Where many put a newer git; like the others only root writes there, or Debian's group staff, in which nobody is.
        let programs = format!("{PROGRAMS}:/usr/local/bin");
        command.env_clear().env("PATH", programs).envs(ENVIRONMENT).current_dir("/");
        command.arg("--no-pager").arg("-C").arg(&self.path);
        command.args(OFF.iter().flat_map(|setting| ["-c", setting]));
        if self.trusted {
            command.args(["-c", "safe.directory=*"]);
        }
        command.args(arguments);
        if let Some((uid, gid)) = self.owner {
            // Supplementary groups go too: the standard library drops them when root becomes another.
            command.uid(uid).gid(gid);
        }
        // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, open, write, close.
        unsafe { command.pre_exec(die_with_us) };
        command
    }

    /// What it answers to these arguments, at most so many bytes, within this time.
    ///
    /// # Errors
    /// When it cannot be started, complains (the error says how), says more, or does not end in time.
    pub fn ask<A: AsRef<OsStr>>(&self, arguments: &[A], most: u64, patience: Duration) -> io::Result<Vec<u8>> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = fork_guard::start(|| command.spawn())?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let until = Instant::now() + patience;
        let reader = |pipe: Option<Box<dyn Read + Send>>, most: u64| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let read = pipe.map_or(Ok(0), |pipe| pipe.take(most).read_to_end(&mut bytes));
                read.map(|_| bytes)
            })
        };
        let complaint = reader(errors.map(|pipe| Box::new(pipe) as _), MAX_COMPLAINT);
        let answer = reader(output.map(|pipe| Box::new(pipe) as _), most + 1);
        while !answer.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        if !answer.is_finished() {
            end(&mut child);
            return Err(io::Error::new(io::ErrorKind::TimedOut, "git gave no answer in time"));
        }
        let answer = answer.join().map_err(|_| io::ErrorKind::Other)??;
        if answer.len() as u64 > most {
            end(&mut child);
            return Err(io::Error::other(format!("git says more than {} MiB", most >> 20)));
        }
        if finish(&mut child)? {
            return Ok(answer);
        }
        let complaint = complaint.join().map_err(|_| io::ErrorKind::Other)??;
        Err(io::Error::other(String::from_utf8_lossy(&complaint).trim().to_owned()))
    }

    /// Starts it to be talked with.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn talk(&self, arguments: &[&str]) -> io::Result<Talk> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = fork_guard::start(|| command.spawn())?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Talk { child, input, output })
    }
}

impl Talk {
    /// Whether it ended well, once its output has ended.
    ///
    /// # Errors
    /// When it does not end.
    pub fn finish(mut self) -> io::Result<bool> {
        drop(self.input.take());
        finish(&mut self.child)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        drop(self.input.take());
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            end(&mut self.child);
        }
    }
}

fn end(child: &mut Child) {
    // Our own unreaped child: its pid cannot be another's.
    let _ = child.kill();
    let _ = child.wait();
}

fn finish(child: &mut Child) -> io::Result<bool> {
    let until = Instant::now() + FAREWELL;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(status.success()),
            None if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
            None => {
                end(child);
                return Err(io::Error::new(io::ErrorKind::TimedOut, "git does not end"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn git(repository: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.arg("-C").arg(repository).args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(arguments);
        assert!(command.output().unwrap().status.success(), "{arguments:?}");
    }

    #[test]
    fn nothing_that_a_repository_names_is_run() {
        let dir = tempfile::tempdir().unwrap();
        let (repository, ran) = (dir.path().join("r"), dir.path().join("ran"));
        fs::create_dir(&repository).unwrap();
        git(&repository, &["init", "-q"]);
        fs::write(repository.join("f"), "one\n").unwrap();
        fs::write(repository.join(".gitattributes"), "* diff=x filter=x\n").unwrap();
        git(&repository, &["add", "."]);
        git(&repository, &["commit", "-qm", "one"]);
        let program = dir.path().join("program");
        fs::write(&program, format!("#!/bin/sh\necho \"$0 $@\" >> {}\nexec cat\n", ran.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let program = program.to_str().unwrap();
        for name in
            ["core.fsmonitor", "diff.external", "diff.x.textconv", "diff.x.command", "filter.x.clean", "core.pager", "core.sshCommand"]
        {
            git(&repository, &["config", name, program]);
        }
        // A clone that lacks an object asks the remote for it, by the program that the repository names.
        let blob = String::from_utf8(Command::new("git").arg("-C").arg(&repository).args(["rev-parse", "HEAD:f"]).output().unwrap().stdout)
            .unwrap();
        let blob = blob.trim();
        for (name, value) in [
            ("extensions.partialClone", "o"),
            ("remote.o.promisor", "true"),
            ("remote.o.url", &format!("ext::{program} x")),
            ("protocol.ext.allow", "always"),
        ] {
            git(&repository, &["config", name, value]);
        }
        fs::remove_file(repository.join(format!(".git/objects/{}/{}", &blob[..2], &blob[2..]))).unwrap();
        let found = Repository::at(&repository, false).unwrap();
        let tree = found.ask(&["diff-tree", "--root", "-r", "-c", "--raw", "-z", "HEAD"], 1 << 20, FAREWELL).unwrap();
        assert!(String::from_utf8_lossy(&tree).contains(".gitattributes"), "{tree:?}");
        assert!(found.ask(&["cat-file", "-p", blob], 1 << 20, FAREWELL).is_err(), "it is missing");
        assert!(found.ask(&["rev-list", "--all"], 1 << 20, FAREWELL).unwrap().len() >= 41);
        assert!(!ran.exists(), "{}", fs::read_to_string(&ran).unwrap_or_default());
    }
}
