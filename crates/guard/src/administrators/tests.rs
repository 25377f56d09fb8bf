//! Who is the last, judged on real accounts with the real sshd, sudo, doas and su of this machine over an /etc of our own,
//! and compared with what really happens when the other one tries.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::*;
use bartizan_enforce::accounts::Marks;
use bartizan_isolation::own_mounts::in_own_etc;

/// What is expected of disabling the owner.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Free,
    Asked,
    Refused,
}
use Expected::{Asked, Free, Refused};

/// A host of its own: root, `owner` (uid 3001), `bob` (3002), `carl` (3003). The owner is in `sudo`, which asks for
/// nothing; each has a key. `{dir}` stands for a directory of the test's own.
const WORLD: &str = r#"
cat >/etc/passwd <<END
root:x:0:0::{dir}/root:/bin/sh
sshd:x:110:65534::/run/sshd:/usr/sbin/nologin
owner:x:3001:3001::{dir}/owner:/bin/sh
bob:x:3002:3002::{dir}/bob:/bin/sh
carl:x:3003:3003::{dir}/carl:/bin/sh
END
cat >/etc/shadow <<END
root:*:19000:0:99999:7:::
sshd:!:19000::::::
owner:*:19000:0:99999:7:::
bob:*:19000:0:99999:7:::
carl:*:19000:0:99999:7:::
END
printf 'root:x:0:\nsudo:x:27:owner\nstaff:x:50:bob\nowner:x:3001:\nbob:x:3002:\ncarl:x:3003:\nnogroup:x:65534:\n' >/etc/group
rm -rf /etc/sudoers.d/* /etc/doas.conf /etc/ssh/sshd_config.d/* /etc/ssh/keys /etc/nologin /run/nologin /etc/gshadow {dir}/root {dir}/owner {dir}/bob {dir}/carl
printf 'root ALL=(ALL:ALL) ALL\n%%sudo ALL=(ALL:ALL) NOPASSWD: ALL\n@includedir /etc/sudoers.d\n' >/etc/sudoers
for name in root owner bob carl; do
    mkdir -p {dir}/$name/.ssh && cp {dir}/key.pub {dir}/$name/.ssh/authorized_keys && chown -R $name {dir}/$name && chmod 700 {dir}/$name/.ssh
done
chmod 440 /etc/sudoers; chmod 600 /etc/shadow
mkdir -p /run/sshd
"#;

/// Makes bob an administrator.
const BOB: &str = "echo 'bob ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/bob";

/// What the case is about; what is done to the world; lines for sshd_config; whether disabling the owner is free; whether
/// somebody else really becomes root by key and without a password.
type Case = (&'static str, &'static [&'static str], &'static str, Expected, bool);

const CASES: &[Case] = &[
    ("nobody else is named", &[], "", Refused, false),
    ("another administrator", &[BOB], "", Free, true),
    ("root's own key", &[], "PermitRootLogin prohibit-password", Free, true),
    ("the key of a cloud image", &[CLOUD], "PermitRootLogin prohibit-password", Refused, false),
    ("a key without a terminal", &["sed -i 's/^/restrict /' {dir}/root/.ssh/authorized_keys"], "PermitRootLogin yes", Free, true),
    ("only forced commands for root", &[], "PermitRootLogin forced-commands-only", Refused, false),
    (
        "root's password where no password is asked for",
        &[ROOT_PASSWORD, NO_ROOT_KEY],
        "PermitRootLogin yes\nPasswordAuthentication no",
        Refused,
        false,
    ),
    ("root's password", &[ROOT_PASSWORD, NO_ROOT_KEY], "PermitRootLogin yes\nPasswordAuthentication yes", Free, false),
    ("a key that others may write", &["chmod 666 {dir}/root/.ssh/authorized_keys"], "PermitRootLogin yes", Refused, false),
    ("AllowUsers leaves the owner alone", &[BOB], "AllowUsers owner", Refused, false),
    ("AllowUsers by pattern", &[BOB], "AllowUsers owner b?b", Free, true),
    ("AllowGroups leaves the owner alone", &[BOB], "AllowGroups sudo", Refused, false),
    ("AllowGroups lets bob in", &[BOB], "AllowGroups sudo sta*", Free, true),
    ("DenyUsers", &[BOB], "DenyUsers bob", Refused, false),
    ("DenyGroups", &[BOB], "DenyGroups staff", Refused, false),
    ("Match forces a command", &[BOB], "Match User bob\nForceCommand /bin/echo no", Refused, false),
    ("Match by group takes keys away", &[BOB], "Match Group staff\nPubkeyAuthentication no", Refused, false),
    ("Match gives root back", &[], "Match User root\nPermitRootLogin yes", Free, true),
    (
        "keys elsewhere",
        &[BOB, "mkdir -p /etc/ssh/keys && mv {dir}/bob/.ssh/authorized_keys /etc/ssh/keys/bob"],
        "AuthorizedKeysFile /etc/ssh/keys/%u .ssh/authorized_keys",
        Free,
        true,
    ),
    ("keys elsewhere, and bob has none there", &[BOB], "Match User bob\nAuthorizedKeysFile /etc/ssh/keys/%u", Refused, false),
    (
        "keys from a program",
        &[BOB, "rm {dir}/bob/.ssh/authorized_keys"],
        "AuthorizedKeysCommand /bin/cat {dir}/key.pub\nAuthorizedKeysCommandUser nobody",
        Asked,
        false,
    ),
    ("an expired administrator", &[BOB, "sed -i 's/^bob:.*/bob:*:19000:0:99999:7::100:/' /etc/shadow"], "", Refused, false),
    ("one whose password ran out for good", &[BOB, "sed -i 's/^bob:.*/bob:*:15000:0:90:7:30::/' /etc/shadow"], "", Refused, false),
    ("an administrator without a shell", &[BOB, "sed -i '/^bob:/s#/bin/sh#/usr/sbin/nologin#' /etc/passwd"], "", Refused, false),
    ("an administrator whose shell is gone", &[BOB, "sed -i '/^bob:/s#/bin/sh#/opt/no/such/shell#' /etc/passwd"], "", Refused, false),
    ("an administrator without a home", &[BOB, "rm -rf {dir}/bob"], "", Refused, false),
    ("locked without PAM", &[BOB, "sed -i 's/^bob:.*/bob:!:19000:0:99999:7:::/' /etc/shadow"], "UsePAM no", Refused, false),
    ("nobody but root comes in now", &[BOB, "echo later >/etc/nologin"], "", Refused, false),
    (
        "sudo with aliases and includes",
        &[
            "printf 'User_Alias OPS = carl, bob\\nOPS ALL=(ALL) NOPASSWD: ALL\\n' >/etc/more-rules && echo '@include /etc/more-rules' >>/etc/sudoers",
        ],
        "",
        Free,
        true,
    ),
    ("sudo by number", &["echo '#3002 ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/number"], "", Free, true),
    ("sudo by number of a group", &["echo '%#50 ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/number"], "", Free, true),
    ("sudo for some commands only", &["echo 'bob ALL=(root) NOPASSWD: /usr/bin/apt, /bin/ls' >/etc/sudoers.d/bob"], "", Refused, false),
    ("sudo as another user only", &["echo 'bob ALL=(carl) NOPASSWD: ALL' >/etc/sudoers.d/bob"], "", Refused, false),
    ("sudo on another host", &["echo 'bob elsewhere=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/bob"], "", Refused, false),
    ("sudo taken away again", &[BOB, "echo 'bob ALL=(ALL) !ALL' >/etc/sudoers.d/later"], "", Refused, false),
    (
        "sudo from a file with a dot, which it does not read",
        &["echo 'bob ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/bob.old"],
        "",
        Refused,
        false,
    ),
    ("sudo asks for a password, and none fits", &["echo 'bob ALL=(ALL) ALL' >/etc/sudoers.d/bob"], "", Asked, false),
    (
        "sudo asks for a password, and he has one",
        &["echo 'bob ALL=(ALL) ALL' >/etc/sudoers.d/bob", "sed -i 's/^bob:.*/bob:$y$j9T$a$b:19000:0:99999:7:::/' /etc/shadow"],
        "",
        Free,
        false,
    ),
    (
        "sudo asks for root's password, which fits nothing",
        &[
            "printf 'Defaults rootpw\\nbob ALL=(ALL) ALL\\n' >/etc/sudoers.d/bob",
            "sed -i 's/^bob:.*/bob:$y$j9T$a$b:19000:0:99999:7:::/' /etc/shadow",
        ],
        "",
        Asked,
        false,
    ),
    ("doas for a group", &["echo 'permit nopass :staff' >/etc/doas.conf"], "", Free, true),
    ("doas for one command", &["echo 'permit nopass bob cmd ls' >/etc/doas.conf"], "", Refused, false),
    ("doas permits and denies", &["printf 'permit nopass bob\\ndeny :staff\\n' >/etc/doas.conf"], "", Refused, false),
    ("su with root's password", &[ROOT_PASSWORD], "", Free, false),
    ("su for a group only", &[ROOT_PASSWORD, "sed -i '1i auth required pam_wheel.so group=sudo' /etc/pam.d/su"], "", Refused, false),
];

const CLOUD: &str =
    r#"sed -i 's/^/no-port-forwarding,command="echo Please login as the user owner;sleep 1;exit 142" /' {dir}/root/.ssh/authorized_keys"#;
const ROOT_PASSWORD: &str = "sed -i 's/^root:.*/root:$y$j9T$a$b:19000:0:99999:7:::/' /etc/shadow";
const NO_ROOT_KEY: &str = "rm {dir}/root/.ssh/authorized_keys; sed -i '1i auth required pam_wheel.so group=sudo' /etc/pam.d/su";

fn shell(dir: &Path, line: &str) {
    let line = line.replace("{dir}", &dir.display().to_string());
    assert!(Command::new("sh").args(["-ec", &line]).stdin(Stdio::null()).status().unwrap().success(), "{line}");
}

/// The SSH server of one case; ended with it.
struct Sshd(Child);

impl Sshd {
    fn start(dir: &Path, file: &Path, more: &str, options: &[&str]) -> Self {
        let dir = dir.display().to_string();
        let more = more.replace("{dir}", &dir);
        let root = if more.contains("PermitRootLogin") && !more.starts_with("Match") { "" } else { "PermitRootLogin no\n" };
        let first =
            "Port 2222\nListenAddress 127.0.0.1\nPidFile none\nUseDNS no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n";
        let first =
            if more.contains("PasswordAuthentication yes") { first.replace("PasswordAuthentication no\n", "") } else { first.to_owned() };
        let pam = if more.contains("UsePAM") { "" } else { "UsePAM yes\n" };
        std::fs::write(file, format!("{first}HostKey {dir}/host\n{root}{pam}{more}\n")).unwrap();
        let log = std::fs::File::create(format!("{dir}/log")).unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        let child = command.args(["-D", "-e"]).args(options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let server = Self(child);
        for _ in 0..250 {
            if std::net::TcpStream::connect(("127.0.0.1", 2222)).is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("sshd does not listen: {}", std::fs::read_to_string(format!("{dir}/log")).unwrap());
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether this account really logs in by its key and becomes root without typing anything.
fn becomes_root(dir: &Path, name: &str) -> bool {
    let mut ssh = Command::new("ssh");
    for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "IdentitiesOnly=yes", "ConnectTimeout=5"] {
        ssh.args(["-o", option]);
    }
    let line = "id -u; sudo -n id -u 2>/dev/null; doas -n id -u 2>/dev/null; true";
    let output = ssh.args(["-F", "none", "-p", "2222", "-i"]).arg(dir.join("key")).arg(format!("{name}@127.0.0.1")).arg(line).output();
    String::from_utf8_lossy(&output.unwrap().stdout).lines().any(|line| line == "0")
}

fn can_run() -> bool {
    let needs = ["/usr/sbin/sshd", "/usr/bin/sudo", "/usr/bin/doas", "/usr/bin/su", "/usr/bin/ssh"];
    let missing: Vec<_> = needs.iter().filter(|program| !Path::new(program).exists()).collect();
    if !missing.is_empty() {
        eprintln!("skipped: these programs are missing: {missing:?} (./test.sh installs them where it may)");
    }
    missing.is_empty()
}

fn keys(dir: &Path) {
    for key in ["host", "key"] {
        shell(dir, &format!("ssh-keygen -q -t ed25519 -N '' -f {{dir}}/{key}"));
    }
}

fn expected(name: &str) -> (Expected, String) {
    match without(&name.into()).unwrap() {
        Meaning::NotTheLast => (Free, String::new()),
        Meaning::CannotTell(why) => (Asked, why),
        Meaning::TheLast => (Refused, String::new()),
    }
}

#[test]
fn the_last_way_to_root_is_judged_as_the_login_programs_judge_it() {
    if !can_run() {
        return;
    }
    in_own_etc(|dir| {
        keys(dir);
        let mut wrong = Vec::new();
        let su = std::fs::read("/etc/pam.d/su").unwrap();
        for (what, done, config, wanted, really) in CASES {
            shell(dir, WORLD);
            std::fs::write("/etc/pam.d/su", &su).unwrap();
            done.iter().for_each(|line| shell(dir, line));
            let _sshd = Sshd::start(dir, Path::new("/etc/ssh/sshd_config"), config, &[]);
            let begun = Instant::now();
            let (found, why) = expected("owner");
            eprintln!("{what}: {found:?} {why} in {:?}", begun.elapsed());
            if found != *wanted {
                wrong.push(format!("{what}: {found:?} ({why}), should be {wanted:?}"));
            }
            let truth = ["root", "bob", "carl"].iter().any(|name| becomes_root(dir, name));
            if truth != *really && *wanted != Asked {
                let log = std::fs::read_to_string(dir.join("log")).unwrap();
                wrong.push(format!("{what}: somebody else becomes root: {truth}, and the case says {really}\n{log}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn administrators_cannot_be_disabled_one_after_another() {
    if !can_run() {
        return;
    }
    in_own_etc(|dir| {
        keys(dir);
        for password in ["NOPASSWD: ALL", "ALL"] {
            shell(dir, WORLD);
            shell(dir, "sed -i 's/^sudo:.*/sudo:x:27:owner,bob/' /etc/group");
            shell(dir, &format!("printf '%%sudo ALL=(ALL:ALL) {password}\\n' >/etc/sudoers"));
            let _sshd = Sshd::start(dir, Path::new("/etc/ssh/sshd_config"), "", &[]);
            let before = expected("bob");
            let shadow = std::fs::read_to_string("/etc/shadow").unwrap();
            let line = shadow.lines().find(|line| line.starts_with("bob:")).unwrap();
            let (_, locked) = Marks::set(line.as_bytes()).unwrap();
            std::fs::write("/etc/shadow", shadow.replace(line, std::str::from_utf8(&locked).unwrap())).unwrap();
            assert_eq!(expected("owner").0, Refused, "{password}: bob is locked as we lock");
            assert_eq!(expected("bob").0, Free, "{password}: he cannot come in as it is");
            assert_eq!(expected("carl").0, Free, "{password}: he is no administrator");
            assert_eq!(before.0, if password == "ALL" { Asked } else { Free }, "{before:?}");
        }
    });
}

#[test]
fn the_running_servers_own_file_and_options_decide() {
    if !can_run() {
        return;
    }
    in_own_etc(|dir| {
        keys(dir);
        shell(dir, WORLD);
        shell(dir, BOB);
        // The usual file says that bob comes in; nobody reads it.
        std::fs::write("/etc/ssh/sshd_config", "PermitRootLogin yes\n").unwrap();
        let own = dir.join("own_config");
        let file = own.display().to_string();
        let deny = Sshd::start(dir, &own, "DenyUsers bob", &["-f", &file]);
        assert_eq!((expected("owner").0, becomes_root(dir, "bob")), (Refused, false));
        drop(deny);
        let option = Sshd::start(dir, &own, "", &["-f", &file, "-o", "AllowUsers=owner carl"]);
        assert_eq!((expected("owner").0, becomes_root(dir, "bob")), (Refused, false));
        drop(option);
        let by_address = Sshd::start(dir, &own, "Match Address 198.51.100.0/24\nDenyUsers bob", &["-f", &file]);
        assert_eq!(expected("owner").0, Asked, "nobody knows from where bob comes");
        drop(by_address);
        let _broken = Sshd::start(dir, &own, "", &["-f", &file]);
        std::fs::write(&own, "NoSuchWord yes\n").unwrap();
        let (found, why) = expected("owner");
        assert_eq!(found, Asked, "{why}");
        assert!(why.contains("NoSuchWord") || why.contains("own_config"), "{why}");
    });
}
