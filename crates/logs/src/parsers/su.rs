//! su of util-linux (`FAILED SU (to root) alice on pts/0`) and of the shadow package (`FAILED su for root by alice`). Both names are accounts
//! that exist: su asks for the password of no other.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::record::{MAX_NAME, Raw, Service, What};
use crate::scan::{clip, cut_last, cut_once, first_word};

pub(super) const PARSER: Parser =
    Parser { name: "su", service: Service::Su, tags: &["su", "su-l", "runuser"], writer: Writer::Program(&["su", "runuser"]), read };

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let message = frame.message;
    let (failed, rest) = match message.strip_prefix(b"FAILED SU ") {
        Some(rest) => (true, rest),
        None => (false, message),
    };
    let (failed, target, user) = if let Some(rest) = rest.strip_prefix(b"(to ") {
        let (target, who) = cut_once(rest, b") ")?;
        (failed, target, cut_last(who, b" on ").map_or(who, |(user, _)| user))
    } else if let Some(rest) = message.strip_prefix(b"FAILED su for ") {
        let (target, user) = cut_last(rest, b" by ")?;
        (true, target, user)
    } else if let Some(rest) = message.strip_prefix(b"Successful su for ") {
        let (target, user) = cut_last(rest, b" by ")?;
        (false, target, user)
    } else {
        // `+ /dev/pts/0 alice:root`, `- ...`
        let (sign, rest) = first_word(message);
        let failed = match sign {
            b"+" => false,
            b"-" => true,
            _ => return None,
        };
        let (user, target) = cut_last(first_word(rest).1, b":")?;
        (failed, target, user)
    };
    let mut record = Raw::new(Service::Su, if failed { What::PrivilegeDenied } else { What::PrivilegeUsed });
    (record.user, record.target) = (Some(clip(user, MAX_NAME)), Some(clip(target, MAX_NAME)));
    record.attempts = u32::from(failed);
    Some(record)
}
