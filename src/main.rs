//! The program: the command line puts the crates together.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    bartizan::cli::run()
}
