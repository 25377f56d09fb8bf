//! What can be reached from outside: listeners on all addresses or on a public one, with their program.

use crate::host::{Check, HostView, Listener, Looked, Notes};
use bartizan_model::{HostText, Protocol, Severity, is_public};

pub(in crate::host) const CHECK: Check = Check {
    id: "listeners",
    title: "listeners that others can reach",
    why: "Everything that listens beyond this host is tried by strangers; what needs no password there is lost the day it is found.",
    look,
};

/// Services by port (IANA) that are not made for strangers, and what it means when one reaches them.
const NOT_FOR_STRANGERS: &[(u16, Severity, &str)] = &[
    (23, Severity::High, "telnet sends passwords in the clear"),
    (111, Severity::Low, "rpcbind tells about services and amplifies floods"),
    (512, Severity::High, "rexec trusts the network"),
    (513, Severity::High, "rlogin trusts the network"),
    (514, Severity::Medium, "rsh or syslog without authentication"),
    (873, Severity::Medium, "rsync modules often need no password"),
    (2049, Severity::Medium, "NFS trusts the addresses of clients"),
    (2375, Severity::Critical, "the Docker API without TLS gives root to everybody"),
    (2379, Severity::High, "etcd holds the secrets of a cluster"),
    (3306, Severity::Medium, "MySQL is a database"),
    (5432, Severity::Medium, "PostgreSQL is a database"),
    (5900, Severity::Medium, "VNC shows a screen, often without a password"),
    (6000, Severity::Medium, "X11 shows and controls a screen"),
    (6379, Severity::High, "Redis asks for no password unless it is told to"),
    (8086, Severity::Medium, "InfluxDB is a database"),
    (9200, Severity::High, "Elasticsearch asks for no password unless it is told to"),
    (10250, Severity::High, "the kubelet runs commands in containers"),
    (11211, Severity::High, "memcached asks nobody for a password and amplifies floods"),
    (27017, Severity::High, "MongoDB asks for no password unless it is told to"),
];

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    let mut listeners = match view.listeners() {
        Ok(listeners) => listeners,
        Err(why) => return Looked::NotPossible(why),
    };
    listeners.retain(|one| one.address.is_unspecified() || is_public(one.address));
    // The same service on IPv4 and IPv6 is one.
    listeners.sort_by_key(|one| (one.port, one.protocol as u8, one.address));
    listeners.dedup_by_key(|one| (one.port, one.protocol as u8, one.program.clone()));
    listeners.iter().for_each(|one| judge(one, notes));
    Looked::Done
}

fn judge(one: &Listener, notes: &mut Notes) {
    let protocol = if one.protocol == Protocol::Tcp { "tcp" } else { "udp" };
    let program = one.program.as_ref().map_or_else(|| "a program that cannot be told".to_owned(), HostText::escaped);
    let place = format!("{protocol} port {}", one.port);
    let known = NOT_FOR_STRANGERS.iter().find(|(port, ..)| *port == one.port);
    let (severity, title) = match known {
        Some((_, severity, meaning)) => (*severity, format!("{program} can be reached from outside on {place}: {meaning}")),
        None => (Severity::Info, format!("{program} can be reached from outside on {place}")),
    };
    let evidence = format!("{protocol} {}:{}", one.address, one.port);
    let fix = format!(
        "if strangers need not reach it: let it listen on 127.0.0.1 in its own configuration, or stop it (`ss -lnp 'sport = :{}'` names its process)",
        one.port
    );
    notes.found(severity, place, &program, title, evidence.as_bytes(), fix);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    fn listener(address: &str, port: u16) -> Listener {
        Listener { protocol: Protocol::Tcp, address: address.parse().unwrap(), port, program: Some("/usr/bin/x".into()) }
    }

    #[test]
    fn what_strangers_reach_is_told_by_what_it_is() {
        let local =
            Fake { listeners: vec![listener("127.0.0.1", 6379), listener("::1", 5432), listener("10.0.0.1", 6379)], ..Fake::default() };
        assert_eq!(local.finds(&CHECK), []);
        let open = Fake {
            listeners: vec![listener("0.0.0.0", 443), listener("::", 443), listener("0.0.0.0", 6379), listener("::", 2375)],
            ..Fake::default()
        };
        let severities: Vec<_> = open.finds(&CHECK).into_iter().map(|(severity, _)| severity).collect();
        assert_eq!(severities, [Severity::Info, Severity::Critical, Severity::High]);
    }
}
