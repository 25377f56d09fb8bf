//! Where a process comes from and where its program lies, in the words of rules.

use bartizan_model::{HostText, Process, ServiceRole};

/// Directories that only root and package managers write (hier(7), FHS 3.0).
const SYSTEM: [&str; 9] = ["/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/lib/", "/lib/", "/usr/libexec/", "/usr/lib64/", "/lib64/"];
/// Directories that anybody may write (FHS 3.0; /dev/shm is the kernel's).
const WRITABLE: [&str; 4] = ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/"];

/// What the parent ran: the nearest step of the lineage that is another process.
pub(crate) fn parent_image(process: &Process) -> Option<&HostText> {
    process.lineage.ancestors.iter().find(|ancestor| ancestor.key != process.key).map(|ancestor| &ancestor.exe)
}

pub(crate) fn roles(process: &Process) -> impl Iterator<Item = ServiceRole> + '_ {
    // init listens for others (socket units) and stands above everything, so it says nothing.
    process.lineage.roots.iter().filter(|root| root.key.pid > 1).map(|root| root.role)
}

/// What started it, the strongest claim first: what strangers can talk to is never excused by what else stands there.
pub(crate) fn context(process: &Process) -> &'static str {
    let has = |wanted: ServiceRole| roles(process).any(|role| role == wanted);
    match () {
        () if roles(process).any(ServiceRole::is_network_facing) => "service",
        () if is_real_package_manager(process) => "package-manager",
        () if has(ServiceRole::ContainerRuntime) || process.container.is_some() => "container",
        () if has(ServiceRole::LoginSession) || has(ServiceRole::SshServer) => "login",
        () if has(ServiceRole::Scheduler) => "scheduler",
        () => "system",
    }
}

/// One that lies where only root can put it and works as root: a false name in /tmp or in a container's image says
/// nothing, nor does `apt-get`, told to run a command, in the hands of somebody without rights. Whom a lineage names
/// has no user id, so that of the process counts; apt itself drops to `_apt` to fetch.
fn is_real_package_manager(process: &Process) -> bool {
    let manager = process.lineage.root(ServiceRole::PackageManager);
    let root = process.euid == 0 || process.user.as_ref().is_some_and(|user| user.as_bytes() == b"_apt");
    root && process.container.is_none() && manager.is_some_and(|root| SYSTEM.iter().any(|dir| root.exe.starts_with(dir)))
}

pub(crate) fn role_name(role: ServiceRole) -> &'static str {
    match role {
        ServiceRole::WebServer => "web-server",
        ServiceRole::Database => "database",
        ServiceRole::MailServer => "mail-server",
        ServiceRole::NetworkService => "network-service",
        ServiceRole::SshServer => "ssh-server",
        ServiceRole::LoginSession => "login-session",
        ServiceRole::Scheduler => "scheduler",
        ServiceRole::PackageManager => "package-manager",
        ServiceRole::ContainerRuntime => "container-runtime",
        ServiceRole::SecurityService => "security-service",
        ServiceRole::Agent => "agent",
    }
}

pub(crate) fn origin(process: &Process) -> &'static str {
    let exe = &process.exe;
    match () {
        () if process.exe_file.memfd => "memory",
        () if process.exe_file.deleted => "deleted",
        () if WRITABLE.iter().any(|dir| exe.starts_with(dir)) => "writable",
        () if exe.as_bytes().windows(2).any(|two| two == b"/.") => "hidden",
        () if SYSTEM.iter().any(|dir| exe.starts_with(dir)) => "system",
        () if exe.starts_with("/home/") || exe.starts_with("/root/") => "home",
        () => "other",
    }
}

#[cfg(test)]
mod tests {
    use crate::Example;

    use super::*;

    #[test]
    fn a_package_manager_excuses_only_who_has_its_rights() {
        let of = |who: &str| {
            let line = format!(
                r#"{{"match": true, "exe": "/usr/bin/dash", "parents": ["/usr/bin/apt-get"], "roles": ["package-manager"], {who}}}"#
            );
            context(Example::parse_all(&line).unwrap()[0].event.process.as_deref().unwrap())
        };
        assert_eq!(of(r#""uid": 0"#), "package-manager");
        assert_eq!(of(r#""uid": 42, "user": "_apt""#), "package-manager");
        assert_eq!(of(r#""uid": 1000, "user": "ann""#), "system");
        assert_eq!(of(r#""uid": 65534, "user": "nobody""#), "system");
    }
}
