//! Who has which name and which groups: /etc/passwd (passwd(5)) and /etc/group (group(5)), and only those files.

use std::fs::File;
use std::io::Read;

use super::AccountError;
use bartizan_model::HostText;

const FILE: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";
/// A larger file is refused: a million accounts belong into a directory service.
const MAX_BYTES: u64 = 16 << 20;

/// One account of the host itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: HostText,
    /// Its user id.
    pub uid: u32,
    /// Its first group.
    pub gid: u32,
    /// Its home directory.
    pub home: HostText,
    /// What a login runs; empty means /bin/sh.
    pub shell: HostText,
    /// The password field: `x` where shadow(5) has it.
    pub password: Vec<u8>,
}

/// A group of the host itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Vec<u8>,
    /// Its number.
    pub gid: u32,
    /// Names of the members for whom it is not the first group.
    pub members: Vec<Vec<u8>>,
}

impl Group {
    /// Whether the account is in it.
    pub fn has(&self, account: &Account) -> bool {
        self.gid == account.gid || self.members.iter().any(|name| name == account.name.as_bytes())
    }
}

/// The account of this name; of two the first, as getpwnam(3) answers. Accounts of a directory service (NIS, LDAP, SSSD)
/// are not in the file, so they are not found.
///
/// # Errors
/// When /etc/passwd cannot be read or is longer than 16 MiB.
pub fn find(name: &HostText) -> Result<Option<Account>, AccountError> {
    Ok(all()?.into_iter().find(|account| account.name == *name))
}

/// The account of this user id; of two the first, as getpwuid(3) answers.
///
/// # Errors
/// As [`find`].
pub fn find_uid(uid: u32) -> Result<Option<Account>, AccountError> {
    Ok(all()?.into_iter().find(|account| account.uid == uid))
}

/// Every account, in the order of the file.
///
/// # Errors
/// As [`find`].
pub fn all() -> Result<Vec<Account>, AccountError> {
    Ok(lines(&read(FILE)?).filter_map(account).collect())
}

/// Every group, in the order of the file.
pub fn groups() -> Result<Vec<Group>, AccountError> {
    Ok(lines(&read(GROUPS)?).filter_map(group).collect())
}

fn read(file: &'static str) -> Result<Vec<u8>, AccountError> {
    let fail = |why| AccountError::File { what: "read", file, why };
    let mut bytes = Vec::new();
    File::open(file).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(fail)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(fail(std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n')
}

fn account(line: &[u8]) -> Option<Account> {
    let mut fields = line.split(|byte| *byte == b':');
    let (name, password) = (own(fields.next()?)?, fields.next()?.to_vec());
    let (uid, gid) = (number(fields.next()?)?, number(fields.next()?)?);
    let (home, shell) = (fields.nth(1)?, fields.next()?);
    Some(Account { name: HostText::from(name), uid, gid, home: HostText::from(home), shell: HostText::from(shell), password })
}

fn group(line: &[u8]) -> Option<Group> {
    let mut fields = line.split(|byte| *byte == b':');
    let (name, gid) = (own(fields.next()?)?.to_vec(), number(fields.nth(1)?)?);
    let members = fields.next()?.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
    Some(Group { name, gid, members: members.map(<[u8]>::to_vec).collect() })
}

/// "+name" and "-name" are lines for NIS, no accounts.
fn own(name: &[u8]) -> Option<&[u8]> {
    (!name.is_empty() && !matches!(name.first(), Some(b'+' | b'-'))).then_some(name)
}

fn number(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_accounts_of_the_host_itself_have_a_name() {
        let file = b"root:x:0:0::/:/bin/sh\nann:x:1000:1000:,,:/home/ann:\nbroken\n+nis:x:5:5::/:\n::7:7::/:\nbad:x:1:1:\nbig:x:99999999999:0::/:/bin/sh\n";
        let found: Vec<Account> = lines(file).filter_map(account).collect();
        let names: Vec<_> = found.iter().map(|one| (one.name.escaped().to_string(), one.uid, one.shell.as_bytes().to_vec())).collect();
        assert_eq!(names, [("root".to_owned(), 0, b"/bin/sh".to_vec()), ("ann".to_owned(), 1000, Vec::new())]);
    }

    #[test]
    fn a_group_has_members_by_name_and_by_first_group() {
        let ann = account(b"ann:x:1000:27::/home/ann:/bin/sh").unwrap();
        let has = |line: &[u8]| group(line).map(|group| group.has(&ann));
        assert_eq!(has(b"sudo:x:27:"), Some(true));
        assert_eq!(has(b"wheel:x:10:bob, ann"), Some(true));
        assert_eq!(has(b"wheel:x:10:anna,bob"), Some(false));
        assert_eq!((has(b"sudo"), has(b"+sudo:x:27:ann"), has(b"sudo:x:x:ann")), (None, None, None));
    }
}
