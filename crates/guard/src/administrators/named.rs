//! Accounts that sudoers(5) names, themselves or by a group: of them it is no news that they use sudo.

use super::{CONVENTIONAL, accounts, read};
use bartizan_model::HostText;

const FILE: &str = "/etc/sudoers";
const DIRECTORY: &str = "/etc/sudoers.d";
/// Files of the directory that are read.
const MAX_FILES: usize = 200;

/// All of them, and the members of the groups that distributions give to administrators. What cannot be read names nobody.
pub fn named() -> Vec<HostText> {
    let (accounts, groups) = (accounts::all().unwrap_or_default(), accounts::groups().unwrap_or_default());
    let entries = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten().take(MAX_FILES);
    let texts = entries.filter_map(|entry| entry.path().to_str().map(read)).chain([read(FILE)]);
    let mut rules: Vec<Vec<u8>> = texts.flat_map(|text| subjects(&text)).collect();
    rules.extend(CONVENTIONAL.iter().map(|group| [b"%", *group].concat()));
    let is_named = |account: &&accounts::Account| {
        rules.iter().any(|rule| match rule.strip_prefix(b"%") {
            Some(name) => groups.iter().any(|group| group.name == name && group.has(account)),
            None => rule == account.name.as_bytes(),
        })
    };
    accounts.iter().filter(is_named).map(|account| account.name.clone()).collect()
}

/// To whom the rules of a file apply: the first word of each line, if it is no setting.
fn subjects(text: &[u8]) -> Vec<Vec<u8>> {
    let first = |line: &[u8]| line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty()).map(<[u8]>::to_vec);
    let is_rule = |word: &Vec<u8>| !word.starts_with(b"#") && !word.starts_with(b"@") && !word.starts_with(b"Defaults");
    text.split(|byte| *byte == b'\n').filter_map(first).filter(is_rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_name_accounts_and_groups_and_settings_name_nobody() {
        let text = b"# ansible x\nDefaults env_reset\nDefaults:bob !lecture\n@includedir /etc/sudoers.d\n  ansible ALL=(ALL) NOPASSWD: ALL\n%wheel ALL=(ALL) ALL\n\n";
        assert_eq!(subjects(text), [b"ansible".to_vec(), b"%wheel".to_vec()]);
    }
}
