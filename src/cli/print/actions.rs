//! Actions as a person reads them: what holds, until when, and what waits for a person.

use std::io::{self, Write};
use std::time::Duration;

use super::human::clock;
use super::{safe, table};
use bartizan_model::{Action, ActionState, ProbeCheck, Timestamp};

/// Writes the table; `now` is the reader's.
pub(super) fn write(out: &mut impl Write, actions: &[Action], now: Timestamp) -> io::Result<()> {
    let rows: Vec<[String; 8]> = actions.iter().map(|action| row(action, now)).collect();
    table::write(out, ["ID", "STATE", "WHAT", "BY", "CONFIRM", "VERIFIED", "ENDS (UTC)", "NOTE"], &rows)?;
    if actions.is_empty() { writeln!(out, "no actions") } else { Ok(()) }
}

fn row(action: &Action, now: Timestamp) -> [String; 8] {
    let ends = match action.state {
        ActionState::Live | ActionState::Drifted | ActionState::Applying => clock(action.ends_at()),
        _ => action.ended_at.map_or_else(|| "-".to_owned(), clock),
    };
    let seen = match action.verified_at {
        Some(at) if action.state.is_active() => format!("{} ago", span(now - at)),
        Some(at) => clock(at),
        None => "never".to_owned(),
    };
    [
        action.id.to_string(),
        action.standing().to_owned(),
        format!("{} {}", action.kind.verb(), safe(&action.target.to_string())),
        safe(&action.by.to_string()),
        confirm(action, now),
        seen,
        ends,
        safe(&note(action)),
    ]
}

/// How long a person may still confirm it, or who did.
fn confirm(action: &Action, now: Timestamp) -> String {
    if let Some(until) = action.awaits_confirmation() {
        return format!("{} LEFT", span(until - now));
    }
    match action.confirmation.as_ref() {
        Some(confirmation) if confirmation.confirmed_at.is_some() => {
            format!("by {}", safe(confirmation.confirmed_by.as_deref().unwrap_or("a person")))
        }
        Some(_) => "nobody did".to_owned(),
        None => "-".to_owned(),
    }
}

/// What the kernel says, after what became of the host's health probes.
fn note(action: &Action) -> String {
    match action.vitals.as_ref().map(vitals).filter(|text| !text.is_empty()) {
        // What was ill before is the least of the news.
        Some(signs) if action.vitals.as_ref().is_some_and(|check| check.harmed.is_empty()) => format!("{}; {signs}", action.note),
        Some(signs) => format!("{signs}; {}", action.note),
        None => action.note.clone(),
    }
}

fn vitals(check: &ProbeCheck) -> String {
    let list = |word: &str, names: &[String]| (!names.is_empty()).then(|| format!("{word}: {}", names.join(", ")));
    let parts = [
        list("HARMED", &check.harmed),
        list("worse since, but not by this", &check.unexplained),
        list("failing before the action too", &check.ill_before),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What a person must do about an action that waits for a yes: one line, or nothing.
pub(super) fn hint(action: &Action) -> Option<String> {
    let until = action.awaits_confirmation()?;
    Some(format!("undone at {} UTC unless you confirm: bartizan confirm {}", until.format("%H:%M:%S"), action.id))
}

/// Those that wait for a yes, the most urgent first.
pub(super) fn waiting(actions: &[Action]) -> Vec<(&Action, Timestamp)> {
    let mut rows: Vec<_> = actions.iter().filter_map(|action| Some((action, action.awaits_confirmation()?))).collect();
    rows.sort_by_key(|(_, until)| *until);
    rows
}

/// The most urgent of them in a few words, for a status bar: "CONFIRM A3 1m40s +1".
pub(super) fn countdown(actions: &[Action], now: Timestamp) -> Option<String> {
    let waiting = waiting(actions);
    let (first, until) = waiting.first()?;
    let more = if waiting.len() > 1 { format!(" +{}", waiting.len() - 1) } else { String::new() };
    Some(format!("CONFIRM {} {}{more}", first.id, span(*until - now)))
}

/// "1m40s"; what is over is "0s".
pub(super) fn span(time: chrono::TimeDelta) -> String {
    let seconds = u64::try_from(time.num_seconds()).unwrap_or(0);
    humantime::format_duration(Duration::from_secs(seconds)).to_string().replace(' ', "")
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use bartizan_model::{ActionId, ActionKind, Confirmation, Target, WarrantId};

    fn contained(now: Timestamp) -> Action {
        Action {
            id: ActionId(3),
            kind: ActionKind::ContainHost,
            target: Target::Host,
            incident: None,
            warrant: WarrantId(1),
            state: ActionState::Live,
            desired: bartizan_model::Desired::Live,
            planned_at: now,
            applied_at: Some(now),
            verified_at: Some(now - TimeDelta::seconds(4)),
            expires_at: now + TimeDelta::seconds(600),
            ended_at: None,
            by: bartizan_model::Approver::Person("ann\u{1b}[2J".to_owned()),
            reason: "by hand".to_owned(),
            preview: Vec::new(),
            undo: Vec::new(),
            note: "as it should be".to_owned(),
            evidence: None,
            confirmation: Some(Confirmation { until: now + TimeDelta::seconds(100), confirmed_at: None, confirmed_by: None }),
            vitals: Some(ProbeCheck {
                at: Some(now),
                well: 3,
                ill_before: vec!["unit a".to_owned()],
                harmed: vec!["the SSH server".to_owned()],
                unexplained: Vec::new(),
            }),
        }
    }

    #[test]
    fn what_waits_for_a_yes_says_how_long_and_what_to_type() {
        let now = Timestamp::UNIX_EPOCH + TimeDelta::seconds(43_000);
        let action = contained(now);
        assert_eq!(hint(&action).unwrap(), "undone at 11:58:20 UTC unless you confirm: bartizan confirm A3");
        let [_, state, what, by, confirm, seen, ends, note] = row(&action, now);
        assert_eq!((state.as_str(), what.as_str(), confirm.as_str(), seen.as_str()), ("live", "contain this host", "1m40s LEFT", "4s ago"));
        assert_eq!(ends, "1970-01-01 11:58:20", "the nearer end");
        assert_eq!(note, "HARMED: the SSH server; failing before the action too: unit a; as it should be");
        assert!(!by.contains('\u{1b}'));
    }

    #[test]
    fn what_is_confirmed_or_over_waits_for_nothing() {
        let now = Timestamp::UNIX_EPOCH + TimeDelta::seconds(43_000);
        let mut action = contained(now);
        action.state = ActionState::RolledBack;
        assert_eq!((hint(&action), row(&action, now)[4].as_str()), (None, "nobody did"));
        action.state = ActionState::Live;
        let confirmation = action.confirmation.as_mut().unwrap();
        (confirmation.confirmed_at, confirmation.confirmed_by) = (Some(now), Some("ann".to_owned()));
        assert_eq!((hint(&action), row(&action, now)[4].as_str()), (None, "by ann"));
        assert_eq!(row(&action, now)[6], "1970-01-01 12:06:40");
    }

    #[test]
    fn the_most_urgent_comes_first_and_time_never_runs_backwards() {
        let now = Timestamp::UNIX_EPOCH;
        let (mut early, late) = (contained(now), contained(now + TimeDelta::seconds(9)));
        early.id = ActionId(4);
        let both = [late, early];
        let order: Vec<u64> = waiting(&both).iter().map(|(action, _)| action.id.0).collect();
        assert_eq!(order, [4, 3]);
        assert_eq!(countdown(&both, now).as_deref(), Some("CONFIRM A4 1m40s +1"));
        assert_eq!((countdown(&both[..1], now).as_deref(), countdown(&[], now)), (Some("CONFIRM A3 1m49s"), None));
        assert_eq!([span(TimeDelta::seconds(-5)), span(TimeDelta::seconds(60))], ["0s", "1m"]);
    }
}
