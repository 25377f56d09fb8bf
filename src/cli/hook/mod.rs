//! `hook`: a Git hook that looks for secrets in what is to be pushed. No agent is needed.

mod accepted;
mod check;
mod install;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::Global;
use super::outcome::{Failure, Outcome};

/// What to do with a hook.
#[derive(Debug, Args)]
pub(super) struct HookArgs {
    #[command(subcommand)]
    verb: HookVerb,
}

#[derive(Debug, Subcommand)]
enum HookVerb {
    /// Block pushes of commits that hold secrets: install a pre-push hook in REPO. A hook that is there already is still called.
    Install {
        /// A Git repository.
        #[arg(value_name = "REPO")]
        repository: PathBuf,
    },
    /// Take the hook away again; one that was there before is put back.
    Remove {
        /// A Git repository.
        #[arg(value_name = "REPO")]
        repository: PathBuf,
    },
    /// What the hook calls: looks at the commits that standard input names, as githooks(5) has it for pre-push.
    #[command(hide = true)]
    Check(check::CheckArgs),
}

/// Installs, removes or is the hook.
pub(super) fn run(global: &Global, args: HookArgs) -> Result<Outcome, Failure> {
    match args.verb {
        HookVerb::Install { repository } => install::install(&repository, global.json),
        HookVerb::Remove { repository } => install::remove(&repository, global.json),
        HookVerb::Check(args) => check::check(global, &args),
    }
}
