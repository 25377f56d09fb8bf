//! The words of the verbs that act on the host; what they become is in `acting`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::{duration, host_text};
use bartizan_model::{ActionKind, HostText};

/// What a person asks to be done to the host.
#[derive(Debug, Subcommand)]
pub(super) enum ActVerb {
    /// Block an address: drop packets from it; with --out, to it; with --user, --cgroup or --container, only what they send to it.
    Block(BlockArgs),
    /// Rate-limit packets from an address.
    Limit(LimitArgs),
    /// Freeze a process and its descendants; they stay intact and can be thawed.
    Freeze(TreeArgs),
    /// Thaw a frozen process tree.
    Thaw {
        /// The process (BOOT-PID-START or a pid) or the action (A12).
        process: String,
    },
    /// Kill a process and its descendants. Cannot be undone.
    Kill(TreeArgs),
    /// Contain this host: outbound only to what is needed, inbound rate-limited, new SSH logins paused. Undone unless you confirm it in time.
    Contain(ContainArgs),
    /// Disconnect a container from its networks, or pause it. Undone unless you confirm it in time.
    Isolate(IsolateArgs),
    /// Lock an account and end its login sessions. Undone unless you confirm it in time.
    DisableUser(DisableArgs),
    /// Restore one of these files from a backup. Undone unless you confirm it in time.
    Restore(RestoreArgs),
}

/// How: for the record, or only as a preview.
#[derive(Debug, Args, Clone)]
pub(super) struct Manner {
    /// Reason, for the audit log.
    #[arg(long, default_value = "by hand")]
    pub(super) reason: String,
    /// Show exactly what would happen, and do nothing.
    #[arg(long)]
    pub(super) preview: bool,
}

/// How long it lasts when nobody says.
fn default_of(kind: ActionKind) -> String {
    humantime::format_duration(kind.spec().lasts).to_string()
}

/// Whose packets, to where, for how long.
#[derive(Debug, Args)]
pub(super) struct BlockArgs {
    /// One IP address, not a network.
    pub(super) addr: String,
    /// Duration: 10m, 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = default_of(ActionKind::BlockAddress))]
    pub(super) lasts: Duration,
    /// Drop packets to the address instead of from it.
    #[arg(long)]
    pub(super) out: bool,
    /// Drop only what this user's processes send to the address.
    #[arg(long, value_name = "NAME|UID", group = "whose", value_parser = host_text)]
    pub(super) user: Option<HostText>,
    /// Drop only what processes in this cgroup (v2) send to the address.
    #[arg(long, value_name = "PATH", group = "whose", value_parser = host_text)]
    pub(super) cgroup: Option<HostText>,
    /// Drop only what this container sends to the address.
    #[arg(long, value_name = "NAME|ID", group = "whose", value_parser = host_text)]
    pub(super) container: Option<HostText>,
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// Whom to slow down, and how far.
#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    /// One IP address, not a network.
    pub(super) addr: String,
    /// Packets per second that still pass, 1 to 1000000.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(super) packets: u32,
    /// Duration: 10m, 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = default_of(ActionKind::LimitSource))]
    pub(super) lasts: Duration,
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// A process tree and a time.
#[derive(Debug, Args)]
pub(super) struct TreeArgs {
    /// The topmost process: a pid, or BOOT-PID-START as the console shows it.
    pub(super) process: String,
    /// Duration: 10m, 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = default_of(ActionKind::FreezeTree))]
    pub(super) lasts: Duration,
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// For how long the host closes.
#[derive(Debug, Args)]
pub(super) struct ContainArgs {
    /// Duration: 10m, 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = default_of(ActionKind::ContainHost))]
    pub(super) lasts: Duration,
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// Which container, and how.
#[derive(Debug, Args)]
pub(super) struct IsolateArgs {
    /// Name or id (at least the first twelve digits) of the container.
    #[arg(value_parser = host_text)]
    pub(super) container: HostText,
    /// Pause the container instead of disconnecting it.
    #[arg(long)]
    pub(super) pause: bool,
    /// Duration: 10m, 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = default_of(ActionKind::IsolateContainer))]
    pub(super) lasts: Duration,
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// Which account.
#[derive(Debug, Args)]
pub(super) struct DisableArgs {
    /// Name of the account.
    #[arg(value_parser = host_text)]
    pub(super) name: HostText,
    /// Duration: 10m, 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = default_of(ActionKind::DisableUser))]
    pub(super) lasts: Duration,
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// Which file, and which copy of it.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The file, as `bartizan copies` lists it.
    pub(super) path: PathBuf,
    /// Which backup: at least the first 8 digits of its hash; by default the newest that differs from the file.
    #[arg(long, value_name = "HASH8")]
    pub(super) copy: Option<String>,
    /// Time after which it is undone unless you confirm it: 10m, 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = default_of(ActionKind::RestoreFile))]
    pub(super) lasts: Duration,
    #[command(flatten)]
    pub(super) manner: Manner,
}
