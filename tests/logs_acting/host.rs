//! A host that strangers guess passwords of: a real sshd, its log in a file, and an agent that may act alone, all in namespaces of
//! their own, so that nothing of the machine is in the agent's reach.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::agent::{Home, told};
use crate::support::ends::Program;
use crate::support::lan::{HOST, Lan};
use crate::support::network::Network;
use crate::support::wait_for;

/// The account that everybody wants, and its password.
const ACCOUNT: &str = "owner";
const PASSWORD: &str = "the right horse";
/// sshd's own lines as a syslog daemon writes them. The daemon is the real one; only the stamp and the name before its line are not.
const BOOT: &str = r#"touch /var/log/auth.log
/usr/sbin/sshd -D -e -f /etc/ssh/sshd_config 2>&1 | while IFS= read -r line; do
    printf '%s guarded sshd[%s]: %s\n' "$(date '+%Y-%m-%dT%H:%M:%S.%6N%:z')" "$$" "$line" >>/var/log/auth.log
done &
echo up >"$1"
exec sleep infinity
"#;

/// The host.
pub struct Host {
    pub lan: Lan,
    pub home: Home,
    first: Program,
    init: u32,
    agent: Option<Program>,
}

impl Host {
    /// Boots it, with an agent in BALANCED that follows sshd's log; `policy` is added to its policy.
    pub fn boot(policy: &str) -> Self {
        Self::boot_after(policy, |_| {})
    }

    /// The same; something is done before the agent starts.
    pub fn boot_after(policy: &str, prepare: impl FnOnce(&Self)) -> Self {
        let lan = Lan::new();
        let home = Home::on(&lan.host);
        home.configure("[[logs]]\npath = \"/var/log/auth.log\"\nformat = \"auth\"");
        std::fs::write(home.path("policy.toml"), format!("[mode]\ninitial = \"balanced\"\n{policy}\n")).unwrap();
        let key = home.path("id");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).output().unwrap();
        assert!(made.status.success(), "{}", told(&made));
        let shell = |line: &str| lan.host.shell(line);
        shell("getent passwd sshd >/dev/null || useradd -r -d /run/sshd -s /usr/sbin/nologin sshd");
        shell(&format!("useradd -m -s /bin/sh {ACCOUNT} && echo '{ACCOUNT}:{PASSWORD}' | chpasswd"));
        shell(&format!(
            "mkdir -p -m 700 ~{ACCOUNT}/.ssh && cp {}.pub ~{ACCOUNT}/.ssh/authorized_keys && chown -R {ACCOUNT} ~{ACCOUNT}/.ssh",
            key.display()
        ));
        shell("rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key");
        let config = "HostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\nPasswordAuthentication yes\nMaxStartups 100:30:200\nUseDNS no\nPidFile none\n";
        std::fs::write(lan.host.path("/etc/ssh/sshd_config"), config).unwrap();
        let up = home.path("up");
        let mut command =
            lan.host.command("unshare", &["--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL", "sh", "-c", BOOT, "boot"]);
        let first = Program::start(command.arg(&up).stdout(Stdio::null()).stderr(Stdio::null()));
        wait_for("the host to be up", Duration::from_secs(20), || up.exists().then_some(()), String::new);
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", first.id())).unwrap();
        let init = children.trim().parse().unwrap();
        let mut host = Self { lan, home, first, init, agent: None };
        prepare(&host);
        host.start_agent();
        host
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--pid", "--mount", "--net", "--uts"]);
        command.arg(crate::support::BINARY).args(arguments).args(self.home.flags()).stdin(Stdio::null()).env("NO_COLOR", "1");
        command
    }

    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(&[arguments, &["--json"]].concat()).output().unwrap();
        assert!(output.status.success(), "bartizan {arguments:?}: {}", told(&output));
        let values = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>().map(Result::unwrap);
        values.flat_map(|value| if let Value::Array(list) = value { list } else { vec![value] }).collect()
    }

    fn start_agent(&mut self) {
        let log = std::fs::File::create(self.home.path("agent.log")).unwrap();
        self.agent = Some(Program::start(self.command(&["--headless"]).stdout(Stdio::null()).stderr(log)));
        let said = || {
            let log = std::fs::read_to_string(self.home.path("agent.log")).unwrap_or_default();
            let logs = self.command(&["logs"]).output().map(|output| told(&output));
            format!("{log}{logs:?}")
        };
        let follows = || {
            let status = self.command(&["status", "--json"]).output().unwrap().status.success();
            let is_followed =
                |row: &Value| row["name"].as_str().is_some_and(|name| name.ends_with("auth.log")) && row["state"] == "following";
            (status && self.json(&["logs"]).iter().any(is_followed)).then_some(())
        };
        wait_for("the agent to follow sshd's log", Duration::from_secs(20), follows, said);
    }

    /// An ssh client at this address; it gives the right password only after so many wrong ones.
    pub fn client(&self, from: &Network, source: &str, wrong: u32) -> Command {
        let (answer, turn) = (self.script(wrong), self.home.path(&format!("turn-{source}-{:?}", std::thread::current().id())));
        let _ = std::fs::remove_file(&turn);
        let mut command = self.ssh(from, source);
        command.args(["-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=4"]);
        command.env("SSH_ASKPASS", answer).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", "none").env("TURN", turn);
        command.arg(format!("{ACCOUNT}@{}", HOST[0])).arg("echo in");
        command
    }

    /// The same with the owner's key.
    pub fn with_key(&self, from: &Network, source: &str, line: &str) -> Command {
        let mut command = self.ssh(from, source);
        command.args(["-o", "BatchMode=yes", "-i"]).arg(self.home.path("id")).arg(format!("{ACCOUNT}@{}", HOST[0])).arg(line);
        command
    }

    fn ssh(&self, from: &Network, source: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", from.file())).args(["ssh", "-F", "/dev/null", "-b", source]);
        for option in [
            "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null", "LogLevel=ERROR",
            "ConnectTimeout=3",
        ] {
            command.args(["-o", option]);
        }
        command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    /// What answers when ssh asks for the password.
    fn script(&self, wrong: u32) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.home.path(&format!("askpass-{wrong}"));
        if !path.exists() {
            let text = format!("#!/bin/sh\necho x >>\"$TURN\"\n[ $(wc -l <\"$TURN\") -le {wrong} ] && echo wrong || echo '{PASSWORD}'\n");
            let fresh = self.home.path(&format!("fresh-{:?}", std::thread::current().id()));
            std::fs::write(&fresh, text).unwrap();
            std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755)).unwrap();
            std::fs::rename(&fresh, &path).unwrap();
        }
        path
    }

    /// Failed attempts from this address, as sshd counted them.
    pub fn failed(&self, source: &str) -> usize {
        let log = std::fs::read_to_string(self.lan.host.path("/var/log/auth.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("Failed password") && line.contains(&format!("from {source} "))).count()
    }

    /// What the agent did, or asks, about this address.
    pub fn about(&self, what: &str, addr: &str) -> Vec<Value> {
        self.json(&[what]).into_iter().filter(|row| row.to_string().contains(&format!("\"{addr}\""))).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.command(&["emergency-stop"]).output();
        let _ = self.command(&["stop"]).output();
        let _ = self.first.kill();
        let _ = self.first.wait();
        self.agent.iter_mut().for_each(|agent| drop(agent.wait()));
    }
}
