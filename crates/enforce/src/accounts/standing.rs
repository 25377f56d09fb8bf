//! Whether an account is open: its password, its expiry and its password's age, as pam_unix(8) reads shadow(5).

use super::passwd::Account;

/// What the password field lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    /// A hash that some password fits.
    Usable,
    /// Nothing need be typed.
    Empty,
    /// No password fits.
    None,
}

/// How an account stands on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What its password field lets in.
    pub password: Password,
    /// The field begins with `!`: sshd without PAM then refuses keys too.
    pub locked: bool,
    /// The account expired, or its password did and nobody may change it any more.
    pub expired: bool,
    /// A new password must be set at the next login.
    pub must_change: bool,
}

/// How `account` stands `today` (days since 1970) by what is in /etc/shadow.
pub fn standing(account: &Account, shadow: &[u8], today: i64) -> Standing {
    if account.password != b"x" {
        let locked = account.password.starts_with(b"!");
        return Standing { password: password(&account.password), locked, expired: false, must_change: false };
    }
    let line = shadow.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(account.name.as_bytes())?.strip_prefix(b":"));
    // pam_unix lets nobody in whose line is missing.
    let Some(line) = line else { return Standing { password: Password::None, locked: true, expired: true, must_change: false } };
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    let days = |at: usize| std::str::from_utf8(field(at)).ok()?.parse::<i64>().ok().filter(|days| *days >= 0);
    let (changed, longest, inactive, expires) = (days(1), days(3), days(5), days(6));
    let due = changed.zip(longest).map(|(changed, longest)| changed.saturating_add(longest));
    let closed = due.zip(inactive).is_some_and(|(due, inactive)| today > due.saturating_add(inactive));
    Standing {
        password: password(field(0)),
        locked: field(0).starts_with(b"!"),
        expired: closed && changed != Some(0) || expires.is_some_and(|expires| today > expires),
        must_change: changed == Some(0) || due.is_some_and(|due| today > due),
    }
}

/// crypt(5): `$id$...`, the BSD form `_...`, or thirteen characters of DES.
fn password(field: &[u8]) -> Password {
    let plain = |bytes: &[u8]| bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'));
    match field {
        b"" => Password::Empty,
        [b'$', rest @ ..] if rest.iter().filter(|byte| **byte == b'$').count() >= 2 => Password::Usable,
        [b'_', rest @ ..] if rest.len() == 19 && plain(rest) => Password::Usable,
        des if des.len() == 13 && plain(des) => Password::Usable,
        _ => Password::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: i64 = 20_000;

    fn of(shadow: &str) -> Standing {
        let account =
            Account { name: "ann".into(), uid: 1000, gid: 1000, home: "/".into(), shell: "/bin/sh".into(), password: b"x".to_vec() };
        standing(&account, shadow.as_bytes(), TODAY)
    }

    #[test]
    fn our_own_lock_and_every_other_end_of_an_account_are_seen() {
        let expired = |shadow: &str| of(shadow).expired;
        assert!(expired("ann:!$y$a$b$c:19000:0:99999:7::1:"), "as we lock it");
        assert!(expired("ann:$y$a$b$c:19000:0:99999:7::19999:") && expired("ann:$y$a$b$c:19000:0:99999:7::0:"));
        assert!(!expired("ann:$y$a$b$c:19000:0:99999:7::20000:"), "its last day");
        assert!(!expired("ann:$y$a$b$c:19000:0:99999:7:::") && !expired("ann:*:19000::::::"));
        assert!(expired("ann:$y$a$b$c:19900:0:90:7:5::") && !expired("ann:$y$a$b$c:19900:0:90:7:10::"), "ten days late");
        assert!(of("ann:$y$a$b$c:19900:0:90:7:::").must_change && of("ann:$y$a$b$c:0:0:99999:7:::").must_change);
        assert!(!of("ann:$y$a$b$c:0:0:99999:7:3::").expired, "asked for a new one at once, not shut out");
        assert!(expired("anna:$y$a$b$c:19000::::::") && of("").locked, "without a line nobody is let in");
    }

    #[test]
    fn only_what_some_password_fits_is_a_password() {
        let kind = |field: &str| of(&format!("ann:{field}:19000::::::")).password;
        for usable in ["$y$j9T$salt$hash", "$6$a$b", "ab01234567890", "_J9..saltHashHashHas"] {
            assert_eq!(kind(usable), Password::Usable, "{usable}");
        }
        for none in ["!", "*", "!!", "x", "!$y$j9T$salt$hash", "*LK*", "NP", "$"] {
            assert_eq!(kind(none), Password::None, "{none}");
        }
        assert_eq!(kind(""), Password::Empty);
        assert!(of("ann:!$y$a$b$c:1::::::").locked && !of("ann:*:1::::::").locked);
    }
}
