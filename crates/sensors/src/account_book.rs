//! The accounts of a host at one moment, and what changed between two moments. Pure: bytes in, changes out.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_model::{HostText, UserChange, UserChangeKind};

/// Groups whose members can become root: by sudo, by the container socket, by the raw disk.
pub(super) const PRIVILEGED: [&str; 9] = ["root", "sudo", "wheel", "admin", "docker", "lxd", "incus-admin", "disk", "shadow"];

/// Most accounts, and most group members, that are kept; a larger file is a directory service's, not this host's.
const MOST: usize = 65_536;

type Name = Vec<u8>;

/// What is known of one account. The secret itself never is: only a keyed hash of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    uid: Option<u32>,
    secret: Option<blake3::Hash>,
    privileged: BTreeSet<Name>,
}

/// The accounts at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Book(BTreeMap<Name, Account>);

/// The account files as they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    pub(super) passwd: Vec<u8>,
    pub(super) group: Vec<u8>,
    pub(super) shadow: Vec<u8>,
}

fn lines(file: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    file.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .map(|line| line.split(|byte| *byte == b':').collect())
        .take(MOST)
}

fn number(field: Option<&&[u8]>) -> Option<u32> {
    std::str::from_utf8(field?).ok()?.trim().parse().ok()
}

impl Book {
    /// Reads passwd(5), group(5) and shadow(5). `key` makes the hashes of secrets useless to anyone else.
    pub(super) fn read(files: &Files, key: &[u8; 32]) -> Self {
        let secrets: BTreeMap<&[u8], &[u8]> = lines(&files.shadow).filter_map(|fields| Some((*fields.first()?, *fields.get(1)?))).collect();
        let groups = Groups::read(&files.group);
        let mut book = BTreeMap::new();
        for fields in lines(&files.passwd) {
            let Some(name) = fields.first().filter(|name| !name.is_empty()) else { continue };
            let mut secret = blake3::Hasher::new_keyed(key);
            secret.update(fields.get(1).copied().unwrap_or_default());
            secret.update(b":");
            secret.update(secrets.get(*name).copied().unwrap_or_default());
            let mut privileged = groups.members.get(*name).cloned().unwrap_or_default();
            privileged.extend(number(fields.get(3)).and_then(|gid| groups.by_gid.get(&gid).cloned()));
            // The first line of a name is the one that counts for getpwnam(3); a second one with uid 0 counts for nobody
            // but a reader who is fooled, and is told of below as the change of that name.
            let account = Account { uid: number(fields.get(2)), secret: Some(secret.finalize()), privileged };
            book.entry(name.to_vec()).and_modify(|known: &mut Account| known.merge(&account)).or_insert(account);
        }
        Self(book)
    }

    /// Whether there is no account at all: a file caught while it was being written.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What changed from `self` to `now`, by name.
    pub(super) fn changes(&self, now: &Self) -> Vec<UserChange> {
        let mut changes = Vec::new();
        for (name, account) in &now.0 {
            changes.extend(account.changes_since(name, self.0.get(name)));
        }
        for (name, account) in self.0.iter().filter(|(name, _)| !now.0.contains_key(*name)) {
            changes.push(change(name, account, UserChangeKind::Removed));
        }
        changes
    }
}

/// The privileged groups: who is a member by list, and which number makes one a member by primary group.
#[derive(Default)]
struct Groups<'a> {
    members: BTreeMap<&'a [u8], BTreeSet<Name>>,
    by_gid: BTreeMap<u32, Name>,
}

impl<'a> Groups<'a> {
    fn read(group: &'a [u8]) -> Self {
        let mut groups = Self::default();
        for fields in lines(group) {
            let Some(name) = fields.first().filter(|name| PRIVILEGED.iter().any(|known| known.as_bytes() == **name)) else { continue };
            if let Some(gid) = number(fields.get(2)) {
                groups.by_gid.insert(gid, name.to_vec());
            }
            for member in
                fields.get(3).into_iter().flat_map(|list| list.split(|byte| *byte == b',')).filter(|member| !member.is_empty()).take(MOST)
            {
                groups.members.entry(member).or_default().insert(name.to_vec());
            }
        }
        groups
    }
}

impl Account {
    /// Two lines of one name: the mightier of each.
    fn merge(&mut self, other: &Self) {
        if other.uid == Some(0) {
            self.uid = other.uid;
        }
        self.privileged.extend(other.privileged.iter().cloned());
    }

    fn changes_since(&self, name: &[u8], before: Option<&Self>) -> Vec<UserChange> {
        let mut changes = Vec::new();
        if before.is_none() {
            changes.push(change(name, self, UserChangeKind::Added));
        }
        if self.uid == Some(0) && before.is_none_or(|before| before.uid != Some(0)) {
            changes.push(change(name, self, UserChangeKind::BecameRoot));
        }
        for group in self.privileged.iter().filter(|group| before.is_none_or(|before| !before.privileged.contains(*group))) {
            changes.push(UserChange {
                group: Some(HostText::from(group.as_slice())),
                ..change(name, self, UserChangeKind::JoinedPrivilegedGroup)
            });
        }
        if before.is_some_and(|before| before.secret != self.secret) {
            changes.push(change(name, self, UserChangeKind::PasswordChanged));
        }
        changes
    }
}

fn change(name: &[u8], account: &Account, change: UserChangeKind) -> UserChange {
    UserChange { user: HostText::from(name), uid: account.uid, change, group: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use UserChangeKind::{Added, BecameRoot, JoinedPrivilegedGroup, PasswordChanged, Removed};

    const BEFORE: [&str; 3] = [
        "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
        "root:x:0:\nsudo:x:27:\nann:x:1000:\n",
        "root:*:1::\nann:$6$a:1::\n",
    ];

    fn book([passwd, group, shadow]: [&str; 3]) -> Book {
        Book::read(&Files { passwd: passwd.into(), group: group.into(), shadow: shadow.into() }, &[7; 32])
    }

    fn told(after: [&str; 3]) -> Vec<(String, UserChangeKind)> {
        book(BEFORE).changes(&book(after)).into_iter().map(|change| (change.user.escaped(), change.change)).collect()
    }

    fn expect(after: [&str; 3], expected: &[(&str, UserChangeKind)]) {
        let expected: Vec<_> = expected.iter().map(|(name, change)| ((*name).to_owned(), *change)).collect();
        assert_eq!(told(after), expected);
    }

    #[test]
    fn each_way_to_power_is_seen() {
        let [passwd, group, shadow] = BEFORE;
        expect(BEFORE, &[]);
        expect([&format!("{passwd}eve:x:1001:1001::/:/bin/sh\n"), group, shadow], &[("eve", Added)]);
        expect([&format!("{passwd}eve::0:1001::/:/bin/sh\n"), group, shadow], &[("eve", Added), ("eve", BecameRoot)]);
        expect([&passwd.replace("1000:1000", "0:1000"), group, shadow], &[("ann", BecameRoot)]);
        expect([passwd, &group.replace("27:", "27:ann"), shadow], &[("ann", JoinedPrivilegedGroup)]);
        expect([&passwd.replace("1000:1000", "1000:27"), group, shadow], &[("ann", JoinedPrivilegedGroup)]);
        expect([passwd, group, &shadow.replace("$6$a", "!$6$a")], &[("ann", PasswordChanged)]);
        expect([&passwd.replace("ann:x", "ann:"), group, shadow], &[("ann", PasswordChanged)]);
        expect(["root:x:0:0:root:/root:/bin/sh\n", group, shadow], &[("ann", Removed)]);
        expect([&format!("{passwd}ann:x:0:0::/:/bin/sh\n"), group, shadow], &[("ann", BecameRoot), ("ann", JoinedPrivilegedGroup)]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(passwd in proptest::collection::vec(proptest::num::u8::ANY, 0..200), group in "(sudo|x)?[:a,0-9\n]{0,60}") {
            let files = Files { passwd, group: group.into_bytes(), shadow: vec![] };
            let book = Book::read(&files, &[0; 32]);
            proptest::prop_assert_eq!(book.changes(&book), vec![]);
        }
    }
}
