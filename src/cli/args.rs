//! Every verb and flag, once: parsing, help, completions and the man page come from here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::acting::{BlockArgs, ContainArgs, DisableArgs, IsolateArgs, LimitArgs, RestoreArgs, TreeArgs};
use bartizan_model::{ActionId, AlertId, ApprovalId, HostText, IncidentId, Mode, Rung};
use bartizan_redteam::Stage;

/// One host, one guard: watches this host, recognises attacks, acts reversibly and explains itself.
#[derive(Debug, Parser)]
#[command(name = "bartizan", version, about, after_help = AFTER, max_term_width = 100, subcommand_negates_reqs = true)]
pub(super) struct Cli {
    /// Flags for every verb.
    #[command(flatten)]
    pub(super) global: Global,
    /// Run the agent without a screen (for systemd).
    #[arg(long)]
    pub(super) headless: bool,
    /// Open a single view only, for a small pane.
    #[arg(long, value_name = "NAME")]
    pub(super) view: Option<String>,
    /// What to do; without a verb: open the console.
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

const AFTER: &str =
    "Exit codes: 0 done, 1 failed, 2 usage, 3 no agent answers, 4 refused (policy, role, lifeline), 5 the check itself found something.
Without a verb the console opens: attached to the running agent, or with one of its own.";

/// Flags for every verb.
#[derive(Debug, Args, Clone)]
pub(super) struct Global {
    /// Print JSON: one document, or one a line where it streams.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Read settings from FILE (and policy.toml beside it).
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Keep databases, keys and evidence in DIR.
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Serve or ask on this control socket.
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// Use this sensor rung only, to try it out.
    #[arg(long, global = true, value_name = "RUNG", hide = true)]
    pub(super) rung: Option<RungName>,
    /// Colours and frames of the console: the name of a theme.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) theme: Option<String>,
    /// Draw with ASCII only.
    #[arg(long, global = true)]
    pub(super) ascii: bool,
}

/// Sensor rungs by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RungName {
    /// eBPF programs.
    Ebpf,
    /// Netlink process connector.
    ProcessConnector,
    /// Reading /proc.
    Procfs,
}

impl From<RungName> for Rung {
    fn from(name: RungName) -> Self {
        match name {
            RungName::Ebpf => Self::Ebpf,
            RungName::ProcessConnector => Self::ProcessConnector,
            RungName::Procfs => Self::Procfs,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Open the console of the running agent.
    Attach,
    /// How the agent is: mode, posture, sensors, losses, cost.
    Status {
        /// One line for a tmux status bar.
        #[arg(long, value_enum)]
        format: Option<StatusFormat>,
    },
    /// Try every sensor, enforcer and dependency on this host and say what works.
    Doctor,
    /// List recorded events.
    Events(EventsArgs),
    /// List detections, newest first.
    Signals {
        /// At most this many.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Signals joined into incidents, newest first.
    Incidents {
        /// Only this one.
        id: Option<IncidentId>,
    },
    /// Why an incident scores what it scores, what was done and how to undo it.
    Explain {
        /// Which incident.
        id: IncidentId,
    },
    /// List alerts.
    Alerts,
    /// Say that you have seen an alert.
    Ack {
        /// Which alert.
        id: AlertId,
    },
    /// List actions that wait for your approval.
    Approvals {
        /// Answered and lapsed ones too.
        #[arg(long)]
        all: bool,
    },
    /// Say yes to a question.
    Approve {
        /// Which question.
        id: ApprovalId,
        /// For another time than proposed: 10m, 1h.
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        lasts: Option<Duration>,
    },
    /// Say no to a question.
    Reject {
        /// Which question.
        id: ApprovalId,
        /// Why, for the record.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// What was done to the host.
    Actions {
        /// Only what may still have an effect.
        #[arg(long)]
        active: bool,
    },
    /// Undo actions.
    Rollback {
        /// Which.
        #[arg(required_unless_present = "all")]
        ids: Vec<ActionId>,
        /// All active ones.
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
    /// Undo everything; the mode becomes PARANOID.
    EmergencyStop,
    /// Drop packets from an address; with --out, packets to it; with --user, --cgroup or --container, only theirs to it.
    Block(BlockArgs),
    /// Let only so many packets a second of an address pass.
    Limit(LimitArgs),
    /// Stop a process and everything below it from running; it stays intact.
    Freeze(TreeArgs),
    /// Let a frozen process run again.
    Thaw {
        /// The process (BOOT-PID-START or a pid) or the action (A12).
        process: String,
    },
    /// End a process and everything below it. Cannot be undone.
    Kill(TreeArgs),
    /// Containment mode: outbound only to what is needed, inbound limited, new SSH logins paused. Confirm it in time.
    Contain(ContainArgs),
    /// Cut a container off its networks, or pause it. Confirm it in time.
    Isolate(IsolateArgs),
    /// Lock an account and end its login sessions. Confirm it in time.
    DisableUser(DisableArgs),
    /// Copies kept of the files that decide who gets in, newest first.
    Copies {
        /// Of this file only.
        path: Option<PathBuf>,
    },
    /// Restore such a file from its backup. Confirm it in time.
    Restore(RestoreArgs),
    /// Confirm an action that would otherwise be undone early: it then lasts its full time.
    Confirm {
        /// Which action.
        id: ActionId,
    },
    /// Show or change how much the agent may do alone.
    Mode {
        /// The new mode.
        mode: Option<Mode>,
    },
    /// Say what you think of an incident (I7) or action (A12).
    Feedback {
        /// About what.
        id: String,
        /// Your verdict.
        verdict: Verdict,
    },
    /// The record of every decision.
    Audit {
        /// What to do with it.
        #[command(subcommand)]
        verb: Option<AuditVerb>,
    },
    /// Judge recorded events again, offline: no agent, no action, nothing written.
    Replay(ReplayArgs),
    /// Run a harmless practice attack in a sandbox.
    Redteam {
        /// What to do.
        #[command(subcommand)]
        verb: RedteamVerb,
    },
    /// Ask the running agent to read its policy again.
    Reload,
    /// Print the name of the kernel programs in this binary.
    #[command(hide = true)]
    KernelObject,
    /// Switch the running agent to the newly installed program, without a gap where that is possible.
    Upgrade,
    /// End the running agent. Active actions stay until they expire.
    Stop,
    /// Write a picture (SVG) of every view of the running agent into DIR.
    Screenshots {
        /// Where.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Columns.
        #[arg(long, default_value_t = 120)]
        columns: u16,
        /// Rows.
        #[arg(long, default_value_t = 34)]
        rows: u16,
    },
    /// Print the script that undoes everything with `sh`, `nft` and `kill` alone.
    EmergencyScript,
    /// Print a completion script.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
    /// The process outside of the agent that undoes actions at their time; the agent starts it.
    #[command(hide = true)]
    Watchdog {
        /// Directories of notes.
        #[arg(value_name = "DIR", required = true)]
        directories: Vec<PathBuf>,
    },
    /// A part that the sparring partner plays; the environment says which.
    #[command(hide = true)]
    Stage,
}

/// Which events.
#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Keep printing new ones.
    #[arg(long)]
    pub(super) follow: bool,
    /// Only since this moment (2026-01-31T03:00:00Z) or for this long (10m).
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Only this kind (process.exec) or family (process).
    #[arg(long)]
    pub(super) kind: Option<String>,
    /// Only events that fit this: a text, or fields (process.exe=/tmp/*, net.dst=10.0.0.0/8) joined by and, or, not.
    #[arg(long = "where", value_name = "FILTER")]
    pub(super) filter: Option<String>,
    /// At most this many, the newest.
    #[arg(long, default_value_t = 1_000)]
    pub(super) limit: u32,
}

/// Which recordings, and how they are judged.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Recordings, one event a line as `bartizan events --json` prints them; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// How events are recorded: events (ndjson is the same).
    #[arg(long, value_name = "FORMAT", value_parser = recorded, default_value = "events")]
    pub(super) format: Recorded,
    /// Judge by this policy instead of the one in force here.
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
}

/// How events are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    /// Our own events, one a line.
    Events,
}

fn recorded(name: &str) -> Result<Recorded, String> {
    match name {
        "events" | "ndjson" => Ok(Recorded::Events),
        _ => Err("this version replays its own recordings only: events, or ndjson, which is the same".to_owned()),
    }
}

/// Forms of the status.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum StatusFormat {
    /// One line for a tmux status bar.
    Tmux,
}

/// A person's opinion.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Verdict {
    /// It was right.
    Correct,
    /// There was no attack.
    FalsePositive,
    /// The action went too far.
    TooAggressive,
    /// Something was missed.
    Missed,
}

/// What to do with the audit log.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum AuditVerb {
    /// The newest lines.
    Show {
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Recompute the hash chain; exit 5 when it does not hold.
    Verify,
}

/// What the sparring partner can do.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum RedteamVerb {
    /// Run a harmless real attack in its own network namespace and temporary directory, and report what was seen.
    Live {
        /// Keep the intruder's shell alive for this long afterwards (at most 10m), so that you can contain it and let it go again.
        #[arg(long, value_name = "TIME", value_parser = hold, default_value = "0s")]
        hold: Duration,
    },
}

fn hold(text: &str) -> Result<Duration, String> {
    let longest = Stage::LONGEST_HOLD;
    let time = duration(text)?;
    if time > longest { Err(format!("a drill is held for at most {}", humantime::format_duration(longest))) } else { Ok(time) }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}: write 90s, 10m or 1h"))
}

#[allow(clippy::unnecessary_wraps)] // the shape that clap wants
pub(super) fn host_text(text: &str) -> Result<HostText, std::convert::Infallible> {
    Ok(HostText::from(text))
}
