//! doas.conf(5): the last rule that fits decides; without a command it permits everything.

use super::able::Able;
use super::rise::can_answer;
use super::{Host, is_set_uid_root, read};
use bartizan_enforce::accounts::Account;

const FILE: &str = "/etc/doas.conf";
/// Rules that are read.
const MOST: usize = 1024;

pub(super) fn able(host: &Host, account: &Account) -> Able {
    if is_set_uid_root("doas").is_none() {
        return Able::No;
    }
    let groups: Vec<(&[u8], u32)> = host.groups_of(account).map(|group| (group.name.as_slice(), group.gid)).collect();
    match rule(&String::from_utf8_lossy(&read(FILE)), account, &groups) {
        Some(true) => Able::Yes,
        Some(false) => can_answer(host.standing(account), "its", "doas"),
        None => Able::No,
    }
}

/// Whether everything may be done as root, and whether without a password.
fn rule(text: &str, account: &Account, groups: &[(&[u8], u32)]) -> Option<bool> {
    let mut found = None;
    for words in text.replace("\\\n", " ").lines().take(MOST).map(words) {
        let mut words = words.iter().map(String::as_str);
        let permits = match words.next() {
            Some("permit") => true,
            Some("deny") => false,
            _ => continue,
        };
        let mut silent = false;
        let mut identity = None;
        while let Some(word) = words.next() {
            match word {
                "nopass" => silent = true,
                "persist" | "keepenv" | "nolog" => {}
                "setenv" => drop(words.by_ref().find(|word| word.ends_with('}'))),
                who => {
                    identity = Some(who.to_owned());
                    break;
                }
            }
        }
        if !identity.is_some_and(|who| is(&who, account, groups)) {
            continue;
        }
        let rest: Vec<&str> = words.collect();
        let target = rest.iter().position(|word| *word == "as").and_then(|at| rest.get(at + 1));
        let command = rest.iter().position(|word| *word == "cmd").and_then(|at| rest.get(at + 1));
        let as_root = target.is_none_or(|target| matches!(*target, "root" | "0"));
        if as_root && command.is_none() {
            found = permits.then_some(silent);
        }
    }
    found
}

/// A name, a number, or `:group`.
fn is(who: &str, account: &Account, groups: &[(&[u8], u32)]) -> bool {
    match who.strip_prefix(':') {
        Some(group) => groups.iter().any(|(name, gid)| *name == group.as_bytes() || group.parse() == Ok(*gid)),
        None => who.as_bytes() == account.name.as_bytes() || who.parse() == Ok(account.uid),
    }
}

/// Words between blanks; a quoted one is one; `#` begins a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for letter in line.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '#' if !quoted => break,
            ' ' | '\t' if !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_fits_decides() {
        let ann = Account { name: "ann".into(), uid: 1000, gid: 27, home: "/".into(), shell: "/bin/sh".into(), password: Vec::new() };
        let of = |text: &str| rule(text, &ann, &[(b"wheel", 10), (b"staff", 50)]);
        assert_eq!(of("permit ann"), Some(false));
        assert_eq!(of("permit nopass keepenv setenv { A=1 -B } :wheel as root # owner"), Some(true));
        assert_eq!((of("permit nopass 1000"), of("permit persist :50")), (Some(true), Some(false)));
        assert_eq!(of("permit ann\ndeny ann"), None);
        assert_eq!(of("deny ann\npermit \"ann\""), Some(false));
        assert_eq!(of("permit ann\ndeny ann cmd reboot"), Some(false), "one command less");
        for none in ["permit bob", "permit ann as www", "permit ann cmd /usr/bin/apt", "permit :sudo", "# permit ann", "", "permit"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
