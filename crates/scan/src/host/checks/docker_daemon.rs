//! The Docker daemon: who can speak to it, for whoever can is root.

use serde_json::Value;

use crate::host::{Check, HostView, Looked, Notes};
use bartizan_model::{HostText, Severity};

pub(in crate::host) const CHECK: Check = Check {
    id: "docker-daemon",
    title: "Docker daemon",
    why: "Whoever can speak to the Docker daemon can mount the host's root into a container, and so is root.",
    look,
};

const SETTINGS: &str = "/etc/docker/daemon.json";
const SOCKETS: [&str; 2] = ["/run/docker.sock", "/var/run/docker.sock"];
const UNITS: [&str; 3] =
    ["/etc/systemd/system/docker.service", "/etc/systemd/system/docker.service.d/override.conf", "/lib/systemd/system/docker.service"];

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    let places = SOCKETS.iter().chain(&[SETTINGS, "/usr/bin/dockerd", "/var/lib/docker"]);
    if !places.into_iter().any(|path| view.facts(path.as_bytes()).is_some()) {
        return Looked::NotHere("Docker is not here");
    }
    if let Some(facts) = SOCKETS.iter().find_map(|path| view.facts(path.as_bytes())).filter(|facts| facts.mode & 0o006 != 0) {
        let title = "every user of this host can speak to the Docker daemon, and so is root".to_owned();
        let evidence = format!("mode {:04o}", facts.mode);
        notes.found(Severity::Critical, "/run/docker.sock", "open", title, evidence.as_bytes(), "chmod 0660 /run/docker.sock".to_owned());
    }
    settings(view, notes);
    for unit in UNITS {
        let text = notes.text(view, unit.as_bytes()).unwrap_or_default();
        if let Some(line) =
            text.lines().find(|line| line.starts_with("ExecStart") && line.contains("tcp://") && !line.contains("--tlsverify"))
        {
            open_to_network(unit, line, notes);
        }
    }
    members(view, notes);
    Looked::Done
}

fn settings(view: &dyn HostView, notes: &mut Notes) {
    let Some(bytes) = notes.read(view, SETTINGS.as_bytes()) else { return };
    let Ok(settings) = serde_json::from_slice::<Value>(&bytes) else {
        return notes.unread(SETTINGS, "it is not JSON".to_owned());
    };
    let hosts = settings.get("hosts").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let verified = settings.get("tlsverify") == Some(&Value::Bool(true));
    for host in hosts.filter(|host| host.starts_with("tcp://") && !verified) {
        open_to_network(SETTINGS, host, notes);
    }
    let registries = settings.get("insecure-registries").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let beyond: Vec<&str> = registries.filter(|one| !one.starts_with("127.") && !one.starts_with("localhost")).take(8).collect();
    if !beyond.is_empty() {
        let title = "Docker takes images from registries that it cannot tell from an impostor".to_owned();
        let fix = format!("give the registry a certificate and remove `insecure-registries` from {SETTINGS}");
        notes.found(Severity::Medium, SETTINGS, "registries", title, beyond.join(" ").as_bytes(), fix);
    }
}

fn open_to_network(place: &str, evidence: &str, notes: &mut Notes) {
    let is_local = evidence.contains("tcp://127.") || evidence.contains("tcp://localhost") || evidence.contains("tcp://[::1]");
    let (severity, who) =
        if is_local { (Severity::High, "every user of this host") } else { (Severity::Critical, "whoever reaches its port") };
    let title = format!("the Docker daemon listens without asking for a certificate: {who} is root");
    let fix = format!(
        "remove the tcp:// address from {place} and use `DOCKER_HOST=ssh://`, or set `tlsverify` (docs.docker.com/engine/security/protect-access)"
    );
    notes.found(severity, place, evidence, title, evidence.as_bytes(), fix);
}

fn members(view: &dyn HostView, notes: &mut Notes) {
    let group = notes.text(view, b"/etc/group").unwrap_or_default();
    let members = group.lines().find_map(|line| line.strip_prefix("docker:")).and_then(|rest| rest.rsplit(':').next()).unwrap_or_default();
    if !members.trim().is_empty() {
        let names = HostText::from(members).escaped();
        let title = format!("members of the group docker can become root without a password: {names}");
        let fix = "take out who need not be root: `gpasswd -d NAME docker`".to_owned();
        notes.found(Severity::Low, "/etc/group", members, title, members.as_bytes(), fix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    #[test]
    fn who_can_speak_to_the_daemon_is_told() {
        let good = Fake::default()
            .with(SOCKETS[0], "", 0o660, 0)
            .file(SETTINGS, "{\"log-driver\": \"local\"}")
            .file("/etc/group", "docker:x:999:\n");
        assert_eq!(good.finds(&CHECK), []);
        let bad = Fake::default()
            .with(SOCKETS[0], "", 0o666, 0)
            .file(SETTINGS, "{\"hosts\": [\"tcp://0.0.0.0:2375\", \"fd://\"], \"insecure-registries\": [\"r.example:5000\"]}")
            .file(UNITS[1], "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H tcp://127.0.0.1:2375\n")
            .file("/etc/group", "docker:x:999:ann,bob\n");
        let severities: Vec<_> = bad.finds(&CHECK).into_iter().map(|(severity, _)| severity).collect();
        use Severity::{Critical, High, Low, Medium};
        assert_eq!(severities, [Critical, Critical, Medium, High, Low]);
        assert!(matches!(Fake::default().look(&CHECK).1, Looked::NotHere(_)));
    }
}
