//! A service that strangers can talk to starts a command interpreter, at any depth.

use bartizan_model::{Event, EventKind, Family, HostText, Process, Root, ServiceRole, Severity, Stage, Tier};

use super::kinship::{command, grown_from, named, named_root, package_manager_between, started_by_person, subject};
use super::{Detection, Detector, DetectorContext, Info};

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

    fn observe(&mut self, event: &Event, context: &DetectorContext<'_>) -> Option<Detection> {
        let (EventKind::Exec, Some(process)) = (&event.kind, &event.process) else {
            return None;
        };
        let shell = context.is_shell(process);
        let inline = context.is_interpreter(process) && runs_inline_code(process);
        if !shell && !inline {
            return None;
        }
        let service = grown_from(process)?;
        let developed = started_by_person(process) && !context.is_web_by_name(service);
        if developed && service.role == ServiceRole::NetworkService {
            return None;
        }
        let (severity, confidence) = rating(service, shell, context);
        let said = format!("{} ran {} as {}", named_root(service), command(process), named(process));
        let detection = match excuse(process, developed) {
            Some((why, most)) => Detection::new(format!("{said}, in part explained: {why}")).rated(Severity::Low, confidence.min(most)),
            None => Detection::new(said).rated(severity, confidence),
        };
        Some(detection.on(subject(process)))
    }
}

fn rating(service: &Root, shell: bool, context: &DetectorContext<'_>) -> (Severity, f64) {
    let (severity, confidence) = match service.role {
        ServiceRole::WebServer if context.is_web_by_name(service) => (INFO.severity, INFO.confidence),
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
    if package_manager_between(process) {
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
    let options = |line: &HostText| {
        line.lossy()
            .split_whitespace()
            .skip(1)
            .any(|word| ["-X", "-O", "-C", "-o"].iter().any(|bad| word.starts_with(bad)) && word != "-oi")
    };
    flag == "-c"
        && (line.starts_with("/usr/sbin/sendmail ") || *line == *"/usr/sbin/sendmail")
        && line.as_bytes().iter().all(plain)
        && !options(line)
}

fn is_cgi_script(process: &Process) -> bool {
    process.argv.get(1).is_some_and(|script| CGI_DIRS.iter().any(|dir| script.starts_with(dir)) && !script.lossy().contains("/../"))
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, as_role, by, names};
    use bartizan_model::{ServiceRole, Severity};

    #[test]
    fn a_web_server_that_starts_a_shell_is_told_at_any_depth() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let mut last = scene.child(&nginx, "/usr/bin/env x");
        let first = last.key;
        for _ in 0..12 {
            last = scene.child(&last, "/usr/bin/env x");
        }
        let shell = scene.child(&last, "/usr/bin/dash -c \"id; uname -a\"");
        let signals = scene.exec(&shell);
        let signal = by(&signals, "web_server_shell");
        assert_eq!((signal.confidence.get(), signal.subject), (0.9, Some(first)), "stop the highest below the service");
        assert_eq!(signal.sentence, format!("nginx (pid {}) ran \"/usr/bin/dash -c id; uname -a\" as dash (pid {})", nginx.pid, shell.pid));
        for _ in 0..40 {
            last = scene.child(&last, "/usr/bin/env x");
        }
        let shell = scene.child(&last, "/usr/bin/dash");
        assert_eq!(names(&scene.exec(&shell)), ["web_server_shell"], "also beyond the ancestors kept by name");
    }

    #[test]
    fn a_worker_that_becomes_a_shell_is_told() {
        let mut scene = Scene::new();
        let mut worker = scene.daemon("/usr/sbin/php-fpm8.2");
        let roots = worker.lineage.roots.clone();
        let before = bartizan_model::Ancestor { key: worker.key, exe: worker.exe.clone() };
        worker.lineage.ancestors = std::iter::once(before).chain(worker.lineage.ancestors.iter().cloned()).collect::<Vec<_>>().into();
        (worker.exe, worker.argv, worker.lineage.roots) = ("/usr/bin/bash".into(), vec!["bash".into()], roots);
        let signals = scene.exec(&worker);
        assert_eq!(by(&signals, "web_server_shell").subject, Some(worker.key));
    }

    #[test]
    fn less_telling_services_and_interpreters_are_rated_lower() {
        let mut scene = Scene::new();
        let mut confidence = |daemon: &str, line: &str| {
            let daemon = scene.daemon(daemon);
            let child = scene.child(&daemon, line);
            by(&scene.exec(&child), "web_server_shell").confidence.get()
        };
        let full = confidence("/usr/sbin/apache2", "/bin/sh -c id");
        for (daemon, line) in [
            ("/usr/sbin/apache2", "/usr/bin/python3.11 -c \"import os\""),
            ("/usr/lib/postgresql/15/bin/postgres", "/bin/sh -c id"),
            ("/usr/sbin/zabbix_agentd", "/bin/sh -c id"),
            ("/usr/sbin/exim4", "/bin/sh -c id"),
        ] {
            assert!(confidence(daemon, line) < full, "{daemon} {line}");
        }
    }

    #[test]
    fn what_explains_a_shell_lowers_it_and_is_said() {
        let mut scene = Scene::new();
        let mut say = |daemon: &str, steps: &[&str]| {
            let mut last = scene.daemon(daemon);
            for step in steps {
                last = scene.child(&last, step);
            }
            let signal = by(&scene.exec(&last), "web_server_shell").clone();
            assert_eq!(signal.severity, Severity::Low, "{}", signal.sentence);
            assert!(signal.confidence.get() <= 0.35 && signal.sentence.contains("in part explained"), "{}", signal.sentence);
        };
        say("/usr/sbin/php-fpm8.2", &["/bin/sh -c \"/usr/sbin/sendmail -t -i\""]);
        say("/usr/sbin/apache2", &["/bin/sh /usr/lib/cgi-bin/status.cgi"]);
        say("/usr/sbin/nginx", &["/usr/bin/apt-get update", "/bin/sh -c x"]);
    }

    #[test]
    fn a_server_by_port_alone_is_rated_by_who_runs_it() {
        let mut scene = Scene::new();
        let certbot = scene.daemon("/usr/bin/python3 /usr/bin/certbot renew");
        let mut certbot = as_role(certbot, ServiceRole::WebServer);
        certbot.unit = Some("certbot.service".to_owned());
        let hook = scene.child(&certbot, "/bin/sh -c \"systemctl reload nginx\"");
        let login = scene.login();
        let developed = scene.child(&login, "/usr/bin/node dev.js");
        let developed = as_role(developed, ServiceRole::WebServer);
        let helper = scene.child(&developed, "/bin/sh -c \"git status\"");
        let installed = scene.daemon("/usr/bin/node app.js");
        let installed = as_role(installed, ServiceRole::WebServer);
        let shell = scene.child(&installed, "/bin/sh -c id");
        for (process, confidence) in [(hook, 0.3), (helper, 0.35), (shell, 0.75)] {
            assert_eq!(by(&scene.exec(&process), "web_server_shell").confidence.get(), confidence, "{}", process.command());
        }
    }

    #[test]
    fn a_false_excuse_excuses_nothing() {
        let mut scene = Scene::new();
        for steps in [
            &["/bin/sh -c \"/usr/sbin/sendmail -t -i; id\""][..],
            &["/bin/sh -c \"/usr/sbin/sendmail -X/var/www/s.php\""],
            &["/tmp/dpkg", "/bin/sh -c id"],
            &["/bin/sh /usr/lib/cgi-bin/../../../tmp/x"],
        ] {
            let mut last = scene.daemon("/usr/sbin/php-fpm8.2");
            for step in steps {
                last = scene.child(&last, step);
            }
            assert_eq!(by(&scene.exec(&last), "web_server_shell").confidence.get(), 0.9, "{steps:?}");
        }
    }

    #[test]
    fn look_alikes_are_silent() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let reload = scene.child(&nginx, "/usr/sbin/nginx -s reload");
        let master = scene.daemon("/usr/sbin/php-fpm8.2");
        let pool = scene.child(&master, "/usr/sbin/php-fpm8.2");
        let graceful = scene.daemon("/bin/sh /usr/sbin/apachectl graceful");
        let apache = scene.child(&graceful, "/usr/sbin/apache2 -k graceful");
        let cron = scene.daemon("/usr/sbin/cron -f");
        let job = scene.child(&cron, "/bin/sh -c \"/usr/sbin/logrotate /etc/logrotate.conf\"");
        let rotate = scene.child(&job, "/usr/sbin/logrotate /etc/logrotate.conf");
        let postrotate = scene.child(&rotate, "/bin/sh -c \"invoke-rc.d nginx rotate\"");
        let apt = scene.daemon("/usr/bin/apt-get upgrade");
        let dpkg = scene.child(&apt, "/usr/bin/dpkg --configure");
        let postinst = scene.child(&dpkg, "/bin/sh /var/lib/dpkg/info/nginx.postinst configure");
        let login = scene.login();
        let git = scene.child(&login, "/usr/bin/bash -c \"git-upload-pack x\"");
        let certbot = scene.daemon("/usr/bin/python3 /usr/bin/certbot renew");
        let hook = scene.child(&certbot, "/bin/sh -c \"systemctl reload nginx\"");
        let shim = scene.daemon("/usr/bin/containerd-shim-runc-v2");
        let docker_exec = scene.child(&shim, "/bin/sh");
        let vscode = scene.child(&login, "/home/anna/.vscode-server/node server");
        let vscode = as_role(vscode, ServiceRole::NetworkService);
        let terminal = scene.child(&vscode, "/usr/bin/bash");
        let postgres = scene.daemon("/usr/lib/postgresql/15/bin/postgres");
        let autovacuum = scene.child(&postgres, "/usr/lib/postgresql/15/bin/postgres");
        for process in
            [reload, pool, graceful, apache, job, rotate, postrotate, postinst, login, git, hook, docker_exec, terminal, autovacuum]
        {
            assert_eq!(names(&scene.exec(&process)), [""; 0], "{}", process.command());
        }
    }

    #[test]
    fn busybox_is_a_shell_only_when_called_as_one() {
        let mut scene = Scene::new();
        let nginx = scene.daemon("/usr/sbin/nginx");
        let mut spoke = |argv: &[&str]| {
            let mut applet = scene.child(&nginx, "/bin/busybox");
            applet.argv = argv.iter().map(|a| (*a).into()).collect();
            !scene.exec(&applet).is_empty()
        };
        assert!(spoke(&["sh", "-c", "id"]) && spoke(&["busybox", "ash"]) && spoke(&["/bin/busybox", "nc", "-e", "sh"]));
        assert!(!spoke(&["gzip", "x"]) && !spoke(&["busybox", "ls"]));
    }
}
