//! Kinds of file systems: where their files lie, by the name in `mountinfo` (proc(5)) or by the number of statfs(2).

/// Where the files of a file system lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// Files that lie on a disk or in memory of this host.
    Local,
    /// Files that the kernel makes up (/proc, /sys): not content, and reading some does something.
    Kernel,
    /// Files of another host, or of a program (NFS, CIFS, FUSE): changes made there are not seen here, inodes may change, and an
    /// answer may never come.
    Remote,
}

/// The one that is the kernel's and yet may never answer: a daemon mounts what is asked for.
const AUTOFS: &[u8] = b"autofs";

/// Name and number (linux/magic.h, and the sources of those that are not in it). All others are local.
#[rustfmt::skip]
const KNOWN: [(&[u8], u64, FileSystem); 40] = {
    use FileSystem::{Kernel, Remote};
    [
        (AUTOFS, 0x0187, Kernel), (b"binder", 0x6c6f_6f70, Kernel), (b"binfmt_misc", 0x4249_4e4d, Kernel), (b"bpf", 0xcafe_4a11, Kernel),
        (b"cgroup", 0x0027_e0eb, Kernel), (b"cgroup2", 0x6367_7270, Kernel), (b"configfs", 0x6265_6570, Kernel),
        (b"debugfs", 0x6462_6720, Kernel), (b"devpts", 0x1cd1, Kernel), (b"efivarfs", 0xde5e_81e4, Kernel),
        (b"fusectl", 0x6573_5543, Kernel), (b"mqueue", 0x1980_0202, Kernel), (b"nfsd", 0x6e66_7364, Kernel),
        (b"nsfs", 0x6e73_6673, Kernel), (b"proc", 0x9fa0, Kernel), (b"pstore", 0x6165_676c, Kernel), (b"resctrl", 0x0765_5821, Kernel),
        (b"rpc_pipefs", 0x6759_6969, Kernel), (b"securityfs", 0x7363_6673, Kernel), (b"selinuxfs", 0xf97c_ff8c, Kernel),
        (b"smackfs", 0x4341_5d53, Kernel), (b"sysfs", 0x6265_6572, Kernel), (b"tracefs", 0x7472_6163, Kernel),
        (b"9p", 0x0102_1997, Remote), (b"afs", 0x5346_414f, Remote), (b"ceph", 0x00c3_6400, Remote), (b"cifs", 0xff53_4d42, Remote),
        (b"coda", 0x7375_7245, Remote), (b"fuse", 0x6573_5546, Remote), (b"fuseblk", 0x6573_5546, Remote),
        (b"gpfs", 0x4750_4653, Remote), (b"lustre", 0x0bd0_0bd0, Remote), (b"nfs", 0x6969, Remote), (b"nfs4", 0x6969, Remote),
        (b"orangefs", 0x2003_0528, Remote), (b"pvfs2", 0x2003_0528, Remote), (b"smb3", 0xfe53_4d42, Remote),
        (b"vboxsf", 0x786f_4256, Remote), (b"virtiofs", 0x6573_5546, Remote), (b"vmhgfs", 0xbacb_acbc, Remote),
    ]
};

impl FileSystem {
    /// By the number of statfs(2).
    pub(super) fn of_number(number: u64) -> Self {
        KNOWN.iter().find(|(_, known, _)| *known == number).map_or(Self::Local, |(.., found)| *found)
    }

    /// By the name in `mountinfo`; of FUSE also with the name of its program.
    pub(super) fn of_name(name: &[u8]) -> Self {
        let bare = if name.starts_with(b"fuse.") { b"fuse" } else { name };
        KNOWN.iter().find(|(known, ..)| *known == bare).map_or(Self::Local, |(.., found)| *found)
    }
}

/// Whether reading from a file system of this name waits for a process or another host, and so may never end.
pub(super) fn may_never_answer(name: &[u8]) -> bool {
    name == AUTOFS || FileSystem::of_name(name) == FileSystem::Remote
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_number_of_each_say_the_same() {
        for (at, (name, number, kind)) in KNOWN.iter().enumerate() {
            assert_eq!((FileSystem::of_name(name), FileSystem::of_number(*number)), (*kind, *kind), "{}", name.escape_ascii());
            assert!(KNOWN[..at].iter().all(|(other, ..)| other != name), "{} is there twice", name.escape_ascii());
        }
        assert_eq!((FileSystem::of_name(b"ext4"), FileSystem::of_number(0xef53)), (FileSystem::Local, FileSystem::Local));
        assert_eq!((FileSystem::of_name(b"fuse.sshfs"), FileSystem::of_name(b"tmpfs")), (FileSystem::Remote, FileSystem::Local));
        assert!(may_never_answer(b"autofs") && may_never_answer(b"nfs4") && !may_never_answer(b"proc"));
    }

    #[test]
    fn what_the_kernel_tells_of_its_own_mounts_is_in_the_table() {
        let number = |place: &str| rustix::fs::statfs(place).map(|found| found.f_type as u64 & 0xffff_ffff);
        assert_eq!(number("/proc").map(FileSystem::of_number), Ok(FileSystem::Kernel));
        assert_eq!(number("/sys").map(FileSystem::of_number), Ok(FileSystem::Kernel));
    }
}
