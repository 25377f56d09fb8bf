//! sudo(8): asked itself what it lets an account run (`sudo -l -U`), so that aliases, includes, groups, hosts and directory
//! services count as they do for it.

use super::able::Able;
use super::rise::can_answer;
use super::{Host, PATIENCE, is_set_uid_root};
use bartizan_enforce::accounts::Account;
use bartizan_sys::child;

/// Programs by which any command can be run: as good as ALL.
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "zsh", "ksh", "fish", "su", "env"];

/// Whose password is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nobodys,
    Own,
    Roots,
}

/// What it may do as root by sudo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rules {
    /// Everything, or everything but some commands.
    everything: Option<(Able, Asks)>,
    /// A shell, by a rule of its own.
    shells: Vec<Asks>,
}

pub(super) fn able(host: &Host, account: &Account) -> Able {
    let Some(program) = is_set_uid_root("sudo") else { return Able::No };
    let name = account.name.lossy();
    // A name that looks like an option or a number is not asked for.
    if name.starts_with(['-', '#', '+', '%']) || name.contains('\0') {
        return Able::unclear("sudo cannot be asked about its name");
    }
    let said = match child::ask(program.as_os_str(), &["-n", "-l", "-U", name.as_ref()], PATIENCE) {
        Ok(said) => said,
        Err(why) => return Able::unclear(format!("`sudo -l -U`: {why}")),
    };
    let text = String::from_utf8_lossy(&said.out).into_owned();
    let Some(rules) = rules(&text) else {
        let why =
            String::from_utf8_lossy(&said.err).lines().next().unwrap_or("it says nothing").escape_debug().take(200).collect::<String>();
        return Able::unclear(format!("`sudo -l -U`: {why}"));
    };
    let answer = |asks: Asks| match (asks, host.root()) {
        (Asks::Nobodys, _) => Able::Yes,
        (Asks::Own, _) => can_answer(host.standing(account), "its", "sudo"),
        (Asks::Roots, Some(root)) => can_answer(root, "root's", "sudo"),
        (Asks::Roots, None) => Able::No,
    };
    let everything = rules.everything.map_or(Able::No, |(able, asks)| able.and(answer(asks)));
    rules.shells.into_iter().map(answer).fold(everything, Able::or)
}

/// Reads the list as sudo(8) writes it in the C locale; `None` when it is no such list.
fn rules(text: &str) -> Option<Rules> {
    if text.contains(" is not allowed to run sudo on ") {
        return Some(Rules::default());
    }
    let (defaults, list) = text.split_once(" may run the following commands on ")?;
    let settings: Vec<&str> = defaults.split([',', '\n']).map(str::trim).collect();
    let asking = if settings.iter().any(|word| matches!(*word, "targetpw" | "rootpw" | "runaspw")) { Asks::Roots } else { Asks::Own };
    let usual = if settings.contains(&"!authenticate") { Asks::Nobodys } else { asking };
    let mut found = Rules::default();
    for line in whole_lines(list) {
        let Some((runas, commands)) = line.strip_prefix('(').and_then(|line| line.split_once(')')) else { continue };
        if !as_root(runas) {
            continue;
        }
        let mut asks = usual;
        for item in commands.split(',') {
            let (tagged, command) = tags(item.trim(), asks, asking);
            asks = tagged;
            // The last rule that fits decides.
            match what(command) {
                What::Everything => found.everything = Some((Able::Yes, asks)),
                What::Nothing => found = Rules::default(),
                What::AShell => found.shells.push(asks),
                What::Except => {
                    if let Some((able, _)) = &mut found.everything {
                        *able = Able::unclear("sudo lets it run everything except some commands");
                    }
                }
                What::Some => {}
            }
        }
    }
    Some(found)
}

/// A long rule goes on in lines that are set in further.
fn whole_lines(list: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in list.lines().skip(1) {
        match lines.last_mut() {
            Some(last) if line.starts_with("     ") || line.starts_with('\t') => *last = format!("{last} {}", line.trim()),
            _ => lines.push(line.trim().to_owned()),
        }
    }
    lines
}

/// The part before a colon names users: `ALL`, `root`, `#0`, not `!root`.
fn as_root(runas: &str) -> bool {
    let users = runas.split(':').next().unwrap_or_default().split(',').map(str::trim);
    users.fold(false, |so_far, user| match user {
        "ALL" | "root" | "#0" => true,
        "!ALL" | "!root" | "!#0" => false,
        _ => so_far,
    })
}

/// `NOPASSWD: SETENV: /usr/bin/x` in its parts.
fn tags(item: &str, so_far: Asks, asking: Asks) -> (Asks, &str) {
    let (mut asks, mut rest) = (so_far, item);
    while let Some((word, after)) =
        rest.split_once(':').filter(|(word, _)| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    {
        match word {
            "NOPASSWD" => asks = Asks::Nobodys,
            "PASSWD" => asks = asking,
            _ => {}
        }
        rest = after.trim_start();
    }
    (asks, rest)
}

enum What {
    Everything,
    Nothing,
    AShell,
    /// Some command is taken away.
    Except,
    /// One command, which is not root.
    Some,
}

fn what(command: &str) -> What {
    match command {
        "ALL" => What::Everything,
        "!ALL" => What::Nothing,
        not if not.starts_with('!') => What::Except,
        one => {
            let mut words = one.split_ascii_whitespace();
            let program = words.next().unwrap_or_default();
            let is_shell = program.starts_with('/') && SHELLS.contains(&program.rsplit('/').next().unwrap_or_default());
            let plain = words.all(|word| matches!(word, "-" | "-l" | "-i" | "root"));
            if is_shell && plain { What::AShell } else { What::Some }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(defaults: &str, listed: &[&str]) -> Rules {
        let listed: String = listed.iter().map(|rule| format!("    {rule}\n")).collect();
        let head = format!("Matching Defaults entries for ann on host:\n    env_reset, {defaults}\n\n");
        rules(&format!("{head}User ann may run the following commands on host:\n{listed}")).unwrap()
    }

    #[test]
    fn only_everything_as_root_is_root() {
        let able = |listed: &[&str]| {
            let rules = of("use_pty", listed);
            rules.everything.map_or(Able::No, |(able, _)| able).or(Able::when(!rules.shells.is_empty()))
        };
        for yes in ["(ALL : ALL) ALL", "(root) NOPASSWD: ALL", "(#0) SETENV: NOPASSWD: ALL", "(root) /bin/bash", "(ALL) /usr/bin/su -"] {
            assert_eq!(able(&[yes]), Able::Yes, "{yes}");
        }
        for no in [
            "(root) /usr/bin/apt", "(www-data) ALL", "(ALL, !root) ALL", "(root) NOPASSWD: /bin/bash /srv/x.sh",
            "(root) sudoedit /etc/hosts", "(ALL) !ALL",
        ] {
            assert_eq!(able(&[no]), Able::No, "{no}");
        }
        assert!(matches!(able(&["(ALL) ALL, !/usr/bin/su"]), Able::Unclear(_)));
        assert!(matches!(able(&["(ALL) ALL,", "        !/usr/bin/su"]), Able::Unclear(_)), "a line that goes on");
        assert_eq!(able(&["(ALL) ALL", "(ALL) !ALL"]), Able::No, "the last one decides");
        assert_eq!(able(&["(ALL) ALL", "(root) NOPASSWD: /usr/bin/apt"]), Able::Yes);
    }

    #[test]
    fn whose_password_is_asked_for() {
        let asks = |defaults: &str, listed: &[&str]| of(defaults, listed).everything.unwrap().1;
        assert_eq!(asks("use_pty", &["(ALL) ALL"]), Asks::Own);
        assert_eq!(asks("rootpw", &["(ALL) ALL"]), Asks::Roots);
        assert_eq!(asks("rootpw", &["(ALL) NOPASSWD: ALL"]), Asks::Nobodys);
        assert_eq!(asks("!authenticate", &["(ALL) ALL"]), Asks::Nobodys);
        assert_eq!(asks("!authenticate", &["(ALL) PASSWD: ALL"]), Asks::Own);
        assert_eq!(asks("use_pty", &["(ALL) ALL", "(root) NOPASSWD: /usr/bin/apt"]), Asks::Own, "a command without one changes nothing");
        assert_eq!(of("use_pty", &["(ALL) ALL", "(root) NOPASSWD: /bin/sh"]).shells, [Asks::Nobodys]);
        assert_eq!(rules("User ann is not allowed to run sudo on host.\n"), Some(Rules::default()));
        assert_eq!(rules("sudo: parse error\n"), None);
    }

    proptest! {
        #[test]
        fn no_list_breaks_it(text in "\\PC{0,200}") {
            let _ = rules(&text);
            let _ = rules(&format!("x may run the following commands on y:\n({text}"));
        }
    }
}
