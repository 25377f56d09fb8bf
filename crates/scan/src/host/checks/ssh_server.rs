//! What the SSH server allows, by its effective configuration (sshd_config(5)).

use std::collections::HashMap;

use crate::host::{Check, HostView, Looked, Notes, lines};
use bartizan_model::Severity;

pub(in crate::host) const CHECK: Check = Check {
    id: "ssh-server",
    title: "SSH server",
    why: "The SSH server is the door that everybody on the Internet tries; what it allows decides what a guessed or stolen password is worth.",
    look,
};

const FILE: &str = "/etc/ssh/sshd_config";
/// Files that one Include may bring.
const MAX_FILES: usize = 64;

/// Keyword, value that is weak, how bad, what it means, what to write instead.
const WEAK: &[(&str, &str, Severity, &str, &str)] = &[
    ("permitemptypasswords", "yes", Severity::Critical, "SSH lets accounts without a password log in", "PermitEmptyPasswords no"),
    (
        "permituserenvironment",
        "yes",
        Severity::Medium,
        "SSH lets users set variables such as LD_PRELOAD for their logins",
        "PermitUserEnvironment no",
    ),
    (
        "hostbasedauthentication",
        "yes",
        Severity::Medium,
        "SSH trusts logins because of the host they come from",
        "HostbasedAuthentication no",
    ),
    ("ignorerhosts", "no", Severity::Medium, "SSH obeys users' .rhosts files", "IgnoreRhosts yes"),
    ("strictmodes", "no", Severity::Medium, "SSH accepts keys from files that other users can write", "StrictModes yes"),
];

/// Algorithms that are broken or within reach of an attacker (RFC 9142, RFC 8758, RFC 8332).
const BROKEN: &[&str] = &[
    "3des-cbc", "arcfour", "arcfour128", "arcfour256", "blowfish-cbc", "cast128-cbc", "hmac-md5", "hmac-md5-96",
    "diffie-hellman-group1-sha1", "ssh-dss",
];

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    let settings = match view.ssh_settings() {
        Ok(None) => return Looked::NotHere("there is no SSH server"),
        Ok(Some(settings)) => settings,
        // A server that cannot run its own test still has files that say most of it.
        Err(why) => match from_files(view, notes) {
            Some(settings) => settings,
            None => return Looked::NotPossible(format!("the server does not tell its configuration ({why}), and {FILE} cannot be read")),
        },
    };
    judge(&settings, notes);
    Looked::Done
}

fn judge(settings: &[(String, String)], notes: &mut Notes) {
    let mut first: HashMap<&str, &str> = HashMap::new();
    for (word, value) in settings {
        first.entry(word).or_insert(value);
    }
    let says = |word: &str, value: &str| first.get(word).is_some_and(|said| said.eq_ignore_ascii_case(value));
    let mut weak = |severity, word: &str, title: &str, fix: &str| {
        let evidence = format!("{word} {}", first.get(word).unwrap_or(&"is not set: the default holds"));
        let fix = format!("write `{fix}` near the top of {FILE}, test with `sshd -t`, then `systemctl reload ssh`");
        notes.found(severity, FILE, word, title.to_owned(), evidence.as_bytes(), fix);
    };
    let passwords = !says("passwordauthentication", "no");
    if says("permitrootlogin", "yes") {
        let (severity, how) = if passwords { (Severity::High, "with a password") } else { (Severity::Low, "with a key, for any command") };
        weak(severity, "permitrootlogin", &format!("SSH lets root log in {how}"), "PermitRootLogin prohibit-password");
    }
    if passwords {
        // Debian's default: worth a look, no more.
        let title = "SSH accepts passwords, which can be guessed; keys cannot";
        weak(Severity::Low, "passwordauthentication", title, "PasswordAuthentication no");
    }
    for (word, value, severity, title, fix) in WEAK {
        if says(word, value) {
            weak(*severity, word, title, fix);
        }
    }
    for word in ["ciphers", "macs", "kexalgorithms", "hostkeyalgorithms"] {
        let offered = first.get(word).map(|list| list.split(',').filter(|one| BROKEN.contains(one)).collect::<Vec<_>>());
        if let Some(broken) = offered.filter(|broken| !broken.is_empty()) {
            let title = format!("SSH offers broken cryptography: {}", broken.join(", "));
            weak(Severity::Medium, word, &title, &format!("{word} -{}", broken.join(",")));
        }
    }
    if first.get("maxauthtries").and_then(|tries| tries.parse::<u32>().ok()).is_some_and(|tries| tries > 10) {
        weak(Severity::Low, "maxauthtries", "SSH allows many guesses in one connection", "MaxAuthTries 6");
    }
}

/// What the files say outside of Match blocks; of several values the first counts, and what they do not say is OpenSSH's default.
fn from_files(view: &dyn HostView, notes: &mut Notes) -> Option<Vec<(String, String)>> {
    let text = notes.text(view, FILE.as_bytes())?;
    let mut settings = Vec::new();
    collect(view, notes, &text, true, &mut settings);
    Some(settings)
}

fn collect(view: &dyn HostView, notes: &mut Notes, text: &str, may_include: bool, settings: &mut Vec<(String, String)>) {
    for (_, line) in lines(text) {
        let (word, value) = line.split_once([' ', '\t', '=']).unwrap_or((line, ""));
        let (word, value) = (word.to_ascii_lowercase(), value.trim_start_matches([' ', '\t', '=']).trim().trim_matches('"'));
        match word.as_str() {
            "match" => return,
            "include" if may_include => {
                for path in value.split_ascii_whitespace().filter_map(|path| path.strip_suffix("/*.conf")) {
                    let names = view.list(path.as_bytes()).into_iter().filter(|name| name.ends_with(b".conf"));
                    for name in names.take(MAX_FILES) {
                        let included = notes.text(view, &crate::host::join(path.as_bytes(), &name));
                        included.into_iter().for_each(|text| collect(view, notes, &text, false, settings));
                    }
                }
            }
            _ => settings.push((word, value.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    fn server(text: &str) -> Fake {
        let pairs = text.lines().map(|line| line.split_once(' ').unwrap()).map(|(a, b)| (a.to_owned(), b.to_owned()));
        Fake { ssh: Some(pairs.collect()), ..Fake::default() }
    }

    #[test]
    fn what_lets_strangers_in_is_told_and_defaults_are_not_shouted_at() {
        let debian = "permitrootlogin without-password\npasswordauthentication yes\nciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com\nmaxauthtries 6";
        let found = server(debian).finds(&CHECK);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, Severity::Low);
        let open = server("permitrootlogin yes\npasswordauthentication yes\npermitemptypasswords yes\nmacs hmac-md5,hmac-sha2-256");
        let severities: Vec<_> = open.finds(&CHECK).into_iter().map(|(severity, _)| severity).collect();
        assert_eq!(severities, [Severity::High, Severity::Low, Severity::Critical, Severity::Medium]);
        assert!(server("permitrootlogin no\npasswordauthentication no").finds(&CHECK).is_empty());
    }

    #[test]
    fn without_an_answer_the_files_are_read_and_their_first_value_counts() {
        let files = |text: &str| Fake::default().file(FILE, text).file("/etc/ssh/sshd_config.d/a.conf", "PasswordAuthentication no\n");
        let mut notes = Notes::default();
        let text = "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin=yes\nPasswordAuthentication yes\nMatch User x\nPermitEmptyPasswords yes\n";
        let settings = from_files(&files(text), &mut notes).unwrap();
        judge(&settings, &mut notes);
        let titles: Vec<_> = notes.found.iter().map(|(_, weak)| weak.title.as_str()).collect();
        assert_eq!(titles, ["SSH lets root log in with a key, for any command"]);
    }

    #[test]
    fn no_server_is_no_weakness_and_no_answer_is_no_pass() {
        assert_eq!(Fake::default().look(&CHECK).1, Looked::NotHere("there is no SSH server"));
        assert!(matches!(Fake { refuses: true, ..Fake::default() }.look(&CHECK).1, Looked::NotPossible(_)));
    }
}
