//! The independent verifier: judges a change of our table by what its finished bytes say, just before they are sent.
//!
//! It shares no code with what planned or wrote the change. It knows the owner's lifeline, read a moment ago, and says no.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::host::nft::{Added, Change, Place, SKELETON};
use crate::model::{ActionPlan, Lifeline};

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
        "block_in4" | "block_out4" => cut(0, 4, false),
        "block_in6" | "block_out6" => cut(0, 16, false),
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
    shape(changes)?;
    let (mut strangers, mut switched, mut kept, mut released) = (BTreeSet::new(), 0, BTreeMap::new(), BTreeSet::new());
    let anew = changes.iter().any(|change| matches!(change, Change::Shape(_) | Change::DeleteTable));
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
            Change::Shape(_) | Change::DeleteTable => {}
        }
    }
    if strangers.len() > 1 && !case.by_person {
        return Err(format!("{} addresses at once, and no person asked", strangers.len()));
    }
    let stays = case.contained && !anew && !removed_switch;
    if switched > 0 || stays && !released.is_empty() {
        lets_the_owner_through(switched, &kept, &released, case)?;
    }
    Ok(())
}

/// Nothing of the table's shape, or all of it and in its order.
fn shape(changes: &[Change]) -> Result<(), String> {
    let lines: Vec<&str> = changes.iter().filter_map(|c| if let Change::Shape(line) = c { Some(line.as_str()) } else { None }).collect();
    let removals: Vec<usize> = (0..).zip(changes).filter(|(_, c)| **c == Change::DeleteTable).map(|(at, _)| at).collect();
    if lines.is_empty() {
        return if removals.is_empty() { Ok(()) } else { Err("the table would be removed and not made again".to_owned()) };
    }
    if removals.iter().any(|at| *at != 0) {
        return Err("the table would be removed after something was added".to_owned());
    }
    let mut wanted = SKELETON.lines();
    for line in lines {
        if wanted.next() != Some(line) {
            return Err(format!("a set, chain or rule that is not ours or not in its place: {}", line.escape_debug()));
        }
    }
    wanted.next().map_or(Ok(()), |missing| Err(format!("the table would lack {missing}")))
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
    if addr != addr.to_canonical() {
        return Err(format!("{addr} is an IPv4 address in the form of IPv6"));
    }
    Ok(())
}

fn complete(case: &Case<'_>) -> Result<(), String> {
    match case.lifeline.unknown.first() {
        Some(unknown) if !case.by_person => {
            Err(format!("the owner's own access could not be read completely ({})", unknown.escape_debug()))
        }
        _ => Ok(()),
    }
}

/// Containment may be on only while every address of the lifeline is let through, for as long.
fn lets_the_owner_through(switched: u64, kept: &BTreeMap<IpAddr, u64>, released: &BTreeSet<IpAddr>, case: &Case<'_>) -> Result<(), String> {
    for (addr, why) in &case.lifeline.addresses {
        let addr = addr.to_canonical();
        // What never leaves the host is let through by its device.
        if addr.is_loopback() || addr.is_unspecified() {
            continue;
        }
        let already = || (case.kept)(addr).filter(|_| !released.contains(&addr)).map(|left| left.as_millis() as u64);
        let long = kept.get(&addr).copied().or_else(already).unwrap_or(0);
        if long == 0 || long + NEARLY < switched {
            return Err(format!("containment would cut off {addr}, which is {}", why.noun()));
        }
    }
    Ok(())
}
