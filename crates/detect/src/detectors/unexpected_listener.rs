//! Something begins to listen that was not there when the agent started.

use std::collections::HashSet;

use bartizan_model::{Event, EventKind, Family, Flow, HostText, ListeningUnit, Process, Severity, Stage, Tier};

use super::context::{in_system_dir, in_writable_dir};
use super::kinship::{below_session, by_container_runtime, by_package_manager, by_person, clip, grown_from, named, subject};
use super::{Detection, Detector, DetectorContext, Info};

static INFO: Info = Info {
    name: "unexpected_listener",
    title: "New listener",
    technique: &["T1571", "T1095"],
    family: Family::Anomaly,
    stage: Stage::Persistence,
    tier: Tier::Stable,
    severity: Severity::Medium,
    confidence: 0.5,
    meaning: "A program waits for connections that nothing waited for when the agent started: a back door, or a new service. What the unit of a package, or an enabled one, starts as its own program is expected.",
    false_positives: "A service outside of system directories that was first started after the agent; development servers; language servers on loopback.",
    quiet: "Write the port or the program's path under [listeners] expected in policy.toml.",
};

/// Pairs of program and port remembered. Beyond it new ones are still told, each time anew.
const MAX_KNOWN: usize = 4096;

pub(super) struct UnexpectedListener {
    known: HashSet<(HostText, u16)>,
    /// Programs that listened at the start, on whatever port.
    programs: HashSet<HostText>,
    /// Ports whose program could not be read at the start.
    ports: HashSet<u16>,
}

impl UnexpectedListener {
    /// Takes what listens at the start for known.
    pub(super) fn new(listeners: &[(Flow, Option<HostText>)]) -> Self {
        let mut new = Self { known: HashSet::new(), programs: HashSet::new(), ports: HashSet::new() };
        for (flow, exe) in listeners.iter().take(MAX_KNOWN) {
            match exe {
                Some(exe) => {
                    new.known.insert((exe.clone(), flow.sport));
                    new.programs.insert(exe.clone());
                }
                None => drop(new.ports.insert(flow.sport)),
            }
        }
        new
    }

    /// Severity and confidence; `None` when it is no surprise.
    fn rate(&self, process: &Process, net: &Flow, installed: bool, context: &DetectorContext<'_>) -> Option<(Severity, f64)> {
        let loopback = net.src.to_canonical().is_loopback();
        if grown_from(process).is_some() {
            return Some((Severity::High, 0.9));
        }
        if by_container_runtime(process) && in_system_dir(&process.exe) {
            // docker-proxy for a published port, or a service inside its container.
            return process.container.is_some().then_some((Severity::Low, 0.2));
        }
        if by_person(process) && below_session(process) {
            return (!loopback).then_some((Severity::Low, 0.3));
        }
        if in_writable_dir(&process.exe) || process.exe_file.memfd || process.exe_file.deleted || context.is_shell(process) {
            return Some((Severity::High, 0.85));
        }
        if context.is_interpreter(process) {
            return Some(if loopback || installed { (Severity::Low, 0.3) } else { (Severity::High, 0.7) });
        }
        if self.programs.contains(&process.exe) || loopback {
            return Some((Severity::Low, 0.2));
        }
        Some((INFO.severity, INFO.confidence))
    }
}

/// Whether a unit that was installed or enabled listens as it is meant to: systemd itself for a socket unit, or a service's own
/// program. A shell or interpreter could be anything, and what grew from a session or a service is not the unit's own.
fn for_a_unit(process: &Process, unit: Option<&ListeningUnit>, context: &DetectorContext<'_>) -> bool {
    let by_init = process.key.pid <= 1
        || process.ppid == 1 && in_system_dir(&process.exe) && process.exe.basename() == "systemd" && !below_session(process);
    // The places where units lie are watched; of one whose file says nothing of this port nothing more is known.
    if by_init {
        return unit.is_none_or(|unit| unit.installed);
    }
    let own =
        in_system_dir(&process.exe) && !process.exe_file.memfd && !process.exe_file.deleted && !context.could_be_anything(&process.exe);
    own && unit.is_some_and(|unit| unit.installed) && grown_from(process).is_none() && !below_session(process)
}

impl Detector for UnexpectedListener {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, context: &DetectorContext<'_>) -> Option<Detection> {
        let (EventKind::Listen { net, unit }, Some(process)) = (&event.kind, event.process.as_deref()) else {
            return None;
        };
        let pair = (process.exe.clone(), net.sport);
        let expected =
            for_a_unit(process, unit.as_ref(), context) || context.expects_listener(&process.exe, net.sport) || by_package_manager(process);
        // A shell or netcat "known" at one port is no service: its name says nothing of what it does.
        let restarted = self.known.contains(&pair) && in_system_dir(&process.exe) && grown_from(process).is_none();
        let unnamed = self.ports.contains(&net.sport)
            && in_system_dir(&process.exe)
            && grown_from(process).is_none()
            && !context.could_be_anything(&process.exe);
        if expected || restarted || unnamed {
            return None;
        }
        let installed = unit.as_ref().is_some_and(|unit| unit.installed) && grown_from(process).is_none() && !below_session(process);
        let (severity, confidence) = self.rate(process, net, installed, context)?;
        let first = self.known.len() >= MAX_KNOWN || self.known.insert(pair);
        if !first && severity < Severity::High {
            return None;
        }
        let at = std::net::SocketAddr::from((net.src.to_canonical(), net.sport));
        let who = match unit {
            Some(unit) => format!("{}, of {},", named(process), clip(&unit.name, 80)),
            None => named(process),
        };
        Some(Detection::new(format!("{who} began to listen on {at}")).rated(severity, confidence).on(subject(process)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, as_role, by, listener, names};
    use super::*;
    use bartizan_model::ServiceRole;

    #[test]
    fn a_back_door_is_told_and_rated_by_who_opens_it() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let nc = as_role(scene.child(&nginx, "/usr/bin/nc.openbsd -l 4444"), ServiceRole::NetworkService);
        let signals = scene.listen(&nc, "0.0.0.0:4444");
        let signal = by(&signals, "unexpected_listener");
        assert_eq!((signal.severity, signal.subject), (Severity::High, Some(nc.key)));
        for (exe, severity) in
            [("/tmp/x", Severity::High), ("/usr/bin/python3.11 -m http.server", Severity::High), ("/usr/sbin/newd", Severity::Medium)]
        {
            let daemon = scene.daemon(exe);
            let daemon = as_role(daemon, ServiceRole::NetworkService);
            assert_eq!(by(&scene.listen(&daemon, "0.0.0.0:9999"), "unexpected_listener").severity, severity, "{exe}");
        }
    }

    #[test]
    fn a_known_service_may_restart_but_its_children_may_not_take_its_place() {
        let mut scene = Scene::with(&[(listener("0.0.0.0:80"), Some("/usr/sbin/nginx".into())), (listener("0.0.0.0:25"), None)]);
        let nginx = scene.daemon("/usr/sbin/nginx");
        assert_eq!(names(&scene.listen(&nginx, "0.0.0.0:80")), [""; 0]);
        assert_eq!(by(&scene.listen(&nginx, "0.0.0.0:81"), "unexpected_listener").severity, Severity::Low);
        let postfix = scene.daemon("/usr/lib/postfix/sbin/master");
        assert_eq!(names(&scene.listen(&postfix, "0.0.0.0:25")), [""; 0]);
        let nc = scene.child(&nginx, "/usr/bin/nc -l 25");
        assert_eq!(by(&scene.listen(&nc, "0.0.0.0:25"), "unexpected_listener").severity, Severity::High);
    }

    #[test]
    fn the_policy_can_expect_a_listener() {
        let policy = bartizan_config::Policy::parse("[listeners]\nexpected = [\"8090\", \"/opt/app/bin/app\"]\n", "p").unwrap();
        let mut scene = Scene::new();
        scene.detector_set = super::super::DetectorSet::new(&policy, &[]);
        let any = scene.daemon("/opt/other");
        let app = scene.daemon("/opt/app/bin/app");
        assert_eq!(names(&scene.listen(&any, "0.0.0.0:8090")), [""; 0]);
        assert_eq!(names(&scene.listen(&app, "0.0.0.0:1234")), [""; 0]);
        assert_eq!(names(&scene.listen(&any, "0.0.0.0:8091")), ["unexpected_listener"]);
    }

    #[test]
    fn what_an_installed_unit_starts_is_expected_and_what_borrows_its_name_is_not() {
        let mut scene = Scene::new();
        let sshd = as_role(scene.daemon("/usr/sbin/sshd -D"), ServiceRole::SshServer);
        let newd = as_role(scene.daemon("/usr/sbin/newd"), ServiceRole::NetworkService);
        let ours = |installed| Some(ListeningUnit { name: "some.service".to_owned(), installed });
        for own in [&sshd, &newd] {
            assert_eq!(names(&scene.listen_for(own, "0.0.0.0:22", ours(true))), [""; 0], "{}", own.exe);
        }
        // It executed the same program again (OpenSSH does for each start), or is a worker of it.
        let again = scene.child(&newd, "/usr/sbin/newd --worker");
        assert_eq!(names(&scene.listen_for(&again, "0.0.0.0:23", None)), ["unexpected_listener"]);
        let mut dropped = scene.daemon("/tmp/x");
        dropped.exe = "/tmp/sshd".into();
        let dropped = as_role(dropped, ServiceRole::NetworkService);
        assert_eq!(by(&scene.listen_for(&dropped, "0.0.0.0:2222", ours(true)), "unexpected_listener").severity, Severity::High);
        let said = scene.listen_for(&sshd, "0.0.0.0:2223", ours(false));
        assert_eq!(by(&said, "unexpected_listener").severity, Severity::Medium, "a unit that is neither of a package nor enabled");
        assert!(by(&said, "unexpected_listener").sentence.contains("of some.service, began to listen"), "{said:?}");
        let shell = scene.child(&sshd, "/usr/bin/bash");
        let nc = scene.child(&shell, "/usr/bin/nc -l");
        assert_eq!(names(&scene.listen_for(&nc, "0.0.0.0:4444", ours(true))), ["unexpected_listener"], "a shell below sshd");
        let python = as_role(scene.daemon("/usr/bin/python3 /srv/app.py"), ServiceRole::NetworkService);
        assert_eq!(by(&scene.listen_for(&python, "0.0.0.0:9100", ours(true)), "unexpected_listener").severity, Severity::Low);
    }

    #[test]
    fn a_socket_unit_is_named_unless_it_was_installed() {
        let mut scene = Scene::new();
        let init = scene.init();
        let unit = |name: &str, installed| Some(ListeningUnit { name: name.to_owned(), installed });
        // systemd opens the socket in a child that runs in the unit's cgroup.
        let mut helper = scene.child(&init, "/usr/lib/systemd/systemd");
        helper.ppid = 1;
        for systemd in [&init, &helper] {
            assert_eq!(names(&scene.listen_for(systemd, "0.0.0.0:2222", unit("ssh.socket", true))), [""; 0]);
        }
        let said = scene.listen_for(&helper, "0.0.0.0:4444", unit("run-r9.socket", false));
        assert!(by(&said, "unexpected_listener").sentence.contains("of run-r9.socket"), "{said:?}");
        let mut borrowed = scene.child(&init, "/tmp/systemd");
        borrowed.ppid = 1;
        assert_eq!(names(&scene.listen_for(&borrowed, "0.0.0.0:4445", None)), ["unexpected_listener"]);
    }

    #[test]
    fn look_alikes_are_silent_or_low() {
        let mut scene = Scene::new();
        let apt = scene.daemon("/usr/bin/apt-get install nginx");
        let installed = scene.child(&apt, "/usr/sbin/nginx");
        let dockerd = scene.daemon("/usr/bin/dockerd");
        let proxy = scene.child(&dockerd, "/usr/bin/docker-proxy -host-port 8080");
        let login = scene.login();
        let language_server = scene.child(&login, "/usr/bin/node server.js");
        assert_eq!(names(&scene.listen(&installed, "0.0.0.0:443")), ["unexpected_listener"; 0]);
        assert_eq!(names(&scene.listen(&proxy, "0.0.0.0:8080")), [""; 0]);
        assert_eq!(names(&scene.listen(&language_server, "127.0.0.1:40001")), [""; 0]);
        assert_eq!(by(&scene.listen(&language_server, "0.0.0.0:3000"), "unexpected_listener").severity, Severity::Low);
        let init = scene.init();
        assert_eq!(names(&scene.listen(&init, "0.0.0.0:2222")), [""; 0], "a socket unit");
    }
}
