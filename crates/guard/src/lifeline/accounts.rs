//! Accounts that must go on working: who sits at a console, and who is logged in. Who else can become root is asked when
//! an account is to be disabled (`host::administrators`).

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use super::Found;
use bartizan_enforce::accounts;
use bartizan_model::{HostText, LifelineReason};
use bartizan_sys::proc_files;

/// Larger files are read up to here; a host with more accounts has a directory service.
const MAX_BYTES: u64 = 1 << 20;
/// Sessions.
const MAX_FILES: usize = 256;

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

/// Everything about accounts; `people` are attached consoles, whoever asks, and what those run under; `shells` are those
/// that the SSH server started.
pub(super) fn find(found: &mut Found, files: &Files, people: &[u32], shells: &[u32]) {
    for uid in people.iter().flat_map(|pid| whose(*pid)) {
        found.account(uid, LifelineReason::OwnAccount);
    }
    let accounts = accounts::all().unwrap_or_else(|why| {
        found.unknown("accounts", why);
        Vec::new()
    });
    // Disabled, it ends the unprivileged half of every login (sshd(8), privilege separation): nobody comes in any more.
    for account in accounts.iter().filter(|account| SEPARATED.contains(&account.name.as_bytes())) {
        found.account(account.uid, LifelineReason::LoginPath);
    }
    let at_shell = shells.iter().filter_map(|pid| proc_files::real_uid(*pid)).filter(|uid| *uid != 0);
    let named = at_shell.filter_map(|uid| Some((uid, accounts.iter().find(|account| account.uid == uid)?.name.clone())));
    for (uid, name) in files.logged_in().into_iter().chain(named) {
        found.logged_in(uid, name);
    }
}

/// Who logged in to start this process, whatever they became since: the audit login user id and the user id.
pub(super) fn whose(pid: u32) -> impl Iterator<Item = u32> {
    [proc_files::login_uid(pid), proc_files::real_uid(pid)].into_iter().flatten().filter(|uid| *uid != 0)
}

/// User ids of accounts with these names.
pub(super) fn uids_of(names: &[&[u8]]) -> Vec<u32> {
    let accounts = accounts::all().unwrap_or_default();
    accounts.iter().filter(|account| names.contains(&account.name.as_bytes())).map(|account| account.uid).collect()
}

impl Files {
    #[cfg(test)]
    fn below(root: &std::path::Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(self.root.join(path.trim_start_matches('/')))?.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
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
        names.take(MAX_FILES).filter_map(|name| self.read(&format!("/run/systemd/sessions/{name}")).ok()).collect()
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}

/// `KEY=value` of a line.
fn value<'a>(text: &'a [u8], key: &str) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
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

    #[test]
    fn logged_in_sessions_are_read_as_logind_writes_them() {
        let session = "# comment\nUID=1000\nUSER=ann\nACTIVE=1\nREMOTE=1\nREMOTE_HOST=203.0.113.7\n";
        let (_dir, place) = host(&[("run/systemd/sessions/4", session), ("run/systemd/sessions/5", "UID=x\nREMOTE_HOST=some.name\n")]);
        assert_eq!(place.logged_in(), [(1000, "ann".into())]);
        assert_eq!(place.session_sources(), ["203.0.113.7".parse::<std::net::IpAddr>().unwrap()]);
    }
}
