//! Reads a transaction's bytes as the kernel would: other code than wrote them, so that neither can hide the other's
//! mistake. It also says what a listed table, set, chain or rule is, in the same words.
//!
//! Layouts from include/uapi/linux/netlink.h, netfilter/nfnetlink.h and netfilter/nf_tables.h.

/// One change of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Our table is removed with all in it.
    DeleteTable,
    /// A table, set, chain or rule is added: its line, as [`super::SKELETON`] has it.
    Shape(String),
    /// Every rule of our table is removed.
    Clear,
    /// A chain is removed.
    DropChain(String),
    /// A set is removed with its elements.
    DropSet(String),
    /// An element is added.
    Add(Added),
    /// An element is removed: set and key.
    Remove(String, Vec<u8>),
}

/// An element that is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Its set.
    pub set: String,
    /// Its key.
    pub key: Vec<u8>,
    /// After how many milliseconds the kernel removes it; absent: never.
    pub timeout: Option<u64>,
    /// Packets a second above which it matches; absent: it matches always.
    pub over: Option<u64>,
}

const OURS: &[u8] = b"bartizan\0";
const INET: u8 = 1;
const NFTABLES: u16 = 10;

/// Attributes of a message or of an attribute, or where their lengths do not fit.
fn fields(bytes: &[u8]) -> Result<Vec<(u16, &[u8])>, String> {
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let cut = || format!("an attribute at byte {at} does not fit");
        let head: &[u8; 4] = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or_else(cut)?;
        let [l0, l1, k0, k1] = *head;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = bytes.get(at + 4..at + length).filter(|_| length >= 4).ok_or_else(cut)?;
        found.push((u16::from_ne_bytes([k0, k1]) & 0x3fff, value));
        at += length.div_ceil(4) * 4;
    }
    Ok(found)
}

fn get<'a>(fields: &[(u16, &'a [u8])], kind: u16) -> Option<&'a [u8]> {
    fields.iter().find(|(found, _)| *found == kind).map(|(_, value)| *value)
}

/// Refuses what is none of `known`, or comes twice.
fn only(fields: &[(u16, &[u8])], known: &[u16], what: &str) -> Result<(), String> {
    for (at, (kind, _)) in fields.iter().enumerate() {
        if !known.contains(kind) || fields.iter().skip(at + 1).any(|(other, _)| other == kind) {
            return Err(format!("{what} with attribute {kind}, which we never write like this"));
        }
    }
    Ok(())
}

fn name(bytes: Option<&[u8]>) -> Result<String, String> {
    let bytes = bytes.ok_or("a name is missing")?;
    let text = bytes.strip_suffix(&[0]).ok_or("a name without its end")?;
    let plain = text.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_') && text.len() <= 32;
    plain.then(|| String::from_utf8_lossy(text).into_owned()).ok_or_else(|| "a name that is none of ours".to_owned())
}

fn long(bytes: &[u8]) -> Option<u64> {
    <[u8; 8]>::try_from(bytes).ok().map(u64::from_be_bytes)
}

fn word(bytes: &[u8]) -> Option<u32> {
    <[u8; 4]>::try_from(bytes).ok().map(u32::from_be_bytes)
}

/// Every change of a transaction, in order.
///
/// # Errors
/// One sentence about the first thing that no transaction of ours holds: another table or family, an unknown order, an
/// interval, a flag, bytes that do not fit.
pub fn decode(bytes: &[u8]) -> Result<Vec<Change>, String> {
    let (mut rest, mut changes, mut open) = (bytes, Vec::new(), false);
    while !rest.is_empty() {
        let cut = "a message that does not fit";
        let length = u32::from_ne_bytes(*rest.first_chunk().ok_or(cut)?) as usize;
        let kind = u16::from_ne_bytes(*rest.get(4..).and_then(<[u8]>::first_chunk).ok_or(cut)?);
        let body = rest.get(16..length).ok_or(cut)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        match kind {
            0x10 if !open && changes.is_empty() => open = true,
            0x11 if open && rest.is_empty() => return Ok(changes),
            _ if !open => return Err("an order outside of a transaction".to_owned()),
            _ if kind >> 8 != NFTABLES => return Err("an order that is none of the packet filter's".to_owned()),
            _ => change(kind & 0xff, body, &mut changes)?,
        }
    }
    Err("a transaction without an end".to_owned())
}

fn change(kind: u16, body: &[u8], into: &mut Vec<Change>) -> Result<(), String> {
    if body.first() != Some(&INET) {
        return Err("another family than inet".to_owned());
    }
    let all = fields(body.get(4..).unwrap_or_default())?;
    if get(&all, 1) != Some(OURS) {
        return Err("a table that is not ours".to_owned());
    }
    match kind {
        0 => (only(&all, &[1], "a table")?, into.push(Change::Shape(table(&all)))).1,
        2 => (only(&all, &[1], "the removal of a table")?, into.push(Change::DeleteTable)).1,
        3 => (only(&all, &[1, 3, 4, 5, 7], "a chain")?, into.push(Change::Shape(chain(&all)))).1,
        5 => (only(&all, &[1, 3], "the removal of a chain")?, into.push(Change::DropChain(name(get(&all, 3))?))).1,
        6 => (only(&all, &[1, 2, 4], "a rule")?, into.push(Change::Shape(rule(&all)))).1,
        // Without a chain the order means all of the table.
        8 => (only(&all, &[1], "the removal of all rules")?, into.push(Change::Clear)).1,
        9 => (only(&all, &[1, 2, 3, 4, 5, 9, 10], "a set")?, into.push(Change::Shape(set(&all)))).1,
        11 => (only(&all, &[1, 2], "the removal of a set")?, into.push(Change::DropSet(name(get(&all, 2))?))).1,
        12 | 14 => {
            only(&all, &[1, 2, 3], "elements")?;
            let set = name(get(&all, 2))?;
            // Without a list the order means all of the set.
            for (_, one) in fields(get(&all, 3).ok_or("elements without a list")?)? {
                into.push(element(&set, one, kind == 12)?);
            }
        }
        other => return Err(format!("an order of kind {other}, which we never give")),
    }
    Ok(())
}

fn element(set: &str, bytes: &[u8], adds: bool) -> Result<Change, String> {
    let all = fields(bytes)?;
    only(&all, if adds { &[1, 4, 7] } else { &[1] }, "an element (an interval, a flag, data or an object of it)")?;
    let key = fields(get(&all, 1).ok_or("an element without a key")?)?;
    only(&key, &[1], "a key")?;
    let key = get(&key, 1).ok_or("an element without a key")?.to_vec();
    if !adds {
        return Ok(Change::Remove(set.to_owned(), key));
    }
    let timeout = get(&all, 4).map(|bytes| long(bytes).ok_or("a timeout of another length")).transpose()?;
    let over = get(&all, 7).map(limit).transpose()?;
    Ok(Change::Add(Added { set: set.to_owned(), key, timeout, over }))
}

/// The only expression that an element of ours carries: so many packets a second, matching what is above.
fn limit(bytes: &[u8]) -> Result<u64, String> {
    let all = fields(bytes)?;
    if get(&all, 1) != Some(b"limit\0") {
        return Err("an element that does something else than to limit".to_owned());
    }
    let data = fields(get(&all, 2).ok_or("a limit without its numbers")?)?;
    let second = get(&data, 2).and_then(long) == Some(1);
    let packets_above = get(&data, 4).and_then(word) == Some(0) && get(&data, 5).and_then(word) == Some(1);
    let rate = get(&data, 1).and_then(long).filter(|rate| *rate > 0 && second && packets_above);
    rate.ok_or_else(|| "a limit that is none of packets a second".to_owned())
}

/// Says what the attributes of a thing are.
type Line = fn(&[(u16, &[u8])]) -> String;

/// The line of a listed object of ours; `None` when it belongs to another table.
fn listed(attributes: &[u8], line: Line) -> Option<String> {
    let all = fields(attributes).ok()?;
    (get(&all, 1) == Some(OURS)).then(|| line(&all))
}

/// The line of a listed table, if it is ours.
pub(super) fn table_line(attributes: &[u8]) -> Option<String> {
    listed(attributes, table)
}

/// The line of a listed set, if it is ours.
pub(super) fn set_line(attributes: &[u8]) -> Option<String> {
    listed(attributes, set)
}

/// The line of a listed chain, if it is ours.
pub(super) fn chain_line(attributes: &[u8]) -> Option<String> {
    listed(attributes, chain)
}

/// The line of a listed rule, if it is ours.
pub(super) fn rule_line(attributes: &[u8]) -> Option<String> {
    listed(attributes, rule)
}

/// A table's flags switch it off or bind it to a process: they count.
fn table(all: &[(u16, &[u8])]) -> String {
    format!("table flags {}", get(all, 2).and_then(word).unwrap_or(0))
}

fn set(all: &[(u16, &[u8])]) -> String {
    let number = |kind| get(all, kind).and_then(word).unwrap_or(0);
    let size = get(all, 9).and_then(|desc| get(&fields(desc).ok()?, 1).and_then(word)).unwrap_or(0);
    format!("set {} flags {} type {} key {} size {size}", show_name(get(all, 2)), number(3), number(4), number(5))
}

fn chain(all: &[(u16, &[u8])]) -> String {
    let name = show_name(get(all, 3));
    let Some(hook) = get(all, 4).and_then(|hook| fields(hook).ok()) else { return format!("chain {name}") };
    let number = |kind| get(&hook, kind).and_then(word).unwrap_or(u32::MAX);
    let policy = get(all, 5).and_then(word).unwrap_or(u32::MAX);
    format!("chain {name} hook {} priority {} policy {policy} type {}", number(1), number(2).cast_signed(), show_name(get(all, 7)))
}

/// Any bytes as a name that is safe to show.
fn show_name(bytes: Option<&[u8]>) -> String {
    name(bytes).unwrap_or_else(|_| format!("{:02x?}", bytes.unwrap_or_default().iter().take(32).collect::<Vec<_>>()))
}

fn rule(all: &[(u16, &[u8])]) -> String {
    let mut line = format!("rule {}", show_name(get(all, 2)));
    for (_, one) in get(all, 4).and_then(|list| fields(list).ok()).unwrap_or_default() {
        let one = fields(one).unwrap_or_default();
        let what = show_name(get(&one, 1));
        let data = get(&one, 2).and_then(|data| fields(data).ok()).unwrap_or_default();
        line.push_str(&format!(" {}", expression(&what, &data)));
    }
    line
}

fn expression(what: &str, data: &[(u16, &[u8])]) -> String {
    let number = |kind| get(data, kind).and_then(word).unwrap_or(0);
    // The kernel names the first of four words by the register of 16 bytes.
    let register = |kind| match number(kind) {
        wide @ 1..=4 => wide * 4 + 4,
        other => other,
    };
    let value = |kind| get(data, kind).and_then(|nest| get(&fields(nest).ok()?, 1)).unwrap_or_default();
    match what {
        "meta" => format!("meta({} to {})", number(2), register(1)),
        "cmp" => format!("cmp({} op {} {:02x?})", register(1), number(2), value(3)),
        "payload" => format!("payload({} base {} at {} length {})", register(1), number(2), number(3), number(4)),
        "bitwise" => {
            format!("bitwise({} to {} length {} op {} {:02x?} {:02x?})", register(1), register(2), number(3), number(6), value(4), value(5))
        }
        "lookup" => format!("lookup({} in {} flags {})", register(2), show_name(get(data, 1)), number(5)),
        "socket" => format!("socket({} level {} to {})", number(1), number(3), register(2)),
        "dynset" => {
            let after = get(data, 6).and_then(long).unwrap_or(0);
            let more = get(data, 5).is_some() || get(data, 7).is_some() || get(data, 10).is_some();
            format!("dynset(op {} key {} in {} for {after} more {more})", number(3), register(4), show_name(get(data, 1)))
        }
        "counter" => "counter".to_owned(),
        "immediate" => {
            let verdict = get(data, 2).and_then(|nest| fields(get(&fields(nest).ok()?, 2)?).ok()).unwrap_or_default();
            let code = get(&verdict, 1).and_then(word).map(u32::cast_signed);
            format!("verdict({} {code:?} {})", register(1), get(&verdict, 2).map_or_else(String::new, |chain| show_name(Some(chain))))
        }
        other => format!("{other}(?)"),
    }
}
