//! authorized_keys (sshd(8)): whether a file holds a key that opens a shell, and whether sshd would read it.

use std::fs;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::Utc;

use super::able::Able;
use super::login::is_shell;
use super::patterns::{self, Match};
use bartizan_enforce::accounts::Account;

/// Keys of one file that are looked at.
const MOST: usize = 4096;
/// What sshd accepts today; ssh-dss is no more.
const KINDS: [&str; 6] = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-ed25519", "sk-ecdsa-sha2-", "rsa-sha2-"];

/// Whether the account has a key in a file of this pattern (AuthorizedKeysFile) that opens a shell.
pub(super) fn in_file(pattern: &str, account: &Account, sources: &[IpAddr], strict: bool) -> Able {
    let Some(path) = expand(pattern, account) else { return Able::unclear(format!("AuthorizedKeysFile {pattern} cannot be followed")) };
    let Ok(bytes) = fs::read(&path) else { return Able::No };
    if strict && !is_safe(&path, account) {
        return Able::No;
    }
    let text = String::from_utf8_lossy(bytes.get(..super::MAX_BYTES as usize).unwrap_or(&bytes)).into_owned();
    text.lines().take(MOST).map(|line| opens_a_shell(line, sources)).fold(Able::No, Able::or)
}

/// `%h`, `%u`, `%U`, `%%`; what is no whole path lies in the home directory.
fn expand(pattern: &str, account: &Account) -> Option<PathBuf> {
    let mut path: Vec<u8> = Vec::new();
    let mut letters = pattern.bytes();
    while let Some(letter) = letters.next() {
        match (letter == b'%').then(|| letters.next()) {
            None => path.push(letter),
            Some(Some(b'h')) => path.extend(account.home.as_bytes()),
            Some(Some(b'u')) => path.extend(account.name.as_bytes()),
            Some(Some(b'U')) => path.extend(account.uid.to_string().bytes()),
            Some(Some(b'%')) => path.push(b'%'),
            Some(_) => return None,
        }
    }
    let home = Path::new(std::ffi::OsStr::from_bytes(account.home.as_bytes()));
    Some(home.join(std::ffi::OsStr::from_bytes(&path)))
}

/// StrictModes: the file and what is above it, up to the home directory, belong to root or the account and nobody else
/// writes there.
fn is_safe(path: &Path, account: &Account) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let home = Path::new(std::ffi::OsStr::from_bytes(account.home.as_bytes())).canonicalize().ok();
    let safe = |path: &Path| fs::metadata(path).is_ok_and(|file| [0, account.uid].contains(&file.uid()) && file.mode() & 0o022 == 0);
    for place in path.ancestors() {
        if !safe(place) {
            return false;
        }
        if Some(place) == home.as_deref() {
            break;
        }
    }
    true
}

/// One line: options, kind, key, comment.
fn opens_a_shell(line: &str, sources: &[IpAddr]) -> Able {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Able::No;
    }
    let is_kind = |word: &str| KINDS.iter().any(|kind| word.starts_with(kind));
    let first = line.split_ascii_whitespace().next().unwrap_or_default();
    let (options, rest) = if is_kind(first) { (Vec::new(), line) } else { split_options(line) };
    let mut words = rest.split_ascii_whitespace();
    let (Some(_), Some(key)) = (words.next().filter(|kind| is_kind(kind)), words.next()) else { return Able::No };
    // Length and name of the kind come first in every key (RFC 4253, 6.6), so it begins with zeros.
    let is_key = key.starts_with("AAAA") && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    options.iter().fold(Able::when(is_key), |so_far, (name, value)| so_far.and(allowed(name, value, sources)))
}

/// What one option leaves of it. No terminal, no forwarding: commands still run.
fn allowed(name: &str, value: &str, sources: &[IpAddr]) -> Able {
    match name {
        "command" => Able::when(is_shell(value)),
        "cert-authority" => Able::unclear("only a certificate opens it"),
        "from" if sources.iter().any(|addr| patterns::addresses(value, *addr) == Match::Yes) => Able::Yes,
        "from" => Able::unclear("its key is taken only from some addresses"),
        "expiry-time" => {
            let digits: String = value.chars().filter(char::is_ascii_digit).collect();
            let now = Utc::now().format("%Y%m%d%H%M%S").to_string();
            Able::when(now.get(..digits.len()).is_some_and(|now| now <= digits.as_str()))
        }
        _ => Able::Yes,
    }
}

/// `a,b="x \"y\"",c` and the rest of the line.
fn split_options(line: &str) -> (Vec<(String, String)>, &str) {
    let (mut options, mut name, mut value) = (Vec::new(), String::new(), None::<String>);
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in line.char_indices() {
        match letter {
            '"' if !escaped => {
                quoted = !quoted;
                value.get_or_insert_default();
            }
            '\\' if quoted && !escaped => {
                escaped = true;
                continue;
            }
            ',' | ' ' | '\t' if !quoted => {
                let name = std::mem::take(&mut name).trim_end_matches('=').to_ascii_lowercase();
                options.push((name, value.take().unwrap_or_default()));
                if letter != ',' {
                    return (options, line.get(at..).unwrap_or_default());
                }
            }
            _ if quoted => {
                if escaped && letter != '"' {
                    value.get_or_insert_default().push('\\');
                }
                value.get_or_insert_default().push(letter);
            }
            _ => name.push(letter),
        }
        escaped = false;
    }
    (options, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx owner@home";

    #[test]
    fn only_a_key_that_opens_a_shell_counts() {
        let of = |options: &str| opens_a_shell(&format!("{options} {KEY}"), &["203.0.113.9".parse().unwrap()]);
        for able in
            ["", "no-pty", "restrict,agent-forwarding", "command=\"/bin/bash -l\"", "from=\"203.0.113.0/24\"", "expiry-time=\"99990101\""]
        {
            assert_eq!(of(able), Able::Yes, "{able}");
        }
        // As cloud images write it for root.
        let cloud = r#"no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command="echo 'Please login as the user \"debian\" rather than the user \"root\".';echo;sleep 10;exit 142""#;
        for not in [cloud, "command=\"/usr/bin/rrsync -ro /srv\"", "expiry-time=\"20200101\"", "command=\"internal-sftp\",no-pty"] {
            assert_eq!(of(not), Able::No, "{not}");
        }
        for unclear in ["from=\"198.51.100.7\"", "cert-authority", "from=\"!203.0.113.9,*\""] {
            assert!(matches!(of(unclear), Able::Unclear(_)), "{unclear}");
        }
        for line in ["", "# ssh-ed25519 AAAA x", "ssh-ed25519", "ssh-dss AAAAB3 x", "ssh-ed25519 not*base64 x", "one two"] {
            assert_eq!(opens_a_shell(line, &[]), Able::No, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_breaks_it(line in "\\PC{0,80}") {
            let _ = opens_a_shell(&line, &[]);
        }
    }
}
