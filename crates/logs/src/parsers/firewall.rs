//! Packets that met a `log` rule of nftables or iptables: `[12.3] PREFIX IN=eth0 OUT= ... SRC=A DST=B ... PROTO=TCP SPT=1 DPT=22 ...`
//! (net/netfilter/nf_log_syslog.c). The kernel writes all of it but the prefix, which is the rule's.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::peer::address;
use crate::record::{MAX_DETAIL, Raw, Service, What};
use crate::scan::{clip, cut_at, cut_once, first_word, port, trim};

pub(super) const PARSER: Parser = Parser { name: "firewall", service: Service::Firewall, tags: &["kernel"], writer: Writer::Kernel, read };

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    let (prefix, rest) = match frame.message.strip_prefix(b"IN=") {
        Some(rest) => (&b""[..], rest),
        None => cut_once(frame.message, b"IN=")?,
    };
    let (before, rest) = cut_once(rest, b" SRC=")?;
    cut_once(before, b" OUT=")?;
    let (source, rest) = first_word(rest);
    rest.strip_prefix(b"DST=")?;
    let mut record = Raw::new(Service::Firewall, What::Packet);
    record.address = Some(address(source)?);
    let value = |name: &[u8]| cut_once(rest, name).map(|(_, rest)| first_word(rest).0);
    record.port = value(b" SPT=").and_then(port);
    // Where it was going.
    record.target = value(b" DPT=").filter(|number| port(number).is_some());
    // The kernel's clock stands before the rule's prefix.
    let prefix = prefix.strip_prefix(b"[").and_then(|rest| cut_at(rest, b']')).map_or(prefix, |(_, prefix)| prefix);
    record.detail = Some(clip(trim(prefix), MAX_DETAIL));
    Some(record)
}
