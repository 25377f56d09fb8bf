//! Lines of auditd about logins and accounts (`/var/log/audit/audit.log`): what PAM and the daemons told the kernel's audit.
//!
//! libaudit writes a name that holds a quote, a space or a control in hexadecimal, so no name can look like another field. One refused password
//! is told in up to three lines; the one of PAM counts. Containers may write such lines, too, so nothing of them is proven.

use bartizan_model::Timestamp;

use crate::peer::address;
use crate::record::{AccountChange, MAX_NAME, Method, Raw, Service, What};
use crate::scan::{clip, cut_at, cut_once, leading_number, number};

/// A line that auditd wrote: `Some(None)` is one that says nothing of logins. `name` takes a name that was in hexadecimal.
pub(crate) fn read<'a>(line: &'a [u8], name: &'a mut Vec<u8>) -> Option<Option<Raw<'a>>> {
    // `log_format = ENRICHED` appends names behind a group separator, `name_format` puts the host in front.
    let line = cut_at(line, 0x1d).map_or(line, |(raw, _)| raw);
    let line = if line.starts_with(b"node=") { cut_at(line, b' ')?.1 } else { line };
    let (kind, rest) = cut_at(line.strip_prefix(b"type=")?, b' ')?;
    let (stamp, rest) = cut_once(rest.strip_prefix(b"msg=audit(")?, b"):")?;
    Some(record(kind, stamp, rest, name))
}

fn record<'a>(kind: &[u8], stamp: &[u8], rest: &'a [u8], name: &'a mut Vec<u8>) -> Option<Raw<'a>> {
    let (outer, inner) = cut_once(rest, b" msg='")?;
    let inner = inner.strip_suffix(b"'").unwrap_or(inner);
    let succeeded = match one(inner, b"res=")? {
        b"success" => true,
        b"failed" => false,
        _ => return None,
    };
    let operation = one(inner, b"op=").unwrap_or_default();
    let service = service(one(inner, b"exe=").unwrap_or_default());
    let is_switch = matches!(service, Service::Sudo | Service::Su);
    use AccountChange as C;
    let (what, attempts) = match (kind, succeeded) {
        (b"USER_AUTH" | b"USER_ERR", false) => {
            let what = if is_switch { What::PrivilegeDenied } else { What::LoginFailed };
            (what, u32::from(operation == b"PAM:authentication"))
        }
        (b"USER_LOGIN", false) => (What::LoginFailed, 0),
        (b"USER_LOGIN", true) => (What::LoginAccepted, 0),
        (b"USER_START", true) if !is_switch => (What::SessionOpened, 0),
        (b"USER_END", true) if !is_switch => (What::SessionClosed, 0),
        (b"ANOM_LOGIN_FAILURES" | b"RESP_ACCT_LOCK", _) => (What::LockedOut, 0),
        (b"ADD_USER", true) => (What::Account(C::UserAdded), 0),
        (b"DEL_USER", true) => (What::Account(C::UserRemoved), 0),
        (b"ADD_GROUP", true) => (What::Account(C::GroupAdded), 0),
        (b"DEL_GROUP", true) => (What::Account(C::GroupRemoved), 0),
        (b"USER_CHAUTHTOK", true) => (What::Account(C::PasswordChanged), 0),
        _ => return None,
    };
    let method = if operation.starts_with(b"PAM:") { Method::Pam } else { Method::Unknown };
    Some(Raw {
        at: moment(stamp),
        user: one(inner, b"acct=").and_then(|text| account(text, name)),
        address: one(inner, b"addr=").and_then(address),
        pid: one(outer, b"pid=").and_then(number).and_then(|pid| u32::try_from(pid).ok()),
        method,
        attempts,
        ..Raw::new(service, what)
    })
}

/// The value of a field that stands there once; of one that stands there twice, none is believed.
fn one<'a>(text: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    let mut found = text.split(|byte| *byte == b' ').filter_map(|word| word.strip_prefix(field));
    found.next().filter(|_| found.next().is_none())
}

/// `1364481363.243:24287`: seconds, milliseconds, number.
fn moment(stamp: &[u8]) -> Option<Timestamp> {
    let (seconds, rest) = leading_number(stamp)?;
    let (milliseconds, _) = leading_number(rest.strip_prefix(b".")?)?;
    Timestamp::from_timestamp(i64::try_from(seconds).ok()?, u32::try_from(milliseconds).ok().filter(|ms| *ms < 1000)? * 1_000_000)
}

/// A name in quotes, or in hexadecimal; `?` is none.
fn account<'a>(text: &'a [u8], name: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if let Some(inner) = text.strip_prefix(b"\"") {
        return inner.strip_suffix(b"\"").map(|inner| clip(inner, MAX_NAME));
    }
    name.clear();
    for pair in text.chunks(2).take(MAX_NAME) {
        let digit = |at: usize| pair.get(at).and_then(|byte| (*byte as char).to_digit(16));
        name.push(u8::try_from(digit(0)? << 4 | digit(1)?).ok()?);
    }
    (!name.is_empty()).then_some(name.as_slice())
}

fn service(exe: &[u8]) -> Service {
    let exe = exe.strip_prefix(b"\"").and_then(|exe| exe.strip_suffix(b"\"")).unwrap_or(exe);
    match exe.rsplit(|byte| *byte == b'/').next().unwrap_or_default() {
        b"sshd" | b"sshd-session" | b"sshd-auth" => Service::Sshd,
        b"sudo" => Service::Sudo,
        b"su" => Service::Su,
        b"login" => Service::Login,
        b"cron" | b"crond" => Service::Cron,
        b"vsftpd" => Service::Vsftpd,
        b"proftpd" => Service::Proftpd,
        b"useradd" | b"userdel" | b"usermod" | b"groupadd" | b"groupdel" | b"passwd" | b"chpasswd" | b"chage" => Service::Accounts,
        _ => Service::Pam,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str = r#"type=USER_AUTH msg=audit(1764320400.243:24287): pid=3280 uid=0 auid=4294967295 ses=4294967295 subj=? msg='op=PAM:authentication grantors=? acct="root" exe="/usr/sbin/sshd" hostname=192.0.2.1 addr=192.0.2.1 terminal=ssh res=failed'"#;

    #[test]
    fn a_refused_password_counts_once_whatever_else_is_told_of_it() {
        let mut name = Vec::new();
        let record = read(FAILED.as_bytes(), &mut name).unwrap().unwrap();
        assert_eq!((record.service, record.what, record.attempts, record.pid), (Service::Sshd, What::LoginFailed, 1, Some(3280)));
        assert_eq!((record.user, record.address), (Some(&b"root"[..]), "192.0.2.1".parse().ok()));
        assert_eq!(record.at, "2025-11-28T09:00:00.243Z".parse().ok());
        for again in [
            FAILED.replace("op=PAM:authentication grantors=?", "op=password"),
            FAILED.replace("USER_AUTH", "USER_LOGIN").replace("op=PAM:authentication grantors=?", "op=login"),
        ] {
            let mut name = Vec::new();
            let record = read(again.as_bytes(), &mut name).unwrap().unwrap();
            assert_eq!((record.what, record.attempts), (What::LoginFailed, 0), "{again}");
        }
        let enriched = format!("node=vps {FAILED}\u{1d}UID=\"root\" AUID=\"unset\"");
        assert_eq!(read(enriched.as_bytes(), &mut Vec::new()).unwrap().unwrap().attempts, 1);
    }

    #[test]
    fn no_name_moves_the_address_and_a_field_that_stands_there_twice_is_not_believed() {
        let hex = FAILED.replace("\"root\"", "726F6F7420616464723D382E382E382E38"); // root addr=8.8.8.8
        let mut name = Vec::new();
        let record = read(hex.as_bytes(), &mut name).unwrap().unwrap();
        assert_eq!((record.user, record.address), (Some(&b"root addr=8.8.8.8"[..]), "192.0.2.1".parse().ok()));
        let twice = FAILED.replace("hostname=192.0.2.1", "hostname=x addr=8.8.8.8");
        assert_eq!(read(twice.as_bytes(), &mut Vec::new()).unwrap().unwrap().address, None);
        for none in ["", "type=", "type=X msg=audit(", "type=SYSCALL msg=audit(1.2:3): arch=c000003e syscall=59"] {
            assert!(read(none.as_bytes(), &mut Vec::new()).flatten().is_none(), "{none}");
        }
    }
}
