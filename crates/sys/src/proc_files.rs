//! Processes as /proc shows them, as bytes: names and arguments that are not UTF-8 stay what they are. The `procfs` crate reads
//! `status`, `cgroup` and `cmdline` as text and gives up at the first odd byte, by which a process could hide; so these are ours.

use std::fmt::Display;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use super::process_stat::Stat;
use super::sighting::{Image, MAX_ARGV, Who, audit_id, split_argv};
use super::{environment, mountinfo};
use bartizan_model::{ExeFile, HostText, Namespaces};

/// Longest of the small files of /proc that we read.
const MAX_FILE: u64 = 64 << 10;
/// Longest of those that are read as text: tables of a network grow with it.
const TEXT_MAX: u64 = 1 << 20;

/// Why processes of others cannot be looked at, if so: `hidepid` of proc(5) hides even init's.
pub fn hidden() -> Option<String> {
    let proc = mountinfo::own().into_iter().rfind(|line| line.point == b"/proc")?;
    let hides = |option: &&[u8]| option.starts_with(b"hidepid=") && !matches!(*option, b"hidepid=0" | b"hidepid=off");
    let option = String::from_utf8_lossy(proc.options.split(|byte| *byte == b',').find(hides)?).into_owned();
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

/// A file of a process (or of `self`, `thread-self`) as text, at most 1 MiB of it, odd bytes replaced: by one of them in a name
/// nobody hides the rest. `None` when it is gone or may not be read.
pub fn text(who: impl Display, name: &str) -> Option<String> {
    limited(who, name, TEXT_MAX).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The real user id of a living process, as this host counts it, whatever its own user namespace says (`/proc/PID/status`;
/// the owner of the directory is root's for many others too).
pub fn real_uid(pid: u32) -> Option<u32> {
    text(pid, "status")?.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().next()?.parse().ok()
}

/// Who logged in for it, as pam_loginuid noted (audit); `None` when nobody did.
pub fn login_uid(pid: u32) -> Option<u32> {
    number(pid, "loginuid").and_then(audit_id)
}

/// Who a process is now; `None` when it is gone. The moment given is that of its start.
pub fn who(pid: u32) -> Option<Who> {
    let stat = Stat::read(pid)?;
    let status = Status::parse(&file(pid, "status")?);
    Some(Who {
        pid,
        start: stat.start,
        ppid: stat.ppid,
        parent_start: Stat::read(stat.ppid).map(|parent| parent.start),
        at: stat.start.saturating_mul(10_000_000),
        uid: status.uid,
        euid: status.euid,
        loginuid: login_uid(pid),
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
    limited(pid, "cmdline", MAX_ARGV as u64 + 1)
}

/// What a process runs now. What cannot be read is empty, and [`Image::complete`] is false.
pub fn image(pid: u32) -> Image {
    image_with(pid, arguments(pid))
}

/// The same, with arguments that were read a moment ago.
pub fn image_with(pid: u32, argv: Option<Vec<u8>>) -> Image {
    let exe = link(pid, "exe");
    let Some(exe) = exe else {
        if Stat::read(pid).is_some_and(|stat| stat.is_kernel_thread()) {
            return kernel_thread(pid);
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
    let argv_truncated = argv.len() > MAX_ARGV;
    argv.truncate(MAX_ARGV);
    Image {
        exe,
        exe_file,
        argv: split_argv(&argv),
        argv_truncated,
        environment: limited(pid, "environ", environment::MOST as u64).map(|area| environment::notable(&area)).unwrap_or_default(),
        tty: Stat::read(pid).and_then(|stat| terminal(stat.terminal)),
        cwd: cwd.unwrap_or_default().into(),
        cgroup: cgroup.unwrap_or_default(),
        stdio_sockets: stdio_sockets(pid),
        complete,
    }
}

/// Which of fds 0, 1, 2 are sockets: one bit each.
fn stdio_sockets(pid: u32) -> u8 {
    (0..3).filter(|fd| link(pid, &format!("fd/{fd}")).is_some_and(|to| to.starts_with(b"socket:["))).map(|fd| 1 << fd).sum()
}

fn kernel_thread(pid: u32) -> Image {
    let name = file(pid, "comm").unwrap_or_default();
    let name = [b"[", name.strip_suffix(b"\n").unwrap_or(&name), b"]"].concat();
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
    limited(pid, name, MAX_FILE)
}

fn limited(who: impl Display, name: &str, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(format!("/proc/{who}/{name}")).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_find_ourselves() {
        let pid = std::process::id();
        let (me, image) = (who(pid).unwrap(), image(pid));
        assert!(pids().unwrap().contains(&pid));
        assert_eq!((me.pid, me.uid), (pid, nix::unistd::getuid().as_raw()));
        assert_eq!(image.exe, HostText::from(std::env::current_exe().unwrap().to_str().unwrap()));
        assert!(image.complete && !image.argv.is_empty() && me.netns != 0, "{image:?} {me:?}");
    }

    #[test]
    fn a_name_with_an_odd_byte_hides_no_process() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(std::ffi::OsStr::from_bytes(b"odd\xff"));
        fs::copy("/bin/sleep", &program).unwrap();
        let mut child = std::process::Command::new(&program).arg("20").spawn().unwrap();
        let named = fs::read(format!("/proc/{}/comm", child.id())).unwrap();
        let seen = (real_uid(child.id()), text(child.id(), "cgroup").is_some(), who(child.id()).map(|who| who.uid));
        child.kill().unwrap();
        child.wait().unwrap();
        let me = nix::unistd::getuid().as_raw();
        assert_eq!((named.as_slice(), seen), (&b"odd\xff\n"[..], (Some(me), true, Some(me))));
    }
}
