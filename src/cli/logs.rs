//! `bartizan logs`: the logs that are followed, and who knocks.

use clap::{Args, Subcommand};

use super::explain_line::ExplainLineArgs;
use super::fail2ban::ImportArgs;
use bartizan_protocol::Request;

/// What to show of the logs.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Show lines that no parser understood, up to three of each log.
    #[arg(long)]
    pub(super) samples: bool,
    /// What to show; without it: the sources.
    #[command(subcommand)]
    pub(super) verb: Option<LogsVerb>,
}

/// What to show of the logs.
#[derive(Debug, Subcommand)]
pub(super) enum LogsVerb {
    /// List the logs that are followed: lines read, understood and not, how far behind, what is wrong.
    Sources,
    /// Explain one line: which parser read what, how far the counts are, what would be done. No agent is asked.
    Explain(ExplainLineArgs),
    /// List addresses that failed to log in or attacked a web server, the worst first, and what is done about them.
    Attackers {
        /// At most this many.
        #[arg(long, default_value_t = 1_000)]
        limit: u32,
    },
    /// Take over fail2ban's jails and filters as they are installed, and report what of them is understood.
    #[command(name = "import-fail2ban")]
    ImportFail2ban(ImportArgs),
}

/// The question that it stands for; `None` for what is done without an agent.
pub(super) fn request(args: &LogsArgs) -> Option<Request> {
    match &args.verb {
        None | Some(LogsVerb::Sources) => Some(Request::Logs),
        Some(LogsVerb::Attackers { limit }) => Some(Request::Attackers { limit: *limit }),
        Some(LogsVerb::ImportFail2ban(_) | LogsVerb::Explain(_)) => None,
    }
}
