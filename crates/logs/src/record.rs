//! The record: what one line of an authentication log says happened, to whom, from where, and how far the line can be believed.

use std::net::IpAddr;

use bartizan_model::{HostText, Timestamp};
use serde::{Deserialize, Serialize};

/// Bytes of a user, host or fingerprint that are kept; what is longer is cut. sshd itself cuts a user at 100 (auth.c, `%.100s`).
pub const MAX_NAME: usize = 256;
/// Bytes of a command or reason that are kept; what is longer is cut.
pub const MAX_DETAIL: usize = 1024;

/// Which program wrote the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // the names of the programs
pub enum Service {
    Sshd,
    Sudo,
    Su,
    Login,
    /// A PAM module that speaks for a program without a parser of its own.
    Pam,
    /// useradd, usermod, groupadd, passwd, chage and their kin (the shadow package).
    Accounts,
    Cron,
    Logind,
    Dovecot,
    Postfix,
    Vsftpd,
    Proftpd,
    PureFtpd,
    /// A `log` rule of nftables or iptables.
    Firewall,
}

/// How somebody tried to prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // the names of RFC 4252 and RFC 4256
pub enum Method {
    Unknown,
    /// The first question of every SSH client: which methods are there? No attempt at a secret.
    None,
    Password,
    PublicKey,
    KeyboardInteractive,
    HostBased,
    Gssapi,
    /// A conversation of PAM.
    Pam,
}

impl Service {
    /// As in JSON.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Sshd => "sshd",
            Self::Sudo => "sudo",
            Self::Su => "su",
            Self::Login => "login",
            Self::Pam => "pam",
            Self::Accounts => "accounts",
            Self::Cron => "cron",
            Self::Logind => "logind",
            Self::Dovecot => "dovecot",
            Self::Postfix => "postfix",
            Self::Vsftpd => "vsftpd",
            Self::Proftpd => "proftpd",
            Self::PureFtpd => "pure-ftpd",
            Self::Firewall => "firewall",
        }
    }
}

impl Method {
    /// As in JSON.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::Password => "password",
            Self::PublicKey => "public-key",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::HostBased => "host-based",
            Self::Gssapi => "gssapi",
            Self::Pam => "pam",
        }
    }
}

/// A change to the accounts of the host, as the tools of the shadow package log it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // the names say it
pub enum AccountChange {
    UserAdded,
    UserRemoved,
    UserChanged,
    GroupAdded,
    GroupRemoved,
    GroupChanged,
    /// `user` is now a member of the group in `target`.
    JoinedGroup,
    LeftGroup,
    PasswordChanged,
    ExpiryChanged,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Somebody was let in.
    LoginAccepted,
    /// A secret was refused.
    LoginFailed,
    /// The account does not exist.
    InvalidUser,
    /// The account or address may not log in, whatever the secret.
    NotAllowed,
    /// A key on the list of revoked keys was offered.
    KeyRevoked,
    /// The limit of attempts of one connection is reached.
    TooManyFailures,
    /// A client left and said that its secrets were refused.
    GaveUp,
    /// A connection came in.
    Connected,
    /// A client did not get as far as a login: no banner, nonsense, no common algorithm, silence, or gone.
    Probe,
    /// A connection ended.
    Disconnected,
    /// A session of an account began.
    SessionOpened,
    /// A session of an account ended.
    SessionClosed,
    /// `user` ran `detail` as `target`, or became it.
    PrivilegeUsed,
    /// `user` was refused to become `target`.
    PrivilegeDenied,
    /// An account or group changed.
    Account(AccountChange),
    /// An account is locked for a time after too many failures (faillock, tally).
    LockedOut,
    /// The scheduler ran `detail` as `user`.
    JobRun,
    /// A mail server refused a client for another reason than a login.
    Rejected,
    /// A packet met a `log` rule of the firewall.
    Packet,
}

/// How far the transport proves who wrote the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The journal's own fields, which a sender cannot set (systemd.journal-fields(7)), show the service.
    Proven,
    /// A file or container log says nothing of the sender: syslog(3) takes lines from any local user.
    Unproven,
    /// The journal's own fields show another than the service. Such a line is counted; nothing is done about it.
    Forged,
}

/// What one line says. `T` is how bytes of the host are held: borrowed from the line ([`Raw`]), or kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<T> {
    /// Who wrote it.
    pub service: Service,
    /// What happened.
    pub what: What,
    /// When, if the line says so. A stamp without a year or zone was completed from the [`Context`](crate::Context).
    pub at: Option<Timestamp>,
    /// The account that was tried, or that acted. Any bytes, at most [`MAX_NAME`]; a client may have chosen them.
    pub user: Option<T>,
    /// The account or group that it was about, where that is another.
    pub target: Option<T>,
    /// The address that the daemon wrote. Never one that stands in what a client wrote.
    pub address: Option<IpAddr>,
    /// The name that the daemon wrote in place of an address (`UseDNS yes`). Whoever owns the address chose it.
    pub host: Option<T>,
    /// The client's port.
    pub port: Option<u16>,
    /// How.
    pub method: Method,
    /// Type and fingerprint of the key: `ED25519 SHA256:...`.
    pub fingerprint: Option<T>,
    /// Command, reason or terminal, at most [`MAX_DETAIL`] bytes.
    pub detail: Option<T>,
    /// The process that wrote the line, as the line says.
    pub pid: Option<u32>,
    /// Whether the account exists, if the line says so.
    pub known_user: Option<bool>,
    /// Before any login.
    pub preauth: bool,
    /// How many failed attempts at a login this line adds. Lines that tell of the same attempt once more add none.
    pub attempts: u32,
    /// How many equal lines it stands for (rsyslog's `message repeated`), at least 1.
    pub repeated: u32,
    /// How far it can be believed.
    pub origin: Origin,
}

/// A record that borrows from the line it was read from.
pub type Raw<'a> = Record<&'a [u8]>;

impl<'a> Raw<'a> {
    /// A record of this service in which nothing else is known yet.
    pub fn new(service: Service, what: What) -> Self {
        Self {
            service,
            what,
            at: None,
            user: None,
            target: None,
            address: None,
            host: None,
            port: None,
            method: Method::Unknown,
            fingerprint: None,
            detail: None,
            pid: None,
            known_user: None,
            preauth: false,
            attempts: 0,
            repeated: 1,
            origin: Origin::Unproven,
        }
    }

    /// The same record, with bytes of its own: it outlives the line.
    pub fn keep(&self) -> Record<HostText> {
        let kept = |bytes: Option<&[u8]>| bytes.map(HostText::from);
        Record {
            service: self.service,
            what: self.what,
            at: self.at,
            user: kept(self.user),
            target: kept(self.target),
            address: self.address,
            host: kept(self.host),
            port: self.port,
            method: self.method,
            fingerprint: kept(self.fingerprint),
            detail: kept(self.detail),
            pid: self.pid,
            known_user: self.known_user,
            preauth: self.preauth,
            attempts: self.attempts,
            repeated: self.repeated,
            origin: self.origin,
        }
    }

    /// Whether the line names where it came from.
    pub(crate) fn has_peer(&self) -> bool {
        self.address.is_some() || self.host.is_some()
    }
}

impl Record<HostText> {
    /// The same record, borrowed: what detectors take.
    pub fn raw(&self) -> Raw<'_> {
        Record {
            service: self.service,
            what: self.what,
            at: self.at,
            user: self.user.as_ref().map(HostText::as_bytes),
            target: self.target.as_ref().map(HostText::as_bytes),
            address: self.address,
            host: self.host.as_ref().map(HostText::as_bytes),
            port: self.port,
            method: self.method,
            fingerprint: self.fingerprint.as_ref().map(HostText::as_bytes),
            detail: self.detail.as_ref().map(HostText::as_bytes),
            pid: self.pid,
            known_user: self.known_user,
            preauth: self.preauth,
            attempts: self.attempts,
            repeated: self.repeated,
            origin: self.origin,
        }
    }
}
