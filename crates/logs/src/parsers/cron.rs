//! cron and its kin: `(root) CMD (run-parts /etc/cron.hourly)`. The account exists and stands first; the command may hold anything.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::record::{MAX_DETAIL, MAX_NAME, Raw, Service, What};
use crate::scan::{clip, cut_once};

pub(super) const PARSER: Parser = Parser {
    name: "cron",
    service: Service::Cron,
    tags: &["CRON", "cron", "crond", "CROND", "cronie"],
    writer: Writer::Root(&["cron", "crond"]),
    read,
};

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let (user, rest) = cut_once(frame.message.strip_prefix(b"(")?, b") ")?;
    let command = rest.strip_prefix(b"CMD (")?;
    let mut record = Raw::new(Service::Cron, What::JobRun);
    record.user = Some(clip(user, MAX_NAME));
    record.detail = Some(clip(command.strip_suffix(b")").unwrap_or(command), MAX_DETAIL));
    Some(record)
}
