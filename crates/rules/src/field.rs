//! The fields that rules can ask for: names, meaning, and where they can be looked for beforehand.

use super::Route;

/// One field of a route's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name in a rule.
    pub name: &'static str,
    /// What it holds, and from where.
    pub meaning: &'static str,
    /// Its text is part of what the prefilter searches.
    pub(crate) searched: bool,
}

const fn text(name: &'static str, meaning: &'static str) -> Field {
    Field { name, meaning, searched: true }
}

const fn other(name: &'static str, meaning: &'static str) -> Field {
    Field { name, meaning, searched: false }
}

/// About the process, on every route.
const PROCESS: &[Field] = &[
    text("Image", "path of the executable (for a script, of the interpreter): process.exe"),
    text("CommandLine", "arguments joined by spaces, line ends as spaces: process.argv"),
    text("ParentImage", "path of what the parent ran: the first of process.lineage that is another process"),
    text("ParentCommandLine", "arguments of the parent, where the agent saw it start"),
    text("CurrentDirectory", "working directory at the start: process.cwd"),
    text("User", "name of the user, where the host has one: process.user"),
    other("ProcessId", "process.pid"),
    other("ParentProcessId", "process.ppid"),
    other("LogonId", "login user id of the audit system; -1 where nobody logged in: process.loginuid"),
    other("Uid", "real user id: process.uid"),
    other("EffectiveUid", "effective user id: process.euid"),
    other("sha256", "digest of the executable, once it was read: process.exe_file.sha256"),
    other("Arguments", "each argument by itself, the program's own name first: process.argv"),
    other("Ancestors", "paths of all that stands above, nearest first: process.lineage"),
    other(
        "Roles",
        "services above or itself: web-server, database, mail-server, network-service, ssh-server, login-session, scheduler, package-manager, container-runtime, security-service",
    ),
    other("Context", "what started it: service (strangers can talk to it), package-manager, scheduler, container, login, or system"),
    other(
        "Origin",
        "where the executable lies: system, memory, deleted, writable (anybody may write there), hidden (below a directory or file whose name begins with a dot), home, other",
    ),
    other("Package", "package that owns the executable, once it was looked up: process.package"),
    other("Unit", "unit of systemd: process.unit"),
    other("Container", "id of the container: process.container"),
    text("Environment", "each variable that changes what is loaded or run, as NAME=VALUE: process.environment"),
    other("Terminal", "controlling terminal: process.tty"),
    other("SocketInput", "true where standard input is a socket"),
];

const NETWORK: &[Field] = &[
    other("DestinationIp", "remote address: net.dst"),
    other("DestinationPort", "remote port: net.dport"),
    other("DestinationHostname", "name for which a resolver answered with the address: net.name"),
    other("SourceIp", "local address: net.src"),
    other("SourcePort", "local port: net.sport"),
    other("Protocol", "tcp or udp: net.proto"),
    other("Initiated", "true: this host began it"),
];

const FILE: &[Field] = &[
    text("TargetFilename", "path of the file: file.path"),
    other("OtherFilename", "what a link leads to, or the name that the file had before: file.other"),
    other(
        "Change",
        "what happened to it: created, modified, truncated, linked, set-id, capabilities, world-writable, backdated ...: file.change",
    ),
    other(
        "Place",
        "start-up or access place, if it is one: cron, systemd-unit, authorized-keys, ld-preload, rc-script, shell-profile, pam, sudoers",
    ),
];

/// Audit records: every kind has these of its own (auditd(8), the audit event specification).
const AUDIT: &[Field] = &[
    text("type", "EXECVE, SYSCALL, PATH, CWD, ADD_USER or DEL_USER"),
    other("a0", "and a1 to a63: each argument of EXECVE"),
    other("argc", "number of arguments of EXECVE"),
    text("exe", "path of the executable, in SYSCALL"),
    text("comm", "its name, at most 15 bytes, in SYSCALL"),
    other(
        "SYSCALL",
        "name of the call, in SYSCALL: execve, connect, finit_module, ptrace, mount, setuid, unshare, bpf, kill, io_uring_setup",
    ),
    text("syscall", "the same"),
    other("success", "yes, in SYSCALL"),
    other("pid", "in SYSCALL"),
    other("ppid", "in SYSCALL"),
    other("uid", "in SYSCALL"),
    other("euid", "in SYSCALL"),
    other("auid", "login user id, in SYSCALL"),
    other("tty", "in SYSCALL"),
    text("name", "path, in PATH: the executable, or the file that was watched"),
    other("nametype", "CREATE, DELETE or NORMAL, in PATH"),
    text("cwd", "in CWD"),
    other("acct", "account, in ADD_USER and DEL_USER"),
];

/// The fields of a route's records.
pub fn fields(route: Route) -> Vec<Field> {
    let own: &[Field] = match route {
        Route::ProcessCreation | Route::Text => &[],
        Route::NetworkConnection => NETWORK,
        Route::FileEvent | Route::FileChange | Route::FileRename | Route::FileDelete | Route::FileAccess => FILE,
        Route::Auditd => return AUDIT.to_vec(),
    };
    own.iter().chain(PROCESS).copied().collect()
}

/// The argument's number, where the field is one of EXECVE: `a0` to `a63`.
pub(crate) fn argument(name: &str) -> Option<usize> {
    let number: usize = name.strip_prefix('a')?.parse().ok()?;
    (number < 64).then_some(number)
}

/// Whether a literal of this field is always within what the prefilter searches.
pub(crate) fn is_searched(route: Route, name: &str) -> bool {
    (route == Route::Auditd && argument(name).is_some()) || fields(route).iter().any(|field| field.name == name && field.searched)
}
