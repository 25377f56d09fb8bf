//! A shell itself opens a connection: shells start programs that talk, they do not talk.

use bartizan_model::{Entity, Event, EventKind, Family, Protocol, Severity, Stage, Tier, is_public};

use super::kinship::{by_container_runtime, by_package_manager, by_person, grown_from, named, subject};
use super::{Detection, Detector, DetectorContext, Info};

static INFO: Info = Info {
    name: "shell_connects",
    title: "Shell opens a connection by itself",
    technique: &["T1059.004", "T1095"],
    family: Family::Outbound,
    stage: Stage::CommandAndControl,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.9,
    meaning: "A shell opened a network connection itself (bash's /dev/tcp, zsh's ztcp): the shortest reverse shell there is.",
    false_positives: "Scripts that wait for a port (wait-for-it) use /dev/tcp towards their own network; shells that look users up over LDAP.",
    quiet: "Use a real client (nc -z, curl) in scripts; loopback is never counted.",
};

/// DNS and LDAP: name and user look-ups happen inside the shell through the C library.
const LOOKUPS: [u16; 4] = [53, 853, 389, 636];

pub(super) struct ShellConnects;

impl Detector for ShellConnects {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, context: &DetectorContext<'_>) -> Option<Detection> {
        let (EventKind::Connect { net }, Some(process)) = (&event.kind, event.process.as_deref()) else {
            return None;
        };
        let (dst, dport) = (net.dst?.to_canonical(), net.dport?);
        if !context.is_shell(process) || dst.is_loopback() || dst.is_unspecified() || dport == 0 {
            return None;
        }
        if LOOKUPS.contains(&dport) && (net.proto == Protocol::Udp || !is_public(dst)) {
            return None;
        }
        let detection = Detection::new(format!("{} connected to {}", named(process), std::net::SocketAddr::from((dst, dport))));
        let near = dst_is_near(dst);
        let detection = if by_package_manager(process) {
            detection.rated(Severity::Low, 0.3)
        } else if grown_from(process).is_some() {
            detection.rated(Severity::Critical, if near { 0.8 } else { 0.95 })
        } else if by_container_runtime(process) && near {
            detection.rated(Severity::Low, 0.25)
        } else if by_person(process) {
            detection.rated(Severity::Medium, if near { 0.3 } else { 0.6 })
        } else if near {
            detection.rated(Severity::Medium, 0.5)
        } else {
            detection
        };
        Some(detection.about(Entity::Address(dst)).on(subject(process)))
    }
}

/// A private or link-local network (RFC 1918, 3927, 4193): our own parts usually live there.
fn dst_is_near(dst: std::net::IpAddr) -> bool {
    match dst {
        std::net::IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        std::net::IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};
    use super::*;

    #[test]
    fn dev_tcp_below_a_service_is_told_with_its_address() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let shell = scene.child(&nginx, "/usr/bin/bash -i");
        let signals = scene.connect(&shell, "198.51.100.7:4444");
        let signal = by(&signals, "shell_connects");
        assert_eq!((signal.severity, signal.confidence.get(), signal.subject), (Severity::Critical, 0.95, Some(shell.key)));
        assert_eq!(signal.sentence, format!("bash (pid {}) connected to 198.51.100.7:4444", shell.pid));
        assert!(signal.entities.contains(&Entity::Address("198.51.100.7".parse().unwrap())));
    }

    #[test]
    fn look_alikes_are_silent_or_low() {
        let mut scene = Scene::new();
        let login = scene.login();
        let cron = scene.daemon("/usr/sbin/cron");
        let job = scene.child(&cron, "/bin/bash -c x");
        let curl = scene.child(&job, "/usr/bin/curl https://example.org");
        assert_eq!(names(&scene.connect(&job, "127.0.0.1:8080")), [""; 0], "health check on loopback");
        assert_eq!(names(&scene.connect(&job, "[::ffff:127.0.0.1]:8080")), [""; 0]);
        assert_eq!(names(&scene.connect_udp(&job, "8.8.8.8:53")), [""; 0], "name look-up");
        assert_eq!(names(&scene.connect(&login, "10.0.0.2:389")), [""; 0], "LDAP look-up");
        assert_eq!(names(&scene.connect(&curl, "203.0.113.1:443")), [""; 0], "a client, not a shell");
        let shim = scene.daemon("/usr/bin/containerd-shim-runc-v2");
        let entry = scene.child(&shim, "/bin/bash /wait-for-it.sh db:5432");
        assert_eq!(by(&scene.connect(&entry, "172.18.0.3:5432"), "shell_connects").severity, Severity::Low);
    }
}
