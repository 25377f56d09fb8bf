//! In which cgroup and which container a process runs, by its own entry in /proc.

use super::Found;
use bartizan_model::{HostText, LifelineReason};
use bartizan_sys::proc_files;

/// Notes cgroup and container of a process that must go on.
pub(super) fn of(found: &mut Found, pid: u32, why: LifelineReason) {
    // It may have ended since; then it needs no place.
    let Some(text) = proc_files::text(pid, "cgroup") else { return };
    for id in containers(&text) {
        found.container(id.to_owned(), LifelineReason::OwnContainer);
    }
    if let Some(path) = text.lines().find_map(|line| line.strip_prefix("0::")).filter(|path| *path != "/") {
        found.cgroup(HostText::from(path), why);
    }
}

/// Full ids of the containers that the lines of /proc/PID/cgroup name: `docker-ID.scope`, `/docker/ID`, `libpod-ID.scope`
/// and so on (cgroups(7): `hierarchy:controllers:path`).
pub(super) fn containers(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).flat_map(|path| path.split('/')).filter_map(|part| {
        let name = part.strip_suffix(".scope").unwrap_or(part);
        let id = name.rsplit('-').next()?;
        (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_found_in_either_hierarchy() {
        let id = "0123456789abcdef".repeat(4);
        for line in [
            format!("0::/system.slice/docker-{id}.scope"),
            format!("4:memory:/docker/{id}"),
            format!("0::/machine.slice/libpod-{id}.scope/container"),
        ] {
            assert_eq!(containers(&line).collect::<Vec<_>>(), [id.as_str()], "{line}");
        }
        assert_eq!(containers("0::/system.slice/ssh.service\nbroken\n1:a:").count(), 0);
    }
}
