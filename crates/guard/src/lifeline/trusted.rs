//! Who counts as the owner: root, accounts that may be able to become root, and those that use the guard. Rather one too
//! many than one too few: whether somebody really can is asked when an account is to be disabled (`host::administrators`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use bartizan_enforce::accounts;

/// Groups whose members become root by convention, or have root's powers by what they may talk to.
const GROUPS: [&[u8]; 8] = [b"root", b"sudo", b"wheel", b"admin", b"doas", b"docker", b"lxd", b"incus"];
/// A file of rules is read so far; files of a directory.
const MAX_BYTES: u64 = 1 << 20;
const MAX_FILES: usize = 256;

/// Those accounts, by name and by user id.
#[derive(Debug, Default, Clone)]
pub(super) struct Trusted {
    accounts: BTreeMap<Vec<u8>, u32>,
    uids: BTreeSet<u32>,
}

impl Trusted {
    /// `users` are those that agent.toml lets use the guard. Where the files cannot be read, root and those are left.
    pub(super) fn read(users: &[u32]) -> Self {
        let (all, groups) = (accounts::all().unwrap_or_default(), accounts::groups().unwrap_or_default());
        let named = named_in_rules();
        let is_named = |name: &[u8]| named.contains(name) || named.contains(b"ALL".as_slice());
        let mut uids: BTreeSet<u32> = users.iter().copied().chain([0]).collect();
        for account in &all {
            let mut own = groups.iter().filter(|group| group.has(account));
            let rises =
                is_named(account.name.as_bytes()) || own.any(|group| GROUPS.contains(&group.name.as_slice()) || is_named(&group.name));
            uids.extend(rises.then_some(account.uid));
        }
        Self { accounts: all.into_iter().map(|account| (account.name.as_bytes().to_vec(), account.uid)).collect(), uids }
    }

    pub(super) fn uid_of(&self, name: &[u8]) -> Option<u32> {
        self.accounts.get(name).copied()
    }

    pub(super) fn name(&self, name: &[u8]) -> bool {
        self.uid_of(name).is_some_and(|uid| self.uid(uid))
    }

    pub(super) fn uid(&self, uid: u32) -> bool {
        self.uids.contains(&uid)
    }
}

/// Words at which a rule of sudoers(5) or doas.conf(5) may name an account or a group: what is no comment and no option.
/// `ALL` counts where a line begins with it.
fn named_in_rules() -> BTreeSet<Vec<u8>> {
    let mut files: Vec<PathBuf> = vec!["/etc/sudoers".into(), "/etc/doas.conf".into()];
    files.extend(fs::read_dir("/etc/sudoers.d").into_iter().flatten().flatten().take(MAX_FILES).map(|entry| entry.path()));
    let mut named = BTreeSet::new();
    for file in files {
        let mut text = Vec::new();
        if fs::File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text)).is_ok() {
            text.split(|byte| *byte == b'\n').for_each(|line| words(line, &mut named));
        }
    }
    named
}

fn words(line: &[u8], named: &mut BTreeSet<Vec<u8>>) {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") || line.starts_with(b"@") || line.starts_with(b"Defaults") {
        return;
    }
    let between = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'=' | b':' | b'(' | b')' | b'%' | b'"');
    for (at, word) in line.split(between).filter(|word| !word.is_empty()).enumerate() {
        if at == 0 || word != b"ALL" {
            named.insert(word.to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_a_rule_may_name_is_taken_for_an_administrator() {
        let named = |text: &str| {
            let mut named = BTreeSet::new();
            text.lines().for_each(|line| words(line.as_bytes(), &mut named));
            move |name: &str| named.contains(name.as_bytes())
        };
        let rules = named(
            "# carl ALL=(ALL) ALL\nDefaults:dora env_reset\nann ALL=(ALL:ALL) ALL\nUser_Alias OPS = ben, eve\n%staff ALL=(ALL) ALL\n",
        );
        assert!(["ann", "ben", "eve", "staff"].iter().all(|name| rules(name)));
        assert!(!rules("carl") && !rules("dora") && !rules("ALL"));
        assert!(named("ALL ALL=(ALL) NOPASSWD: ALL")("ALL"), "everybody");
        assert!(named("permit persist :wheel2\n")("wheel2"));
    }
}
