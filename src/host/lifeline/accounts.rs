//! Accounts that must go on working: who sits at a console, who is logged in, and the last one that can become root.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use super::Found;
use crate::model::{HostText, LifelineReason};

/// Larger files are read up to here; a host with more accounts has a directory service.
const MOST_BYTES: u64 = 1 << 20;
/// Accounts looked at (those that have a login shell), files in a directory, and sessions.
const MOST: usize = 4_096;
const MOST_FILES: usize = 256;
/// A login user id that was never set.
const UNSET: u32 = u32::MAX;
/// Groups whose members become root by convention (Debian: sudo; others: wheel, admin, doas).
const ADMINISTRATORS: [&str; 4] = ["sudo", "wheel", "admin", "doas"];

/// What the SSH server calls its unprivileged half: Debian and its relatives, the BSDs and macOS, older OpenSSH.
pub(super) const SEPARATED: [&[u8]; 3] = [b"sshd", b"_sshd", b"ssh"];

/// Where the files lie; a test has its own.
#[derive(Debug, Clone)]
pub(super) struct Files {
    root: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Self { root: "/".into() }
    }
}

/// One line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    name: Vec<u8>,
    uid: u32,
    gid: u32,
    home: Vec<u8>,
    shell: Vec<u8>,
}

/// Everything about accounts; `people` are attached consoles, whoever asks, and what those run under; `shells` are those
/// that the SSH server started.
pub(super) fn find(found: &mut Found, files: &Files, people: &[u32], shells: &[u32]) {
    for uid in people.iter().flat_map(|pid| whose(*pid)) {
        found.account(uid, LifelineReason::OwnAccount);
    }
    match files.last_administrator() {
        Ok(Some(uid)) => found.account(uid, LifelineReason::LastAdministrator),
        Ok(None) => {}
        Err(why) => found.unknown("accounts", why),
    }
    let accounts = files.accounts().unwrap_or_default();
    // Disabled, it ends the unprivileged half of every login (sshd(8), privilege separation): nobody comes in any more.
    for account in accounts.iter().filter(|account| SEPARATED.contains(&account.name.as_slice())) {
        found.account(account.uid, LifelineReason::LoginPath);
    }
    let at_shell = shells.iter().filter_map(|pid| super::ssh::real_uid(*pid)).filter(|uid| *uid != 0);
    let named = at_shell.filter_map(|uid| Some((uid, HostText::from(accounts.iter().find(|account| account.uid == uid)?.name.as_slice()))));
    for (uid, name) in files.logged_in().into_iter().chain(named) {
        found.logged_in(uid, name);
    }
}

/// Who logged in to start this process, whatever they became since: the audit login user id and the user id.
pub(super) fn whose(pid: u32) -> impl Iterator<Item = u32> {
    let login = fs::read_to_string(format!("/proc/{pid}/loginuid")).ok().and_then(|text| text.trim().parse().ok());
    let own = super::ssh::real_uid(pid);
    [login, own].into_iter().flatten().filter(|uid| *uid != UNSET && *uid != 0)
}

impl Files {
    #[cfg(test)]
    fn below(root: &std::path::Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(self.root.join(path.trim_start_matches('/')))?.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A file that need not exist.
    fn read_if_there(&self, path: &str) -> io::Result<Vec<u8>> {
        match self.read(path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        }
    }

    /// The one account besides root that can log in and become root, when root itself cannot log in from elsewhere.
    pub(super) fn last_administrator(&self) -> io::Result<Option<u32>> {
        let accounts = self.accounts()?;
        let shadow = self.read_if_there("/etc/shadow")?;
        let may_be_root = self.administrators()?;
        let can = |account: &&Account| has_shell(account) && (has_password(&shadow, account) || self.has_key(account));
        let root_comes_in = accounts.iter().filter(|account| account.uid == 0).any(|root| self.root_can_come_in(root, &shadow));
        if root_comes_in {
            return Ok(None);
        }
        let mut able: Vec<u32> =
            accounts.iter().filter(|account| account.uid != 0 && may_be_root(account)).filter(can).map(|account| account.uid).collect();
        able.dedup();
        Ok(if let [only] = able.as_slice() { Some(*only) } else { None })
    }

    /// User ids of accounts with these names.
    pub(super) fn uids_of(&self, names: &[&[u8]]) -> Vec<u32> {
        let accounts = self.accounts().unwrap_or_default();
        accounts.iter().filter(|account| names.contains(&account.name.as_slice())).map(|account| account.uid).collect()
    }

    fn accounts(&self) -> io::Result<Vec<Account>> {
        let bytes = self.read("/etc/passwd")?;
        Ok(bytes.split(|byte| *byte == b'\n').filter_map(account).take(MOST).collect())
    }

    /// Members of the groups that become root by convention, and whom sudoers names with `ALL` commands.
    fn administrators(&self) -> io::Result<impl Fn(&&Account) -> bool + use<>> {
        let mut groups: Vec<Vec<u8>> = ADMINISTRATORS.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut names: Vec<Vec<u8>> = Vec::new();
        for text in self.sudoers()? {
            for line in text.split(|byte| *byte == b'\n').take(MOST) {
                match sudo_line(line) {
                    Some((true, name)) => groups.push(name),
                    Some((false, name)) => names.push(name),
                    None => {}
                }
            }
        }
        let mut gids = Vec::new();
        for line in self.read("/etc/group")?.split(|byte| *byte == b'\n').take(MOST) {
            let mut fields = line.split(|byte| *byte == b':');
            let (Some(name), Some(_), Some(gid), Some(members)) = (fields.next(), fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            if groups.iter().any(|group| group == name) {
                gids.extend(number(gid));
                names.extend(members.split(|byte| *byte == b',').map(<[u8]>::to_vec));
            }
        }
        Ok(move |account: &&Account| gids.contains(&account.gid) || names.contains(&account.name))
    }

    fn sudoers(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut all = vec![self.read_if_there("/etc/sudoers")?];
        if let Ok(entries) = fs::read_dir(self.root.join("etc/sudoers.d")) {
            for entry in entries.flatten().take(MOST_FILES) {
                let path = format!("/etc/sudoers.d/{}", entry.file_name().to_string_lossy());
                all.extend(self.read(&path).ok());
            }
        }
        Ok(all)
    }

    /// sshd(8) lets root in unless sshd_config(5) says otherwise: by key only, when nothing is said.
    fn root_can_come_in(&self, root: &Account, shadow: &[u8]) -> bool {
        match self.sshd_says("permitrootlogin").as_deref() {
            Some(b"no" | b"forced-commands-only") => false,
            Some(b"yes") => self.has_key(root) || has_password(shadow, root),
            _ => self.has_key(root),
        }
    }

    /// The first value of a keyword, drop-ins first as distributions include them. Match blocks are not followed.
    fn sshd_says(&self, keyword: &str) -> Option<Vec<u8>> {
        self.sshd_values(keyword).into_iter().next()
    }

    /// All values of a keyword outside of Match blocks.
    pub(super) fn sshd_values(&self, keyword: &str) -> Vec<Vec<u8>> {
        let mut files: Vec<String> = match fs::read_dir(self.root.join("etc/ssh/sshd_config.d")) {
            Ok(entries) => {
                entries.flatten().take(MOST_FILES).map(|e| format!("/etc/ssh/sshd_config.d/{}", e.file_name().to_string_lossy())).collect()
            }
            Err(_) => Vec::new(),
        };
        files.sort();
        files.push("/etc/ssh/sshd_config".to_owned());
        let mut values = Vec::new();
        for text in
            files.iter().filter(|file| file.ends_with(".conf") || file.ends_with("sshd_config")).filter_map(|file| self.read(file).ok())
        {
            for line in text.split(|byte| *byte == b'\n').take(MOST) {
                let mut words = line.split(|byte| byte.is_ascii_whitespace() || *byte == b'=').filter(|word| !word.is_empty());
                let Some(word) = words.next() else { continue };
                if word.eq_ignore_ascii_case(b"match") {
                    break;
                }
                if word.eq_ignore_ascii_case(keyword.as_bytes()) {
                    values.extend(words.next().map(<[u8]>::to_ascii_lowercase));
                }
            }
        }
        values
    }

    fn has_key(&self, account: &Account) -> bool {
        let home = String::from_utf8_lossy(&account.home).into_owned();
        [".ssh/authorized_keys", ".ssh/authorized_keys2"].iter().any(|file| {
            let text = self.read(&format!("{home}/{file}")).unwrap_or_default();
            text.split(|byte| *byte == b'\n').any(|line| {
                let line = line.trim_ascii();
                !line.is_empty() && !line.starts_with(b"#")
            })
        })
    }

    /// Sessions that systemd-logind knows (sd-login(3)), by user id and name.
    fn logged_in(&self) -> Vec<(u32, HostText)> {
        let mut found: Vec<(u32, HostText)> = Vec::new();
        for text in self.sessions() {
            let (Some(uid), Some(name)) = (value(&text, "UID").and_then(number), value(&text, "USER")) else { continue };
            if value(&text, "ACTIVE") != Some(b"0") && !found.iter().any(|(known, _)| *known == uid) {
                found.push((uid, HostText::from(name)));
            }
        }
        found
    }

    /// Where those sessions come from, when they name an address.
    pub(super) fn session_sources(&self) -> Vec<std::net::IpAddr> {
        let source = |text: &Vec<u8>| std::str::from_utf8(value(text, "REMOTE_HOST")?).ok()?.parse().ok();
        self.sessions().iter().filter_map(source).collect()
    }

    fn sessions(&self) -> Vec<Vec<u8>> {
        let Ok(entries) = fs::read_dir(self.root.join("run/systemd/sessions")) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| !name.ends_with(".ref"));
        names.take(MOST_FILES).filter_map(|name| self.read(&format!("/run/systemd/sessions/{name}")).ok()).collect()
    }
}

fn account(line: &[u8]) -> Option<Account> {
    let mut fields = line.split(|byte| *byte == b':');
    let name = fields.next()?.to_vec();
    let (uid, gid) = (number(fields.nth(1)?)?, number(fields.next()?)?);
    let (home, shell) = (fields.nth(1)?.to_vec(), fields.next()?.to_vec());
    Some(Account { name, uid, gid, home, shell })
}

fn number(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}

/// `KEY=value` of a line.
fn value<'a>(text: &'a [u8], key: &str) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
}

/// An empty shell is /bin/sh (passwd(5)).
fn has_shell(account: &Account) -> bool {
    let name = account.shell.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    !matches!(name, b"nologin" | b"false" | b"sync" | b"halt" | b"shutdown")
}

/// A hash that begins with `!` or `*` fits no password (shadow(5)).
fn has_password(shadow: &[u8], account: &Account) -> bool {
    let line =
        shadow.split(|byte| *byte == b'\n').find(|line| line.strip_prefix(account.name.as_slice()).is_some_and(|r| r.starts_with(b":")));
    let hash = line.and_then(|line| line.split(|byte| *byte == b':').nth(1));
    hash.is_some_and(|hash| !hash.starts_with(b"!") && !hash.starts_with(b"*"))
}

/// Whom a line of sudoers(5) lets run everything: whether a group, and its name. Aliases are not followed: whoever is
/// not counted makes the others rarer, which is the safe side.
fn sudo_line(line: &[u8]) -> Option<(bool, Vec<u8>)> {
    let line = line.trim_ascii();
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let who = words.next().filter(|who| !who.starts_with(b"#") && !who.starts_with(b"@") && !who.starts_with(b"Defaults"))?;
    let runs_all = line.rsplit(|byte| matches!(byte, b':' | b' ' | b'\t' | b'=')).next() == Some(b"ALL");
    let is_rule = line.contains(&b'=') && runs_all && !who.ends_with(b"_Alias");
    let (is_group, name) = who.strip_prefix(b"%").map_or((false, who), |group| (true, group));
    is_rule.then(|| (is_group, name.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let place = Files::below(dir.path());
        (dir, place)
    }

    const PASSWD: (&str, &str) = (
        "etc/passwd",
        "root:x:0:0::/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\nann:x:1000:1000::/home/ann:/bin/bash\n\
         ben:x:1001:1001::/home/ben:/bin/zsh\ncarl:x:1002:1002::/home/carl:/bin/sh\n",
    );
    const GROUP: (&str, &str) = ("etc/group", "root:x:0:\nsudo:x:27:ann,ben\nusers:x:100:carl\n");

    #[test]
    fn the_last_one_who_can_become_root_is_known() {
        let shadow = |ann: &str, ben: &str| format!("root:*:1::::::\nann:{ann}:1::::::\nben:{ben}:1::::::\ncarl:$y$x:1::::::\n");
        let only = |ann, ben, more: &[(&str, &str)]| {
            let shadow = shadow(ann, ben);
            let files: Vec<_> = [PASSWD, GROUP, ("etc/shadow", shadow.as_str())].into_iter().chain(more.iter().copied()).collect();
            let (_dir, place) = host(&files);
            place.last_administrator().unwrap()
        };
        assert_eq!(only("$y$a", "$y$b", &[]), None, "two can");
        assert_eq!(only("$y$a", "!$y$b", &[]), Some(1000), "a locked one cannot, and carl is no administrator");
        assert_eq!(only("!", "!", &[("home/ben/.ssh/authorized_keys", "# none\nssh-ed25519 AAAA ben\n")]), Some(1001), "a key is a way in");
        assert_eq!(only("$y$a", "!", &[("etc/sudoers.d/carl", "carl ALL=(ALL:ALL) NOPASSWD:ALL\n")]), None, "sudoers names another");
        assert_eq!(only("$y$a", "!", &[("etc/sudoers.d/carl", "carl ALL=(root) /usr/bin/apt\n# carl ALL=(ALL) ALL\n")]), Some(1000));
        let root_key = ("root/.ssh/authorized_keys", "ssh-ed25519 AAAA root\n");
        assert_eq!(only("$y$a", "!", &[root_key]), None, "root itself comes in by key");
        assert_eq!(only("$y$a", "!", &[root_key, ("etc/ssh/sshd_config", "PermitRootLogin no\n")]), Some(1000));
        let dropin = ("etc/ssh/sshd_config.d/10-x.conf", "permitrootlogin=no\n");
        assert_eq!(only("$y$a", "!", &[root_key, dropin, ("etc/ssh/sshd_config", "PermitRootLogin yes\n")]), Some(1000), "drop-ins first");
        assert_eq!(only("!", "!", &[]), None, "nobody is left to hold");
    }

    #[test]
    fn logged_in_sessions_are_read_as_logind_writes_them() {
        let session = "# comment\nUID=1000\nUSER=ann\nACTIVE=1\nREMOTE=1\nREMOTE_HOST=203.0.113.7\n";
        let (_dir, place) = host(&[("run/systemd/sessions/4", session), ("run/systemd/sessions/5", "UID=x\nREMOTE_HOST=some.name\n")]);
        assert_eq!(place.logged_in(), [(1000, "ann".into())]);
        assert_eq!(place.session_sources(), ["203.0.113.7".parse::<std::net::IpAddr>().unwrap()]);
    }

    #[test]
    fn hostile_files_break_nothing() {
        let (_dir, place) = host(&[
            ("etc/passwd", "::::\n:x:99999999999:0::/:/bin/sh\nx\nann:x:1000:1000:\u{1b}:../../etc:/bin/sh"),
            ("etc/group", "sudo\nsudo:x:x:ann\n"),
            ("etc/sudoers", "%\n=ALL\nALL\n"),
        ]);
        assert_eq!(place.last_administrator().unwrap(), None);
    }
}
