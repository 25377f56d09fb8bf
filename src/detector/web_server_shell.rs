//! A service that strangers can talk to starts a command interpreter, at any depth.

use crate::model::{Event, EventKind, Family, HostText, Process, Root, ServiceRole, Severity, Stage, Tier};

use super::kinship::{by_package_manager, by_person, command, grown_from, named, named_root, started_by_person, subject};
use super::{Detector, Info, Opinion, Sight};

static INFO: Info = Info {
    name: "web_server_shell",
    title: "Web server starts a shell",
    technique: &["T1190", "T1059.004", "T1505.003"],
    family: Family::Lineage,
    stage: Stage::InitialAccess,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.9,
    meaning: "A program that answers strangers started a command interpreter: the usual first trace of remote code execution or a webshell.",
    false_positives: "Web applications that call out on purpose (image conversion, PDF, mail(), CGI scripts in shell), monitoring agents that run checks, certbot in standalone mode, development servers.",
    quiet: "Nothing here acts on this alone. Have the application start its helper without a shell; a development server belongs on a port outside [roles] web_ports.",
};

/// Where distributions keep CGI programs.
const CGI_DIRS: [&str; 3] = ["/usr/lib/cgi-bin/", "/var/www/cgi-bin/", "/usr/share/"];

pub(super) struct WebServerShell;

impl Detector for WebServerShell {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, sight: &Sight<'_>) -> Option<Opinion> {
        let (EventKind::Exec, Some(process)) = (&event.kind, &event.process) else {
            return None;
        };
        let shell = sight.is_shell(process);
        if !shell && !(sight.is_interpreter(process) && runs_inline_code(process)) {
            return None;
        }
        let service = grown_from(process)?;
        let developed = started_by_person(process) && !sight.is_web_by_name(service);
        if by_person(process) || (developed && service.role == ServiceRole::NetworkService) {
            return None;
        }
        let (severity, confidence) = rating(service, shell, sight);
        let said = format!("{} ran {} as {}", named_root(service), command(process), named(process));
        let opinion = match excuse(process, developed) {
            Some((why, most)) => Opinion::new(format!("{said}, in part explained: {why}")).rated(Severity::Low, confidence.min(most)),
            None => Opinion::new(said).rated(severity, confidence),
        };
        Some(opinion.on(subject(process)))
    }
}

fn rating(service: &Root, shell: bool, sight: &Sight<'_>) -> (Severity, f64) {
    let (severity, confidence) = match service.role {
        ServiceRole::WebServer if sight.is_web_by_name(service) => (INFO.severity, INFO.confidence),
        ServiceRole::WebServer => (Severity::High, 0.75),
        ServiceRole::Database => (Severity::High, 0.6),
        // Pipe transports and monitoring agents start shells all day.
        ServiceRole::MailServer => (Severity::Medium, 0.4),
        _ => (Severity::Medium, 0.5),
    };
    if shell { (severity, confidence) } else { (Severity::Medium, confidence * 0.7) }
}

/// What speaks for it, and how sure we may then be at most.
fn excuse(process: &Process, developed: bool) -> Option<(&'static str, f64)> {
    if by_package_manager(process) {
        return Some(("a package manager stands between", 0.3));
    }
    if is_sendmail(process) {
        return Some(("it only hands a mail to sendmail", 0.25));
    }
    if is_cgi_script(process) {
        return Some(("it is a CGI script in a CGI directory", 0.35));
    }
    if process.unit.as_deref().is_some_and(|unit| unit.starts_with("certbot") || unit.starts_with("acme")) {
        return Some(("a certificate client runs its hooks", 0.3));
    }
    developed.then_some(("a person started this server in a login session", 0.35))
}

/// `-c`, `-e`, `-r` and their kin: the code came with the call.
fn runs_inline_code(process: &Process) -> bool {
    process.argv.iter().skip(1).take(4).any(|arg| {
        let arg = arg.as_bytes();
        arg.first() == Some(&b'-') && arg.get(1) != Some(&b'-') && arg.iter().skip(1).any(|flag| b"cer".contains(flag))
    }) || process.argv.len() == 1
}

/// PHP's mail() runs `sh -c "/usr/sbin/sendmail -t -i"`. Anything that could do more (metacharacters, -X, -O, -C:
/// CVE-2016-10033) is no mere mail.
fn is_sendmail(process: &Process) -> bool {
    let [_, flag, line] = process.argv.as_slice() else {
        return false;
    };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" /-_.@+=".contains(byte);
    let options = |line: &HostText| line.lossy().split_whitespace().skip(1).any(|word| ["-X", "-O", "-C", "-o"].iter().any(|bad| word.starts_with(bad)) && word != "-oi");
    flag == "-c" && (line.starts_with("/usr/sbin/sendmail ") || *line == *"/usr/sbin/sendmail") && line.as_bytes().iter().all(plain) && !options(line)
}

fn is_cgi_script(process: &Process) -> bool {
    process.argv.get(1).is_some_and(|script| CGI_DIRS.iter().any(|dir| script.starts_with(dir)) && !script.lossy().contains("/../"))
}
