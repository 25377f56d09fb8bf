//! Changes to accounts and groups, as the tools of the shadow package and of GNU/Linux distributions log them. They run as root, and the names
//! are quoted or follow `name=`.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::record::{AccountChange, MAX_DETAIL, MAX_NAME, Raw, Service, What};
use crate::scan::{clip, cut_at, cut_once};

const TOOLS: &[&str] = &[
    "useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "gpasswd", "passwd", "chage", "chsh", "chfn", "chpasswd",
    "newusers", "chgpasswd", "vipw", "groupmems", "systemd-sysusers",
];

pub(super) const PARSER: Parser =
    Parser { name: "accounts", service: Service::Accounts, tags: TOOLS, writer: Writer::Program(TOOLS), read };

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let message = frame.message;
    use AccountChange as C;
    let (change, user, target) = if let Some(rest) = message.strip_prefix(b"new user: name=") {
        (C::UserAdded, cut_at(rest, b',').map_or(rest, |(name, _)| name), None)
    } else if let Some(rest) =
        message.strip_prefix(b"new group: name=").or_else(|| message.strip_prefix(b"group added to /etc/group: name="))
    {
        (C::GroupAdded, cut_at(rest, b',').map_or(rest, |(name, _)| name), None)
    } else if let Some(rest) = message.strip_prefix(b"add ") {
        let (user, rest) = quoted(rest)?;
        (C::JoinedGroup, user, Some(group(rest.strip_prefix(b" to ")?)?))
    } else if let Some(rest) = message.strip_prefix(b"delete user ") {
        (C::UserRemoved, quoted(rest)?.0, None)
    } else if let Some(rest) = message.strip_prefix(b"delete ") {
        let (user, rest) = quoted(rest)?;
        (C::LeftGroup, user, Some(group(rest.strip_prefix(b" from ")?)?))
    } else {
        return other(message);
    };
    Some(record(change, user, target, message))
}

/// What does not begin with a name.
fn other(message: &[u8]) -> Option<Raw<'_>> {
    use AccountChange as C;
    for (start, change) in [
        (&b"change user "[..], C::UserChanged),
        (b"changed user ", C::UserChanged),
        (b"lock user ", C::UserChanged),
        (b"unlock user ", C::UserChanged),
        (b"removed group ", C::GroupRemoved),
        (b"group ", C::GroupChanged),
        (b"password for ", C::PasswordChanged),
    ] {
        if let Some((name, rest)) = message.strip_prefix(start).and_then(quoted) {
            let change = match change {
                C::GroupChanged if rest.starts_with(b" removed") => C::GroupRemoved,
                C::UserChanged if cut_once(rest, b" password").is_some() => C::PasswordChanged,
                change => change,
            };
            return Some(record(change, name, None, message));
        }
    }
    if let Some(user) = message.strip_prefix(b"changed password expiry for ") {
        return Some(record(C::ExpiryChanged, user, None, message));
    }
    // gpasswd: `user bob added by root to group sudo`
    let (user, rest) = cut_at(message.strip_prefix(b"user ")?, b' ')?;
    if rest.starts_with(b"added by ") {
        return Some(record(C::JoinedGroup, user, Some(cut_once(rest, b" to group ")?.1), message));
    }
    rest.starts_with(b"removed by ").then_some(())?;
    Some(record(C::LeftGroup, user, Some(cut_once(rest, b" from group ")?.1), message))
}

/// `group 'sudo'`, `shadow group 'sudo'`
fn group(rest: &[u8]) -> Option<&[u8]> {
    let rest = rest.strip_prefix(b"shadow ").unwrap_or(rest);
    Some(quoted(rest.strip_prefix(b"group ")?)?.0)
}

fn quoted(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    cut_at(rest.strip_prefix(b"'")?, b'\'')
}

fn record<'a>(change: AccountChange, user: &'a [u8], target: Option<&'a [u8]>, message: &'a [u8]) -> Raw<'a> {
    let mut record = Raw::new(Service::Accounts, What::Account(change));
    record.user = Some(clip(user, MAX_NAME));
    record.target = target.map(|target| clip(target, MAX_NAME));
    record.detail = Some(clip(message, MAX_DETAIL));
    record
}
