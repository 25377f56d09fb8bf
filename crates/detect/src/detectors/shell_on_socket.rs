//! A command interpreter whose input and output are a socket: somebody far away types.

use std::collections::VecDeque;

use bartizan_model::{Entity, Event, EventId, EventKind, Family, Process, ProcessKey, Severity, Stage, Tier, Timestamp};

use super::context::program;
use super::kinship::{by_container_runtime, by_package_manager, by_person, grown_from, named, started_by_person, subject};
use super::{Detection, Detector, DetectorContext, Info};

static INFO: Info = Info {
    name: "shell_on_socket",
    title: "Shell with a socket as input and output",
    technique: &["T1059.004", "T1095", "T1071"],
    family: Family::Outbound,
    stage: Stage::CommandAndControl,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.9,
    meaning: "A command interpreter reads its commands from a socket and answers into it: a reverse or bind shell.",
    false_positives: "inetd-style services written in shell; programs that start helpers over socket pairs (node, Apache's mod_cgid).",
    quiet: "Give the service a program of its own in place of a shell; a socket unit with Accept=yes is already rated low.",
};

/// Connections remembered, to name the far end; the oldest goes first.
const MAX_CONNECTIONS: usize = 1024;
/// A connection older than this is not the one on the shell's stdin.
const CONNECTION_LIVES: chrono::TimeDelta = chrono::TimeDelta::minutes(10);
/// Ancestors that may have opened the connection and handed it down.
const NEAR: usize = 4;
/// stdin and stdout. Services that log to the journal have a socket on stdout, never on stdin.
const BOTH: u8 = 0b011;
/// Runtimes that give their children socket pairs as standard streams.
const SOCKET_PAIR_PARENTS: [&str; 4] = ["node", "bun", "deno", "apache2"];

#[derive(Default)]
pub(super) struct ShellOnSocket {
    connections: VecDeque<Connection>,
}

struct Connection {
    by: ProcessKey,
    /// Its input and output were sockets before: handed down, and nothing of this connection.
    had_sockets: bool,
    to: std::net::SocketAddr,
    event: EventId,
    at: Timestamp,
}

impl Detector for ShellOnSocket {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, context: &DetectorContext<'_>) -> Option<Detection> {
        let process = event.process.as_deref()?;
        if let EventKind::Connect { net } = &event.kind
            && let (Some(dst), Some(dport)) = (net.dst.filter(|dst| !dst.is_loopback()), net.dport)
        {
            self.remember(Connection {
                by: process.key,
                had_sockets: process.stdio_sockets & BOTH == BOTH,
                to: (dst.to_canonical(), dport).into(),
                event: event.id,
                at: event.at,
            });
        }
        if event.kind == EventKind::Exec { self.judge(process, event, context) } else { None }
    }
}

impl ShellOnSocket {
    fn remember(&mut self, connection: Connection) {
        if self.connections.len() >= MAX_CONNECTIONS {
            self.connections.pop_front();
        }
        self.connections.push_back(connection);
    }

    fn judge(&self, process: &Process, event: &Event, context: &DetectorContext<'_>) -> Option<Detection> {
        let interactive = context.is_shell(process) || (context.is_interpreter(process) && process.argv.len() == 1);
        if !interactive || process.stdio_sockets & BOTH != BOTH {
            return None;
        }
        // sshd gives sessions without a terminal (git, scp, ansible) a socket pair; docker exec may, too.
        if by_person(process) || by_container_runtime(process) || by_package_manager(process) {
            return None;
        }
        let said = format!("{} has a socket as input and output", named(process));
        if let Some(far) = self.far_end(process, event.at) {
            let mut detection = Detection::new(format!("{said}, connected to {}", far.to)).rated(Severity::Critical, 0.95);
            detection.events.push(far.event);
            detection.told = takes_commands(process);
            detection.hostile = (detection.told && self.is_proven(process, far, event.at)).then(|| far.to.ip());
            return Some(detection.about(Entity::Address(far.to.ip())).on(subject(process)));
        }
        let (severity, confidence) = unproven(process);
        let mut detection = Detection::new(said).rated(severity, confidence).on(subject(process));
        detection.told = severity >= Severity::High && takes_commands(process);
        Some(detection)
    }

    /// The last connection of the process itself or of those just above it, the service excluded: a service talks
    /// to many, and which of them is at the shell cannot be told.
    fn far_end(&self, process: &Process, now: Timestamp) -> Option<&Connection> {
        self.near(process, now).next()
    }

    /// Connections that may be the one on the shell's input, latest first.
    fn near(&self, process: &Process, now: Timestamp) -> impl Iterator<Item = &Connection> {
        let service = grown_from(process).map(|root| root.key);
        let above = process.lineage.ancestors.iter().take(NEAR).map(|ancestor| ancestor.key).take_while(|key| Some(*key) != service);
        let ours: Vec<ProcessKey> = std::iter::once(process.key).chain(above).collect();
        let fresh = move |at: Timestamp| now.signed_duration_since(at) <= CONNECTION_LIVES;
        self.connections.iter().rev().filter(move |connection| ours.contains(&connection.by) && fresh(connection.at))
    }

    /// Whether nothing else can be on the shell's input: who connected had no sockets there before, and called nobody else.
    fn is_proven(&self, process: &Process, far: &Connection, now: Timestamp) -> bool {
        self.near(process, now).all(|connection| !connection.had_sockets && connection.to.ip() == far.to.ip())
    }
}

/// Whether it reads its commands from its input: it was given neither a command line (`-c`) nor a script.
fn takes_commands(process: &Process) -> bool {
    let options = |arg: &[u8]| matches!(arg.first(), Some(b'-' | b'+')) && (arg.starts_with(b"--") || !arg.contains(&b'c'));
    process.argv.iter().skip(1).all(|arg| options(arg.as_bytes()))
}

/// How sure, when no connection is known to be behind it.
fn unproven(process: &Process) -> (Severity, f64) {
    let parent = process.lineage.ancestors.first();
    if parent.is_some_and(|parent| SOCKET_PAIR_PARENTS.contains(&program(&parent.exe).as_str())) {
        return (Severity::Low, 0.3);
    }
    if process.unit.as_deref().is_some_and(|unit| unit.contains('@')) && parent.is_none_or(|parent| parent.key.pid <= 1) {
        return (Severity::Low, 0.3);
    }
    if started_by_person(process) { (Severity::Medium, 0.5) } else { (Severity::High, 0.7) }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};
    use super::*;

    #[test]
    fn a_reverse_shell_names_its_far_end() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let python = scene.child(&nginx, "/usr/bin/python3 /tmp/r.py");
        scene.connect(&python, "[::ffff:203.0.113.9]:4444");
        let mut shell = scene.child(&python, "/bin/sh -i");
        shell.stdio_sockets = 0b111;
        let signals = scene.exec(&shell);
        let signal = by(&signals, "shell_on_socket");
        assert_eq!((signal.severity, signal.events.len()), (Severity::Critical, 2));
        assert!(signal.entities.contains(&Entity::Address("203.0.113.9".parse().unwrap())));
        assert!(signal.sentence.ends_with("has a socket as input and output, connected to 203.0.113.9:4444"), "{}", signal.sentence);
        assert_eq!((signal.subject, signal.hostile), (Some(python.key), Some("203.0.113.9".parse().unwrap())));
    }

    #[test]
    fn an_address_is_hostile_only_when_nothing_else_can_be_on_the_input() {
        let mut scene = Scene::new();
        let nrpe = scene.daemon("/usr/sbin/nginx");
        let hostile = |scene: &mut Scene, parent: &Process, line: &str| {
            let mut shell = scene.child(parent, line);
            shell.stdio_sockets = 0b111;
            by(&scene.exec(&shell), "shell_on_socket").hostile
        };
        let one = scene.child(&nrpe, "/usr/bin/python3 check.py");
        scene.connect(&one, "203.0.113.9:443");
        assert!(hostile(&mut scene, &one, "/bin/sh -i").is_some());
        assert_eq!(hostile(&mut scene, &one, "/bin/sh -c uptime"), None, "given its commands");
        assert_eq!(hostile(&mut scene, &one, "/bin/bash /usr/lib/check.sh"), None, "given a script");
        let two = scene.child(&nrpe, "/usr/bin/python3 check.py");
        scene.connect(&two, "203.0.113.9:443");
        scene.connect(&two, "203.0.113.10:443");
        assert_eq!(hostile(&mut scene, &two, "/bin/sh"), None, "it called two");
        let mut inetd = scene.child(&nrpe, "/bin/bash /usr/local/bin/answer");
        inetd.stdio_sockets = 0b011;
        scene.connect(&inetd, "203.0.113.9:443");
        assert_eq!(hostile(&mut scene, &inetd, "/bin/sh"), None, "its input was a socket before it called anybody");
    }

    #[test]
    fn a_bind_shell_and_a_shell_from_cron_are_told_without_an_address() {
        let mut scene = Scene::new();
        for daemon in ["/usr/sbin/nginx", "/usr/sbin/cron"] {
            let daemon = scene.daemon(daemon);
            let mut shell = scene.child(&daemon, "/bin/sh");
            shell.stdio_sockets = 0b011;
            assert_eq!(by(&scene.exec(&shell), "shell_on_socket").confidence.get(), 0.7);
        }
    }

    #[test]
    fn the_services_own_connections_are_not_blamed() {
        let mut scene = Scene::new();
        let php = scene.daemon("/usr/sbin/php-fpm8.2");
        scene.connect(&php, "10.0.0.5:3306");
        let mut shell = scene.child(&php, "/bin/sh");
        shell.stdio_sockets = 0b011;
        let signals = scene.exec(&shell);
        assert!(!by(&signals, "shell_on_socket").entities.iter().any(|e| matches!(e, Entity::Address(_))));
    }

    #[test]
    fn a_fake_container_runtime_or_login_below_a_service_excuses_nothing() {
        let mut scene = Scene::new();
        for fake in ["/var/www/containerd-shim", "/usr/sbin/sshd -i", "/tmp/bartizan"] {
            let nginx = scene.daemon("/usr/sbin/nginx");
            let fake = scene.child(&nginx, fake);
            let mut shell = scene.child(&fake, "/bin/sh");
            shell.stdio_sockets = 0b011;
            assert_eq!(names(&scene.exec(&shell)), ["web_server_shell", "shell_on_socket"], "{}", fake.exe);
        }
    }

    #[test]
    fn an_old_connection_is_not_blamed() {
        let mut scene = Scene::new();
        let cron = scene.daemon("/usr/sbin/cron");
        let python = scene.child(&cron, "/usr/bin/python3 job.py");
        scene.connect(&python, "203.0.113.9:443");
        scene.seconds += 601;
        let mut shell = scene.child(&python, "/bin/sh");
        shell.stdio_sockets = 0b011;
        assert_eq!(by(&scene.exec(&shell), "shell_on_socket").confidence.get(), 0.7);
    }

    #[test]
    fn look_alikes_are_silent_or_low() {
        let mut scene = Scene::new();
        let silent = |scene: &mut Scene, mut process: Process, bits| {
            process.stdio_sockets = bits;
            assert_eq!(names(&scene.exec(&process)), [""; 0], "{}", process.command());
        };
        let login = scene.login();
        let git = scene.child(&login, "/usr/bin/bash -c \"git-receive-pack x\"");
        silent(&mut scene, git, 0b111);
        let shim = scene.daemon("/usr/bin/containerd-shim-runc-v2");
        let docker_exec = scene.child(&shim, "/bin/sh");
        silent(&mut scene, docker_exec, 0b111);
        let unit_with_journal = scene.daemon("/bin/sh /usr/bin/service-script");
        silent(&mut scene, unit_with_journal, 0b110);
        let mut inetd = scene.daemon("/bin/sh /usr/local/bin/answer");
        (inetd.unit, inetd.stdio_sockets) = (Some("answer@3-10.0.0.1.service".to_owned()), 0b011);
        assert_eq!(by(&scene.exec(&inetd), "shell_on_socket").severity, Severity::Low);
        let node = scene.daemon("/usr/bin/node app.js");
        let mut helper = scene.child(&node, "/bin/sh -c convert");
        helper.stdio_sockets = 0b111;
        assert_eq!(by(&scene.exec(&helper), "shell_on_socket").severity, Severity::Low);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut scene = Scene::new();
        let python = scene.daemon("/usr/bin/python3 x");
        let mut detector = ShellOnSocket::default();
        let words = super::super::Words::new(&bartizan_config::Policy::built_in().unwrap());
        for port in 1..=2000u16 {
            let net = super::super::scene::flow(bartizan_model::Protocol::Tcp, &format!("203.0.113.9:{port}"));
            let event = Event {
                id: EventId(u64::from(port)),
                at: scene.at(),
                kind: EventKind::Connect { net },
                process: Some(std::sync::Arc::new(python.clone())),
                source: bartizan_model::Source::Ebpf,
                complete: true,
            };
            detector.observe(&event, &DetectorContext::new(&words));
        }
        assert_eq!(detector.connections.len(), MAX_CONNECTIONS);
    }
}
