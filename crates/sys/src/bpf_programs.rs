//! Which BPF programs are in the kernel, whoever loaded them: walked by id (bpf(2)), with who holds them now.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::proc_files;
use bartizan_model::HostText;

/// Commands of bpf(2) (include/uapi/linux/bpf.h).
const PROG_GET_NEXT_ID: libc::c_long = 11;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
/// Programs looked at; a host with more has the rest unseen ([`Walk::cut`]).
const MOST: usize = 16_384;
/// Bytes of `struct bpf_prog_info` that we ask for: up to and with its name.
const INFO: usize = 80;
/// Longest search for holders: every descriptor on the host takes some 4 ms for 600 of them.
const SEARCH: Duration = Duration::from_millis(60);
/// Descriptors of one process looked at.
const MAX_HELD: usize = 4096;

/// One program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its number; counted upwards since boot.
    pub id: u32,
    /// `kprobe`, `tracing`, `xdp` ...; a number when it is newer than we are.
    pub kind: String,
    /// The name its loader gave it, at most 15 bytes.
    pub name: HostText,
    /// When it was loaded, in nanoseconds since boot.
    pub loaded_at: u64,
    /// Who loaded it: user id.
    pub uid: u32,
}

/// All programs of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Walk {
    /// Ascending.
    pub ids: Vec<u32>,
    /// There were more than we look at.
    pub cut: bool,
}

/// Ids of all programs in the kernel.
///
/// # Errors
/// Without CAP_SYS_ADMIN (CAP_BPF before 5.8), or on a kernel without bpf(2).
pub fn walk() -> io::Result<Walk> {
    let mut walk = Walk::default();
    loop {
        // union bpf_attr: start_id, next_id, open_flags
        let mut attributes = [walk.ids.last().copied().unwrap_or(0), 0, 0];
        match call(PROG_GET_NEXT_ID, &mut attributes) {
            Ok(_) if walk.ids.len() < MOST => walk.ids.push(attributes[1]),
            Ok(_) => walk.cut = true,
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(walk),
            Err(e) => return Err(e),
        }
        if walk.cut {
            return Ok(walk);
        }
    }
}

/// What a program is; `None` when it is gone.
pub fn program(id: u32) -> Option<Program> {
    // SAFETY: the kernel just returned this descriptor to us; nobody else owns it.
    let held = unsafe { OwnedFd::from_raw_fd(call(PROG_GET_FD_BY_ID, &mut [id, 0, 0]).ok()?) };
    let mut info = [0_u64; INFO / 8];
    let place = info.as_mut_ptr() as u64;
    // union bpf_attr: bpf_fd, info_len, info
    let mut attributes = [held.as_raw_fd().cast_unsigned(), INFO as u32, place as u32, (place >> 32) as u32];
    if cfg!(target_endian = "big") {
        attributes.swap(2, 3);
    }
    call(OBJ_GET_INFO_BY_FD, &mut attributes).ok()?;
    parse(&info.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>())
}

/// `struct bpf_prog_info`: u32 type, u32 id, u8 tag[8], two u32 lengths, two u64 places, u64 load_time, u32 created_by_uid,
/// u32 nr_map_ids, u64 map_ids, char name[16].
fn parse(info: &[u8]) -> Option<Program> {
    let word = |at: usize| info.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    let loaded_at = info.get(40..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))?;
    let kind = word(0)?;
    let kind = KINDS.get(kind as usize).map_or_else(|| format!("type {kind}"), |name| (*name).to_owned());
    let name = HostText::from(info.get(64..80)?.split(|byte| *byte == 0).next()?);
    Some(Program { id: word(4)?, kind, name, loaded_at, uid: word(48)? })
}

/// `enum bpf_prog_type` (include/uapi/linux/bpf.h), in the words of bpftool.
const KINDS: [&str; 33] = [
    "unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb", "cgroup_sock",
    "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint", "cgroup_sock_addr",
    "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl", "raw_tracepoint_writable", "cgroup_sockopt",
    "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall", "netfilter",
];

fn call(command: libc::c_long, attributes: &mut [u32]) -> io::Result<i32> {
    // SAFETY: the attributes are ours, as long as we say, and outlive the call.
    let got = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size_of_val(attributes)) };
    i32::try_from(got).ok().filter(|got| *got >= 0).ok_or_else(io::Error::last_os_error)
}

/// Programs that this process holds itself.
pub fn held_by(pid: u32) -> HashSet<u32> {
    held(pid).collect()
}

/// For each of these programs one process that holds it (or a link of it) open. The search is cut after some time:
/// then the holder is simply not known.
pub fn holders(wanted: &HashSet<u32>) -> HashMap<u32, u32> {
    let (mut found, until) = (HashMap::new(), Instant::now() + SEARCH);
    // Loaders are young: the newest processes first.
    for pid in proc_files::pids().unwrap_or_default().into_iter().rev() {
        if found.len() == wanted.len() || Instant::now() > until {
            break;
        }
        for id in held(pid).filter(|id| wanted.contains(id)) {
            found.entry(id).or_insert(pid);
        }
    }
    found
}

fn held(pid: u32) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().take(MAX_HELD);
    entries.filter_map(move |entry| {
        let entry = entry.ok()?;
        let target = fs::read_link(entry.path()).ok()?;
        // `anon_inode:bpf-prog`, `anon_inode:bpf_link`, `anon_inode:[perf_event]` holds none by itself.
        target.as_os_str().as_encoded_bytes().starts_with(b"anon_inode:bpf").then_some(())?;
        prog_id(&format!("/proc/{pid}/fdinfo/{}", entry.file_name().to_str()?))
    })
}

fn prog_id(path: &str) -> Option<u32> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(4096).read_to_string(&mut text).ok()?;
    text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok())
}

/// BPF_PROG_LOAD of the smallest program: a socket filter that returns 0.
#[cfg(test)]
pub(crate) fn load_one(name: &[u8; 8]) -> io::Result<OwnedFd> {
    let code: [u64; 2] = [0x0000_0000_0000_00b7, 0x95]; // r0 = 0; exit
    let license = c"GPL";
    let mut attributes = [0_u64; 9];
    attributes[0] = 1 | (2 << 32); // socket_filter, two instructions
    attributes[1] = code.as_ptr() as u64;
    attributes[2] = license.as_ptr() as u64;
    attributes[6] = u64::from_ne_bytes(*name); // prog_name at 48
    // SAFETY: everything that the attributes point to lives for the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, 5, attributes.as_mut_ptr(), size_of_val(&attributes)) };
    // SAFETY: a descriptor just returned to us.
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_with_its_name_and_its_holder() {
        let program_of_ours = match load_one(b"bartiz_t") {
            Ok(held) => held,
            Err(why) => return eprintln!("skipped: bpf(2): {why}"),
        };
        let walk = walk().unwrap();
        assert!(!walk.cut && walk.ids.is_sorted());
        let all: Vec<Program> = walk.ids.iter().filter_map(|id| program(*id)).collect();
        let ours = all.iter().find(|program| program.name == *"bartiz_t").unwrap();
        assert_eq!((ours.kind.as_str(), ours.uid), ("socket_filter", 0));
        let age = super::super::clock::boot_ns().saturating_sub(ours.loaded_at);
        assert!(age < 5_000_000_000, "{age}");
        assert_eq!(holders(&HashSet::from([ours.id])).get(&ours.id), Some(&std::process::id()));
        assert!(held_by(std::process::id()).contains(&ours.id));
        drop(program_of_ours);
    }
}
