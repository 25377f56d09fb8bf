//! Who has which name: /etc/passwd (passwd(5)), and only that file.

use std::fs::File;
use std::io::Read;

use super::AccountError;
use crate::model::HostText;

const FILE: &str = "/etc/passwd";
/// A larger file is refused: a million accounts belong into a directory service.
const MOST_BYTES: u64 = 16 << 20;

/// One account of the host itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: HostText,
    /// Its user id.
    pub uid: u32,
}

/// The account of this name; of two the first, as getpwnam(3) answers. Accounts of a directory service (NIS, LDAP, SSSD)
/// are not in the file, so they are not found.
///
/// # Errors
/// When /etc/passwd cannot be read or is longer than 16 MiB.
pub fn find(name: &HostText) -> Result<Option<Account>, AccountError> {
    let fail = |why| AccountError::File { what: "read", file: FILE, why };
    let mut bytes = Vec::new();
    File::open(FILE).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(fail)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(fail(std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(named(&bytes, name))
}

fn named(bytes: &[u8], name: &HostText) -> Option<Account> {
    bytes.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let (first, uid) = (fields.next()?, fields.nth(1)?);
        // "+name" and "-name" are lines for NIS, no accounts.
        let own = first == name.as_bytes() && !first.is_empty() && !matches!(first.first(), Some(b'+' | b'-'));
        let uid = std::str::from_utf8(uid).ok()?.parse().ok()?;
        own.then(|| Account { name: name.clone(), uid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_accounts_of_the_host_itself_have_a_name() {
        let file =
            b"root:x:0:0::/:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nann:x:1001:1::/:/bin/sh\nbroken\n+nis:x:5:5::/:\n::7:7::/:\n";
        let uid = |name: &str| named(file, &HostText::from(name)).map(|account| account.uid);
        assert_eq!(
            (uid("ann"), uid("root"), uid("an"), uid("+nis"), uid(""), uid("broken")),
            (Some(1000), Some(0), None, None, None, None)
        );
    }
}
