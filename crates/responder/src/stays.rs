//! What stays open for the person who is asked, in one short sentence: the first thing to know before a yes.

use super::actions::{ActionContext, kept_by_containment};
use bartizan_model::{ActionKind, ActionPlan, Lifeline, LifelineReason, Preview, TargetKind};

/// Completes a preview with what stays open and with the time after which nobody's silence counts as a yes.
pub(super) fn complete(context: &ActionContext, plan: &ActionPlan, preview: Preview, uncertain: bool) -> Preview {
    let confirm_within = (uncertain || plan.kind().is_disruptive()).then(|| context.policy().actions.confirm_within.min(plan.lasts()));
    let lifeline = (context.lifeline)();
    let kept = if plan.target().kind() == TargetKind::Host { kept_by_containment(&lifeline, context) } else { 0 };
    Preview { stays: sentence(plan.kind(), &lifeline, kept), confirm_within, ..preview }
}

fn sentence(kind: ActionKind, lifeline: &Lifeline, kept: usize) -> String {
    let open = format!("{}{}", yours(lifeline), kind.spec().stays_open);
    match kind.spec().target {
        TargetKind::Host => format!("{open}; {kept} kept address{}", if kept == 1 { "" } else { "es" }),
        TargetKind::Address
        | TargetKind::Addresses
        | TargetKind::Source
        | TargetKind::Destination
        | TargetKind::ProcessTree
        | TargetKind::User
        | TargetKind::Container
        | TargetKind::File => open,
    }
}

/// Where the owner comes from, as far as the lifeline knows.
fn yours(lifeline: &Lifeline) -> String {
    let login = |why: LifelineReason| matches!(why, LifelineReason::SshSession | LifelineReason::RecentLogin);
    let from: Vec<_> = lifeline.addresses.iter().filter(|(_, why)| login(*why)).map(|(addr, _)| addr.to_canonical()).collect();
    match from.as_slice() {
        _ if !lifeline.unknown.is_empty() => "NOT KNOWN: your own access could not be read completely".to_owned(),
        [] => "this console".to_owned(),
        [one] => format!("your access from {one}"),
        more => format!("your access from {} addresses", more.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_action_says_in_one_line_what_stays_open() {
        let mut lifeline = Lifeline::default();
        assert_eq!(sentence(ActionKind::ContainHost, &lifeline, 1), "this console; what is open now; 1 kept address");
        lifeline.addresses.push(("203.0.113.5".parse().unwrap(), LifelineReason::Gateway));
        lifeline.addresses.push(("::ffff:198.51.100.9".parse().unwrap(), LifelineReason::SshSession));
        for kind in ActionKind::ALL {
            let words = sentence(kind, &lifeline, 3);
            assert!(words.starts_with("your access from 198.51.100.9"), "{words}");
            assert!(words.len() < 90, "{words}");
        }
        lifeline.unknown.push("utmp".to_owned());
        assert!(sentence(ActionKind::ContainHost, &lifeline, 3).starts_with("NOT KNOWN"));
    }
}
