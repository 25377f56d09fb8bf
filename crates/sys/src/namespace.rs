//! A private network: made for a drill, lived in by a few processes, gone when the last of them is.

use std::ffi::c_char;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A private network could not be made or used.
#[derive(Debug, thiserror::Error)]
#[error("private network: {what}: {why}; {mend}")]
pub struct NamespaceError {
    what: String,
    #[source]
    why: io::Error,
    mend: &'static str,
}

impl NamespaceError {
    fn new(what: impl Into<String>, why: io::Error) -> Self {
        let mend = match why.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => "run it as root with CAP_SYS_ADMIN",
            Some(libc::EINVAL | libc::ENOSYS) => "this kernel lacks network namespaces (CONFIG_NET_NS)",
            Some(libc::ENOSPC) => "too many namespaces: see /proc/sys/user/max_net_namespaces",
            _ => "see `bartizan doctor`",
        };
        Self { what: what.into(), why, mend }
    }
}

/// What to start in a private network. It gets no terminal, no input, no output and an empty environment.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The program, as it shall be seen.
    pub program: PathBuf,
    /// Its arguments after its name.
    pub arguments: Vec<String>,
    /// All of its environment but PATH.
    pub environment: Vec<(String, String)>,
    /// Where it runs.
    pub directory: PathBuf,
}

/// A process that we started in a private network; ended and reaped when dropped.
#[derive(Debug)]
pub struct Resident(Child);

impl Resident {
    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        // Our own unreaped child: its pid cannot have been given to another process.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A private network with loopback and one more address. It lives as long as this value or anything in it.
#[derive(Debug)]
pub struct Namespace {
    handle: OwnedFd,
    inode: u64,
}

impl Namespace {
    /// Makes one. Loopback is up and answers for `address` too, so nothing can leave it.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, or on a kernel without network namespaces.
    pub fn new(address: Ipv4Addr) -> Result<Self, NamespaceError> {
        on_own_thread(move || {
            // It moves only this thread, which ends with the closure.
            unshare(CloneFlags::CLONE_NEWNET).map_err(|e| NamespaceError::new("unshare(2)", e.into()))?;
            raise_loopback(address).map_err(|e| NamespaceError::new(format!("giving loopback the address {address}"), e))?;
            let file = File::open("/proc/thread-self/ns/net").map_err(|e| NamespaceError::new("opening its handle", e))?;
            let inode = file.metadata().map_err(|e| NamespaceError::new("reading its handle", e))?.ino();
            Ok(Self { handle: file.into(), inode })
        })
    }

    /// Its number, as in `/proc/PID/ns/net`.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Runs `work` inside, on a thread of its own. Sockets that it makes stay inside wherever they are used.
    ///
    /// # Errors
    /// When the network cannot be entered.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        on_own_thread(|| {
            enter(self.handle.as_raw_fd()).map_err(|e| NamespaceError::new("setns(2)", e))?;
            Ok(work())
        })
    }

    /// Starts a program inside, in a session of its own. The kernel ends it when the calling **thread** ends.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, errand: &Errand) -> Result<Resident, NamespaceError> {
        let handle = self.handle.as_raw_fd();
        let mut command = bare_command(&errand.program, &errand.directory);
        command.args(&errand.arguments).envs(errand.environment.iter().map(|(k, v)| (k, v)));
        // SAFETY: between fork and exec only system calls that take no lock and no memory are made.
        unsafe {
            command.pre_exec(move || {
                enter(handle)?;
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
                check(libc::setsid()).map(drop)
            });
        }
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            match command.spawn() {
                // A freshly written program is "busy" while a child that any thread forked meanwhile still holds
                // the descriptor that wrote it: between its fork and its exec.
                Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                outcome => {
                    let failed = |e| NamespaceError::new(format!("starting {}", errand.program.display()), e);
                    return outcome.map(Resident).map_err(failed);
                }
            }
        }
    }

    /// Every process inside now, whoever started it.
    pub fn residents(&self) -> Vec<u32> {
        let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(|pid| self.houses(*pid)).collect()
    }

    fn houses(&self, pid: u32) -> bool {
        std::fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|meta| meta.ino() == self.inode)
    }

    /// Ends everything inside and waits, at most `patience`, until nobody is left. Gives those who stayed.
    /// Nothing outside can be hit: each process is held by a pidfd and seen inside before it is ended.
    pub fn evict(&self, patience: Duration) -> Vec<u32> {
        let deadline = Instant::now() + patience;
        loop {
            let left = self.residents();
            if left.is_empty() || Instant::now() >= deadline {
                return left;
            }
            for pid in left {
                let Ok(held) = pidfd(pid) else { continue };
                if self.houses(pid) {
                    let _ = end(&held);
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Starts `sh -c script` as a web server's hole would: no input, no output, nothing of our environment.
///
/// # Errors
/// When there is no `sh`.
pub fn start_shell(script: &str, directory: &Path) -> io::Result<Resident> {
    let mut command = bare_command(Path::new("sh"), directory);
    command.args(["-c", script]).spawn().map(Resident)
}

fn bare_command(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").current_dir(directory);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> Result<T, NamespaceError> + Send) -> Result<T, NamespaceError> {
    let died = || NamespaceError::new("a thread of its own", io::Error::other("it ended early"));
    std::thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|_| Err(died()))
}

fn check(code: libc::c_int) -> io::Result<libc::c_int> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}

fn enter(handle: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers; `handle` is open, as its owner outlives the call.
    check(unsafe { libc::setns(handle, libc::CLONE_NEWNET) }).map(drop)
}

fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn end(held: &OwnedFd) -> io::Result<()> {
    Ok(pidfd_send_signal(held, Signal::KILL)?)
}

/// Ioctls of netdevice(7): flags up, then a second address by the old alias name, which every kernel has.
fn raise_loopback(address: Ipv4Addr) -> io::Result<()> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let sockaddr = |ip: Ipv4Addr| -> libc::sockaddr {
        let inet = libc::sockaddr_in {
            sin_family: libc::AF_INET as u16,
            sin_port: 0,
            sin_addr: libc::in_addr { s_addr: u32::from(ip).to_be() },
            sin_zero: [0; 8],
        };
        // SAFETY: both are plain 16-byte structures that begin with the family (ip(7)).
        unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(inet) }
    };
    // The type of the numbers and that of the argument differ between glibc and musl: hence the casts.
    let ask = |name: &str, request: u64, value: libc::__c_anonymous_ifr_ifru| -> io::Result<()> {
        let mut asked = libc::ifreq { ifr_name: [0; libc::IFNAMSIZ], ifr_ifru: value };
        for (to, from) in asked.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
            *to = from as c_char;
        }
        // SAFETY: the request reads one ifreq, which outlives the call.
        check(unsafe { libc::ioctl(socket.as_raw_fd(), request as libc::Ioctl, &raw const asked) }).map(drop)
    };
    let up = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    ask("lo", libc::SIOCSIFFLAGS, libc::__c_anonymous_ifr_ifru { ifru_flags: up })?;
    ask("lo:1", libc::SIOCSIFADDR, libc::__c_anonymous_ifr_ifru { ifru_addr: sockaddr(address) })?;
    ask("lo:1", libc::SIOCSIFNETMASK, libc::__c_anonymous_ifr_ifru { ifru_addr: sockaddr(Ipv4Addr::BROADCAST) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

    fn root() -> bool {
        let root = nix::unistd::geteuid().is_root();
        if !root {
            eprintln!("skipped: needs root to make a network namespace");
        }
        root
    }

    #[test]
    fn traffic_stays_inside() {
        if !root() {
            return;
        }
        let space = Namespace::new(ADDRESS).unwrap();
        let listener = space.within(|| TcpListener::bind((ADDRESS, 4444))).unwrap().unwrap();
        assert!(TcpListener::bind((ADDRESS, 4445)).is_err(), "the address leaked into our own network");
        space.within(|| TcpStream::connect((ADDRESS, 4444))).unwrap().unwrap();
        assert!(listener.accept().is_ok());
    }

    #[test]
    fn eviction_ends_everyone_inside_and_nobody_else() {
        if !root() {
            return;
        }
        let space = Namespace::new(ADDRESS).unwrap();
        let mut outside = start_shell("sleep 30", Path::new("/")).unwrap();
        let errand = Errand {
            program: "sh".into(),
            arguments: vec!["-c".into(), "sleep 30 & sleep 30 & setsid sleep 30 & wait".into()],
            environment: Vec::new(),
            directory: "/".into(),
        };
        let mut inside = space.start(&errand).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while space.residents().len() < 4 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(space.residents().len(), 4, "the shell and its three children");
        assert_eq!(space.evict(Duration::from_secs(5)), Vec::<u32>::new());
        assert!(!inside.is_running());
        assert!(outside.is_running(), "a process outside was ended");
    }
}
