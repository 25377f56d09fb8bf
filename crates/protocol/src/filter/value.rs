//! The values of an event, by the fields that name them.

use std::net::IpAddr;

use serde::Serialize;

use super::field::Field as F;
use bartizan_model::{
    Alarm, BudgetChange, Container, Event, EventId, EventKind, Exit, FileChange, Flow, HostText, ListeningUnit, Login, Loss, Privilege,
    Process, ProcessKey, Sha256, UserChange, WebAttack,
};

/// One value, borrowed from whoever holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Bytes of the host, or a word of ours.
    Text(&'a [u8]),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// An address.
    Address(IpAddr),
    /// A process.
    Key(ProcessKey),
    /// A digest.
    Digest(Sha256),
    /// The number of an event.
    Id(EventId),
}

impl<'a> From<&'a HostText> for Value<'a> {
    fn from(text: &'a HostText) -> Self {
        Self::Text(text.as_bytes())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.as_bytes())
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text.as_bytes())
    }
}

/// A value of a closed set as JSON has it, without its quotes.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

macro_rules! from {
    ($($type:ty: $value:ident => $made:expr,)*) => {
        $(impl From<$type> for Value<'_> {
            fn from($value: $type) -> Self {
                $made
            }
        }
        impl From<&$type> for Value<'_> {
            fn from(value: &$type) -> Self {
                Self::from(*value)
            }
        })*
    };
}

from! {
    u8: number => Self::Number(number.into()),
    u16: number => Self::Number(number.into()),
    u32: number => Self::Number(number.into()),
    u64: number => Self::Number(number),
    bool: flag => Self::Flag(flag),
    IpAddr: address => Self::Address(address),
    ProcessKey: key => Self::Key(key),
    Sha256: digest => Self::Digest(digest),
    EventId: id => Self::Id(id),
}

/// Shows each listed field of a record: `some` only where there is a value.
macro_rules! show {
    ($see:ident, $record:ident: $($path:ident).+ => $field:ident $(, $($rest:tt)*)?) => {
        $see(F::$field, Value::from(&$record.$($path).+));
        $(show!($see, $record: $($rest)*);)?
    };
    ($see:ident, $record:ident: some $($path:ident).+ => $field:ident $(, $($rest:tt)*)?) => {
        if let Some(value) = &$record.$($path).+ {
            $see(F::$field, Value::from(value));
        }
        $(show!($see, $record: $($rest)*);)?
    };
    ($see:ident, $record:ident:) => {};
}

/// Shows every value of an event.
pub(crate) fn event_values(event: &Event, see: &mut impl FnMut(F, Value<'_>)) {
    show!(see, event: id => Id, complete => Complete);
    see(F::Kind, Value::from(event.kind.name()));
    see(F::Source, Value::from(&word(&event.source)));
    kind_values(&event.kind, see);
    if let Some(process) = &event.process {
        process_values(process, see);
    }
}

/// Shows every value of a process.
pub(crate) fn process_values(process: &Process, see: &mut impl FnMut(F, Value<'_>)) {
    show!(see, process: key => ProcessKey, pid => ProcessPid, ppid => ProcessPpid, some parent => ProcessParent, exe => ProcessExe,
        exe_file.inode => ExeInode, exe_file.memfd => ExeMemfd, exe_file.deleted => ExeDeleted, some exe_file.sha256 => ExeSha256,
        cwd => ProcessCwd, uid => ProcessUid, euid => ProcessEuid, some user => ProcessUser, some loginuid => ProcessLoginuid,
        some session => ProcessSession, capabilities => ProcessCapabilities, cgroup => ProcessCgroup, some container => ProcessContainer,
        some container_name => ProcessContainerName, some unit => ProcessUnit, netns => ProcessNetns, some tty => ProcessTty,
        some package => ProcessPackage);
    process.argv.iter().for_each(|argument| see(F::ProcessArgv, argument.into()));
    for variable in &process.environment {
        show!(see, variable: name => EnvironmentName, value => EnvironmentValue);
    }
    for ancestor in process.lineage.ancestors.iter() {
        show!(see, ancestor: key => LineageKey, exe => LineageExe);
    }
    process.lineage.roots.iter().for_each(|root| see(F::LineageRole, Value::from(&word(&root.role))));
}

/// Shows every value of what happened, its kind's name not among them.
pub fn kind_values(kind: &EventKind, see: &mut impl FnMut(F, Value<'_>)) {
    match kind {
        EventKind::Exec | EventKind::Fork => {}
        EventKind::Exit { exit } => exit_values(exit, see),
        EventKind::Connect { net } => flow_values(net, see),
        EventKind::Listen { net, unit } => {
            flow_values(net, see);
            unit.iter().for_each(|unit| unit_values(unit, see));
        }
        EventKind::Accept { net } => flow_values(net, see),
        EventKind::Close { net, traffic } => {
            flow_values(net, see);
            show!(see, traffic: sent => TrafficSent, received => TrafficReceived, some milliseconds => TrafficMilliseconds,
                inbound => TrafficInbound);
        }
        EventKind::FileChange { file } | EventKind::FileOpen { file } | EventKind::PersistenceChange { file } => file_values(file, see),
        EventKind::UserChange { account } => account_values(account, see),
        EventKind::PrivilegeUse { privilege } => privilege_values(privilege, see),
        EventKind::ContainerStart { container } | EventKind::ContainerStop { container } => container_values(container, see),
        EventKind::LoginAccepted { auth } | EventKind::LoginFailed { auth } => login_values(auth, see),
        EventKind::WebAttack { web } => web_values(web, see),
        EventKind::Alarm { alarm } => alarm_values(alarm, see),
        EventKind::Budget { budget } => budget_values(budget, see),
        EventKind::Loss { loss } => loss_values(loss, see),
    }
}

fn exit_values(exit: &Exit, see: &mut impl FnMut(F, Value<'_>)) {
    show!(see, exit: some code => ExitCode, some signal => ExitSignal);
}

fn flow_values(net: &Flow, see: &mut impl FnMut(F, Value<'_>)) {
    see(F::NetProto, Value::from(&word(&net.proto)));
    show!(see, net: src => NetSrc, sport => NetSport, some dst => NetDst, some dport => NetDport, some name => NetName);
}

fn unit_values(unit: &ListeningUnit, see: &mut impl FnMut(F, Value<'_>)) {
    show!(see, unit: name => UnitName, installed => UnitInstalled);
}

fn file_values(file: &FileChange, see: &mut impl FnMut(F, Value<'_>)) {
    show!(see, file: path => FilePath, some before => FileBefore, some after => FileAfter);
    see(F::FileChange, Value::from(&word(&file.change)));
    file.persistence.iter().for_each(|place| see(F::FilePersistence, Value::from(&word(&place))));
    file.class.iter().for_each(|class| see(F::FileClass, Value::from(&word(&class))));
    show!(see, file: some other => FileOther);
    if let Some(told) = &file.integrity {
        show!(see, told: sentence => FileSentence, changes => FileChanges);
        told.findings.iter().for_each(|finding| see(F::FileFinding, Value::from(&finding.rule)));
        told.packages.iter().for_each(|package| see(F::FilePackage, package.into()));
    }
    if let Some(now) = &file.attributes {
        see(F::FileMode, Value::from(&format!("{:04o}", now.mode)));
        show!(see, now: uid => FileUid, gid => FileGid, some capabilities => FileCapabilities, immutable => FileImmutable);
    }
    if let Some(before) = &file.attributes_before {
        see(F::FileModeBefore, Value::from(&format!("{:04o}", before.mode)));
        show!(see, before: uid => FileUidBefore, gid => FileGidBefore);
    }
}

fn account_values(account: &UserChange, see: &mut impl FnMut(F, Value<'_>)) {
    show!(see, account: user => AccountUser, some uid => AccountUid, some group => AccountGroup);
    see(F::AccountChange, Value::from(&word(&account.change)));
}

fn privilege_values(privilege: &Privilege, see: &mut impl FnMut(F, Value<'_>)) {
    see(F::PrivilegeWhat, Value::from(&word(&privilege.what)));
    show!(see, privilege: some target => PrivilegeTarget, some target_exe => PrivilegeTargetExe, some target_uid => PrivilegeTargetUid,
        some new_uid => PrivilegeNewUid, some signal => PrivilegeSignal, some detail => PrivilegeDetail);
}

fn container_values(container: &Container, see: &mut impl FnMut(F, Value<'_>)) {
    show!(see, container: id => ContainerId, name => ContainerName, image => ContainerImage, runtime => ContainerRuntime,
        some pid => ContainerPid);
    container.reach.iter().for_each(|reach| see(F::ContainerReach, Value::from(&word(reach))));
}

fn web_values(web: &WebAttack, see: &mut impl FnMut(F, Value<'_>)) {
    web.kinds.iter().for_each(|kind| see(F::WebKinds, Value::from(kind.as_str())));
    show!(see, web: some client => WebClient, some method => WebMethod, path => WebPath, some status => WebStatus, attempts => WebAttempts,
        line.source => WebLineSource, line.offset => WebLineOffset, line.text => WebLineText);
}

fn login_values(auth: &Login, see: &mut impl FnMut(F, Value<'_>)) {
    show!(see, auth: service => AuthService, some user => AuthUser, some from => AuthFrom, some method => AuthMethod, some key => AuthKey,
        attempts => AuthAttempts, line.source => AuthLineSource, line.offset => AuthLineOffset, line.text => AuthLineText);
}

fn alarm_values(alarm: &Alarm, see: &mut impl FnMut(F, Value<'_>)) {
    see(F::AlarmWhat, Value::from(&word(&alarm.what)));
    show!(see, alarm: detail => AlarmDetail, some path => AlarmPath);
}

fn budget_values(budget: &BudgetChange, see: &mut impl FnMut(F, Value<'_>)) {
    show!(see, budget: level => BudgetLevel, why => BudgetWhy);
}

fn loss_values(loss: &Loss, see: &mut impl FnMut(F, Value<'_>)) {
    show!(see, loss: hop => LossHop, count => LossCount);
}
