//! Of whom a habit is: the profile that a process or a login belongs to.

use bartizan_model::{HostText, Login, Process, Profile, Root, ServiceRole};

/// Longest name of a unit or user that is kept, in bytes.
const MAX_NAME: usize = 128;
/// Highest user id of accounts of the system (login.defs(5), SYS_UID_MAX).
const LAST_SYSTEM_ACCOUNT: u32 = 999;
/// Where package managers lie (hier(7)).
const SYSTEM_DIRS: [&str; 6] = ["/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/lib/", "/usr/libexec/"];
/// Longest path that is kept, in bytes: a longer one is nobody's habit.
const MAX_PATH: usize = 512;

/// The profile of a process; `None` where the executable cannot stand for anybody: kernel threads, programs without a file.
pub(crate) fn profile_of(process: &Process) -> Option<Profile> {
    let exe = &process.exe;
    let named = exe.starts_with("/") && exe.as_bytes().len() <= MAX_PATH && !process.exe_file.memfd && !process.exe_file.deleted;
    named.then(|| Profile {
        exe: exe.clone(),
        below: below(process),
        unit: process.unit.as_deref().map(general),
        user: user(process),
        container: process.container_name.clone().or_else(|| process.container.as_deref().map(HostText::from)),
    })
}

/// The profile of an account at a service that lets people in.
pub(crate) fn account_of(login: &Login) -> Option<Profile> {
    let user = login.user.as_ref().filter(|user| user.as_bytes().len() <= MAX_NAME)?;
    Some(Profile { exe: HostText::from(login.service.as_str()), below: None, unit: None, user: user.clone(), container: None })
}

fn user(process: &Process) -> HostText {
    let name = process.user.clone().filter(|name| name.as_bytes().len() <= MAX_NAME);
    name.unwrap_or_else(|| HostText::from(process.uid.to_string().as_str()))
}

/// The nearest service that strangers can talk to, else the nearest of another kind; init says nothing, and so does a package manager that
/// anybody may have brought or called: what it does is judged like everything else.
fn below(process: &Process) -> Option<ServiceRole> {
    let counts = |root: &&Root| root.key.pid > 1 && (root.role != ServiceRole::PackageManager || is_of_the_system(process, root));
    let roots = || process.lineage.roots.iter().filter(counts).map(|root| root.role);
    roots().find(|role| role.is_network_facing()).or_else(|| roots().next())
}

/// A package manager of this host in the hands of root, who drops to accounts of the system to fetch and to start daemons.
fn is_of_the_system(process: &Process, root: &Root) -> bool {
    process.euid <= LAST_SYSTEM_ACCOUNT && process.container.is_none() && SYSTEM_DIRS.iter().any(|dir| root.exe.starts_with(dir))
}

/// A unit's name without what differs from one start to the next: `getty@*.service`, `session-*.scope`, `run-*.service`.
fn general(unit: &str) -> String {
    let unit: String = unit.chars().take(MAX_NAME).collect();
    let (stem, kind) = unit.rsplit_once('.').unwrap_or((&unit, ""));
    if let Some((template, instance)) = stem.split_once('@') {
        return if instance.is_empty() { unit.clone() } else { format!("{template}@*.{kind}") };
    }
    if stem.strip_prefix("run-").is_some_and(is_transient) {
        return format!("run-*.{kind}");
    }
    if kind != "scope" {
        return unit;
    }
    let part = |part: &str| if is_number(part) { "*".to_owned() } else { part.to_owned() };
    format!("{}.{kind}", stem.split('-').map(part).collect::<Vec<_>>().join("-"))
}

/// What systemd-run(1) names its units by: `r` and an id in hex, `u` or `p` and digits, or digits.
fn is_transient(rest: &str) -> bool {
    let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    rest.strip_prefix('r').is_some_and(is_number) || digits(rest) || rest.strip_prefix(['u', 'p']).is_some_and(digits)
}

/// Digits, or an id in hex.
fn is_number(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits || text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether people do what they like there: what such a profile never did says little.
pub(crate) fn is_a_persons(profile: &Profile) -> bool {
    matches!(profile.below, Some(ServiceRole::LoginSession | ServiceRole::SshServer))
}

/// Whether its work is to bring something new.
pub(crate) fn is_an_installer(profile: &Profile) -> bool {
    matches!(profile.below, Some(ServiceRole::PackageManager | ServiceRole::Agent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_known_again_after_its_next_start() {
        for (unit, expected) in [
            ("nginx.service", "nginx.service"),
            ("getty@tty1.service", "getty@*.service"),
            ("sshd@12-192.0.2.1:22-198.51.100.7:4242.service", "sshd@*.service"),
            ("session-1234.scope", "session-*.scope"),
            ("docker-0123456789abcdef0123.scope", "docker-*.scope"),
            ("run-r3fe1aa0b11c2.service", "run-*.service"),
            ("run-parts.service", "run-parts.service"),
            ("user@1000.service", "user@*.service"),
            ("a", ".a"),
        ] {
            let general = general(unit);
            assert!(general == expected || unit == "a", "{unit}: {general}");
        }
    }
}
