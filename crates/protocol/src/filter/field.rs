//! The fields that a filter can name: the names that `events --json` gives them, joined by dots.

/// How the values of a field are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As text, with `*` and `?`.
    Text,
    /// As a whole number.
    Number,
    /// `true` or `false`.
    Flag,
    /// An address or a network.
    Address,
    /// A kind of event or its family.
    Kind,
}

impl Form {
    /// What may stand behind `=`, as the documentation tells it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Flag => "`true` or `false`",
            Self::Address => "address or network",
            Self::Kind => "kind or family",
        }
    }
}

macro_rules! fields {
    ($($field:ident $name:literal $form:ident $meaning:literal,)*) => {
        /// One field.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Field {
            $(#[doc = $meaning] $field,)*
        }

        impl Field {
            /// Every field, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$field),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$field => $name),* }
            }

            /// How its values are compared.
            pub fn form(self) -> Form {
                match self { $(Self::$field => Form::$form),* }
            }

            /// What it tells.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$field => $meaning),* }
            }
        }
    };
}

fields! {
    Id "id" Text "number of the event: `E4711`",
    Kind "kind" Kind "what happened: `process.exec`, or the family `process`",
    Source "source" Text "which sensor saw it: `ebpf`, `procfs` ...",
    Complete "complete" Flag "whether every field is as the kernel had it",
    ProcessKey "process.key" Text "boot, pid and start time: `1f2e3d4c-812-40211`",
    ProcessPid "process.pid" Number "process id",
    ProcessPpid "process.ppid" Number "process id of its parent when it started",
    ProcessParent "process.parent" Text "key of its parent",
    ProcessExe "process.exe" Text "path of the executable",
    ProcessArgv "process.argv" Text "any one of its arguments, its own name included",
    ProcessCwd "process.cwd" Text "working directory",
    ProcessUid "process.uid" Number "real user id",
    ProcessEuid "process.euid" Number "effective user id",
    ProcessUser "process.user" Text "name of the real user",
    ProcessLoginuid "process.loginuid" Number "user id that logged in",
    ProcessSession "process.session" Number "audit session",
    ProcessCapabilities "process.capabilities" Number "effective capabilities as a bit mask",
    ProcessCgroup "process.cgroup" Text "cgroup",
    ProcessContainer "process.container" Text "first 12 digits of the container's id",
    ProcessContainerName "process.container_name" Text "name of the container",
    ProcessUnit "process.unit" Text "unit of systemd",
    ProcessNetns "process.netns" Number "network namespace",
    ProcessTty "process.tty" Text "controlling terminal: `pts/3`",
    ProcessPackage "process.package" Text "package that owns the executable",
    ExeInode "process.exe_file.inode" Number "inode of the executable",
    ExeMemfd "process.exe_file.memfd" Flag "whether the executable lives in memory only",
    ExeDeleted "process.exe_file.deleted" Flag "whether the executable had been removed",
    ExeSha256 "process.exe_file.sha256" Text "SHA-256 of the executable, once it was read",
    EnvironmentName "process.environment.name" Text "name of a variable that changes what it loads or runs",
    EnvironmentValue "process.environment.value" Text "value of such a variable",
    LineageKey "process.lineage.key" Text "key of any one of its ancestors",
    LineageExe "process.lineage.exe" Text "executable of any one of its ancestors",
    LineageRole "process.lineage.roots.role" Text "a service above it, or itself: `web-server` ...",
    ExitCode "exit.code" Number "status with which it exited",
    ExitSignal "exit.signal" Number "signal that ended it",
    NetProto "net.proto" Text "`tcp` or `udp`",
    NetSrc "net.src" Address "local address",
    NetSport "net.sport" Number "local port",
    NetDst "net.dst" Address "remote address",
    NetDport "net.dport" Number "remote port",
    NetName "net.name" Text "name for which a resolver gave the remote address",
    TrafficSent "traffic.sent" Number "bytes that a connection sent, told at its end",
    TrafficReceived "traffic.received" Number "bytes that it received",
    TrafficMilliseconds "traffic.milliseconds" Number "how long it was open",
    TrafficInbound "traffic.inbound" Flag "whether the other side began it",
    UnitName "unit.name" Text "unit of systemd for which it listens",
    UnitInstalled "unit.installed" Flag "whether that unit is installed and meant to listen",
    FilePath "file.path" Text "path of the file",
    FileChange "file.change" Text "`created`, `modified`, `deleted`, `renamed`, `opened`, `truncated`, `set-id`, `linked` ...",
    FilePersistence "file.persistence" Text "which start-up or access place it is: `cron`, `authorized-keys` ...",
    FileBefore "file.before" Text "BLAKE3 of the content before",
    FileAfter "file.after" Text "BLAKE3 of the content after",
    FileClass "file.class" Text "what kind of file it is: `cloud-credentials`, `shell-history`, `log` ...",
    FileOther "file.other" Text "what a link leads to, or the name it had before",
    FileMode "file.attributes.mode" Text "its permissions now, octal: `4755`",
    FileUid "file.attributes.uid" Number "its owner now",
    FileGid "file.attributes.gid" Number "its group now",
    FileCapabilities "file.attributes.capabilities" Number "capabilities that it gives to whoever runs it, as a bit mask",
    FileImmutable "file.attributes.immutable" Flag "whether it can no longer be changed",
    FileModeBefore "file.attributes_before.mode" Text "its permissions before, octal",
    FileUidBefore "file.attributes_before.uid" Number "its owner before",
    FileGidBefore "file.attributes_before.gid" Number "its group before",
    FileSentence "file.integrity.sentence" Text "how it differs from the baseline",
    FileChanges "file.integrity.changes" Number "how many files the line stands for",
    FileFinding "file.integrity.findings.rule" Text "what is dangerous about its content: `runs-what-a-request-sends` ...",
    FilePackage "file.integrity.packages" Text "a package to which the changed files belong",
    AccountUser "account.user" Text "account that changed",
    AccountUid "account.uid" Number "its user id",
    AccountChange "account.change" Text "`added`, `removed`, `became-root` ...",
    AccountGroup "account.group" Text "group that it entered",
    PrivilegeWhat "privilege.what" Text "`ptrace`, `set-uid`, `module-load`, `mount`, `bpf` ...",
    PrivilegeTarget "privilege.target" Text "key of the process it was used on",
    PrivilegeTargetExe "privilege.target_exe" Text "what that process runs",
    PrivilegeTargetUid "privilege.target_uid" Number "user id of that process",
    PrivilegeNewUid "privilege.new_uid" Number "user id that it took",
    PrivilegeSignal "privilege.signal" Number "signal that it sent",
    PrivilegeDetail "privilege.detail" Text "the kernel's own words: module, mount point ...",
    ContainerId "container.id" Text "first 12 digits of the container's id",
    ContainerName "container.name" Text "its name",
    ContainerImage "container.image" Text "its image",
    ContainerRuntime "container.runtime" Text "`docker` or `podman`",
    ContainerPid "container.pid" Number "its first process",
    ContainerReach "container.reach" Text "what of the host it reaches: `privileged`, `capabilities`, `runtime-socket`, `system-files`, `processes`, `network`",
    AuthService "auth.service" Text "program that let in or refused: `sshd`, `sudo` ...",
    AuthUser "auth.user" Text "account",
    AuthFrom "auth.from" Address "address that the program wrote",
    AuthMethod "auth.method" Text "`password`, `public-key` ...",
    AuthKey "auth.key" Text "type and fingerprint of the key",
    AuthAttempts "auth.attempts" Number "failed attempts of the source so far",
    AuthLineSource "auth.line.source" Text "log that says so",
    AuthLineOffset "auth.line.offset" Number "where the line begins in it, in bytes",
    AuthLineText "auth.line.text" Text "beginning of the line",
    WebClient "web.client" Address "client of a web server, as the server or a configured proxy names it",
    WebMethod "web.method" Text "how it was asked for: `GET`",
    WebPath "web.path" Text "what was asked for, with its query",
    WebStatus "web.status" Number "what the server answered",
    WebKinds "web.kinds" Text "any one kind of attack: `sql-injection`",
    WebAttempts "web.attempts" Number "attack requests and failed logins of the client so far",
    WebLineSource "web.line.source" Text "log that says so",
    WebLineOffset "web.line.offset" Number "where the line begins in it, in bytes",
    WebLineText "web.line.text" Text "beginning of the line",
    AlarmWhat "alarm.what" Text "what was done to the agent: `table-changed` ...",
    AlarmDetail "alarm.detail" Text "what exactly",
    AlarmPath "alarm.path" Text "which file",
    BudgetLevel "budget.level" Number "how many steps the agent has given up",
    BudgetWhy "budget.why" Text "which limit forced it",
    LossHop "loss.hop" Text "where events were lost",
    LossCount "loss.count" Number "how many",
}

impl Field {
    /// The field of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }

    /// Whether it tells of what happened rather than of who did it.
    pub fn is_of_kind(self) -> bool {
        !self.name().starts_with("process.") && !matches!(self, Self::Id | Self::Kind | Self::Source | Self::Complete)
    }
}
