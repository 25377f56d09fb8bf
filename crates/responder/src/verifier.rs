//! The independent verifier: judges a change of our table by what its finished bytes say, just before they are sent.
//!
//! It shares no code with what planned or wrote the change. It knows the owner's lifeline, read a moment ago, and says no.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bartizan_enforce::nft::{Added, Change, Pieces, Place, lines, pieces_of};
use bartizan_model::{ActionPlan, Lifeline};

/// How much longer than the longest action an element may last: it is written a moment after it was planned.
const GRACE: Duration = Duration::from_secs(60);
/// How much earlier than containment a kept address may end: both are written in one transaction, in milliseconds.
const NEARLY: u64 = 1000;

/// What a change is held against.
pub(super) struct Case<'a> {
    /// The owner's own access, read now.
    pub(super) lifeline: &'a Lifeline,
    /// Whether a person allowed it.
    pub(super) by_person: bool,
    /// What live actions own already: bringing it back adds nobody.
    pub(super) known: &'a HashSet<Place>,
    /// The pieces of our table as it stands; `None` when there is none, or one that is not as we made it.
    pub(super) before: Option<Pieces>,
    /// How long an address that the kernel keeps now is still kept; nothing when the table is made anew.
    pub(super) kept: &'a dyn Fn(IpAddr) -> Option<Duration>,
    /// Whether the kernel is in containment now, and stays so.
    pub(super) contained: bool,
}

/// What a set's elements do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Cut off or slow down the address that ends the key, after so many bytes; whether a limit is carried.
    Cut { before: usize, length: usize, limited: bool },
    /// Switch containment on; whether a limit is carried.
    Switch { key: usize, limited: bool },
    /// Let an address through.
    Keep { length: usize },
    /// Let a UDP peer be answered.
    Answer { key: usize },
}

fn role(set: &str) -> Option<Role> {
    let cut = |before, length, limited| Some(Role::Cut { before, length, limited });
    match set {
        "block_in4" | "block_out4" | "deny_to4" => cut(0, 4, false),
        "block_in6" | "block_out6" | "deny_to6" => cut(0, 16, false),
        "limit4" => cut(0, 4, true),
        "limit6" => cut(0, 16, true),
        "deny_uid4" | "deny_from4" => cut(4, 4, false),
        "deny_uid6" => cut(4, 16, false),
        "deny_cgroup4" => cut(8, 4, false),
        "deny_cgroup6" => cut(8, 16, false),
        "deny_from6" => cut(16, 16, false),
        "contain_out" => Some(Role::Switch { key: 1, limited: false }),
        "contain_in" => Some(Role::Switch { key: 1, limited: true }),
        "contain_ssh" => Some(Role::Switch { key: 2, limited: false }),
        "contain_keep4" => Some(Role::Keep { length: 4 }),
        "contain_keep6" => Some(Role::Keep { length: 16 }),
        "contain_answer4" => Some(Role::Answer { key: 12 }),
        "contain_answer6" => Some(Role::Answer { key: 24 }),
        _ => None,
    }
}

/// Whether these changes, all together, may be made.
///
/// # Errors
/// One sentence: the first reason why not.
pub(super) fn judge(changes: &[Change], case: &Case<'_>) -> Result<(), String> {
    shape(changes, case.before)?;
    let (mut strangers, mut switched, mut kept, mut released) = (BTreeSet::new(), 0, BTreeMap::new(), BTreeSet::new());
    // What was contained or kept before counts no longer when the table, or these sets of it, are removed.
    let anew = case.before.is_none()
        || changes.iter().any(|change| match change {
            Change::DeleteTable => true,
            Change::DropSet(set) => set.starts_with("contain_"),
            Change::Shape(_) | Change::Clear | Change::DropChain(_) | Change::Add(_) | Change::Remove(..) => false,
        });
    let mut removed_switch = false;
    let known: HashSet<(&str, &[u8])> = case.known.iter().map(|place| (place.set.name(), place.key.as_bytes())).collect();
    for change in changes {
        match change {
            Change::Add(added) => {
                let time = timeout(added)?;
                match role(&added.set).ok_or_else(|| format!("{} is no set of ours", added.set))? {
                    Role::Cut { before, length, limited } => {
                        carries(added, limited)?;
                        let addr = remote(added, before, length)?;
                        cut(addr, case)?;
                        if !known.contains(&(added.set.as_str(), added.key.as_slice())) {
                            strangers.insert(addr);
                        }
                    }
                    Role::Switch { key, limited } => {
                        carries(added, limited)?;
                        exactly(added, key)?;
                        complete(case)?;
                        switched = switched.max(time);
                    }
                    Role::Keep { length } => {
                        carries(added, false)?;
                        kept.insert(remote(added, 0, length)?, time);
                    }
                    Role::Answer { key } => {
                        carries(added, false)?;
                        exactly(added, key)?;
                    }
                }
            }
            Change::Remove(set, key) => match role(set) {
                Some(Role::Keep { length }) => drop(released.insert(address(key, length)?)),
                Some(Role::Switch { .. }) => removed_switch = true,
                Some(_) => {}
                None => return Err(format!("{set} is no set of ours")),
            },
            Change::Shape(_) | Change::DeleteTable | Change::Clear | Change::DropChain(_) | Change::DropSet(_) => {}
        }
    }
    if strangers.len() > 1 && !case.by_person {
        return Err(format!("{} addresses at once, and no person asked", strangers.len()));
    }
    let stays = case.contained && !anew && !removed_switch;
    if switched > 0 || stays && !released.is_empty() {
        let before = |addr| if anew { None } else { (case.kept)(addr).filter(|_| !released.contains(&addr)) };
        lets_the_owner_through(switched, &kept, &before, case)?;
    }
    Ok(())
}

/// Whatever the changes do to the table's shape: what stands at the end are all lines of some pieces, each in its place.
fn shape(changes: &[Change], before: Option<Pieces>) -> Result<(), String> {
    let mut table: Option<Vec<String>> = before.map(|pieces| lines(pieces).into_iter().map(str::to_owned).collect());
    let (mut dropped, mut touched) = (BTreeSet::new(), false);
    for (at, change) in changes.iter().enumerate() {
        touched |= !matches!(change, Change::Add(_) | Change::Remove(..));
        match change {
            Change::DeleteTable if at == 0 => table = None,
            Change::DeleteTable => return Err("the table would be removed after something was added".to_owned()),
            Change::Shape(line) if line.starts_with("table ") && table.is_none() => table = Some(vec![line.clone()]),
            Change::Shape(line) => {
                if line.split(' ').nth(1).is_some_and(|name| line.starts_with("set ") && dropped.contains(name)) {
                    return Err(format!("a set that would be emptied by making it anew: {}", line.escape_debug()));
                }
                table
                    .as_mut()
                    .ok_or_else(|| format!("something without our table, not in its place: {}", line.escape_debug()))?
                    .push(line.clone());
            }
            Change::Clear => table.as_mut().ok_or("rules of no table would be removed")?.retain(|line| !line.starts_with("rule ")),
            Change::DropChain(name) => remove(table.as_mut(), &format!("chain {name}"))?,
            Change::DropSet(name) => {
                remove(table.as_mut(), &format!("set {name}"))?;
                dropped.insert(name.as_str());
            }
            Change::Add(_) | Change::Remove(..) => {}
        }
    }
    match table {
        _ if !touched => Ok(()),
        None => Err("the table would be removed and not made again".to_owned()),
        Some(lines) => pieces_of(&lines).map(drop).map_err(|why| format!("the table would not be as we make it; {why}")),
    }
}

/// Takes out the one line that is or begins with these words.
fn remove(table: Option<&mut Vec<String>>, words: &str) -> Result<(), String> {
    let table = table.ok_or("something of no table would be removed")?;
    let is = |line: &String| line.strip_prefix(words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    let at = table.iter().position(is).ok_or_else(|| format!("{} would be removed, which our table has not", words.escape_debug()))?;
    table.remove(at);
    Ok(())
}

/// In milliseconds.
fn timeout(added: &Added) -> Result<u64, String> {
    let time = added.timeout.filter(|time| *time > 0).ok_or_else(|| format!("an element of {} without an end", added.set))?;
    let most = ActionPlan::LONGEST + GRACE;
    if Duration::from_millis(time) > most { Err(format!("an element of {} that lasts longer than a day", added.set)) } else { Ok(time) }
}

fn carries(added: &Added, limited: bool) -> Result<(), String> {
    match (limited, added.over) {
        (true, None) => Err(format!("an element of {} that drops everything instead of what is over a limit", added.set)),
        (false, Some(_)) => Err(format!("an element of {} with a limit", added.set)),
        _ => Ok(()),
    }
}

fn exactly(added: &Added, length: usize) -> Result<(), String> {
    if added.key.len() == length { Ok(()) } else { Err(format!("an element of {} with a key of {} bytes", added.set, added.key.len())) }
}

/// The one address that ends the key: whole, never a network.
fn remote(added: &Added, before: usize, length: usize) -> Result<IpAddr, String> {
    exactly(added, before + length)?;
    address(added.key.get(before..).unwrap_or_default(), length)
}

fn address(bytes: &[u8], length: usize) -> Result<IpAddr, String> {
    let addr: Option<IpAddr> = match length {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|four| Ipv4Addr::from(four).into()),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    };
    addr.ok_or_else(|| "a key that is no single address".to_owned())
}

fn cut(addr: IpAddr, case: &Case<'_>) -> Result<(), String> {
    complete(case)?;
    if let Some(why) = case.lifeline.holds_address(addr) {
        return Err(format!("{} is {}", addr.to_canonical(), why.noun()));
    }
    if let Some(doubt) = case.lifeline.doubts_address(addr).filter(|_| !case.by_person) {
        return Err(format!("{} may be where the owner comes from ({})", addr.to_canonical(), doubt.escape_debug()));
    }
    if addr != addr.to_canonical() {
        return Err(format!("{addr} is an IPv4 address in the form of IPv6"));
    }
    Ok(())
}

fn complete(case: &Case<'_>) -> Result<(), String> {
    match case.lifeline.unknown.first() {
        Some(unknown) if !case.by_person => {
            Err(format!("the owner's own access could not be read completely ({})", bartizan_model::sentence(unknown)))
        }
        _ => Ok(()),
    }
}

/// Containment may be on only while every address of the lifeline is let through, for as long: by what comes, or by what was
/// there before and stays.
fn lets_the_owner_through(
    switched: u64,
    kept: &BTreeMap<IpAddr, u64>,
    before: &dyn Fn(IpAddr) -> Option<Duration>,
    case: &Case<'_>,
) -> Result<(), String> {
    for (addr, why) in &case.lifeline.addresses {
        let addr = addr.to_canonical();
        // What never leaves the host is let through by its device.
        if addr.is_loopback() || addr.is_unspecified() {
            continue;
        }
        let already = || before(addr).map(|left| left.as_millis() as u64);
        let long = kept.get(&addr).copied().or_else(already).unwrap_or(0);
        if long == 0 || long + NEARLY < switched {
            return Err(format!("containment would cut off {addr}, which is {}", why.noun()));
        }
    }
    Ok(())
}
