//! Whether an account comes in: by the SSH server as it is configured for it, and where none runs by its password at a
//! console.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::able::Able;
use super::patterns::{self, Match};
use super::server::Effective;
use super::{Host, keys, pam};
use bartizan_enforce::accounts::{Account, Password, Standing};

/// A stranger's address (RFC 5737), asked about when nobody's is known.
const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 254));
/// Addresses from which a login is tried.
const MAX_SOURCES: usize = 4;
const SHELLS: [&str; 9] = ["sh", "bash", "dash", "zsh", "ksh", "mksh", "fish", "ash", "tcsh"];

/// Whether a login of this account runs a shell; an empty one is /bin/sh (passwd(5)).
pub(super) fn has_shell(account: &Account) -> bool {
    let name = account.shell.basename();
    !matches!(name.as_ref(), "nologin" | "false" | "true" | "sync" | "halt" | "shutdown" | "git-shell" | "rssh" | "scponly")
}

/// Whether nobody but root comes in for now: pam_nologin(8), and sshd without PAM.
pub(super) fn is_closed_to(account: &Account) -> bool {
    account.uid != 0 && ["/etc/nologin", "/run/nologin"].iter().any(|file| Path::new(file).exists())
}

/// Whether a forced command is a shell, so that anything can be done in it.
pub(super) fn is_shell(command: &str) -> bool {
    let mut words = command.split_ascii_whitespace().skip_while(|word| *word == "exec");
    let Some(program) = words.next() else { return false };
    let name = program.rsplit('/').next().unwrap_or_default();
    SHELLS.contains(&name) && words.all(|word| matches!(word, "-l" | "-i" | "-il" | "-li" | "--login"))
}

impl Host {
    /// Whether it can log in from elsewhere.
    pub(super) fn comes_in(&self, account: &Account) -> Able {
        let standing = self.standing(account);
        let shell = if account.shell.is_empty() { "/bin/sh".into() } else { account.shell.lossy() };
        let runs = std::fs::metadata(Path::new(shell.as_ref())).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
        if !has_shell(account) || !runs || standing.expired {
            return Able::No;
        }
        let able = match self.servers.as_slice() {
            [] => Able::when(standing.password == Password::Usable),
            servers => servers.iter().map(|server| self.comes_in_by(server, account, standing)).fold(Able::No, Able::or),
        };
        match standing.must_change && standing.password != Password::Usable {
            true => able.and(Able::unclear("it must set a new password first")),
            false => able,
        }
    }

    fn comes_in_by(&self, server: &super::server::Server, account: &Account, standing: Standing) -> Able {
        let name = account.name.lossy();
        let sources: Vec<IpAddr> = self.sources.iter().copied().take(MAX_SOURCES).collect();
        let unknown = sources.is_empty();
        let mut found: Vec<Able> = Vec::new();
        for from in if unknown { vec![SOMEWHERE] } else { sources } {
            let able = match server.effective(&name, from) {
                Ok(effective) => self.let_in(&effective, account, standing, (!unknown).then_some(from)),
                Err(why) => return Able::Unclear(why),
            };
            found.push(able);
        }
        match found.as_slice() {
            [first, rest @ ..] if rest.iter().all(|able| able == first) && !(unknown && server.depends_on_address()) => first.clone(),
            _ => Able::unclear("the SSH server decides by the address that a login comes from"),
        }
    }

    /// sshd(8) in the order of its own checks: lists of users and groups, root, forced commands, then the ways to prove
    /// who one is.
    fn let_in(&self, effective: &Effective, account: &Account, standing: Standing, from: Option<IpAddr>) -> Able {
        let with_pam = effective.says_yes("usepam");
        let listed = self.listed(effective, account, from);
        if listed == Able::No || standing.locked && !with_pam {
            return Able::No;
        }
        let root = effective.one("permitrootlogin").unwrap_or("prohibit-password");
        if account.uid == 0 && matches!(root, "no" | "forced-commands-only") {
            return Able::No;
        }
        let by_password = account.uid != 0 || root == "yes";
        let open = match effective.one("forcecommand") {
            Some(command) if !is_shell(command) => return Able::No,
            _ if effective.one("chrootdirectory").is_some() => Able::unclear("its logins are kept in a directory (ChrootDirectory)"),
            _ => listed,
        };
        let gate = if with_pam { pam::gate("sshd").map_or(Able::Yes, Able::Unclear) } else { Able::Yes };
        open.and(gate).and(self.proves_itself(effective, account, standing, by_password))
    }

    /// DenyUsers, AllowUsers, DenyGroups, AllowGroups, in this order (sshd_config(5)).
    fn listed(&self, effective: &Effective, account: &Account, from: Option<IpAddr>) -> Able {
        let users = |word: &str| -> Option<Able> {
            let mut patterns = effective.all(word).flat_map(str::split_ascii_whitespace).peekable();
            patterns.peek()?;
            Some(patterns.map(|pattern| user_fits(pattern, &account.name.lossy(), from)).fold(Able::No, Able::or))
        };
        let groups = |word: &str| -> Option<bool> {
            let patterns: Vec<&str> = effective.all(word).flat_map(str::split_ascii_whitespace).collect();
            let fits = |name: &[u8]| patterns::list(&patterns.join(","), &String::from_utf8_lossy(name)) == Match::Yes;
            (!patterns.is_empty()).then(|| self.groups_of(account).any(|group| fits(&group.name)))
        };
        let denied = match users("denyusers") {
            Some(Able::Yes) => return Able::No,
            Some(Able::Unclear(why)) => Able::Unclear(why),
            _ => Able::Yes,
        };
        if groups("denygroups") == Some(true) || groups("allowgroups") == Some(false) {
            return Able::No;
        }
        denied.and(users("allowusers").unwrap_or(Able::Yes))
    }

    /// The methods of sshd, each of which needs what the account has; AuthenticationMethods may want several.
    fn proves_itself(&self, effective: &Effective, account: &Account, standing: Standing, by_password: bool) -> Able {
        let password = match standing.password {
            Password::Usable => Able::when(by_password),
            Password::Empty => Able::when(by_password && effective.says_yes("permitemptypasswords")),
            Password::None => Able::No,
        };
        let asked = ["kbdinteractiveauthentication", "challengeresponseauthentication"].iter().any(|word| effective.says_yes(word));
        let method = |name: &str| match name.split(':').next().unwrap_or_default() {
            "publickey" if effective.says_yes("pubkeyauthentication") => self.has_key(effective, account),
            "password" if effective.says_yes("passwordauthentication") => password.clone(),
            "keyboard-interactive" if asked && effective.says_yes("usepam") => password.clone(),
            "publickey" | "password" | "keyboard-interactive" | "none" => Able::No,
            "hostbased" => Able::when(false).or(unclear_if(effective.says_yes("hostbasedauthentication"), "keys of hosts let in")),
            "gssapi-with-mic" => {
                unclear_if(effective.says_yes("gssapiauthentication") && Path::new("/etc/krb5.keytab").exists(), "Kerberos tickets let in")
            }
            other => Able::unclear(format!("the SSH server asks for {}", other.escape_debug())),
        };
        match effective.one("authenticationmethods").filter(|lists| *lists != "any") {
            Some(lists) => {
                let one = |list: &str| list.split(',').map(&method).fold(Able::Yes, Able::and);
                lists.split_ascii_whitespace().map(one).fold(Able::No, Able::or)
            }
            None => ["publickey", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic"]
                .map(method)
                .into_iter()
                .fold(Able::No, Able::or),
        }
    }

    fn has_key(&self, effective: &Effective, account: &Account) -> Able {
        let strict = effective.says_yes("strictmodes");
        let files = effective.all("authorizedkeysfile").flat_map(str::split_ascii_whitespace).filter(|file| *file != "none");
        let by_file = files.map(|file| keys::in_file(file, account, &self.sources, strict)).fold(Able::No, Able::or);
        let command = unclear_if(effective.one("authorizedkeyscommand").is_some(), "its keys come from a program (AuthorizedKeysCommand)");
        let authority = unclear_if(effective.one("trustedusercakeys").is_some(), "certificates let in (TrustedUserCAKeys)");
        by_file.or(command).or(authority)
    }
}

fn unclear_if(is_so: bool, why: &str) -> Able {
    if is_so { Able::unclear(why) } else { Able::No }
}

/// `name` or `name@host`, where host is an address or a network.
fn user_fits(pattern: &str, name: &str, from: Option<IpAddr>) -> Able {
    let Some((user, host)) = pattern.rsplit_once('@') else { return Able::when(patterns::list(pattern, name) == Match::Yes) };
    if patterns::list(user, name) != Match::Yes {
        return Able::No;
    }
    match from {
        Some(from) if patterns::addresses(host, from) == Match::Yes => Able::Yes,
        // A name of a host is looked up by sshd only (UseDNS).
        _ => Able::unclear("the SSH server lets it in from some addresses only"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_command_is_a_shell_or_it_is_not() {
        for shell in ["/bin/bash", "exec /usr/bin/zsh -l", "sh -i"] {
            assert!(is_shell(shell), "{shell}");
        }
        for other in ["", "exec", "bash -c 'echo no'", "echo bash", "internal-sftp", "/usr/bin/false", "sh /srv/menu.sh"] {
            assert!(!is_shell(other), "{other}");
        }
    }

    #[test]
    fn a_user_may_be_bound_to_an_address() {
        let from = Some("203.0.113.9".parse().unwrap());
        assert_eq!((user_fits("an?", "ann", from), user_fits("bob", "ann", from)), (Able::Yes, Able::No));
        assert_eq!(user_fits("ann@203.0.113.0/24", "ann", from), Able::Yes);
        assert_eq!(user_fits("bob@203.0.113.0/24", "ann", from), Able::No);
        assert!(matches!(user_fits("ann@bastion.example", "ann", from), Able::Unclear(_)));
        assert!(matches!(user_fits("ann@203.0.113.9", "ann", None), Able::Unclear(_)));
    }
}
