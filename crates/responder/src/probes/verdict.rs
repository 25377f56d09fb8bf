//! What the signs say of one action: which of those that are worse it can have harmed, and which it cannot.

use serde_json::Value;

use super::book::Watched;
use super::path::{held, path};
use bartizan_model::{Action, Probe, ProbeCheck, ProbeKind, ProbeState, Timestamp, worse};

/// The action's signs before and after it, compared once.
pub(super) fn judge(action: &Action, snapshot: &Value, watched: &Watched, after: &[Probe], now: Timestamp) -> ProbeCheck {
    let (before, may_carry) = (&watched.before, watched.may_carry);
    let is_own = |probe: &&Probe| probe.kind == ProbeKind::OperatorConnection;
    let unseen = |probe: &&Probe| !before.iter().any(|then| then.is_same(probe));
    // A connection that came after the last round was well when it came.
    let came = after.iter().filter(is_own).filter(unseen).map(|probe| Probe { state: ProbeState::Well, ..probe.clone() });
    let before: Vec<Probe> = before.iter().cloned().chain(came).collect();
    let gone = cut(action, &before, after).chain(deaf(&before, after)).chain(stopped(snapshot, &before));
    let mut after: Vec<Probe> = after.to_vec();
    for sign in gone {
        after.retain(|probe| !probe.is_same(&sign));
        after.push(sign);
    }
    let (mut harmed, mut unexplained) = (Vec::new(), Vec::new());
    for (then, now) in worse(&before, &after) {
        // What it led over is asked of both: of a sign that is gone nothing can be read any more.
        let reaches = |sign| path(action, snapshot, sign, may_carry);
        match reaches(then).or_else(|| reaches(now)) {
            Some(how) => harmed.push(format!("{}, and {how}", told(then, now))),
            None => unexplained.push(told(then, now)),
        }
    }
    let is_well = |probe: &&Probe| probe.state == ProbeState::Well;
    ProbeCheck {
        at: Some(now),
        well: u32::try_from(after.iter().filter(is_well).count()).unwrap_or(u32::MAX),
        ill_before: before.iter().filter(|probe| !is_well(probe)).map(ToString::to_string).collect(),
        harmed,
        unexplained,
    }
}

/// What was measured, and what was before.
pub(super) fn told(then: &Probe, now: &Probe) -> String {
    if then.detail.is_empty() || then.detail == now.detail { now.to_string() } else { format!("{now} (before: {})", then.detail) }
}

/// SSH servers that listened before and do not any more.
fn deaf<'a>(before: &'a [Probe], after: &'a [Probe]) -> impl Iterator<Item = Probe> + 'a {
    let server = |probe: &&Probe| probe.kind == ProbeKind::SshServer && probe.state == ProbeState::Well;
    let deaf = before.iter().filter(server).filter(|probe| is_gone(probe, after));
    deaf.map(|probe| Probe { state: ProbeState::Ill, detail: "does not listen any more".to_owned(), ..probe.clone() })
}

/// Connections of the operator that are gone as if they had been cut. Somebody who logs out is gone too, so it counts only
/// where the action closes connections: those with its own address.
fn cut<'a>(action: &'a Action, before: &'a [Probe], after: &'a [Probe]) -> impl Iterator<Item = Probe> + 'a {
    let open = |probe: &&Probe| probe.kind == ProbeKind::OperatorConnection && probe.state == ProbeState::Well;
    let counts = |probe: &&Probe| action.target.address().is_some_and(|address| probe.ways.contains(&address));
    let lost = before.iter().filter(open).filter(|probe| is_gone(probe, after)).filter(counts);
    lost.map(|probe| Probe { state: ProbeState::Ill, detail: "gone".to_owned(), ..probe.clone() })
}

/// What is made of processes that the action holds: it may still look well for a while.
fn stopped<'a>(snapshot: &'a Value, before: &'a [Probe]) -> impl Iterator<Item = Probe> + 'a {
    let well = before.iter().filter(|probe| probe.state == ProbeState::Well);
    well.filter_map(|probe| {
        held(snapshot, probe)?;
        Some(Probe { state: ProbeState::Ill, detail: "stands still".to_owned(), ..probe.clone() })
    })
}

fn is_gone(probe: &Probe, after: &[Probe]) -> bool {
    !after.iter().any(|now| now.is_same(probe))
}
