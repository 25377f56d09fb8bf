//! What a client may ask.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::baseline::BaselineRequest;
use super::exceptions::ExceptionRequest;
use super::filter::{Filter, is_of_kind};
use super::findings::FindingRequest;
use bartizan_model::{ActionId, ActionPlan, AlertId, ApprovalId, Event, EventId, HostText, IncidentId, Isolation, Mode, Role, Timestamp};

/// Which events. The one type for them: on the wire, in the archive, and for a client that follows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventQuery {
    /// Only events at or after this moment.
    pub since: Option<Timestamp>,
    /// Only this kind (`process.exec` ...) or family (`process`).
    pub kind: Option<String>,
    /// Only events that fit this.
    #[serde(default)]
    pub filter: Option<Filter>,
    /// At most this many, the newest; the agent caps it at 100,000.
    pub limit: u32,
    /// Only events with a lower number than this: the page before one that is there already.
    #[serde(default)]
    pub before: Option<EventId>,
    /// Keep sending new ones.
    pub follow: bool,
}

impl EventQuery {
    /// Whether an event is wanted; how many are is the caller's business.
    pub fn fits(&self, event: &Event) -> bool {
        self.before.is_none_or(|before| event.id < before)
            && self.since.is_none_or(|since| event.at >= since)
            && self.kind.as_deref().is_none_or(|kind| is_of_kind(event.kind.name(), kind))
            && self.filter.as_ref().is_none_or(|filter| filter.fits(event))
    }
}

/// A person's verdict on what the agent did or said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedbackVerdict {
    /// It was right.
    Correct,
    /// There was no attack.
    FalsePositive,
    /// The action went too far.
    TooAggressive,
    /// Something was missed.
    Missed,
}

/// What a client may ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Must come first.
    Hello {
        /// Protocol version of the client.
        version: u32,
        /// The least scope that will do for now; without it the whole role.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<Role>,
    },
    /// Another pass for this connection: the one at hand is old, or too narrow.
    Renew {
        /// The scope that is wanted; the answer never holds more than the role.
        scope: Role,
    },
    /// Send a snapshot now and every change after it. `console` tells that a person is looking.
    Subscribe {
        /// Whether a person looks at it.
        console: bool,
        /// SSH_CONNECTION of the client's shell, so that its far end joins the lifeline.
        ssh_connection: Option<String>,
    },
    /// How the agent is.
    Status,
    /// Self-test of every sensor, enforcer and dependency.
    Doctor,
    /// Facts.
    Events(EventQuery),
    /// Detections, newest first.
    Signals {
        /// At most this many.
        limit: u32,
    },
    /// Incidents, newest first; one when named.
    Incidents {
        /// Which one.
        id: Option<IncidentId>,
    },
    /// Why.
    Explain {
        /// Which incident.
        id: IncidentId,
    },
    /// What people were told.
    Alerts,
    /// Where people are told, and how each of these sinks is.
    Sinks,
    /// Send a test message to one sink, or to all.
    TestSinks {
        /// Which one.
        sink: Option<String>,
    },
    /// A person has seen it.
    Ack {
        /// Which alert.
        id: AlertId,
    },
    /// Questions.
    Approvals {
        /// Answered and lapsed ones too.
        all: bool,
    },
    /// Yes.
    Approve {
        /// Which question.
        id: ApprovalId,
        /// For another time than proposed.
        lasts: Option<Duration>,
    },
    /// No.
    Reject {
        /// Which question.
        id: ApprovalId,
        /// Why.
        reason: String,
    },
    /// Changes to the host.
    Actions {
        /// Only those that may still have an effect.
        active: bool,
    },
    /// What a change would do.
    Preview {
        /// Which.
        plan: ActionPlan,
    },
    /// Do this now; the same guards as for any action.
    Act {
        /// What.
        plan: ActionPlan,
        /// Why, for the record.
        reason: String,
    },
    /// Undo these.
    Rollback {
        /// Which; all active ones when empty.
        ids: Vec<ActionId>,
    },
    /// A person stands behind a disruptive action: it lasts to its end.
    Confirm {
        /// Which.
        id: ActionId,
    },
    /// The logs that are followed, and how each is.
    Logs,
    /// Sources of failed logins, the worst first, and what is done about them.
    Attackers {
        /// At most this many.
        limit: u32,
    },
    /// Copies kept of files that decide who gets in, newest first.
    Copies {
        /// Of this file only.
        path: Option<HostText>,
    },
    /// How a watched file differs from the baseline now, line by line: it may tell what only root may read.
    FileDiff {
        /// Which file.
        path: HostText,
    },
    /// About findings of scans.
    Findings(Box<FindingRequest>),
    /// Which account of the host has this name: the target of an action about it.
    FindAccount {
        /// Its name, as a person typed it.
        name: HostText,
    },
    /// Which container of any runtime has this name or these first digits of an id: the target of an action about it.
    FindContainer {
        /// Name or id, as a person typed it.
        name: HostText,
        /// How it would be cut off.
        isolation: Isolation,
    },
    /// About what people except from alerts and actions.
    Exceptions(Box<ExceptionRequest>),
    /// About what is normal here.
    Baseline(Box<BaselineRequest>),
    /// Undo everything and act no more until told.
    EmergencyStop,
    /// How much it may do alone.
    SetMode {
        /// The new mode.
        mode: Mode,
    },
    /// What a person thinks of an incident or action; `id` is `I7` or `A12`.
    Feedback {
        /// About what.
        id: String,
        /// The opinion.
        verdict: FeedbackVerdict,
    },
    /// The newest lines of the audit log.
    AuditShow {
        /// At most this many.
        limit: u32,
    },
    /// Recompute the audit log's hash chain.
    AuditVerify,
    /// Read the configuration again.
    Reload,
    /// Become the newer binary that lies where the running one lay.
    Upgrade,
    /// End the agent. Active actions stay until their own expiry.
    Stop,
}

impl Request {
    /// The least role that may ask this.
    pub fn needs(&self) -> Role {
        match self {
            Self::Exceptions(request) => request.needs(),
            Self::Baseline(request) => request.needs(),
            Self::Findings(request) => request.needs(),
            Self::Hello { .. }
            | Self::Renew { .. }
            | Self::Subscribe { .. }
            | Self::Status
            | Self::Logs
            | Self::Attackers { .. }
            | Self::Doctor
            | Self::Events(_)
            | Self::Signals { .. }
            | Self::Incidents { .. }
            | Self::Explain { .. }
            | Self::Alerts
            | Self::Sinks
            | Self::Approvals { .. }
            | Self::Actions { .. }
            | Self::Preview { .. }
            | Self::AuditShow { .. }
            | Self::AuditVerify
            | Self::FindAccount { .. }
            | Self::FindContainer { .. }
            | Self::Copies { .. } => Role::Viewer,
            Self::Ack { .. }
            | Self::TestSinks { .. }
            | Self::Approve { .. }
            | Self::Reject { .. }
            | Self::Act { .. }
            | Self::Rollback { .. }
            | Self::Confirm { .. }
            | Self::EmergencyStop
            | Self::Feedback { .. } => Role::Operator,
            Self::FileDiff { .. } | Self::SetMode { .. } | Self::Reload | Self::Upgrade | Self::Stop => Role::Admin,
        }
    }

    /// Its name in messages and in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Renew { .. } => "renew",
            Self::Subscribe { .. } => "subscribe",
            Self::Status => "status",
            Self::Logs => "logs",
            Self::Attackers { .. } => "logs attackers",
            Self::Doctor => "doctor",
            Self::Events(_) => "events",
            Self::Signals { .. } => "signals",
            Self::Incidents { .. } => "incidents",
            Self::Explain { .. } => "explain",
            Self::Alerts => "alerts",
            Self::Sinks => "alerts sinks",
            Self::TestSinks { .. } => "alerts test",
            Self::Ack { .. } => "ack",
            Self::Approvals { .. } => "approvals",
            Self::Approve { .. } => "approve",
            Self::Reject { .. } => "reject",
            Self::Actions { .. } => "actions",
            Self::Preview { .. } => "preview",
            Self::Act { .. } => "act",
            Self::Rollback { .. } => "rollback",
            Self::Confirm { .. } => "confirm",
            Self::Copies { .. } => "copies",
            Self::FindAccount { .. } => "find account",
            Self::FindContainer { .. } => "find container",
            Self::Exceptions(request) => request.name(),
            Self::Baseline(request) => request.name(),
            Self::FileDiff { .. } => "fim diff",
            Self::Findings(request) => request.name(),
            Self::EmergencyStop => "emergency-stop",
            Self::SetMode { .. } => "mode",
            Self::Feedback { .. } => "feedback",
            Self::AuditShow { .. } => "audit show",
            Self::AuditVerify => "audit verify",
            Self::Reload => "reload",
            Self::Upgrade => "upgrade",
            Self::Stop => "stop",
        }
    }
}
