//! Becoming a newer binary of ourselves without letting go: execve(2) keeps descriptors that are not close-on-exec, so
//! the kernel programs stay attached and their rings go on filling while the new binary starts.

use std::ffi::OsString;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Names the descriptors that the new binary finds open: first the state, then ends in the kernel.
const VARIABLE: &str = "BARTIZAN_HANDOVER";
/// Name of the memory file that holds the state.
const STATE: &str = "bartizan-handover";
/// A state is never larger: backlog and world are bounded.
const MAX_STATE: u64 = 256 << 20;
/// Most descriptors taken over.
const MAX_ENDS: usize = 64;
/// A new binary that does not say in this time what it is cannot be trusted to watch.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What an earlier binary left open.
#[derive(Debug)]
pub struct UpgradeState {
    /// What it wrote down.
    pub state: Vec<u8>,
    /// Maps of its kernel programs.
    pub maps: Vec<OwnedFd>,
    /// Links that keep its kernel programs attached.
    pub links: Vec<OwnedFd>,
}

/// Where this program lies; after an upgrade in place, where the new one lies.
///
/// # Errors
/// When /proc does not say.
pub fn own_path() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let text = path.as_os_str().to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map(PathBuf::from).unwrap_or(path))
}

/// A program held open: what is asked and what is run is the same file, whatever happens to its name meanwhile. A
/// script cannot be held so: its interpreter would look for a name.
#[derive(Debug)]
pub struct Candidate(std::fs::File);

impl Candidate {
    /// The program that lies at this path now.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn at(path: &Path) -> io::Result<Self> {
        std::fs::File::open(path).map(Self)
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    /// What it prints when run with these arguments, one line.
    ///
    /// # Errors
    /// When it cannot be run, fails, or takes too long.
    pub fn ask(&self, arguments: &[&str]) -> io::Result<String> {
        ask(&self.path(), arguments)
    }
}

fn ask(program: &Path, arguments: &[&str]) -> io::Result<String> {
    // A group of its own, so that nothing that it starts is left behind when it takes too long.
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn()?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > ANSWER_WITHIN {
            // The group is that of our own unreaped child.
            let _ = child.id().try_into().map(|group| killpg(Pid::from_raw(group), Signal::SIGKILL));
            let _ = child.wait();
            return Err(io::Error::other("it did not answer within ten seconds"));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut text = String::new();
    if let Some(output) = child.stdout.take() {
        output.take(4096).read_to_string(&mut text)?;
    }
    if status.success() { Ok(text.trim().to_owned()) } else { Err(io::Error::other(format!("it ended with {status}"))) }
}

/// Descriptors of maps and links of kernel programs that this process holds open.
fn kernel_ends() -> Vec<RawFd> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let is_ours = |link: &Path| matches!(link.to_str(), Some("anon_inode:bpf-map" | "anon_inode:bpf_link" | "anon_inode:bpf-link"));
    entries
        .filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|link| is_ours(&link)))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .take(MAX_ENDS)
        .collect()
}

/// Becomes this program; with a state, all ends in the kernel stay open for it. When it cannot be executed after all, the
/// present program begins anew in the same way. Returns only when that failed too.
pub fn become_program(program: &Candidate, arguments: &[OsString], state: Option<&[u8]>) -> io::Error {
    let execute = |path: &Path, variable: Option<&str>| {
        let mut command = Command::new(path);
        command.arg0("bartizan").args(arguments);
        if let Some(variable) = variable {
            command.env(VARIABLE, variable);
        }
        command.exec()
    };
    let own = Path::new("/proc/self/exe");
    let Some(state) = state else {
        let _refused = execute(&program.path(), None);
        return execute(own, None);
    };
    let file = match write_state(state) {
        Ok(file) => file,
        Err(error) => return error,
    };
    let mut numbers = vec![file.as_raw_fd().to_string()];
    for end in kernel_ends().into_iter().chain([file.as_raw_fd()]) {
        // SAFETY: plain flags of a descriptor that this process holds.
        if unsafe { libc::fcntl(end, libc::F_SETFD, 0) } == -1 {
            return io::Error::last_os_error();
        }
        if end != file.as_raw_fd() {
            numbers.push(end.to_string());
        }
    }
    let numbers = numbers.join(",");
    let _refused = execute(&program.path(), Some(&numbers));
    execute(own, Some(&numbers))
}

fn write_state(state: &[u8]) -> io::Result<std::fs::File> {
    let mut file = std::fs::File::from(memfd_create(STATE, MFdFlags::MFD_CLOEXEC)?);
    file.write_all(state)?;
    file.rewind()?;
    Ok(file)
}

/// What an earlier binary of this very process left open, if it did. To be called first thing, while there is one thread.
pub fn inherited() -> Option<UpgradeState> {
    let text = std::env::var(VARIABLE).ok()?;
    // SAFETY: one thread; nobody else reads the environment now.
    unsafe { std::env::remove_var(VARIABLE) };
    let mut numbers = text.split(',').filter_map(|number| number.parse::<RawFd>().ok()).filter(|number| *number > 2).take(MAX_ENDS + 1);
    let state = numbers.next().filter(|number| link_of(*number).is_some_and(|link| link.contains(STATE)))?;
    let taken = |number: RawFd| {
        // SAFETY: the descriptor is open (its link was read), was left to us under this number, and nobody else has it.
        let end = unsafe { OwnedFd::from_raw_fd(number) };
        let _ = fcntl(&end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        end
    };
    let mut bytes = Vec::new();
    std::fs::File::from(taken(state)).take(MAX_STATE).read_to_end(&mut bytes).ok()?;
    let (mut maps, mut links) = (Vec::new(), Vec::new());
    for number in numbers {
        match link_of(number).as_deref() {
            Some("anon_inode:bpf-map") => maps.push(taken(number)),
            Some("anon_inode:bpf_link" | "anon_inode:bpf-link") => links.push(taken(number)),
            _ => {}
        }
    }
    Some(UpgradeState { state: bytes, maps, links })
}

fn link_of(number: RawFd) -> Option<String> {
    std::fs::read_link(format!("/proc/self/fd/{number}")).ok().map(|link| link.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_fails_or_is_none_is_refused() {
        let ask = |path: &str, arguments: &[&str]| Candidate::at(Path::new(path)).and_then(|candidate| candidate.ask(arguments));
        assert_eq!(ask("/bin/echo", &["one", "line"]).unwrap(), "one line");
        assert!(ask("/bin/false", &[]).is_err());
        assert!(ask("/nonexistent", &[]).is_err());
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), "#!/bin/sh\necho bartizan\n").unwrap();
        assert!(ask(script.path().to_str().unwrap(), &[]).is_err(), "a script is no binary of ours");
    }

    #[test]
    fn the_state_comes_back_whole() {
        let mut file = write_state(b"backlog").unwrap();
        let mut back = Vec::new();
        file.read_to_end(&mut back).unwrap();
        assert_eq!(back, b"backlog");
        assert!(link_of(file.as_raw_fd()).unwrap().contains(STATE));
    }
}
