//! Which systemd unit and which container a cgroup path names.

use bartizan_model::HostText;

/// The innermost unit (`x.service`, `x.scope`) of a cgroup path.
pub(super) fn unit(cgroup: &HostText) -> Option<String> {
    let name = parts(cgroup).rev().find(|part| part.ends_with(b".service") || part.ends_with(b".scope"))?;
    Some(HostText::from(name).escaped())
}

/// The container that a cgroup path names, as its first 12 hex digits: `docker-<64 hex>.scope`, `/docker/<64 hex>`,
/// `libpod-`, `crio-`, `cri-containerd-` and `/kubepods/.../<64 hex>`.
pub(super) fn container(cgroup: &HostText) -> Option<String> {
    parts(cgroup).rev().find_map(|part| {
        let name = part.strip_suffix(b".scope").unwrap_or(part);
        let id = name.rsplit(|byte| *byte == b'-').next()?;
        let is_id = id.len() == 64 && id.iter().all(u8::is_ascii_hexdigit);
        if is_id { id.get(..12).map(|short| String::from_utf8_lossy(short).into_owned()) } else { None }
    })
}

fn parts(cgroup: &HostText) -> impl DoubleEndedIterator<Item = &[u8]> {
    cgroup.as_bytes().split(|byte| *byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn the_innermost_unit_counts() {
        assert_eq!(unit(&"/system.slice/nginx.service".into()), Some("nginx.service".into()));
        assert_eq!(unit(&"/user.slice/user@0.service/session-2.scope".into()), Some("session-2.scope".into()));
        assert_eq!(unit(&"/".into()), None);
        assert_eq!(unit(&HostText::from(&b"/a\x1b.service"[..])), Some("a\\x1b.service".into()));
    }

    #[test]
    fn containers_of_each_kind() {
        for path in [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/docker/{ID}"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/kubepods.slice/pod1.slice/cri-containerd-{ID}.scope"),
            format!("/kubepods/besteffort/pod1/{ID}"),
        ] {
            assert_eq!(container(&path.as_str().into()), Some("0123456789ab".into()), "{path}");
        }
        assert_eq!(container(&"/batch/0123456789abcdef0123456789abcdef".into()), None);
    }
}
