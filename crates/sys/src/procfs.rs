//! Processes as /proc shows them, as bytes: names that are not UTF-8 stay what they are.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use super::environment;
use super::sighting::{ARGV_MOST, Image, Who, audit_id, split_argv};
use bartizan_model::{ExeFile, HostText, Namespaces};

/// Longest of the small files of /proc that we read.
const FILE_MOST: u64 = 64 << 10;
/// Threads of the kernel carry this flag (PF_KTHREAD, include/linux/sched.h).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The first line of facts about a process: `/proc/PID/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The name that the process gives itself, at most 15 bytes.
    pub comm: HostText,
    /// One letter, proc(5): R S D Z T t X I.
    pub state: u8,
    /// Its present parent.
    pub ppid: u32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
    /// How many threads it has.
    pub threads: u64,
    /// Device number of its controlling terminal, 0 when it has none.
    pub tty: u32,
    /// A thread of the kernel: it has no executable.
    pub kernel_thread: bool,
}

impl Stat {
    /// It has ended and waits to be collected. One whose first thread ended while others run is not dead.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X') && self.threads <= 1
    }
}

/// Why processes of others cannot be looked at, if so: `hidepid` of proc(5) hides even init's.
pub fn hidden() -> Option<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let proc = table.lines().rfind(|line| line.split(' ').nth(4) == Some("/proc"))?;
    let option = proc.split([' ', ',']).find(|word| word.starts_with("hidepid=") && !matches!(*word, "hidepid=0" | "hidepid=off"))?;
    fs::read("/proc/1/stat").is_err().then(|| format!("/proc is mounted with {option} and this agent may not look"))
}

/// Pids of all living processes, ascending.
///
/// # Errors
/// When /proc cannot be listed.
pub fn pids() -> io::Result<Vec<u32>> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// Reads `/proc/PID/stat`; `None` when the process is gone.
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&file(pid, "stat")?)
}

/// Who a process is now; `None` when it is gone. The moment given is that of its start.
pub fn who(pid: u32) -> Option<Who> {
    let stat = stat(pid)?;
    let status = Status::parse(&file(pid, "status")?);
    Some(Who {
        pid,
        start: stat.start,
        ppid: stat.ppid,
        parent_start: self::stat(stat.ppid).map(|parent| parent.start),
        at: stat.start.saturating_mul(10_000_000),
        uid: status.uid,
        euid: status.euid,
        loginuid: number(pid, "loginuid").and_then(audit_id),
        session: number(pid, "sessionid").and_then(audit_id),
        capabilities: status.capabilities,
        netns: namespace(pid, "net"),
        namespaces: Namespaces { mnt: namespace(pid, "mnt"), pid: namespace(pid, "pid"), user: namespace(pid, "user") },
        urgent: false,
    })
}

/// The arguments as the kernel keeps them, one byte more than are kept when there are too many; `None` when the process is
/// gone. Read alone and first: in a race with a short life they are worth the most.
pub fn arguments(pid: u32) -> Option<Vec<u8>> {
    limited(pid, "cmdline", ARGV_MOST as u64 + 1)
}

/// What a process runs now. What cannot be read is empty, and [`Image::complete`] is false.
pub fn image(pid: u32) -> Image {
    image_with(pid, arguments(pid))
}

/// The same, with arguments that were read a moment ago.
pub fn image_with(pid: u32, argv: Option<Vec<u8>>) -> Image {
    let exe = link(pid, "exe");
    let Some(exe) = exe else {
        if let Some(stat) = stat(pid).filter(|stat| stat.kernel_thread) {
            return kernel_thread(&stat);
        }
        return Image {
            argv: argv.map(|a| split_argv(&a)).unwrap_or_default(),
            cgroup: cgroup(pid).unwrap_or_default(),
            ..Image::default()
        };
    };
    let cwd = link(pid, "cwd");
    let (exe, exe_file) = executable(pid, exe);
    let cgroup = cgroup(pid);
    let complete = argv.is_some() && cwd.is_some() && cgroup.is_some() && exe_file.inode != 0;
    let mut argv = argv.unwrap_or_default();
    let argv_truncated = argv.len() > ARGV_MOST;
    argv.truncate(ARGV_MOST);
    Image {
        exe,
        exe_file,
        argv: split_argv(&argv),
        argv_truncated,
        environment: limited(pid, "environ", environment::MOST as u64).map(|area| environment::notable(&area)).unwrap_or_default(),
        tty: stat(pid).and_then(|stat| terminal(stat.tty)),
        cwd: cwd.unwrap_or_default().into(),
        cgroup: cgroup.unwrap_or_default(),
        stdio_sockets: stdio_sockets(pid),
        complete,
    }
}

/// Inode numbers of the sockets that a process holds, in the order of its descriptors.
pub fn sockets_of(pid: u32) -> impl Iterator<Item = u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    entries.filter_map(|entry| socket_inode(&fs::read_link(entry.ok()?.path()).ok()?.into_os_string().into_vec()))
}

/// Which processes hold these sockets: for each inode number the pids, ascending. Reads every descriptor on the
/// host (some 4 ms for 600 sockets), so ask for many at once.
pub fn holders(wanted: &HashSet<u64>) -> HashMap<u64, Vec<u32>> {
    let mut holders: HashMap<u64, Vec<u32>> = HashMap::new();
    if wanted.is_empty() {
        return holders;
    }
    for pid in pids().unwrap_or_default() {
        for inode in sockets_of(pid).filter(|inode| wanted.contains(inode)) {
            let pids = holders.entry(inode).or_default();
            if pids.last() != Some(&pid) {
                pids.push(pid);
            }
        }
    }
    holders
}

fn socket_inode(link: &[u8]) -> Option<u64> {
    std::str::from_utf8(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?).ok()?.parse().ok()
}

/// Which of fds 0, 1, 2 are sockets: one bit each.
fn stdio_sockets(pid: u32) -> u8 {
    (0..3).filter(|fd| link(pid, &format!("fd/{fd}")).is_some_and(|to| to.starts_with(b"socket:["))).map(|fd| 1 << fd).sum()
}

fn kernel_thread(stat: &Stat) -> Image {
    let name = [b"[", stat.comm.as_bytes(), b"]"].concat();
    Image { exe: HostText::from(name), cwd: "/".into(), cgroup: "/".into(), complete: true, ..Image::default() }
}

/// The file that a process executes now; `None` when it is gone or has none.
pub fn exe_file(pid: u32) -> Option<ExeFile> {
    link(pid, "exe").map(|link| executable(pid, link).1)
}

/// Path and file of the executable. The kernel appends " (deleted)" to the link of a removed file; that a file may
/// really be called so is told apart by the number of its names.
fn executable(pid: u32, link: Vec<u8>) -> (HostText, ExeFile) {
    let Ok(meta) = fs::metadata(format!("/proc/{pid}/exe")) else { return (link.into(), ExeFile::default()) };
    let device = (libc::major(meta.dev()) << 20) | libc::minor(meta.dev());
    let nameless = meta.nlink() == 0;
    let name = if nameless { link.strip_suffix(b" (deleted)").unwrap_or(&link) } else { &link };
    let memfd = nameless && name.starts_with(b"/memfd:");
    let name = if memfd { name.strip_prefix(b"/").unwrap_or(name) } else { name };
    (
        HostText::from(name),
        ExeFile {
            device,
            inode: meta.ino(),
            memfd,
            deleted: nameless && !memfd,
            changed: meta.ctime() * 1_000_000_000 + meta.ctime_nsec(),
            sha256: None,
        },
    )
}

/// The unified hierarchy when the process is placed in it, else (hybrid and v1 hosts) a controller's: the same
/// choice as in `bpf/sensor.bpf.c`.
fn cgroup(pid: u32) -> Option<HostText> {
    let bytes = file(pid, "cgroup")?;
    let lines: Vec<(&[u8], &[u8])> = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut parts = line.splitn(3, |byte| *byte == b':').skip(1);
            Some((parts.next()?, parts.next()?))
        })
        .collect();
    [&b""[..], b"pids", b"memory"]
        .into_iter()
        .find_map(|wanted| lines.iter().find(|(name, path)| name.split(|b| *b == b',').any(|n| n == wanted) && *path != b"/"))
        .map_or_else(|| Some("/".into()), |(_, path)| Some(HostText::from(*path)))
}

/// Inode of one of a process's namespaces; 0 when it cannot be read.
fn namespace(pid: u32, which: &str) -> u32 {
    let inode = link(pid, &format!("ns/{which}")).and_then(|link| {
        let digits = link.strip_prefix(which.as_bytes())?.strip_prefix(b":[")?.strip_suffix(b"]")?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    });
    inode.unwrap_or_default()
}

#[derive(Default)]
struct Status {
    uid: u32,
    euid: u32,
    capabilities: u64,
}

impl Status {
    fn parse(bytes: &[u8]) -> Self {
        let mut status = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(line);
            if let Some(ids) = line.strip_prefix("Uid:") {
                let mut ids = ids.split_whitespace().map_while(|id| id.parse().ok());
                (status.uid, status.euid) = (ids.next().unwrap_or_default(), ids.next().unwrap_or_default());
            } else if let Some(mask) = line.strip_prefix("CapEff:") {
                status.capabilities = u64::from_str_radix(mask.trim(), 16).unwrap_or_default();
            }
        }
        status
    }
}

/// The name stands in parentheses and may hold anything, parentheses too: the last one ends it.
fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let comm = bytes.get(open + 1..close)?;
    let fields: Vec<&str> = std::str::from_utf8(bytes.get(close + 1..)?).ok()?.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        comm: HostText::from(comm),
        state: *fields.first()?.as_bytes().first()?,
        ppid: u32::try_from(number(4)?).ok()?,
        start: number(22)?,
        threads: number(20)?,
        tty: number(7).and_then(|device| u32::try_from(device).ok()).unwrap_or_default(),
        kernel_thread: number(9)? & KERNEL_THREAD != 0,
    })
}

/// Name of a terminal by its device number (proc(5), stat field 7): `pts/3`, `tty1`, `ttyS0`.
fn terminal(device: u32) -> Option<HostText> {
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    Some(HostText::from(match (major, minor) {
        (0, _) => return None,
        // Documentation/admin-guide/devices.txt: 136 to 143 are the ends of pseudo-terminals that programs hold.
        (136..=143, _) => format!("pts/{}", minor + (major - 136) * 256),
        (4, 64..) => format!("ttyS{}", minor - 64),
        (4, _) => format!("tty{minor}"),
        _ => format!("{major}:{minor}"),
    }))
}

fn number(pid: u32, name: &str) -> Option<u32> {
    std::str::from_utf8(&file(pid, name)?).ok()?.trim().parse().ok()
}

fn link(pid: u32, name: &str) -> Option<Vec<u8>> {
    fs::read_link(format!("/proc/{pid}/{name}")).ok().map(|path| path.into_os_string().into_vec())
}

fn file(pid: u32, name: &str) -> Option<Vec<u8>> {
    limited(pid, name, FILE_MOST)
}

fn limited(pid: u32, name: &str, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(format!("/proc/{pid}/{name}")).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_hides_nothing() {
        let line = b"7 (a) S (1) \xff) R 3 7 7 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.comm.as_bytes(), stat.state, stat.ppid, stat.start), (&b"a) S (1) \xff"[..], b'R', 3, 4242));
        assert_eq!(parse_stat(b"7 )( R"), None);
    }

    #[test]
    fn we_find_ourselves() {
        let pid = std::process::id();
        let (me, image) = (who(pid).unwrap(), image(pid));
        assert!(pids().unwrap().contains(&pid));
        assert_eq!((me.pid, me.uid), (pid, nix::unistd::getuid().as_raw()));
        assert_eq!(image.exe, HostText::from(std::env::current_exe().unwrap().to_str().unwrap()));
        assert!(image.complete && !image.argv.is_empty() && me.netns != 0, "{image:?} {me:?}");
    }
}
