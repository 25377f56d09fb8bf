//! T1571: the intruder leaves a program that waits for strangers on a port.

use super::{Stage, StageError, Technique};
use crate::play::{BACKDOOR, BACKDOOR_PORT};

pub(super) const TECHNIQUE: Technique = Technique {
    name: "unexpected_listener",
    ids: &[bartizan_model::Technique::new("T1571")],
    what: "the dropped program begins to listen on a port",
    expects: &["unexpected_listener"],
    attempt,
};

fn attempt(stage: &mut Stage) -> Result<String, StageError> {
    let line = format!("{} </dev/null >/dev/null 2>&1 &", stage.command_for("dropped", BACKDOOR));
    // `&` already ends the command: what follows must not begin with `;`.
    stage.type_line(&format!("{{ {line} }}"))?;
    stage.wait("the back door to open", |stage| stage.is_open(BACKDOOR_PORT).then_some(()))?;
    Ok(format!("{} listens on 127.0.0.1:{BACKDOOR_PORT}", stage.directory().join("dropped").display()))
}
