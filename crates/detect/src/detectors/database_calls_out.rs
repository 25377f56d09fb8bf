//! A database, or what it started, connects to a public address.

use bartizan_model::{Entity, Event, EventKind, Family, Protocol, ServiceRole, Severity, Stage, Tier, is_public};

use super::kinship::{by_package_manager, by_person, grown_from, named, named_root, subject};
use super::{Detection, Detector, DetectorContext, Info};

static INFO: Info = Info {
    name: "database_calls_out",
    title: "Database connects to the Internet",
    technique: &["T1071", "T1041"],
    family: Family::Outbound,
    stage: Stage::CommandAndControl,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.85,
    meaning: "A database answers, it does not call strangers: data is being carried out, or a planted function calls home.",
    false_positives: "Replication or backup to public addresses, foreign data wrappers, telemetry of some databases (mongod, influxd).",
    quiet: "Replicate over private addresses or a tunnel; switch telemetry off.",
};

/// DNS and NTP.
const LOOKUPS: [u16; 2] = [53, 123];

pub(super) struct DatabaseCallsOut;

impl Detector for DatabaseCallsOut {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, _sight: &DetectorContext<'_>) -> Option<Detection> {
        let (EventKind::Connect { net }, Some(process)) = (&event.kind, event.process.as_deref()) else {
            return None;
        };
        let (dst, dport) = (net.dst?.to_canonical(), net.dport?);
        let database = process.lineage.root(ServiceRole::Database)?;
        if !is_public(dst) || by_person(process) || by_package_manager(process) {
            return None;
        }
        // The C library connects UDP sockets only to learn a source address, or to ask a name server.
        if net.proto == Protocol::Udp && (LOOKUPS.contains(&dport) || dport == 0) {
            return None;
        }
        let to = std::net::SocketAddr::from((dst, dport));
        let itself = database.key == process.key && database.exe == process.exe;
        let detection = if itself {
            Detection::new(format!("database {} connected to {to}", named(process)))
        } else {
            Detection::new(format!("{}, started by database {}, connected to {to}", named(process), named_root(database)))
        };
        let detection = if net.proto == Protocol::Udp { detection.rated(Severity::Medium, 0.4) } else { detection };
        let detection = if grown_from(process).is_some() && !itself { detection.on(subject(process)) } else { detection };
        Some(detection.about(Entity::Address(dst)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};

    #[test]
    fn a_database_that_calls_a_stranger_is_told() {
        let mut scene = Scene::new();
        let mysqld = scene.daemon("/usr/sbin/mysqld");
        let signals = scene.connect(&mysqld, "[::ffff:8.8.4.4]:443");
        let signal = by(&signals, "database_calls_out");
        assert_eq!(
            (signal.subject, signal.sentence.as_str()),
            (None, format!("database mysqld (pid {}) connected to 8.8.4.4:443", mysqld.pid).as_str())
        );
        let program = scene.child(&mysqld, "/usr/bin/curl x");
        assert_eq!(by(&scene.connect(&program, "8.8.4.4:443"), "database_calls_out").subject, Some(program.key));
    }

    #[test]
    fn look_alikes_are_silent() {
        let mut scene = Scene::new();
        let mysqld = scene.daemon("/usr/sbin/mysqld");
        for near in ["10.0.0.7:3306", "192.168.1.4:3306", "127.0.0.1:3306", "[fd00::2]:3306", "100.64.0.1:5432"] {
            assert_eq!(names(&scene.connect(&mysqld, near)), [""; 0], "{near}");
        }
        assert_eq!(names(&scene.connect_udp(&mysqld, "8.8.8.8:53")), [""; 0], "name look-up");
        let nginx = scene.daemon("/usr/sbin/nginx");
        assert_eq!(names(&scene.connect(&nginx, "8.8.8.8:443")), [""; 0], "not a database");
        let login = scene.login();
        let dump = scene.child(&login, "/usr/bin/mysqldump");
        assert_eq!(names(&scene.connect(&dump, "8.8.8.8:3306")), [""; 0], "a client of a person");
    }
}
