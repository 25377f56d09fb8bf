//! What a detector may look at beside the event: the policy's words for programs and places.

use std::collections::HashSet;

use bartizan_config::Policy;
use bartizan_model::{HostText, Process, Root};

/// Directories that only root and package managers write (hier(7), FHS 3.0).
const SYSTEM_DIRS: [&str; 9] =
    ["/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/lib/", "/lib/", "/usr/libexec/", "/usr/lib64/", "/lib64/"];
/// Directories that anybody may write (FHS 3.0; /dev/shm is the kernel's).
const WRITABLE_DIRS: [&str; 4] = ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/"];

/// The policy's words, made ready for fast look-up. Built once.
#[derive(Debug)]
pub struct Words {
    shells: HashSet<String>,
    interpreters: HashSet<String>,
    web: HashSet<String>,
    readers: HashSet<String>,
    expected: HashSet<String>,
}

impl Words {
    /// From the policy.
    pub fn new(policy: &Policy) -> Self {
        let set = |list: &[String]| list.iter().cloned().collect();
        Self {
            shells: set(&policy.roles.shells),
            interpreters: set(&policy.roles.interpreters),
            web: set(&policy.roles.web),
            readers: set(&policy.credentials.readers),
            expected: set(&policy.listeners.expected),
        }
    }
}

/// What a detector may look at beside the event.
#[derive(Debug, Clone, Copy)]
pub struct DetectorContext<'a> {
    words: &'a Words,
}

impl<'a> DetectorContext<'a> {
    /// A context of these words.
    pub fn new(words: &'a Words) -> Self {
        Self { words }
    }

    /// Whether the process is a command interpreter for people. One file serves as all of busybox's programs
    /// (Alpine), so there the name it was called by decides.
    pub fn is_shell(&self, process: &Process) -> bool {
        let name = program(&process.exe);
        if name == "busybox" {
            return applet(process).is_some_and(|applet| applet != "busybox" && self.words.shells.contains(&applet));
        }
        known(&self.words.shells, &name)
    }

    /// Whether the process can be told to do anything: python, perl, nc ...
    pub fn is_interpreter(&self, process: &Process) -> bool {
        let name = program(&process.exe);
        if name == "busybox" {
            return applet(process).is_some_and(|applet| known(&self.words.interpreters, &applet));
        }
        known(&self.words.interpreters, &name)
    }

    /// Whether this path names a shell or an interpreter.
    pub fn could_be_anything(&self, exe: &HostText) -> bool {
        let name = program(exe);
        known(&self.words.shells, &name) || known(&self.words.interpreters, &name)
    }

    /// Whether the service is a web server by name and not only by the port it listens on.
    pub fn is_web_by_name(&self, root: &Root) -> bool {
        known(&self.words.web, &program(&root.exe))
    }

    /// Whether the policy lets programs of this name read secrets.
    pub fn may_read_secrets(&self, exe: &HostText) -> bool {
        self.words.readers.contains(&program(exe))
    }

    /// Whether the policy expects this program, or anybody on this port, to listen.
    pub fn expects_listener(&self, exe: &HostText, port: u16) -> bool {
        self.words.expected.contains(&port.to_string())
            || std::str::from_utf8(exe.as_bytes()).is_ok_and(|exe| self.words.expected.contains(exe))
    }
}

fn known(set: &HashSet<String>, name: &str) -> bool {
    // python3.11, perl5.36, php8.2: the version is no part of what a program is.
    set.contains(name) || set.contains(name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'))
}

/// The program's own name; the kernel's mark of a removed file is no part of it.
pub(super) fn program(exe: &HostText) -> String {
    let name = exe.basename();
    name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned()
}

/// Which of busybox's programs: argv[0], or argv[1] after `busybox`.
fn applet(process: &Process) -> Option<String> {
    let mut names = process.argv.iter().map(|arg| arg.basename().trim_start_matches('-').to_owned());
    let first = names.next()?;
    if first == "busybox" { names.next() } else { Some(first) }
}

/// Whether the file lies where only root and package managers write.
pub(super) fn in_system_dir(exe: &HostText) -> bool {
    SYSTEM_DIRS.iter().any(|dir| exe.starts_with(dir))
}

/// Whether the file lies where anybody may write.
pub(super) fn in_writable_dir(exe: &HostText) -> bool {
    WRITABLE_DIRS.iter().any(|dir| exe.starts_with(dir))
}
