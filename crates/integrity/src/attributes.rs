//! Extended attributes in words: file capabilities (capabilities(7)), access control lists (acl(5)), labels.

use super::entry::Attribute;

/// Attribute of file capabilities.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";
/// Attribute of the access control list.
pub(crate) const ACCESS_LIST: &[u8] = b"system.posix_acl_access";
/// Attribute of the list that new files in a directory get.
pub(crate) const DEFAULT_LIST: &[u8] = b"system.posix_acl_default";
/// Attribute of SELinux.
pub(crate) const LABEL: &[u8] = b"security.selinux";

/// Names of capabilities by number (include/uapi/linux/capability.h).
const CAPABILITIES: [&str; 41] = [
    "cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_fsetid", "cap_kill", "cap_setgid", "cap_setuid",
    "cap_setpcap", "cap_linux_immutable", "cap_net_bind_service", "cap_net_broadcast", "cap_net_admin", "cap_net_raw", "cap_ipc_lock",
    "cap_ipc_owner", "cap_sys_module", "cap_sys_rawio", "cap_sys_chroot", "cap_sys_ptrace", "cap_sys_pacct", "cap_sys_admin",
    "cap_sys_boot", "cap_sys_nice", "cap_sys_resource", "cap_sys_time", "cap_sys_tty_config", "cap_mknod", "cap_lease", "cap_audit_write",
    "cap_audit_control", "cap_setfcap", "cap_mac_override", "cap_mac_admin", "cap_syslog", "cap_wake_alarm", "cap_block_suspend",
    "cap_audit_read", "cap_perfmon", "cap_bpf", "cap_checkpoint_restore",
];

/// What the attributes hold under this name.
pub(crate) fn find<'a>(attributes: &'a [Attribute], name: &[u8]) -> Option<&'a [u8]> {
    attributes.iter().find(|one| one.name == name).map(|one| one.value.as_slice())
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at * 4..at * 4 + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
    u64::from(word.map_or(0, u32::from_le_bytes))
}

/// The capabilities that a program with this attribute may have: `struct vfs_cap_data`, permitted and inheritable.
pub(crate) fn capabilities(value: Option<&[u8]>) -> Vec<String> {
    let value = value.unwrap_or_default();
    let bits = word(value, 1) | word(value, 2) | (word(value, 3) | word(value, 4)) << 32;
    let name = |number: u32| CAPABILITIES.get(number as usize).map_or_else(|| format!("cap_{number}"), |name| (*name).to_owned());
    (0..u64::BITS).filter(|number| bits >> number & 1 == 1).map(name).collect()
}

/// An access control list as getfacl(1) writes it, in one line: a version of 4 bytes, then entries of 8 (linux/posix_acl_xattr.h).
pub(crate) fn access_list(value: Option<&[u8]>) -> String {
    let Some(value) = value else { return "none".to_owned() };
    let entries = value.get(4..).unwrap_or_default().chunks_exact(8).map(|entry| {
        let (tag, rights) = (word(entry, 0) & 0xffff, word(entry, 0) >> 16);
        let id = word(entry, 1);
        let who = match tag {
            0x01 => "user:".to_owned(),
            0x02 => format!("user:{id}"),
            0x04 => "group:".to_owned(),
            0x08 => format!("group:{id}"),
            0x10 => "mask:".to_owned(),
            0x20 => "other:".to_owned(),
            _ => format!("tag {tag}:"),
        };
        let right = |bit: u64, letter: char| if rights & bit == 0 { '-' } else { letter };
        format!("{who}:{}{}{}", right(4, 'r'), right(2, 'w'), right(1, 'x'))
    });
    entries.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_names() {
        // `setcap cap_net_raw,cap_bpf+ep`: VFS_CAP_REVISION_2 with the effective bit.
        let mut value = 0x0200_0001_u32.to_le_bytes().to_vec();
        for word in [1u32 << 13, 0, 1 << (39 - 32), 0] {
            value.extend(word.to_le_bytes());
        }
        assert_eq!(capabilities(Some(&value)), ["cap_net_raw", "cap_bpf"]);
        assert_eq!(capabilities(Some(&[1])), Vec::<String>::new());
        assert_eq!(capabilities(None), Vec::<String>::new());
    }

    #[test]
    fn a_list_reads_as_getfacl_writes_it() {
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, rights, id) in [(1u16, 6u16, u32::MAX), (2, 7, 1000), (0x20, 4, u32::MAX)] {
            value.extend(tag.to_le_bytes());
            value.extend(rights.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        assert_eq!(access_list(Some(&value)), "user::rw-,user:1000:rwx,other::r--");
        assert_eq!(access_list(None), "none");
    }
}
