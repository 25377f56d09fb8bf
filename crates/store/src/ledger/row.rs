//! One action as a row of `ledger.db`: how it is written and read back.

use rusqlite::{Connection, params};

use bartizan_model::{Action, ActionId, ActionState, Desired, EndCause, Ending};

/// The column that says what the action is meant to be, beside the body that says why.
fn word(desired: &Desired) -> &'static str {
    match desired {
        Desired::Live => "live",
        Desired::Gone(_) => GONE,
    }
}

const GONE: &str = "gone";

/// Gives how many rows were written: none when it was never intended.
pub(super) fn write(connection: &Connection, action: &Action, body: &str) -> rusqlite::Result<usize> {
    let mut row = connection.prepare_cached("UPDATE actions SET state = ?2, active = ?3, desired = ?4, body = ?5 WHERE id = ?1")?;
    row.execute(params![number(action.id), action.state.noun(), action.state.is_active(), word(&action.desired), body])
}

/// An action from its body and the column `desired`. Gone in either of them is gone: no older program and no half
/// understood row brings it back.
pub(super) fn read(body: &str, desired: &str) -> Result<Action, serde_json::Error> {
    let mut action: Action = serde_json::from_str(body)?;
    if desired == GONE && action.desired == Desired::Live {
        let cause = match action.state {
            ActionState::Failed => EndCause::Failed,
            ActionState::Expired => EndCause::Expired,
            _ => EndCause::Undone,
        };
        action.desired = Desired::Gone(Ending {
            cause,
            by: "an earlier version".to_owned(),
            why: action.note.clone(),
            since: action.ended_at.unwrap_or(action.planned_at),
            failed_tries: 0,
            last_error: None,
        });
    }
    Ok(action)
}

pub(super) fn number(id: ActionId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}
