//! What the signs say of one action: which of those that are worse it can have harmed, and which it cannot.

use serde_json::Value;

use super::book::Watched;
use super::path::{held, path};
use bartizan_model::{Action, Timestamp, Vital, VitalCheck, VitalKind, VitalState, worse};

/// The action's signs before and after it, compared once.
pub(super) fn judge(action: &Action, snapshot: &Value, watched: &Watched, after: &[Vital], now: Timestamp) -> VitalCheck {
    let (before, may_carry) = (&watched.before, watched.may_carry);
    let is_own = |vital: &&Vital| vital.kind == VitalKind::OperatorConnection;
    let unseen = |vital: &&Vital| !before.iter().any(|then| then.is_same(vital));
    // A connection that came after the last round was well when it came.
    let came = after.iter().filter(is_own).filter(unseen).map(|vital| Vital { state: VitalState::Well, ..vital.clone() });
    let before: Vec<Vital> = before.iter().cloned().chain(came).collect();
    let gone = cut(action, &before, after).chain(deaf(&before, after)).chain(stopped(snapshot, &before));
    let mut after: Vec<Vital> = after.to_vec();
    for sign in gone {
        after.retain(|vital| !vital.is_same(&sign));
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
    let is_well = |vital: &&Vital| vital.state == VitalState::Well;
    VitalCheck {
        at: Some(now),
        well: u32::try_from(after.iter().filter(is_well).count()).unwrap_or(u32::MAX),
        ill_before: before.iter().filter(|vital| !is_well(vital)).map(ToString::to_string).collect(),
        harmed,
        unexplained,
    }
}

/// What was measured, and what was before.
pub(super) fn told(then: &Vital, now: &Vital) -> String {
    if then.detail.is_empty() || then.detail == now.detail { now.to_string() } else { format!("{now} (before: {})", then.detail) }
}

/// SSH servers that listened before and do not any more.
fn deaf<'a>(before: &'a [Vital], after: &'a [Vital]) -> impl Iterator<Item = Vital> + 'a {
    let server = |vital: &&Vital| vital.kind == VitalKind::SshServer && vital.state == VitalState::Well;
    let deaf = before.iter().filter(server).filter(|vital| is_gone(vital, after));
    deaf.map(|vital| Vital { state: VitalState::Ill, detail: "does not listen any more".to_owned(), ..vital.clone() })
}

/// Connections of the operator that are gone as if they had been cut. Somebody who logs out is gone too, so it counts only
/// where the action closes connections: those with its own address.
fn cut<'a>(action: &'a Action, before: &'a [Vital], after: &'a [Vital]) -> impl Iterator<Item = Vital> + 'a {
    let open = |vital: &&Vital| vital.kind == VitalKind::OperatorConnection && vital.state == VitalState::Well;
    let counts = |vital: &&Vital| action.target.address().is_some_and(|address| vital.ways.contains(&address));
    let lost = before.iter().filter(open).filter(|vital| is_gone(vital, after)).filter(counts);
    lost.map(|vital| Vital { state: VitalState::Ill, detail: "gone".to_owned(), ..vital.clone() })
}

/// What is made of processes that the action holds: it may still look well for a while.
fn stopped<'a>(snapshot: &'a Value, before: &'a [Vital]) -> impl Iterator<Item = Vital> + 'a {
    let well = before.iter().filter(|vital| vital.state == VitalState::Well);
    well.filter_map(|vital| {
        held(snapshot, vital)?;
        Some(Vital { state: VitalState::Ill, detail: "stands still".to_owned(), ..vital.clone() })
    })
}

fn is_gone(vital: &Vital, after: &[Vital]) -> bool {
    !after.iter().any(|now| now.is_same(vital))
}
