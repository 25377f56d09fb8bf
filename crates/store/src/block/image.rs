//! A process in a block: only what differs from an image before it is written.

use super::field::{Field, Input};
use super::moment;
use bartizan_model::{Ancestor, Lineage, Process, Timestamp};

/// Bits of the mask that tells which fields follow. A number once given keeps its meaning; a new field takes the next one,
/// and old blocks simply lack it.
pub(super) const PID: u32 = 28;
pub(super) const SINCE: u32 = 29;
pub(super) const ANCESTORS: u32 = 30;
/// How many of them are fields that are written as they are.
pub(super) const PLAIN: u32 = 26;

/// The fields that are written as they are.
macro_rules! plain_fields {
    ($each:ident!) => {
        $each! {
            0 key, 1 ppid, 2 parent, 3 exe, 4 exe_file, 5 argv, 6 argv_truncated, 7 cwd, 8 uid, 9 euid, 10 user, 11 loginuid,
            12 session, 13 capabilities, 14 cgroup, 15 container, 16 unit, 17 netns, 18 namespaces, 19 tty, 20 environment,
            21 package, 22 container_name, 23 stdio_sockets, 24 lineage.elided, 25 lineage.roots
        }
    };
}

/// Writes what `image` has and `base` has not. `at` is the moment of the event that brings it.
pub(super) fn put(image: &Process, base: &Process, at: Timestamp, out: &mut Vec<u8>) {
    every_field_is_written(image);
    let (place, mut mask) = (out.len(), 0u32);
    out.extend_from_slice(&[0; 4]);
    macro_rules! put_changed {
        ($($bit:literal $($field:ident).+),*) => {$(
            if image.$($field).+ != base.$($field).+ {
                mask |= 1 << $bit;
                image.$($field).+.put(out);
            }
        )*};
    }
    plain_fields!(put_changed!);
    if image.pid != image.key.pid {
        mask |= 1 << PID;
        image.pid.put(out);
    }
    if image.since != base.since {
        mask |= 1 << SINCE;
        moment::put(image.since, at, out);
    }
    if image.lineage.ancestors != base.lineage.ancestors {
        mask |= 1 << ANCESTORS;
        put_ancestors(&image.lineage.ancestors, &base.lineage.ancestors, out);
    }
    if let Some(reserved) = out.get_mut(place..place + 4) {
        reserved.copy_from_slice(&mask.to_le_bytes());
    }
}

/// An image with every plain field, as if it differed from its base in all of them.
pub(super) fn whole(image: &Process) -> Vec<u8> {
    let mask: u32 = ((1 << PLAIN) - 1) | (1 << SINCE);
    let mut out = mask.to_le_bytes().to_vec();
    macro_rules! put_all {
        ($($bit:literal $($field:ident).+),*) => { $(image.$($field).+.put(&mut out);)* };
    }
    plain_fields!(put_all!);
    moment::put(image.since, Timestamp::UNIX_EPOCH, &mut out);
    out
}

/// Reads what [`put`] wrote.
pub(super) fn take(base: &Process, at: Timestamp, input: &mut Input<'_>) -> Option<Process> {
    let mask = u32::from_le_bytes(input.bytes(4)?.try_into().ok()?);
    let mut image = base.clone();
    macro_rules! take_changed {
        ($($bit:literal $($field:ident).+),*) => {$(
            if mask & 1 << $bit != 0 {
                image.$($field).+ = Field::take(input)?;
            }
        )*};
    }
    plain_fields!(take_changed!);
    image.pid = if mask & 1 << PID != 0 { Field::take(input)? } else { image.key.pid };
    if mask & 1 << SINCE != 0 {
        image.since = moment::take(at, input)?;
    }
    if mask & 1 << ANCESTORS != 0 {
        image.lineage.ancestors = take_ancestors(&base.lineage.ancestors, input)?.into();
    }
    Some(image)
}

/// Siblings share all ancestors but the nearest, a child adds one to its parent's, a deep tree drops the farthest:
/// so a few new ones are written, and from where on the base's own follow.
fn put_ancestors(ancestors: &[Ancestor], base: &[Ancestor], out: &mut Vec<u8>) {
    for fresh in 0..=ancestors.len().min(2) {
        let (new, rest) = ancestors.split_at(fresh);
        let same = |skip: &usize| base.get(*skip..).is_some_and(|base| !rest.is_empty() && base.starts_with(rest));
        if let Some(skip) = (0..=2).find(same) {
            put_run(new, skip, rest.len(), out);
            return;
        }
    }
    put_run(ancestors, 0, 0, out);
}

fn put_run(new: &[Ancestor], skip: usize, kept: usize, out: &mut Vec<u8>) {
    (new.len() as u64).put(out);
    new.iter().for_each(|ancestor| ancestor.put(out));
    (skip as u64).put(out);
    (kept as u64).put(out);
}

fn take_ancestors(base: &[Ancestor], input: &mut Input<'_>) -> Option<Vec<Ancestor>> {
    let mut ancestors: Vec<Ancestor> = Field::take(input)?;
    let skip = usize::try_from(u64::take(input)?).ok()?;
    let kept = usize::try_from(u64::take(input)?).ok()?;
    ancestors.extend_from_slice(base.get(skip..)?.get(..kept)?);
    Some(ancestors)
}

/// Fails to compile when the model has a field that no line above writes: give it a number then, and name it here.
fn every_field_is_written(image: &Process) {
    let Process {
        key: _,
        pid: _,
        ppid: _,
        parent: _,
        exe: _,
        exe_file: _,
        argv: _,
        argv_truncated: _,
        cwd: _,
        uid: _,
        euid: _,
        user: _,
        loginuid: _,
        session: _,
        capabilities: _,
        cgroup: _,
        container: _,
        unit: _,
        netns: _,
        namespaces: _,
        tty: _,
        environment: _,
        package: _,
        container_name: _,
        stdio_sockets: _,
        since: _,
        lineage,
    } = image;
    let Lineage { ancestors: _, elided: _, roots: _ } = lineage;
}
