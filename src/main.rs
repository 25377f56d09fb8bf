//! The program: everything is in the library, the command line puts it together.

fn main() -> std::process::ExitCode {
    bartizan::cli::run()
}
