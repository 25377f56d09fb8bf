//! Who can become root on this host, as its own login programs judge it at this moment: sshd, sudo, doas and su.
//!
//! Two questions about each account: does it come in (`login`), and does it become root then (`rise`)? Each has three
//! answers (`Able`). Nothing is kept between two checks: an account is disabled rarely, and what is true of the files now
//! decides.

mod able;
mod doas;
mod keys;
mod login;
mod named;
mod pam;
mod patterns;
mod rise;
mod server;
mod su;
mod sudo;

use std::fs;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use able::Able;
pub use named::named;
pub(super) use server::servers;

use super::ssh_ports;
use bartizan_enforce::accounts::{self, Account, AccountError, Group, Standing};
use bartizan_model::HostText;

/// How long one program may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// Accounts that are looked at; those named in files about root come first.
const MOST: usize = 48;
/// A file is read so far.
const MAX_BYTES: u64 = 1 << 20;
/// Groups whose members become root by convention (Debian: sudo; others: wheel, admin, doas).
const CONVENTIONAL: [&[u8]; 4] = [b"sudo", b"wheel", b"admin", b"doas"];

/// What disabling an account would mean for root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Somebody else can become root, or this account cannot.
    NotTheLast,
    /// Perhaps somebody else can; why that is not certain.
    CannotTell(String),
    /// Nobody else can.
    TheLast,
}

/// What the SSH server of this host does outside of Match blocks, as it says itself: keyword in lower case and value. `None` when there is
/// none. Takes some ten milliseconds.
///
/// # Errors
/// One sentence: why it does not tell.
pub fn ssh_settings() -> Result<Option<Vec<(String, String)>>, String> {
    servers().first().map(|server| server.general().map(server::Effective::pairs)).transpose()
}

/// What it would mean to disable the account of this name.
///
/// # Errors
/// When the files of accounts cannot be read.
pub fn without(name: &HostText) -> Result<Meaning, AccountError> {
    let host = Host::read()?;
    let Some(target) = host.accounts.iter().find(|account| account.name == *name) else { return Ok(Meaning::NotTheLast) };
    let mut others: Vec<&Account> = host.accounts.iter().filter(|account| account.name != *name && login::has_shell(account)).collect();
    others.sort_by_key(|account| (account.uid != 0, !host.is_conventional(account)));
    let mut best = Able::No;
    for other in others.iter().take(MOST) {
        best = best.or(host.can_become_root(other));
        if best == Able::Yes {
            return Ok(Meaning::NotTheLast);
        }
    }
    if others.len() > MOST {
        best = best.or(Able::Unclear(format!("only {MOST} of {} accounts were looked at", others.len())));
    }
    if let Some(why) = host.directory_service() {
        best = best.or(Able::Unclear(why));
    }
    if host.could_become_root(target) == Able::No {
        return Ok(Meaning::NotTheLast);
    }
    Ok(match best {
        Able::Yes => Meaning::NotTheLast,
        Able::Unclear(why) => Meaning::CannotTell(why),
        Able::No => Meaning::TheLast,
    })
}

/// What is read once for one check.
struct Host {
    accounts: Vec<Account>,
    groups: Vec<Group>,
    shadow: Vec<u8>,
    servers: Vec<server::Server>,
    /// From where connections to SSH come now.
    sources: Vec<IpAddr>,
    today: i64,
}

impl Host {
    fn read() -> Result<Self, AccountError> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(Self {
            accounts: accounts::all()?,
            groups: accounts::groups()?,
            shadow: read("/etc/shadow"),
            servers: server::servers(),
            sources: ssh_ports::far_ends(),
            today: i64::try_from(seconds / 86_400).unwrap_or(i64::MAX),
        })
    }

    fn can_become_root(&self, account: &Account) -> Able {
        match self.becomes_root(account) {
            Able::No => Able::No,
            // Asked last: it runs the SSH server.
            _ if login::is_closed_to(account) => Able::No,
            rises => rises.and(self.comes_in(account)).about(account),
        }
    }

    /// The same once nologin(5) is taken away: closing the last way while nobody comes in closes it for afterwards.
    fn could_become_root(&self, account: &Account) -> Able {
        match self.becomes_root(account) {
            Able::No => Able::No,
            rises => rises.and(self.comes_in(account)),
        }
    }

    fn standing(&self, account: &Account) -> Standing {
        accounts::standing(account, &self.shadow, self.today)
    }

    fn root(&self) -> Option<Standing> {
        self.accounts.iter().find(|account| account.uid == 0).map(|root| self.standing(root))
    }

    fn groups_of<'a>(&'a self, account: &'a Account) -> impl Iterator<Item = &'a Group> {
        self.groups.iter().filter(|group| group.has(account))
    }

    fn is_conventional(&self, account: &Account) -> bool {
        self.groups_of(account).any(|group| CONVENTIONAL.contains(&group.name.as_slice()))
    }

    /// Accounts that no file of this host lists may become root too, where a group of administrators names them.
    fn directory_service(&self) -> Option<String> {
        let unlisted = |name: &&Vec<u8>| !self.accounts.iter().any(|account| account.name.as_bytes() == name.as_slice());
        let named = self.groups.iter().filter(|group| CONVENTIONAL.contains(&group.name.as_slice())).flat_map(|group| &group.members);
        let switch = String::from_utf8_lossy(&read("/etc/nsswitch.conf")).into_owned();
        let sources = switch.lines().find_map(|line| line.trim().strip_prefix("passwd:")).unwrap_or_default();
        let other = sources.split_ascii_whitespace().find(|source| ["sss", "ldap", "winbind", "nis", "nisplus"].contains(source))?;
        let name = named.into_iter().find(unlisted)?;
        let name = HostText::from(name.as_slice());
        Some(format!("{} is an administrator whom only the directory service ({other}) knows", name.escaped()))
    }
}

/// A file's beginning; nothing where it is not there.
fn read(path: &str) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let _absent = fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
    bytes
}

/// Whether a program is there, and becomes root when anybody runs it.
fn is_set_uid_root(name: &str) -> Option<std::path::PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let places = ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"];
    let mut paths = places.iter().map(|place| std::path::Path::new(place).join(name));
    paths.find(|path| fs::metadata(path).is_ok_and(|file| file.uid() == 0 && file.mode() & 0o4001 == 0o4001))
}

#[cfg(test)]
mod tests;
