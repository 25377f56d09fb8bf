//! sudo, by its log_ev format (plugins/sudoers/logging.c): `USER : [WHY ; ]TTY=... ; PWD=... ; USER=... ; COMMAND=...`.
//!
//! The caller is an account that exists and stands first. The directory and the command may hold anything, so whom the command ran as is
//! read only where ` ; USER=` stands once.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::record::{MAX_DETAIL, MAX_NAME, Raw, Service, What};
use crate::scan::{clip, cut_once, leading_number, trim};

pub(super) const PARSER: Parser =
    Parser { name: "sudo", service: Service::Sudo, tags: &["sudo"], writer: Writer::Program(&["sudo", "sudo.ws", "sudo-rs"]), read };

/// How a refusal begins (plugins/sudoers/logging.c and sudoers.c), beside wrong passwords.
const REFUSALS: [&[u8]; 3] = [b"user NOT ", b"user not allowed", b"command not allowed"];

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let (user, rest) = cut_once(frame.message, b" : ")?;
    let user = trim(user);
    if user.is_empty() || user.contains(&b':') {
        return None;
    }
    let why = match rest.starts_with(b"TTY=") || rest.starts_with(b"PWD=") || rest.starts_with(b"HOST=") {
        true => None,
        false => Some(cut_once(rest, b" ; ").map_or(rest, |(why, _)| why)),
    };
    let mut record = Raw::new(Service::Sudo, if why.is_some() { What::PrivilegeDenied } else { What::PrivilegeUsed });
    (record.user, record.known_user) = (Some(clip(user, MAX_NAME)), Some(true));
    record.target = runs_as(rest);
    let command = cut_once(rest, b" ; COMMAND=").map(|(_, command)| command);
    record.detail = why.or(command).map(|detail| clip(detail, MAX_DETAIL));
    if let Some((count, words)) = why.and_then(leading_number)
        && words.starts_with(b" incorrect password attempt")
    {
        record.attempts = u32::try_from(count.min(100)).ok()?;
    }
    // The rest is a note: `(command continued) ...`, whose words are the caller's, and `a password is required` of prompts and scripts that
    // ask with `sudo -n` whether they need one.
    let refused = |why: &[u8]| record.attempts > 0 || REFUSALS.iter().any(|words| why.starts_with(words));
    why.is_none_or(refused).then_some(record)
}

fn runs_as(rest: &[u8]) -> Option<&[u8]> {
    let (_, after) = cut_once(rest, b" ; USER=")?;
    let (user, others) = cut_once(after, b" ; ")?;
    cut_once(others, b" ; USER=").is_none().then(|| clip(user, MAX_NAME))
}
