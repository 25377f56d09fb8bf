//! Disabling an account for real: a copy of /etc, a real sshd with a key, real tools that change the account meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::tests::{now, order, until};
use super::*;
use bartizan_guard::lifeline::{Known, derive};
use bartizan_isolation::own_mounts::in_own_etc;
use bartizan_isolation::own_netns::killed_in_a_child;
use bartizan_model::{ActionKind, ActionState, HostText, Target};
use bartizan_sys::pidfd::key_of;

const NAME: &str = "annbartizan";

/// A responder that keeps its things below `dir`, with the lifeline of this very host.
pub(super) fn responder(dir: &Path) -> Responder {
    let ledger = Arc::new(Ledger::open(&dir.join("data"), now()).unwrap());
    let policy = Policy::built_in().unwrap();
    let ties = Ties {
        lifeline: Box::new(|| {
            let nobody = Known { consoles: &[], attached: &[], time_servers: &BTreeSet::new(), users: &[], seen: &[] };
            let mut lifeline = derive(nobody).read(nobody);
            // A network of its own has no gateway and no name server: that is no gap here.
            lifeline.unknown.clear();
            lifeline
        }),
        again: second_look(),
        tree: Box::new(|root| vec![root]),
        alarm: Box::new(|_| {}),
        policy,
    };
    Responder::new(ledger, &dir.join("runtime"), ties).unwrap()
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

fn shell(script: &str) {
    assert!(run("sh", &["-c", script]), "{script}");
}

fn has(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| !run("sh", &["-c", &format!("command -v {program}")]));
    if let Some(missing) = missing {
        eprintln!("skipped: {missing} is not installed");
    }
    missing.is_none()
}

fn uid() -> u32 {
    bartizan_enforce::accounts::find(&HostText::from(NAME)).unwrap().unwrap().uid
}

fn disable(lasts: Duration) -> bartizan_court::Warrant {
    let target = Target::User { name: HostText::from(NAME), uid: uid() };
    order(ActionPlan::new(ActionKind::DisableUser, target, lasts).unwrap())
}

fn shadow() -> String {
    fs::read_to_string("/etc/shadow").unwrap()
}

fn line() -> String {
    shadow().lines().find(|line| line.starts_with(&format!("{NAME}:"))).unwrap().to_owned()
}

fn add_user() {
    // A number that nothing else on this host runs under: sessions are found by it.
    let uid = 2_000_000 + std::process::id();
    shell(&format!("useradd -l -M -u {uid} -s /bin/sh -d / {NAME} && echo {NAME}:secret | chpasswd"));
}

/// Everything of a file that must come back.
fn whole(path: &str) -> (Vec<u8>, u32, u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path).unwrap();
    (fs::read(path).unwrap(), meta.mode(), meta.uid(), meta.gid())
}

/// An sshd on port 2222 that lets the account in by its key.
struct Sshd {
    server: Child,
    key: PathBuf,
}

impl Sshd {
    fn start(dir: &Path) -> Self {
        let path = |name: &str| dir.join(name).display().to_string();
        fs::create_dir_all("/run/sshd").unwrap();
        for key in ["host", "key"] {
            assert!(run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]));
        }
        let config = format!(
            "Port 2222\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM yes\nPidFile none\n",
            path("host"),
            path("key.pub")
        );
        fs::write(dir.join("sshd_config"), config).unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f", &path("sshd_config")]).stdin(Stdio::null());
        let server = command.stdout(Stdio::null()).stderr(fs::File::create(dir.join("sshd.log")).unwrap()).spawn().unwrap();
        let sshd = Self { server, key: dir.join("key") };
        assert!(until(|| sshd.lets_in()), "{}", fs::read_to_string(dir.join("sshd.log")).unwrap());
        sshd
    }

    fn ssh(&self, command: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F", "none", "-p", "2222", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
        ]);
        ssh.args(["-o", "ConnectTimeout=5", "-i"]).arg(&self.key).arg(format!("{NAME}@127.0.0.1")).arg(command);
        ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        ssh
    }

    fn lets_in(&self) -> bool {
        self.ssh("true").status().unwrap().success()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What runs under the account's id without any session, child of init.
fn service(dir: &Path) -> Service {
    let file = dir.join("service");
    let uid = uid();
    shell(&format!(
        "setsid -f setpriv --reuid {uid} --clear-groups sh -c 'exec sleep 301' & sleep 0.2; pgrep -u {uid} -f 'sleep 301' >{}",
        file.display()
    ));
    let pid: u32 = fs::read_to_string(file).unwrap().trim().parse().unwrap();
    Service(key_of(pid).unwrap())
}

/// Ended when the test is over, however it ends.
struct Service(ProcessKey);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = bartizan_sys::pidfd::PidFd::open(self.0).and_then(|hold| hold.signal(9));
    }
}

fn of_account(command: &str) -> usize {
    let uid = uid().to_string();
    let found = Command::new("pgrep").args(["-u", &uid, "-f", command]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().count()
}

#[test]
fn a_disabled_account_is_out_and_comes_back_byte_for_byte() {
    if !has(&["useradd", "chpasswd", "ssh", "ssh-keygen", "setpriv", "pgrep", "su"]) || !Path::new("/usr/sbin/sshd").exists() {
        eprintln!("skipped: no sshd or no tools for accounts");
        return;
    }
    in_own_etc(|dir| {
        add_user();
        let sshd = Sshd::start(dir);
        let responder = responder(dir);
        let service = service(dir);
        let mut session = sshd.ssh("sleep 300 & (trap '' TERM HUP; sleep 302); wait").spawn().unwrap();
        assert!(until(|| of_account("sleep 30[02]") >= 2));
        assert!(run("su", &["-s", "/bin/sh", NAME, "-c", "true"]));
        let before = whole("/etc/shadow");
        let preview = responder.preview(disable(Duration::from_secs(600)).plan()).unwrap();
        assert!(preview.blast_radius.contains("processes of its login sessions end now"), "{preview:?}");

        eprintln!("seen: {preview:#?}");
        let began = std::time::Instant::now();
        let action = responder.execute(disable(Duration::from_secs(600)), now()).unwrap();
        eprintln!("measured: account disabled and its session ended in {:?}", began.elapsed());
        assert_eq!(action.state, ActionState::Live, "{}", action.note);
        assert!(line().starts_with(&format!("{NAME}:!$")) && line().ends_with(":1:"), "{}", line().len());
        assert!(!sshd.lets_in(), "the key is refused");
        assert!(!run("su", &["-s", "/bin/sh", NAME, "-c", "true"]), "su is refused");
        assert_eq!(of_account("sleep 30[02]"), 0, "the session has ended");
        assert!(!session.wait().unwrap().success());
        assert!(key_of(service.0.pid) == Some(service.0), "the service runs on");
        let others = |text: &str| text.lines().filter(|line| !line.starts_with(NAME)).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(others(&shadow()), others(std::str::from_utf8(&before.0).unwrap()), "nobody else's line was touched");
        let snapshot = responder.snapshot(action.id).unwrap().to_string();
        assert!(!snapshot.contains("$y$") && !snapshot.contains("$6$"), "no hash of a password in the ledger");
        assert!(responder.reconcile(now()).unwrap().iter().all(|action| action.state == ActionState::Live));

        let action = responder.rollback(action.id, "root", now()).unwrap();
        assert!(action.note.contains("byte for byte"), "{}", action.note);
        assert_eq!(whole("/etc/shadow"), before);
        assert!(sshd.lets_in(), "the key is accepted again");
        assert_eq!(left_in(dir), Vec::<String>::new());
        responder.rollback(action.id, "root", now()).unwrap();
        assert_eq!(whole("/etc/shadow"), before, "twice does no harm");
    });
}

/// What of ours lies about: notes, and files beside the account files.
fn left_in(dir: &Path) -> Vec<String> {
    let names = |place: &Path| fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path().display().to_string());
    let ours = |name: &String| name.contains("bartizan");
    names(&dir.join("data/expiry"))
        .filter(|name| !name.ends_with(".bartizan-expire.sh"))
        .chain(names(Path::new("/etc")).filter(ours))
        .chain(names(Path::new("/etc/cron.d")).filter(ours))
        .collect()
}

#[test]
fn what_others_do_to_the_account_meanwhile_stays() {
    if !has(&["useradd", "chpasswd", "usermod", "chage"]) {
        return;
    }
    in_own_etc(|dir| {
        add_user();
        let responder = responder(dir);
        let action = responder.execute(disable(Duration::from_secs(600)), now()).unwrap();
        // Somebody else comes and goes: the other lines are theirs.
        shell("useradd -l -M benbartizan");
        shell(&format!("echo {NAME}:another | chpasswd"));
        let changed = responder.reconcile(now()).unwrap();
        assert!(changed[0].note.contains("brought back"), "{}", changed[0].note);
        assert!(line().starts_with(&format!("{NAME}:!$")) && line().ends_with(":1:"));
        shell(&format!("usermod -U -e '' {NAME}"));
        assert!(responder.reconcile(now()).unwrap()[0].note.contains("brought back"));
        shell(&format!("chage -M 77 {NAME}"));
        let live = responder.reconcile(now()).unwrap();
        assert_eq!(live[0].state, ActionState::Live, "still locked: {}", live[0].note);
        let note = responder.rollback(action.id, "root", now()).unwrap().note;
        assert!(note.contains("only our marks"), "{note}");
        let fields: Vec<String> = line().split(':').map(str::to_owned).collect();
        assert!(fields[1].starts_with('$') && fields[4] == "77" && fields[7].is_empty(), "the new password and age stay, unlocked");
        assert!(shadow().contains("benbartizan:"));
        assert_eq!(left_in(dir), Vec::<String>::new());
    });
}

#[test]
fn what_cannot_be_locked_is_refused() {
    if !has(&["useradd", "chpasswd"]) {
        return;
    }
    in_own_etc(|dir| {
        add_user();
        let responder = responder(dir);
        let refused = |name: &str, uid| {
            let target = Target::User { name: HostText::from(name), uid };
            let plan = ActionPlan::new(ActionKind::DisableUser, target, Duration::from_secs(60)).unwrap();
            responder.execute(order(plan), now()).unwrap_err().to_string()
        };
        let before = whole("/etc/shadow");
        assert!(refused("root", 0).contains("root, or the account"));
        assert!(refused("nobodythere", 4000).contains("not in /etc/passwd"));
        assert!(refused(NAME, uid() + 1).contains("not"));
        let kept = shadow();
        fs::write("/etc/shadow", kept.replace(&format!("{}\n", line()), "")).unwrap();
        assert!(refused(NAME, uid()).contains("no line in /etc/shadow"));
        fs::write("/etc/shadow", &kept).unwrap();
        assert_eq!(whole("/etc/shadow"), before);
        // The lock of the account files is in somebody's hands.
        let holder = fs::OpenOptions::new().write(true).create(true).truncate(false).open("/etc/.pwd.lock").unwrap();
        let range = nix::libc::flock { l_type: 1, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        nix::fcntl::fcntl(&holder, nix::fcntl::FcntlArg::F_OFD_SETLK(&range)).unwrap();
        assert!(responder.execute(disable(Duration::from_secs(60)), now()).unwrap_err().to_string().contains(".pwd.lock"));
        assert_eq!((whole("/etc/shadow"), left_in(dir)), (before, Vec::new()));
    });
}

#[test]
fn it_ends_outside_of_us_when_we_are_killed() {
    if !has(&["useradd", "chpasswd"]) {
        return;
    }
    in_own_etc(|dir| {
        add_user();
        let before = whole("/etc/shadow");
        assert!(killed_in_a_child(|| {
            let responder = responder(dir);
            let action = responder.execute(disable(Duration::from_secs(2)), now());
            if action.is_ok() && line().contains(":!$") {
                bartizan_isolation::own_netns::die();
            }
        }));
        assert!(line().contains(":!$"), "locked, and nobody of us lives");
        assert!((0..6).any(|_| until(|| left_in(dir).is_empty())), "{:?} {}", left_in(dir), line());
        assert_eq!(whole("/etc/shadow"), before);
        let settled = responder(dir).recover(now()).unwrap();
        assert!(!settled[0].state.is_active(), "{}", settled[0].note);
        assert_eq!(whole("/etc/shadow"), before);
    });
}

#[test]
fn a_confirmed_one_lasts_to_its_new_end() {
    if !has(&["useradd", "chpasswd"]) {
        return;
    }
    in_own_etc(|dir| {
        add_user();
        let before = whole("/etc/shadow");
        let responder = responder(dir);
        let mut policy = Policy::built_in().unwrap();
        policy.actions.confirm_within = Duration::from_secs(3);
        responder.set_policy(&policy);
        let action = responder.execute(disable(Duration::from_secs(600)), now()).unwrap();
        responder.confirm(action.id, "root", now()).unwrap();
        // Past the former end, and past the moment at which the last of those who wait for it would come.
        std::thread::sleep(Duration::from_secs(11));
        assert!(line().contains(":!$"), "still locked");
        responder.reconcile(now()).unwrap();
        assert_eq!(responder.active().unwrap()[0].state, ActionState::Live, "{}", responder.active().unwrap()[0].note);
        responder.rollback(action.id, "root", now()).unwrap();
        assert_eq!((whole("/etc/shadow"), left_in(dir)), (before, Vec::new()));
    });
}

#[test]
fn the_script_undoes_what_we_would_undo() {
    if !has(&["useradd", "chpasswd"]) {
        return;
    }
    in_own_etc(|dir| {
        let name = HostText::from(NAME);
        let before = format!("{NAME}:$y$j9T$a\\b%s$hash:19700:0:99999:7:::");
        let (marks, after) = bartizan_enforce::accounts::Marks::set(before.as_bytes()).unwrap();
        let after = String::from_utf8(after).unwrap();
        let cases = [
            after.clone(),
            before.clone(),
            format!("{NAME}:!$y$new$other:19999:0:99999:7::1:"),
            format!("{NAME}:$y$new$other:19999:0:99999:7::1:"),
            after.replace(":19700:", ":20000:"),
            format!("{NAME}:!:1:::::20000:"),
        ];
        for (number, line) in cases.iter().enumerate() {
            // The last line has no end: it is nobody's business to give it one.
            let around =
                |line: &str| format!("root:*:1:0:99999:7:::\nx{NAME}:!:1:::::1:\n{line}\n{NAME}:!second:1:::::1:\nlast:\\n%d:::::::");
            fs::write("/etc/shadow", around(line)).unwrap();
            let wanted = match marks.remove(line.as_bytes()) {
                bartizan_enforce::accounts::Removed::Exactly(line) | bartizan_enforce::accounts::Removed::Partly(line) => {
                    String::from_utf8(line).unwrap()
                }
                bartizan_enforce::accounts::Removed::Nothing => line.clone(),
            };
            let note = dir.join(format!("note-{number}"));
            fs::write(&note, bartizan_enforce::accounts::Marks::note(&name, before.as_bytes(), after.as_bytes())).unwrap();
            let script = bartizan_guard::watchdog::EXPIRE_SCRIPT;
            assert!(
                Command::new("sh")
                    .args(["-c", script, "bartizan-expire", "0"])
                    .arg(&note)
                    .stdout(Stdio::null())
                    .status()
                    .unwrap()
                    .success()
            );
            assert_eq!(shadow(), around(&wanted), "case {number}");
            assert!(!note.exists());
        }
        assert_eq!(left_in(dir), Vec::<String>::new());
    });
}
