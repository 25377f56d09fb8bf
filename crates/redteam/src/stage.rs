//! The ground of a drill: a private network, a private directory, a stand-in web server and the shell that it leaks.

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::play::{HOLD, PART, WEB_SERVER};
use super::report::GroundReport;
use bartizan_sys::clock;
use bartizan_sys::namespace::{Errand, Namespace, NamespaceError, Resident};
use bartizan_sys::proc_files;

/// The stand-in web server's port, on the private loopback.
pub(super) const WEB_PORT: u16 = 8080;
/// Where the intruder waits for the shell: an address for documentation (RFC 5737), alive in the private network only.
pub(super) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// The intruder's port.
pub(super) const HOME_PORT: u16 = 4444;

/// Longest answer that the intruder reads from the shell.
const MAX_ANSWER: usize = 16 * 1024;

/// A drill could not go on.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// No private network.
    #[error(transparent)]
    Network(#[from] NamespaceError),
    /// Something on the stage failed.
    #[error("drill: {what}: {why}")]
    Failed {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        why: io::Error,
    },
}

/// Who plays the stand-ins.
#[derive(Debug, Clone)]
pub struct Cast {
    /// The program to copy: our own binary.
    pub program: PathBuf,
    /// Arguments that lead to [`super::play`].
    pub arguments: Vec<String>,
}

/// The ground of one drill. Dropping it ends and removes everything; [`Stage::clear`] also tells what was left.
pub struct Stage {
    directory: PathBuf,
    cast: Cast,
    network: Namespace,
    server: Option<Resident>,
    home: TcpListener,
    shell: Option<TcpStream>,
    /// A line was typed and the shell has not answered yet.
    unanswered: bool,
    /// Every pid that was seen on the stage.
    seen: BTreeSet<u32>,
    /// Host network interfaces before.
    interfaces: Vec<String>,
    cleared: bool,
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> StageError {
    let what = what.into();
    move |why| StageError::Failed { what, why }
}

impl Stage {
    /// No part of a drill lives longer, whatever becomes of the rest; what it is held for comes on top.
    pub const LONGEST: Duration = Duration::from_secs(20);
    /// Longest time that a drill may be held.
    pub const LONGEST_HOLD: Duration = Duration::from_secs(600);

    /// Builds the ground and starts the web server. `under` is where programs must lie for the drill to be
    /// realistic: `/tmp`. The server ends with the calling thread at the latest.
    ///
    /// # Errors
    /// Without root, or when the directory cannot be made.
    pub fn build(cast: Cast, under: &Path, hold: Duration) -> Result<Self, StageError> {
        let interfaces = interfaces();
        let network = Namespace::new(OUTSIDE)?;
        let home = network.within(|| TcpListener::bind((OUTSIDE, HOME_PORT)))?.map_err(failed("waiting for the shell"))?;
        home.set_nonblocking(true).map_err(failed("waiting for the shell"))?;
        let directory = make_directory(under)?;
        let seen = BTreeSet::new();
        let mut stage =
            Self { directory, cast, network, server: None, home, shell: None, unanswered: false, seen, interfaces, cleared: false };
        let program = stage.directory.join("nginx");
        std::fs::copy(&stage.cast.program, &program).map_err(failed(format!("copying our binary to {}", program.display())))?;
        stage.server = Some(stage.network.start(&Errand {
            program,
            arguments: stage.cast.arguments.clone(),
            environment: vec![
                (PART.to_owned(), WEB_SERVER.to_owned()),
                (HOLD.to_owned(), hold.min(Self::LONGEST_HOLD).as_secs().to_string()),
            ],
            directory: stage.directory.clone(),
        })?);
        stage.wait("the web server to listen", |stage| stage.connect().map(drop).ok())?;
        Ok(stage)
    }

    /// The drill's own directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The web server's pid: the top of everything that happens here.
    pub fn server_pid(&self) -> Option<u32> {
        self.server.as_ref().map(Resident::pid)
    }

    /// Looks who is on the stage now, and gives everyone who ever was.
    pub fn pids(&mut self) -> &BTreeSet<u32> {
        self.seen.extend(self.network.residents());
        &self.seen
    }

    /// Asks the web server for `path`, as a stranger would.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn request(&mut self, path: &str) -> Result<(), StageError> {
        let what = || failed(format!("asking the web server for {path}"));
        let mut stream = self.connect().map_err(what())?;
        let mut answer = [0; 256];
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: drill\r\n\r\n").as_bytes()).map_err(what())?;
        let length = stream.read(&mut answer).map_err(what())?;
        self.pids();
        match answer.get(..length) {
            Some(text) if text.starts_with(b"HTTP/1.0 200") => Ok(()),
            _ => Err(what()(io::Error::other("it did not run the command"))),
        }
    }

    /// Waits for the shell that calls home.
    ///
    /// # Errors
    /// When none comes within three seconds.
    pub fn catch_shell(&mut self) -> Result<(), StageError> {
        let stream = self.wait("a shell to call home", |stage| stage.home.accept().ok())?.0;
        let prepare = |stream: &TcpStream| {
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(Duration::from_millis(100)))?;
            stream.set_write_timeout(Some(Duration::from_secs(1)))
        };
        prepare(&stream).map_err(failed("talking to the shell"))?;
        self.shell = Some(stream);
        Ok(())
    }

    /// Types one line into the caught shell and gives what it printed.
    ///
    /// # Errors
    /// When there is no shell, or it does not finish within three seconds: it may have been frozen or ended.
    pub fn type_line(&mut self, line: &str) -> Result<String, StageError> {
        let what = || failed(format!("typing `{line}` into the shell"));
        let shell = self.shell.as_mut().ok_or_else(|| what()(io::Error::other("no shell called home")))?;
        shell.write_all(format!("{line}; echo drill-$((40+2))-done\n").as_bytes()).map_err(what())?;
        let (mut answer, mut chunk) = (Vec::new(), [0; 1024]);
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline && answer.len() < MAX_ANSWER {
            match shell.read(&mut chunk) {
                Ok(0) => return Err(what()(io::Error::other("the shell is gone"))),
                Ok(length) => answer.extend_from_slice(chunk.get(..length).unwrap_or_default()),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(e) => return Err(what()(e)),
            }
            let text = String::from_utf8_lossy(&answer);
            if let Some((printed, _)) = text.split_once("drill-42-done") {
                let printed = printed.trim().to_owned();
                self.pids();
                return Ok(printed);
            }
        }
        Err(what()(io::Error::from(io::ErrorKind::TimedOut)))
    }

    /// Whether the caught shell still runs what is typed: types a line unless one waits for its answer, and gives it
    /// half a second. A frozen shell does not answer; thawed, it answers late.
    ///
    /// # Errors
    /// When there is no shell any more.
    pub fn pulse(&mut self) -> Result<bool, StageError> {
        let what = || failed("feeling the shell's pulse");
        let shell = self.shell.as_mut().ok_or_else(|| what()(io::Error::other("no shell called home")))?;
        if !self.unanswered {
            shell.write_all(b"echo drill-pulse\n").map_err(what())?;
            self.unanswered = true;
        }
        let deadline = Instant::now() + Duration::from_millis(500);
        let mut chunk = [0; 1024];
        while Instant::now() < deadline {
            match shell.read(&mut chunk) {
                Ok(0) => return Err(what()(io::Error::other("the shell is gone"))),
                Ok(_) => {
                    self.unanswered = false;
                    return Ok(true);
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(e) => return Err(what()(e)),
            }
        }
        Ok(false)
    }

    /// The line that makes the caught shell run a copy of us in `part`, under the name `name`.
    pub fn command_for(&self, name: &str, part: &str) -> String {
        let arguments: Vec<String> = self.cast.arguments.iter().map(|argument| format!("'{argument}'")).collect();
        format!("{PART}={part} ./{name} {}", arguments.join(" "))
    }

    /// Waits at most three seconds for `look` to find something.
    ///
    /// # Errors
    /// When it did not.
    pub fn wait<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> Result<T, StageError> {
        let deadline = Instant::now() + Duration::from_secs(3);
        loop {
            if let Some(found) = look(self) {
                return Ok(found);
            }
            if Instant::now() >= deadline {
                return Err(failed(format!("waiting for {what}"))(io::Error::from(io::ErrorKind::TimedOut)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether somebody listens on a port of the private loopback.
    pub fn is_open(&self, port: u16) -> bool {
        self.network.within(|| TcpStream::connect(("127.0.0.1", port)).is_ok()).unwrap_or(false)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = self.network.within(|| TcpStream::connect(("127.0.0.1", WEB_PORT))).map_err(io::Error::other)??;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        Ok(stream)
    }

    /// Ends everyone, removes everything, and compares with before.
    pub fn clear(mut self) -> GroundReport {
        self.tear_down()
    }

    fn tear_down(&mut self) -> GroundReport {
        self.cleared = true;
        let mut seen = self.pids().clone();
        self.shell = None;
        let still_there = self.network.evict(Duration::from_secs(5));
        seen.extend(self.server_pid());
        self.server = None;
        let removed = std::fs::remove_dir_all(&self.directory);
        GroundReport {
            processes_started: seen.len(),
            processes_left: still_there,
            directory: self.directory.display().to_string(),
            directory_left: match removed {
                Ok(()) => None,
                Err(why) => Some(why.to_string()),
            },
            interfaces_changed: interfaces() != self.interfaces,
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.cleared {
            self.tear_down();
        }
    }
}

/// The network interfaces of the network that this process lives in, by name.
fn interfaces() -> Vec<String> {
    let text = proc_files::text("self", "net/dev").unwrap_or_default();
    let mut names: Vec<String> = text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect();
    names.sort();
    names
}

/// A directory that is ours alone: made by us now, or not at all.
fn make_directory(under: &Path) -> Result<PathBuf, StageError> {
    let moment = clock::boot_ns();
    for attempt in 0..100_u32 {
        let directory = under.join(format!("bartizan-drill-{}-{moment}-{attempt}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => return Ok(directory),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(failed(format!("making {}", directory.display()))(e)),
        }
    }
    Err(failed(format!("making a directory in {}", under.display()))(io::ErrorKind::AlreadyExists.into()))
}
