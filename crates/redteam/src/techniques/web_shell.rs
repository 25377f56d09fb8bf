//! T1505.003: a request makes the web server run a command in a shell.

use super::{Stage, StageError, Technique};
use crate::play::FOOTHOLD;

pub(super) const TECHNIQUE: Technique = Technique {
    name: "web_shell",
    ids: &[bartizan_model::Technique::new("T1505.003"), bartizan_model::Technique::new("T1059.004")],
    what: "a request makes the web server start a shell that runs `id`",
    expects: &["web_server_shell"],
    attempt,
};

fn attempt(stage: &mut Stage) -> Result<String, StageError> {
    stage.request(FOOTHOLD)?;
    let proof = stage.directory().join("foothold.txt");
    let text = stage.wait("the command's output", |_| std::fs::read_to_string(&proof).ok().filter(|text| text.contains("uid=")))?;
    Ok(format!("GET {FOOTHOLD} made nginx start sh, which ran `id` ({})", text.split_whitespace().next().unwrap_or_default()))
}
