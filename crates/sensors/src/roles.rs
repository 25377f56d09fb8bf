//! Which kind of service a process is, from what it executes and where it listens.
//!
//! A role that raises suspicion may be claimed by anyone. A role that excuses (package manager, login session ...)
//! counts only for a program in a system directory: an attacker who can write there has no need of a name.

use std::collections::HashMap;

use bartizan_config::policy::Roles;
use bartizan_model::{HostText, ServiceRole};

/// The roles of the policy, ready to ask.
#[derive(Debug, Clone, Default)]
pub(super) struct RoleBook {
    roles: Option<Roles>,
    /// By the name of the executable; asked at every exec.
    facing: HashMap<String, ServiceRole>,
    excusing: HashMap<String, ServiceRole>,
}

/// Programs that accept people: what they start is a login session.
const LOGIN_DOORS: [&str; 4] = ["sshd", "sshd-session", "sshd-auth", "login"];
const SYSTEM_DIRECTORIES: [&str; 9] =
    ["/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/lib/", "/usr/lib64/", "/usr/libexec/", "/lib/", "/snap/snapd/"];

impl RoleBook {
    pub(super) fn new(roles: &Roles) -> Self {
        use ServiceRole::{ContainerRuntime, Database, MailServer, PackageManager, Scheduler, SecurityService, SshServer, WebServer};
        let book = |lists: &[(&[String], ServiceRole)]| {
            // The first list that names a program wins, so later ones are put in first.
            let pairs = lists.iter().rev().flat_map(|(names, role)| names.iter().map(move |name| (name.clone(), *role)));
            pairs.collect::<HashMap<String, ServiceRole>>()
        };
        let doors: Vec<String> = LOGIN_DOORS.iter().filter(|door| **door != "login").map(|door| (*door).to_owned()).collect();
        Self {
            facing: book(&[
                (&roles.web, WebServer),
                (&roles.database, Database),
                (&roles.mail, MailServer),
                (&roles.security, SecurityService),
            ]),
            excusing: book(&[
                (&doors, SshServer),
                (&roles.scheduler, Scheduler),
                (&roles.package_manager, PackageManager),
                (&roles.container_runtime, ContainerRuntime),
            ]),
            roles: Some(roles.clone()),
        }
    }

    /// The role of a program by its name, or by the script that it runs.
    pub(super) fn of_program(&self, exe: &HostText, argv: &[HostText]) -> Option<ServiceRole> {
        let name = exe.basename().into_owned();
        if is_system_path(exe)
            && let Some(role) = self.excusing(&name)
        {
            return Some(role);
        }
        if let Some(role) = self.facing(&name) {
            return Some(role);
        }
        if let Some(role) = argv.first().and_then(|title| self.facing(&title_name(title))) {
            return Some(role);
        }
        if !self.is_interpreter(&name) {
            return None;
        }
        let script = argv.get(1)?;
        if is_system_path(script)
            && let Some(role) = self.excusing(&script.basename())
        {
            return Some(role);
        }
        // Options may come before the script's name.
        argv.iter().skip(1).find(|arg| !arg.starts_with(b"-")).and_then(|script| self.facing(&script.basename()))
    }

    /// The role that a process takes on when it begins to listen on TCP; none when it has a better one.
    pub(super) fn of_listener(&self, pid: u32, port: u16, has: &[ServiceRole]) -> Option<ServiceRole> {
        use ServiceRole::{Agent, ContainerRuntime, PackageManager, SshServer};
        // The first process only opens sockets for others (socket activation); were it a network service, then
        // everything on the host would descend from one.
        let exempt = pid == 1
            || has.iter().any(|role| matches!(role, Agent | ContainerRuntime | PackageManager | SshServer) || role.is_network_facing());
        let web = self.roles.as_ref().is_some_and(|roles| roles.web_ports.contains(&port));
        (!exempt).then_some(if web { ServiceRole::WebServer } else { ServiceRole::NetworkService })
    }

    /// Whether what this program starts is a login session (unless it is a login door again).
    pub(super) fn opens_sessions(&self, exe: &HostText) -> bool {
        is_system_path(exe) && LOGIN_DOORS.contains(&exe.basename().as_ref())
    }

    fn facing(&self, name: &str) -> Option<ServiceRole> {
        self.facing.get(name).copied()
    }

    fn excusing(&self, name: &str) -> Option<ServiceRole> {
        self.excusing.get(name).copied()
    }

    fn is_interpreter(&self, name: &str) -> bool {
        let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        self.roles.as_ref().is_some_and(|roles| roles.interpreters.iter().any(|entry| entry == name || entry == plain))
    }
}

fn is_system_path(path: &HostText) -> bool {
    SYSTEM_DIRECTORIES.iter().any(|directory| path.starts_with(directory))
}

/// The program's name in a title as daemons write them into their first argument: `nginx: worker process`.
fn title_name(title: &HostText) -> String {
    let text = title.lossy();
    let name = text.split_once(": ").map_or("", |(name, _)| name);
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_config::policy::Policy;

    fn role(exe: &str, argv: &[&str]) -> Option<ServiceRole> {
        let argv: Vec<HostText> = argv.iter().map(|arg| HostText::from(*arg)).collect();
        RoleBook::new(&Policy::built_in().unwrap().roles).of_program(&exe.into(), &argv)
    }

    #[test]
    fn names_scripts_and_titles_are_known() {
        assert_eq!(role("/usr/sbin/nginx", &["nginx"]), Some(ServiceRole::WebServer));
        assert_eq!(role("/opt/x/worker", &["php-fpm: pool www"]), Some(ServiceRole::WebServer));
        assert_eq!(role("/usr/bin/python3.11", &["python3", "-u", "/srv/app/bin/gunicorn"]), Some(ServiceRole::WebServer));
        assert_eq!(role("/usr/bin/python3.11", &["python3", "/usr/bin/unattended-upgrade"]), Some(ServiceRole::PackageManager));
        assert_eq!(role("/usr/lib/postgresql/15/bin/postgres", &["postgres"]), Some(ServiceRole::Database));
        assert_eq!(role("/usr/bin/bash", &["bash", "nginx"]), None);
    }

    #[test]
    fn an_excuse_must_live_in_a_system_directory() {
        assert_eq!(role("/usr/bin/dpkg", &["dpkg"]), Some(ServiceRole::PackageManager));
        assert_eq!(role("/tmp/dpkg", &["/usr/bin/dpkg"]), None);
        assert_eq!(role("/usr/bin/python3", &["python3", "-c", "evil()", "/usr/bin/unattended-upgrade"]), None);
        assert_eq!(role("/tmp/nginx", &["nginx"]), Some(ServiceRole::WebServer));
    }

    #[test]
    fn listening_makes_a_service_but_not_of_everyone() {
        let book = RoleBook::new(&Policy::built_in().unwrap().roles);
        assert_eq!(book.of_listener(9, 8080, &[]), Some(ServiceRole::WebServer));
        assert_eq!(book.of_listener(9, 4444, &[]), Some(ServiceRole::NetworkService));
        assert_eq!(book.of_listener(9, 22, &[ServiceRole::SshServer]), None);
        assert_eq!(book.of_listener(9, 9000, &[ServiceRole::Database]), None);
        assert_eq!(book.of_listener(1, 22, &[]), None);
    }
}
