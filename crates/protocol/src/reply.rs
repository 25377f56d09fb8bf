//! What the agent answers.

use serde::{Deserialize, Serialize};

use super::{FileDiff, FindingsPage, Pass};
use bartizan_model::{
    Action, Alert, Approval, Attacker, AuditEntry, BaselineReview, BaselineStatus, BaselineVersion, Check, Event, Exception,
    ExceptionPreview, Explanation, FileBackup, Habit, HabitChange, Health, Incident, LogSource, Preview, Role, Signal, SinkRow, SinkTest,
    Target,
};

/// Who the agent is and what the client may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol version of the agent.
    pub version: u32,
    /// Program version of the agent.
    pub agent: String,
    /// What this client may do.
    pub role: Role,
    /// Leave to ask for what needs more than looking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Pass>,
}

/// Why something was not done; maps to the exit codes of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// It was tried and failed (exit 1).
    Failed,
    /// The question makes no sense (exit 2).
    Usage,
    /// Not allowed: policy, role, lifeline (exit 4).
    Refused,
    /// The token is too old or missing: renew it and ask again (exit 4 when that does not help).
    Lapsed,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which sort.
    pub code: ErrorCode,
    /// What failed, on what, why. Safe to show.
    pub message: String,
    /// What to do about it.
    pub mend: String,
}

/// What came of recomputing the audit log's hash chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerdict {
    /// Every link holds.
    pub intact: bool,
    /// How many lines there are.
    pub entries: u64,
    /// The first line that does not fit.
    pub broken_at: Option<u64>,
    /// What is wrong with it, or the hash of the last line.
    pub detail: String,
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// To `hello`.
    Hello(Hello),
    /// Another pass for this connection.
    Pass(Pass),
    /// It is done; one line says what.
    Done(String),
    /// How the agent is.
    Health(Box<Health>),
    /// Self-tests.
    Checks(Vec<Check>),
    /// Facts.
    Events(Vec<Event>),
    /// Detections.
    Signals(Vec<Signal>),
    /// Incidents.
    Incidents(Vec<Incident>),
    /// Why.
    Explanation(Box<Explanation>),
    /// What people were told.
    Alerts(Vec<Alert>),
    /// Where people are told, in the order of the settings.
    Sinks(Vec<SinkRow>),
    /// What came back from test messages.
    SinkTests(Vec<SinkTest>),
    /// Questions.
    Approvals(Vec<Approval>),
    /// Changes to the host.
    Actions(Vec<Action>),
    /// What a change would do.
    Preview(Preview),
    /// Lines of the audit log, oldest first.
    Audit(Vec<AuditEntry>),
    /// Logs that are followed.
    Logs(Vec<LogSource>),
    /// Sources of failed logins, the worst first.
    Attackers(Vec<Attacker>),
    /// Kept copies, newest first.
    Copies(Vec<FileBackup>),
    /// How a file differs from the baseline.
    FileDiff(Box<FileDiff>),
    /// What scans found.
    Findings(Box<FindingsPage>),
    /// What people except, oldest first.
    Exceptions(Vec<Exception>),
    /// What an exception would have hidden.
    ExceptionPreview(Box<ExceptionPreview>),
    /// How far learning has come.
    BaselineStatus(Box<BaselineStatus>),
    /// Habits, in the order of their names.
    Habits(Vec<Habit>),
    /// What waits for a person, and what was learned since.
    BaselineReview(Box<BaselineReview>),
    /// Versions of what is normal, oldest first.
    BaselineVersions(Vec<BaselineVersion>),
    /// What differs between two of them.
    HabitChanges(Vec<HabitChange>),
    /// Who or what is meant by a name.
    Target(Target),
    /// Whether the audit log is intact.
    AuditVerdict(AuditVerdict),
    /// It was not done.
    Refused(Refusal),
}
