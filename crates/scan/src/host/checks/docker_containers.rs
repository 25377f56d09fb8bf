//! Containers that Docker knows: which of them are not contained, by the files in which it keeps how each was made.

use serde_json::Value;

use crate::host::{Check, HostView, Looked, Notes, join};
use bartizan_model::{HostText, Severity};

pub(in crate::host) const CHECK: Check = Check {
    id: "docker-containers",
    title: "containers with the host's powers",
    why: "Whoever breaks into such a container is on the host: it was given what containers exist to keep away.",
    look,
};

const DIRECTORY: &[u8] = b"/var/lib/docker/containers";
/// Containers that are looked at.
const MAX_CONTAINERS: usize = 512;
/// Capabilities with which a process leaves its container (capabilities(7)).
const POWERFUL: [&str; 7] = ["ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF"];
/// Directories of the host through which it is taken over.
const HOST_PLACES: [&str; 8] = ["/", "/etc", "/root", "/proc", "/sys", "/dev", "/boot", "/var/lib/docker"];

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    if view.facts(DIRECTORY).is_none() {
        return Looked::NotHere("Docker has no containers here");
    }
    let names = view.list(DIRECTORY);
    if names.len() > MAX_CONTAINERS {
        notes.unread(DIRECTORY, format!("only {MAX_CONTAINERS} of {} containers were looked at", names.len()));
    }
    for name in names.iter().take(MAX_CONTAINERS) {
        let directory = join(DIRECTORY, name);
        let mut read = |file: &[u8]| {
            let path = join(&directory, file);
            let bytes = notes.read(view, &path)?;
            serde_json::from_slice::<Value>(&bytes).map_err(|_| notes.unread(path, "it is not JSON".to_owned())).ok()
        };
        if let (Some(host), Some(config)) = (read(b"hostconfig.json"), read(b"config.v2.json")) {
            judge(&host, &config, notes);
        }
    }
    Looked::Done
}

fn judge(host: &Value, config: &Value, notes: &mut Notes) {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |key: &str| -> Vec<String> {
        host.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let name = HostText::from(text(config, "Name").trim_start_matches('/')).escaped();
    let runs = config.get("State").and_then(|state| state.get("Running")) == Some(&Value::Bool(true));
    let mut weak = |severity: Severity, what: &str, title: &str, evidence: &str, option: &str| {
        // What does not run can be entered by nobody until somebody starts it.
        let (severity, state) = if runs { (severity, "") } else { (Severity::Info, " (it does not run now)") };
        let fix = format!("make the container again without {option}");
        notes.found(severity, format!("container {name}"), what, format!("container {name} {title}{state}"), evidence.as_bytes(), fix);
    };
    if host.get("Privileged") == Some(&Value::Bool(true)) {
        weak(Severity::High, "privileged", "is privileged: it has every right of the host", "Privileged: true", "--privileged");
    }
    let mounts = config.get("MountPoints").and_then(Value::as_object).into_iter().flat_map(|points| points.values());
    let sources = mounts
        .map(|point| text(point, "Source"))
        .chain(list("Binds").into_iter().filter_map(|bind| bind.split(':').next().map(str::to_owned)));
    let mut sources: Vec<String> = sources.filter(|source| !source.is_empty()).collect();
    sources.sort();
    sources.dedup();
    for source in &sources {
        let whole = source.trim_end_matches('/');
        let shown = HostText::from(source.as_str()).escaped();
        if whole.ends_with("/docker.sock") || whole.ends_with("/containerd.sock") {
            weak(
                Severity::High,
                source,
                "can speak to the container daemon, and so is root on the host",
                &shown,
                "the socket among its volumes",
            );
        } else if HOST_PLACES.contains(&if whole.is_empty() { "/" } else { whole }) {
            weak(
                Severity::High,
                source,
                &format!("has the host's {shown}"),
                &shown,
                "that volume, or with `:ro` and only the part it needs",
            );
        }
    }
    for (key, severity, title, option) in [
        ("PidMode", Severity::Medium, "sees and can stop the host's processes", "--pid=host"),
        ("NetworkMode", Severity::Low, "has the host's network, local services too", "--network=host"),
        ("IpcMode", Severity::Low, "shares the host's memory segments", "--ipc=host"),
        ("UsernsMode", Severity::Low, "is left out of user namespaces", "--userns=host"),
    ] {
        if text(host, key) == "host" {
            weak(severity, key, title, &format!("{key}: host"), option);
        }
    }
    let added: Vec<String> = list("CapAdd").into_iter().filter(|cap| POWERFUL.contains(&cap.trim_start_matches("CAP_"))).collect();
    if !added.is_empty() {
        let added = HostText::from(added.join(", ")).escaped();
        weak(Severity::High, "capabilities", &format!("has rights with which it can leave: {added}"), &added, "--cap-add of these");
    }
    let loose: Vec<String> = list("SecurityOpt").into_iter().filter(|option| option.ends_with("unconfined")).collect();
    if !loose.is_empty() {
        let loose = HostText::from(loose.join(", ")).escaped();
        weak(
            Severity::Medium,
            "unconfined",
            &format!("runs without a filter of its system calls or files: {loose}"),
            &loose,
            "that --security-opt",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    fn container(host: &str, config: &str) -> Fake {
        Fake::default()
            .directory("/var/lib/docker/containers", 0o710, 0)
            .file("/var/lib/docker/containers/ab/hostconfig.json", host)
            .file("/var/lib/docker/containers/ab/config.v2.json", config)
    }

    #[test]
    fn what_a_container_was_given_of_the_host_is_told() {
        let runs = r#"{"Name": "/web", "State": {"Running": true}, "MountPoints": {"/data": {"Source": "/srv/data"}}}"#;
        let good = r#"{"Privileged": false, "Binds": ["/srv/data:/data"], "NetworkMode": "bridge", "CapAdd": ["NET_BIND_SERVICE"], "SecurityOpt": null}"#;
        assert_eq!(container(good, runs).finds(&CHECK), []);
        let bad = r#"{"Privileged": true, "Binds": ["/var/run/docker.sock:/s", "/:/host"], "NetworkMode": "host", "PidMode": "host",
            "CapAdd": ["CAP_SYS_ADMIN"], "SecurityOpt": ["seccomp=unconfined"]}"#;
        let found = container(bad, runs).finds(&CHECK);
        let severities: Vec<_> = found.iter().map(|(severity, _)| *severity).collect();
        use Severity::{High, Low, Medium};
        assert_eq!(severities, [High, High, High, Medium, Low, High, Medium], "{found:#?}");
        let stopped = container(bad, r#"{"Name": "/w\u001beb", "State": {"Running": false}}"#).finds(&CHECK);
        assert!(stopped.iter().all(|(severity, title)| *severity == Severity::Info && title.contains("w\\x1beb")), "{stopped:?}");
    }

    #[test]
    fn a_file_that_is_no_json_is_noted() {
        let mut notes = Notes::default();
        look(&container("{", "[]"), &mut notes);
        assert_eq!(notes.unread.len(), 1);
    }
}
