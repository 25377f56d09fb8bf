//! T1059: the intruder drops a program into a directory that anyone may write, and runs it.

use super::{Stage, StageError, Technique};
use crate::play::IDLE;

pub(super) const TECHNIQUE: Technique = Technique {
    name: "exec_from_tmp",
    ids: &[bartizan_model::Technique::new("T1059")],
    what: "the intruder drops a program below /tmp and runs it",
    expects: &["exec_from_writable"],
    attempt,
};

fn attempt(stage: &mut Stage) -> Result<String, StageError> {
    // A second name for a file that is there: nothing is downloaded, and what runs does nothing.
    stage.type_line("ln nginx dropped")?;
    let line = format!("{} </dev/null >/dev/null 2>&1; echo code=$?", stage.command_for("dropped", IDLE));
    let answer = stage.type_line(&line)?;
    if !answer.contains("code=0") {
        return Err(StageError::Failed { what: "running the dropped program".to_owned(), why: std::io::Error::other(answer) });
    }
    Ok(format!("the shell ran {}", stage.directory().join("dropped").display()))
}
