//! What is generated from the program itself: completions, manual page, emergency script.

use std::io::{self, Write};

use clap::CommandFactory;

use super::args::Cli;
use super::outcome::{Failure, Outcome};

/// Prints a completion script.
pub(super) fn completions(shell: clap_complete::Shell) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bartizan", &mut script);
    print(&script)
}

/// Prints the manual page.
pub(super) fn man() -> Result<Outcome, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    print(&page)
}

/// Prints the script that undoes everything without this program.
pub(super) fn emergency_script() -> Result<Outcome, Failure> {
    print(bartizan_guard::watchdog::EMERGENCY_SCRIPT.as_bytes())
}

fn print(text: &[u8]) -> Result<Outcome, Failure> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Outcome::Done),
    }
}

/// The name of the kernel programs in this binary: a running agent asks before it becomes this one.
pub(super) fn kernel_object() -> Result<Outcome, Failure> {
    print(format!("{}\n", bartizan_sys::bpf::object_name()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
