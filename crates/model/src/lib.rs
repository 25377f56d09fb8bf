//! Nouns: what the host did, what we think of it, what we may do, what we did. No I/O, no clock.

#![forbid(unsafe_code)]

mod act;
mod action;
mod action_spec;
mod alarm;
mod alert;
mod approval;
mod approver;
mod attacker;
mod audit;
mod container;
mod desired;
mod digest;
mod event;
mod exception;
#[cfg(test)]
mod exception_tests;
mod file;
mod file_backup;
mod file_integrity;
mod habit;
mod health;
mod hours;
mod id;
mod incident;
mod kept_evidence;
mod lifeline;
mod log_source;
mod login;
mod metrics;
mod mode;
mod nearest;
mod network;
mod plan;
mod probe;
mod process;
mod security_finding;
mod signal;
mod sink;
mod target;
mod text;
mod unpoisoned;
mod web_attack;

pub use act::Act;
pub use action::{Action, ActionState, Confirmation};
pub use action_spec::{ActionKind, ActionSpec, TargetKind};
pub use alarm::{Alarm, AlarmKind};
pub use alert::{Alert, AlertState};
pub use approval::{Approval, ApprovalState};
pub use approver::Approver;
pub use attacker::{Attacker, Hold};
pub use audit::{AuditBody, AuditEntry};
pub use container::{Container, HostReach};
pub use desired::{Desired, EndCause, Ending};
pub use digest::{DigestError, Sha256};
pub use event::{BudgetChange, Event, EventKind, Exit, ListeningUnit, Loss, Privilege, PrivilegeKind, Source, UserChange, UserChangeKind};
pub use exception::{ALWAYS_REPORTED, Exception, ExceptionEnd, ExceptionPreview, ExceptionScope};
pub use file::{FileAttributes, FileChange, FileChangeKind, FileClass, PersistenceKind};
pub use file_backup::FileBackup;
pub use file_integrity::{FileFinding, FileIntegrity, FilesWatched, UnjudgedFile};
pub use habit::{
    BaselineReview, BaselineStatus, BaselineVersion, Habit, HabitChange, HabitKind, HabitReason, HabitState, Maturity, Profile,
};
pub use health::{BlindSpot, Budget, Check, CheckState, Counts, Gap, Health, HopDrops, Latency, Presence, Rung, Watched};
pub use hours::Hours;
pub use id::{ActionId, AlertId, ApprovalId, EventId, ExceptionId, HabitId, IdError, IncidentId, SignalId, WarrantId};
pub use incident::{Entity, Explanation, HostileSource, Incident, IncidentState, Proof, Stage};
pub use kept_evidence::KeptEvidence;
pub use lifeline::{Lifeline, LifelineReason, embedded, is_same_place};
pub use log_source::{LogSource, LogState, SetAsideLine};
pub use login::{LogLine, Login};
pub use metrics::metrics;
pub use mode::{Mode, ModeError, Posture, Role};
pub use nearest::nearest;
pub use network::{Flow, Protocol, Traffic, is_public, parse_network};
pub use plan::{ActionPlan, PlanError, Preview};
pub use probe::{Probe, ProbeCheck, ProbeKind, ProbeState, worse};
pub use process::{Ancestor, BootId, ExeFile, KeyError, Lineage, Namespaces, Process, ProcessKey, Root, ServiceRole, Variable};
pub use security_finding::{Finding, FindingState, NotScanned, ScannerRun, ScannerState, SecurityReport};
pub use signal::{Confidence, Family, Severity, Signal, Technique, Tier};
pub use sink::{MessageKind, Messages, SinkRow, SinkState, SinkTest};
pub use target::{Direction, Isolation, Target, Whose};
pub use text::{HostText, sentence};
pub use unpoisoned::Unpoisoned;
pub use web_attack::WebAttack;

/// A moment of wall-clock time, UTC. Written as RFC 3339 with nanoseconds.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
