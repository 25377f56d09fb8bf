//! The question before something is changed: only a person at a terminal, or `--yes`, says yes.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use crate::cli::outcome::Failure;

/// Bytes of an answer that are read.
const LONGEST_ANSWER: u64 = 64;

/// Asks; `nothing` is what is said when the answer is no: "nothing was accepted".
pub(super) fn asked(question: &str, nothing: &str, yes: bool, json: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if json || !io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{nothing}: nobody can be asked here"), "say --yes to do it without a question"));
    }
    write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stderr().flush())?;
    let mut answer = String::new();
    io::stdin().lock().take(LONGEST_ANSWER).read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") { Ok(()) } else { Err(Failure::failed(nothing)) }
}
