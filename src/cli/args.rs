//! Every verb and flag, once: parsing, help, completions and the man page come from here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::act_args::ActVerb;
use super::alerts::AlertsArgs;
use super::baseline::BaselineArgs;
use super::detectors::DetectorsArgs;
use super::exceptions::ExceptionsArgs;
use super::fim::FimArgs;
use super::findings::{FindingsArgs, ReportArgs};
use super::hook::HookArgs;
use super::indicators::IndicatorsArgs;
use super::logs::LogsArgs;
use super::rules::RulesArgs;
use super::scan::ScanArgs;
use super::theme::ThemeArgs;
use bartizan_agent::replay::LineFormat;
use bartizan_client::SshHost;
use bartizan_model::{ActionId, AlertId, ApprovalId, HostText, IncidentId, Mode, Rung};
use bartizan_redteam::Stage;

/// One host, one guard: watches this host, detects attacks, responds reversibly and explains every step.
#[derive(Debug, Parser)]
#[command(name = "bartizan", version, about, after_help = AFTER, max_term_width = 100, subcommand_negates_reqs = true)]
pub(super) struct Cli {
    /// Flags for every verb.
    #[command(flatten)]
    pub(super) global: Global,
    /// Run the agent without a screen (for systemd).
    #[arg(long)]
    pub(super) headless: bool,
    /// Open one view only, for a small pane.
    #[arg(long, value_name = "NAME")]
    pub(super) view: Option<String>,
    /// The command; without one, the console opens.
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

const AFTER: &str =
    "Exit codes: 0 done, 1 failed, 2 usage, 3 no agent answers, 4 refused (policy, role, lifeline), 5 the check found a problem.
Without a command the console opens: attached to the running agent, or with an agent of its own.";

/// Flags for every verb.
#[derive(Debug, Args, Clone)]
pub(super) struct Global {
    /// Print JSON: one document, or one line for each when streaming.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Read settings from FILE (and policy.toml beside it).
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Keep databases, keys and evidence in DIR.
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Use this control socket.
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// Use this sensor rung only, to try it out.
    #[arg(long, global = true, value_name = "RUNG", hide = true)]
    pub(super) rung: Option<RungName>,
    /// Theme of the console: colours and frames.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) theme: Option<String>,
    /// Draw with ASCII only.
    #[arg(long, global = true)]
    pub(super) ascii: bool,
}

/// Whose console.
#[derive(Debug, clap::Args)]
pub(super) struct AttachArgs {
    /// Another host, reached by ssh: ssh://[user@]host[:port]. Without it, the agent of this host.
    #[arg(value_name = "SSH-URL")]
    pub(super) host: Option<SshHost>,
    /// Open one view only, for a small pane.
    #[arg(long, value_name = "VIEW")]
    pub(super) view: Option<String>,
    /// Command that relays the agent's socket on that host.
    #[arg(long, value_name = "COMMAND", default_value = bartizan_client::RELAY, requires = "host")]
    pub(super) relay: String,
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
    /// Open the console of the running agent, here or on another host.
    Attach(AttachArgs),
    /// Carry the agent's socket over standard input and output: what `attach ssh://` runs on the other host.
    #[command(hide = true)]
    Relay,
    /// Show the state of the agent: mode, posture, sensors, losses, cost.
    Status {
        /// Another form: one line for a tmux status bar, or metrics for Prometheus.
        #[arg(long, value_enum)]
        format: Option<StatusFormat>,
    },
    /// Test every sensor, enforcer and dependency on this host and report what works.
    Doctor,
    /// List the logs that are followed, or who fails to log in; import fail2ban's jails.
    Logs(LogsArgs),
    /// List recorded events.
    Events(EventsArgs),
    /// List detections, newest first.
    Signals {
        /// At most this many.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// List incidents (related signals joined), newest first.
    Incidents {
        /// Show only this one.
        id: Option<IncidentId>,
    },
    /// Explain an incident: its score, what was done and how to undo it.
    Explain {
        /// Which incident.
        id: IncidentId,
    },
    /// List alerts; list and test the sinks that they are sent to.
    Alerts(AlertsArgs),
    /// Acknowledge an alert.
    Ack {
        /// Which alert.
        id: AlertId,
    },
    /// List actions that wait for your approval.
    Approvals {
        /// Include answered and lapsed ones.
        #[arg(long)]
        all: bool,
    },
    /// Approve a pending action.
    Approve {
        /// Which question.
        id: ApprovalId,
        /// Duration instead of the proposed one: 10m, 1h.
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        lasts: Option<Duration>,
    },
    /// Reject a pending action.
    Reject {
        /// Which question.
        id: ApprovalId,
        /// Reason, for the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List actions: what was done to the host.
    Actions {
        /// Only those that may still have an effect.
        #[arg(long)]
        active: bool,
    },
    /// Undo actions.
    Rollback {
        /// Which actions: A12.
        #[arg(required_unless_present = "all")]
        ids: Vec<ActionId>,
        /// All active actions.
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
    /// Undo all actions and switch the mode to PARANOID.
    EmergencyStop,
    /// What is done to the host.
    #[command(flatten)]
    Act(ActVerb),
    /// List backups of the files that control access (authorized_keys, sshd_config, sudoers, PAM), newest first.
    Copies {
        /// Only backups of this file.
        path: Option<PathBuf>,
    },
    /// Except harmless signals from alerts and actions, with a reason and an end; they are recorded all the same.
    Exceptions(ExceptionsArgs),
    /// Compare files with a sealed baseline, approve changes, and verify the baseline.
    Fim(FimArgs),
    /// What is normal on this host: show it, review what was set aside, approve or reject it, and take a decision back.
    Baseline(BaselineArgs),
    /// Look for what is weak on this host and in files, and report it; exit 5 when it did not pass. No agent is needed.
    Scan(ScanArgs),
    /// List what the last scans found, or accept a finding for a time.
    Findings(FindingsArgs),
    /// Print a report of the last scans: Markdown, HTML, JSON or SARIF.
    Report(ReportArgs),
    /// Keep commits with secrets from being pushed: a Git hook for one repository. No agent is needed.
    Hook(HookArgs),
    /// Keep an action that would otherwise be undone early: it then lasts its full time.
    Confirm {
        /// Which action.
        id: ActionId,
    },
    /// Show or change the mode: how much the agent may do without asking.
    Mode {
        /// The new mode.
        mode: Option<Mode>,
    },
    /// Record your feedback on an incident (I7) or action (A12).
    Feedback {
        /// The incident or action.
        id: String,
        /// Your verdict.
        verdict: Verdict,
    },
    /// Show or verify the audit log.
    Audit {
        /// What to do with the log.
        #[command(subcommand)]
        verb: Option<AuditVerb>,
    },
    /// Replay recorded events through the detectors, offline: no agent, no action, nothing is written.
    Replay(ReplayArgs),
    /// List, test, import and switch Sigma rules; see which are evaluated on this host.
    Rules(RulesArgs),
    /// List detectors, or switch them off and on.
    Detectors(DetectorsArgs),
    /// List indicator lists (known bad addresses, domain names, digests), or look one value up.
    Indicators(IndicatorsArgs),
    /// Run a harmless practice attack in a sandbox.
    Redteam {
        /// What to do.
        #[command(subcommand)]
        verb: RedteamVerb,
    },
    /// Reload the policy of the running agent.
    Reload,
    /// Print the name of the BPF object in this binary.
    #[command(hide = true)]
    KernelObject,
    /// Switch the running agent to the newly installed binary, without a gap in sensing where possible.
    Upgrade,
    /// Stop the running agent. Active actions stay until they expire.
    Stop,
    /// Save every view of the running agent as a picture (SVG) in DIR.
    Screenshots {
        /// Directory for the pictures.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Columns.
        #[arg(long, default_value_t = 120)]
        columns: u16,
        /// Rows.
        #[arg(long, default_value_t = 34)]
        rows: u16,
    },
    /// Check whether a theme of the console can be read.
    Theme(ThemeArgs),
    /// Print a script that undoes everything and needs only `sh`, `cat`, `nft` and `kill`.
    EmergencyScript,
    /// Print a completion script.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
    /// Undo actions when they expire, outside the agent; the agent starts this process.
    #[command(hide = true)]
    Watchdog {
        /// Directories of expiry records.
        #[arg(value_name = "DIR", required = true)]
        directories: Vec<PathBuf>,
    },
    /// The process without rights that reads logs; the agent starts it.
    #[command(hide = true)]
    Worker,
    /// Play a part of the attack drill; the environment says which.
    #[command(hide = true)]
    Stage,
}

/// Which events.
#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Keep printing new events as they come.
    #[arg(long)]
    pub(super) follow: bool,
    /// Only since this time (2026-01-31T03:00:00Z) or within the last 10m.
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Only this kind (process.exec) or family (process).
    #[arg(long)]
    pub(super) kind: Option<String>,
    /// Only events that match: a text, or fields (process.exe=/tmp/*, net.dst=10.0.0.0/8) joined by and, or, not.
    #[arg(long = "where", value_name = "FILTER")]
    pub(super) filter: Option<String>,
    /// At most this many; the newest are kept.
    #[arg(long, default_value_t = 1_000)]
    pub(super) limit: u32,
}

/// Which recordings, and how they are judged.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Recordings: events, one per line, as `bartizan events --follow --json` prints them, or logs; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Format: events (ndjson is the same), auth, access, auditd, journal, docker, nginx-error, apache-error, auto (each line by how it
    /// looks), or the text of a server's own `log_format`.
    #[arg(long, value_name = "FORMAT", value_parser = recorded, default_value = "events")]
    pub(super) format: Recorded,
    /// Use this policy instead of the one of this host.
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// Judge recorded events by the program's own rules and those below DIR, too.
    #[arg(long, value_name = "DIR")]
    pub(super) rules: Option<PathBuf>,
    /// Leave out what these exceptions cover: a file as `bartizan exceptions list --json` prints it.
    #[arg(long, value_name = "FILE")]
    pub(super) exceptions: Option<PathBuf>,
    /// Match recorded events against the indicator lists in DIR, too.
    #[arg(long, value_name = "DIR")]
    pub(super) indicators: Option<PathBuf>,
}

/// How a recording is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recorded {
    /// Our own events, one a line.
    Events,
    /// Lines of logs.
    Lines(LineFormat),
}

fn recorded(name: &str) -> Result<Recorded, String> {
    match name {
        "events" | "ndjson" => Ok(Recorded::Events),
        _ => line_format(name).map(Recorded::Lines).map_err(|_| format!("use events, ndjson, {}", LineFormat::names())),
    }
}

/// The format of lines of a log.
pub(super) fn line_format(name: &str) -> Result<LineFormat, String> {
    LineFormat::named(name).ok_or_else(|| format!("use {}", LineFormat::names()))
}

/// Forms of the status.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum StatusFormat {
    /// One line for a tmux status bar.
    Tmux,
    /// Metrics in Prometheus' text format.
    Prometheus,
}

/// A person's opinion.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Verdict {
    /// It was right.
    Correct,
    /// It was no attack.
    FalsePositive,
    /// The action went too far.
    TooAggressive,
    /// Something was missed.
    Missed,
}

/// What to do with the audit log.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum AuditVerb {
    /// Show the newest lines.
    Show {
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Recompute the hash chain; exit 5 if it is broken.
    Verify,
}

/// What the sparring partner can do.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum RedteamVerb {
    /// Run a harmless real attack in its own network namespace and temporary directory, and report what was seen.
    Live {
        /// Keep the intruder's shell alive for this long afterwards (at most 10m), so that you can freeze it and undo that.
        #[arg(long, value_name = "TIME", value_parser = hold, default_value = "0s")]
        hold: Duration,
    },
}

fn hold(text: &str) -> Result<Duration, String> {
    let longest = Stage::LONGEST_HOLD;
    let time = duration(text)?;
    if time > longest { Err(format!("a drill can be held for at most {}", humantime::format_duration(longest))) } else { Ok(time) }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}: write 90s, 10m or 1h"))
}

#[allow(clippy::unnecessary_wraps)] // the shape that clap wants
pub(super) fn host_text(text: &str) -> Result<HostText, std::convert::Infallible> {
    Ok(HostText::from(text))
}
