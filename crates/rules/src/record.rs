//! An event as the records that rules ask: one for each kind of record that it stands for.

use std::borrow::Cow;

use bartizan_model::{Event, EventKind, FileChange, FileChangeKind, Flow, HostText, Process, Protocol, UserChange};
use rsigma_eval::EventValue;

use super::Route;
use super::field::{argument, fields};
use super::kinship::{context, origin, parent_image, role_name, roles};
use super::repair::{MAX_TEXT, clean};
use super::shape::{Shape, shapes};

/// Most values that one field lists: as many arguments as fit into what sensors keep.
const MAX_LIST: usize = MAX_TEXT;

/// An event and what its records share.
pub(crate) struct Facts<'a> {
    event: &'a Event,
    process: Option<&'a Process>,
    command: String,
    parent_command: Option<&'a str>,
}

/// One record that rules are evaluated on.
pub(crate) struct Record<'a> {
    facts: &'a Facts<'a>,
    shape: Shape,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(event: &'a Event, parent_command: Option<&'a str>) -> Self {
        let process = event.process.as_deref();
        Self { event, process, command: process.map(command_line).unwrap_or_default(), parent_command }
    }

    /// All records of the event.
    pub(crate) fn records(&'a self) -> Vec<Record<'a>> {
        shapes(&self.event.kind).iter().map(|shape| Record { facts: self, shape: *shape }).collect()
    }

    /// All text in which a literal of a rule could stand, in lower case: what `searched` fields hold.
    pub(crate) fn haystack(&self, out: &mut String) {
        out.clear();
        let mut add = |text: &str| {
            out.push_str(text);
            out.push('\n');
        };
        if let Some(process) = self.process {
            add(&clean(&process.exe));
            add(&self.command);
            add(&parent_image(process).map(clean).unwrap_or_default());
            add(self.parent_command.unwrap_or_default());
            add(&clean(&process.cwd));
            add(&process.user.as_ref().map(clean).unwrap_or_default());
            for variable in &process.environment {
                add(&format!("{}={}", clean(&variable.name), clean(&variable.value)));
            }
        }
        if let Some(file) = file_of(&self.event.kind) {
            add(&clean(&file.path));
        }
        for shape in shapes(&self.event.kind) {
            if let Shape::Syscall(kind) | Shape::Account(kind) = shape {
                add(kind);
            }
        }
        if out.is_ascii() {
            out.make_ascii_lowercase();
        } else {
            *out = out.to_lowercase();
        }
    }
}

fn file_of(kind: &EventKind) -> Option<&FileChange> {
    if let EventKind::FileChange { file } | EventKind::PersistenceChange { file } | EventKind::FileOpen { file } = kind {
        return Some(file);
    }
    None
}

fn account_of(event: &Event) -> Option<&UserChange> {
    if let EventKind::UserChange { account } = &event.kind { Some(account) } else { None }
}

fn flow_of(event: &Event) -> Option<&Flow> {
    if let EventKind::Connect { net } = &event.kind { Some(net) } else { None }
}

/// The arguments on one line, as rules see them: as many bytes of the process as sensors keep, of which a bad one becomes three.
pub(crate) fn command_line(process: &Process) -> String {
    let (mut out, mut taken) = (String::with_capacity(128), 0);
    for (index, argument) in process.argv.iter().enumerate() {
        if taken >= MAX_TEXT {
            break;
        }
        taken += argument.as_bytes().len() + 1; // as the kernel keeps it, with its end
        if index > 0 {
            out.push(' ');
        }
        out.push_str(&clean(argument));
    }
    out
}

fn some_text(text: &HostText) -> Option<EventValue<'_>> {
    (!text.is_empty()).then(|| EventValue::Str(clean(text)))
}

fn number(value: impl Into<i64>) -> EventValue<'static> {
    EventValue::Int(value.into())
}

fn word(text: &str) -> EventValue<'_> {
    EventValue::Str(Cow::Borrowed(text))
}

fn list<'a>(values: impl Iterator<Item = Cow<'a, str>>) -> Option<EventValue<'a>> {
    let values: Vec<_> = values.take(MAX_LIST).map(EventValue::Str).collect();
    (!values.is_empty()).then_some(EventValue::Array(values))
}

impl<'a> Record<'a> {
    pub(crate) fn route(&self) -> Route {
        self.shape.route()
    }

    fn of_process(&self, name: &str) -> Option<EventValue<'_>> {
        let process = self.facts.process?;
        match name {
            "Image" => some_text(&process.exe),
            "CommandLine" => (!self.facts.command.is_empty()).then(|| word(&self.facts.command)),
            "ParentImage" => parent_image(process).and_then(some_text),
            "ParentCommandLine" => self.facts.parent_command.map(word),
            "CurrentDirectory" => some_text(&process.cwd),
            "User" => process.user.as_ref().and_then(some_text),
            "ProcessId" => Some(number(process.pid)),
            "ParentProcessId" => Some(number(process.ppid)),
            "LogonId" => Some(number(process.loginuid.map_or(-1, i64::from))),
            "Uid" => Some(number(process.uid)),
            "EffectiveUid" => Some(number(process.euid)),
            "sha256" => process.exe_file.sha256.map(|digest| EventValue::Str(digest.to_string().into())),
            "Arguments" => list(process.argv.iter().map(clean)),
            "Ancestors" => list(process.lineage.ancestors.iter().map(|ancestor| clean(&ancestor.exe))),
            "Roles" => list(roles(process).map(|role| role_name(role).into())),
            "Context" => Some(word(context(process))),
            "Origin" => Some(word(origin(process))),
            "Package" => process.package.as_ref().and_then(some_text),
            "Unit" => process.unit.as_deref().map(word),
            "Container" => process.container.as_deref().map(word),
            "Environment" => list(process.environment.iter().map(|one| format!("{}={}", clean(&one.name), clean(&one.value)).into())),
            "Terminal" => process.tty.as_ref().and_then(some_text),
            "SocketInput" => Some(EventValue::Bool(process.stdio_sockets & 1 != 0)),
            _ => None,
        }
    }

    fn of_file(&self, name: &str) -> Option<EventValue<'_>> {
        let file = file_of(&self.facts.event.kind)?;
        match name {
            "TargetFilename" => some_text(&file.path),
            "OtherFilename" => file.other.as_ref().and_then(some_text),
            "Change" => Some(EventValue::Str(serde_json::to_value(file.change).ok()?.as_str()?.to_owned().into())),
            "Place" => {
                file.persistence.and_then(|place| Some(EventValue::Str(serde_json::to_value(place).ok()?.as_str()?.to_owned().into())))
            }
            _ => None,
        }
    }

    fn of_connection(&self, name: &str) -> Option<EventValue<'_>> {
        let net = flow_of(self.facts.event)?;
        match name {
            "DestinationIp" => net.dst.map(|addr| EventValue::Str(addr.to_canonical().to_string().into())),
            "DestinationPort" => net.dport.map(number),
            "DestinationHostname" => net.name.as_ref().and_then(some_text),
            "SourceIp" => Some(EventValue::Str(net.src.to_canonical().to_string().into())),
            "SourcePort" => Some(number(net.sport)),
            "Protocol" => Some(word(match net.proto {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            })),
            "Initiated" => Some(word("true")),
            _ => None,
        }
    }

    fn of_audit(&self, name: &str) -> Option<EventValue<'_>> {
        let process = self.facts.process;
        match self.shape {
            Shape::Plain(_) => None,
            Shape::Execve => match name {
                "type" => Some(word("EXECVE")),
                "argc" => Some(number(i64::try_from(process?.argv.len()).unwrap_or(i64::MAX))),
                _ => process?.argv.get(argument(name)?).map(|text| EventValue::Str(clean(text))),
            },
            Shape::Syscall(call) => match name {
                "type" => Some(word("SYSCALL")),
                "SYSCALL" | "syscall" => Some(word(call)),
                "success" => Some(word("yes")),
                "exe" => some_text(&process?.exe),
                "comm" => Some(EventValue::Str(comm(process?).into())),
                "pid" => Some(number(process?.pid)),
                "ppid" => Some(number(process?.ppid)),
                "uid" => Some(number(process?.uid)),
                "euid" => Some(number(process?.euid)),
                "auid" => Some(number(process?.loginuid.map_or(-1, i64::from))),
                "tty" => process?.tty.as_ref().and_then(some_text),
                _ => None,
            },
            Shape::Path => match name {
                "type" => Some(word("PATH")),
                "name" => match file_of(&self.facts.event.kind) {
                    Some(file) => some_text(&file.path),
                    None => some_text(&process?.exe),
                },
                "nametype" => Some(word(match file_of(&self.facts.event.kind).map(|file| file.change) {
                    Some(FileChangeKind::Created | FileChangeKind::Renamed | FileChangeKind::Linked) => "CREATE",
                    Some(FileChangeKind::Deleted) => "DELETE",
                    _ => "NORMAL",
                })),
                _ => None,
            },
            Shape::Cwd => match name {
                "type" => Some(word("CWD")),
                "cwd" => some_text(&process?.cwd),
                _ => None,
            },
            Shape::Account(kind) => match name {
                "type" => Some(word(kind)),
                "acct" => account_of(self.facts.event).and_then(|account| some_text(&account.user)),
                _ => None,
            },
        }
    }
}

/// The kernel's short name of a program: its last path component, at most 15 bytes (proc(5), comm).
fn comm(process: &Process) -> String {
    let name = process.exe.basename();
    name.char_indices().take_while(|(at, c)| at + c.len_utf8() <= 15).map(|(_, c)| c).collect()
}

impl rsigma_eval::Event for Record<'_> {
    fn get_field(&self, name: &str) -> Option<EventValue<'_>> {
        match self.shape {
            Shape::Plain(Route::NetworkConnection) => self.of_connection(name).or_else(|| self.of_process(name)),
            Shape::Plain(Route::ProcessCreation | Route::Text) => self.of_process(name),
            Shape::Plain(_) => self.of_file(name).or_else(|| self.of_process(name)),
            Shape::Execve | Shape::Syscall(_) | Shape::Path | Shape::Cwd | Shape::Account(_) => self.of_audit(name),
        }
    }

    fn any_string_value(&self, matches: &dyn Fn(&str) -> bool) -> bool {
        self.all_string_values().iter().any(|text| matches(text))
    }

    /// The command line, and what an audit record holds: a keyword is looked for in what people would grep.
    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        let file = file_of(&self.facts.event.kind).map(|file| clean(&file.path));
        std::iter::once(Cow::Borrowed(self.facts.command.as_str())).chain(file).collect()
    }

    fn to_json(&self) -> serde_json::Value {
        let mut out = serde_json::Map::new();
        let audit = (0..16).map(|number| format!("a{number}"));
        let names = fields(self.route()).into_iter().map(|field| field.name.to_owned()).chain(audit);
        for name in names {
            if let Some(value) = self.get_field(&name) {
                out.insert(name, value.to_json());
            }
        }
        out.into()
    }
}
