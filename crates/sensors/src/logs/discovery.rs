//! Which logs the services of this host write: the files of syslog, the journal, what the web servers' own configuration says, and what
//! containers write; the user's word goes before what is found.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::container_logs::ContainerLogs;
use super::{LogPlace, Place, jail_logs, web_config};
use bartizan_config::LogSetting;
use bartizan_fail2ban::TakenJail;
use bartizan_model::LogState;
use bartizan_worker::LogFormat;

/// Files of syslog daemons, and of those who write their own in its manner.
const SYSLOG: [&str; 9] = [
    "/var/log/auth.log", "/var/log/secure", "/var/log/syslog", "/var/log/messages", "/var/log/mail.log", "/var/log/maillog",
    "/var/log/kern.log", "/var/log/vsftpd.log", "/var/log/proftpd/proftpd.log",
];
/// Of these the journal has the same lines.
const IN_JOURNAL: usize = 7;
/// Where journald keeps its files, and where it listens: both are there when it runs and keeps what it hears.
const JOURNALS: [&str; 2] = ["/run/log/journal", "/var/log/journal"];
const JOURNALD: &str = "/run/systemd/journal/socket";
/// Sources that are followed.
const MAX_SOURCES: usize = 150;
/// Logs of web servers that go before those of containers: a host of many sites has one for each.
const SITES_FIRST: usize = 60;

/// All logs to follow or to list, but those of containers: no runtime is asked.
pub fn places(settings: &[LogSetting], jails: &[TakenJail]) -> Vec<LogPlace<LogFormat>> {
    with_settings(found(Path::new("/"), Vec::new()), settings, jails)
}

/// Looks up again and again which logs there are, those of containers too.
#[derive(Debug)]
pub struct LogFinder {
    settings: Vec<LogSetting>,
    containers: ContainerLogs,
}

impl LogFinder {
    /// With what the user names.
    pub fn new(settings: Vec<LogSetting>) -> Self {
        Self { settings, containers: ContainerLogs::default() }
    }

    /// All logs to follow or to list now, those of `jails` too. Waits some seconds for container runtimes that do not answer.
    pub fn find(&self, jails: &[TakenJail]) -> Vec<LogPlace<LogFormat>> {
        with_settings(found(Path::new("/"), self.containers.find()), &self.settings, jails)
    }
}

fn with_settings(mut found: Vec<LogPlace<LogFormat>>, settings: &[LogSetting], jails: &[TakenJail]) -> Vec<LogPlace<LogFormat>> {
    for setting in settings {
        let place = setting.path.clone().map_or(Place::Journal, Place::File);
        let known = found.iter().position(|other| other.place == place).map(|at| found.remove(at));
        found.insert(0, named(setting, place, known));
    }
    bounded(jail_logs::attach(found, jails))
}

/// As many as can be followed; how many cannot is a row of its own.
fn bounded(mut found: Vec<LogPlace<LogFormat>>) -> Vec<LogPlace<LogFormat>> {
    let (mut followed, mut first, mut left) = (0, None, 0_u32);
    found.retain(|log| {
        followed += usize::from(log.off.is_none());
        let fits = log.off.is_some() || followed <= MAX_SOURCES;
        if !fits {
            first.get_or_insert_with(|| log.name.as_sentence());
            left += 1;
        }
        fits
    });
    if let Some(first) = first {
        let why = format!(
            "{left} logs are not followed, {first} the first of them, as {MAX_SOURCES} are: name those that matter in [[logs]], \
             or turn others off there"
        );
        let place = LogPlace::new(Place::File(PathBuf::new()), LogFormat::Auth, "any".to_owned());
        found.push(LogPlace { name: format!("{left} more logs").as_str().into(), off: Some((LogState::Failed, why)), ..place });
    }
    found
}

/// What the user named.
fn named(setting: &LogSetting, place: Place, known: Option<LogPlace<LogFormat>>) -> LogPlace<LogFormat> {
    let unknown = |text: &str| format!("there is no format \"{text}\": one of {}, or the server's own", LogFormat::NAMES.join(", "));
    let (source, wrong) = match (&setting.format, &known) {
        (Some(text), _) => LogFormat::named(text).map_or_else(|| (LogFormat::Auth, Some(unknown(text))), |format| (format, None)),
        (None, Some(known)) => (known.source.clone(), None),
        (None, None) => (guess(&place), None),
    };
    let off = if setting.off { Some("the configuration says so".to_owned()) } else { wrong };
    let format = source.noun().to_owned();
    LogPlace { off: off.map(|why| (LogState::Off, why)), ..LogPlace::new(place, source, format) }
}

/// By its name.
fn guess(place: &Place) -> LogFormat {
    let Place::File(path) = place else { return LogFormat::Journal };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let whole = path.to_string_lossy();
    match () {
        () if name.ends_with("-json.log") => LogFormat::Docker,
        () if name.contains("access") => LogFormat::Access(None),
        () if name.contains("error") && (whole.contains("apache") || whole.contains("httpd")) => LogFormat::ApacheError,
        () if name.contains("error") => LogFormat::NginxError,
        () => LogFormat::Auth,
    }
}

/// What is there below `root`, and what `containers` write.
fn found(root: &Path, containers: Vec<LogPlace<LogFormat>>) -> Vec<LogPlace<LogFormat>> {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    let journal = JOURNALS.iter().any(|directory| below(directory).is_dir()) && below(JOURNALD).exists();
    let mut all = Vec::new();
    if journal {
        all.push(LogPlace::new(Place::Journal, LogFormat::Journal, LogFormat::Journal.noun().to_owned()));
    }
    for (at, path) in SYSLOG.iter().enumerate().filter(|(_, path)| below(path).exists()) {
        let off = (journal && at < IN_JOURNAL).then(|| (LogState::Off, jail_logs::IN_JOURNAL.to_owned()));
        all.push(LogPlace { off, ..file(below(path), LogFormat::Auth) });
    }
    let sites = all.len();
    all.extend(web_config::logs(root));
    let mut seen = BTreeSet::new();
    all.retain(|log| if let Place::File(path) = &log.place { seen.insert(path.clone()) } else { true });
    let at = all.len().min(sites + SITES_FIRST);
    all.splice(at..at, containers);
    all
}

/// A file under its own name.
pub(super) fn file(path: PathBuf, source: LogFormat) -> LogPlace<LogFormat> {
    let format = source.noun().to_owned();
    LogPlace::new(Place::File(path), source, format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::HostText;
    use std::fs;

    #[test]
    fn the_servers_own_configuration_says_what_they_write() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("etc/nginx/nginx.conf", "http { access_log /var/log/nginx/access.log; include /etc/nginx/sites/*.conf; include own.conf; }");
        put("etc/nginx/sites/one.conf", "server { error_log /srv/one/error.log; }");
        put("etc/nginx/sites/two.off", "server { access_log /srv/two.log; }");
        put("etc/nginx/own.conf", "include nginx.conf;");
        put("etc/apache2/envvars", "export SUFFIX=\nexport APACHE_LOG_DIR=/var/log/apache2$SUFFIX\n");
        put("etc/apache2/apache2.conf", "ErrorLog ${APACHE_LOG_DIR}/error.log\nIncludeOptional sites/*.conf\n");
        put("etc/apache2/sites/a.conf", "CustomLog ${APACHE_LOG_DIR}/access.log combined\n");
        put("var/log/auth.log", "");
        let listed: Vec<_> = found(root.path(), Vec::new())
            .into_iter()
            .map(|log| match log.place {
                Place::File(path) => (path.strip_prefix(root.path()).unwrap_or(&path).display().to_string(), log.format),
                Place::Journal => ("journal".to_owned(), log.format),
            })
            .collect();
        for (path, format) in [
            ("var/log/auth.log", "auth"),
            ("/var/log/nginx/access.log", "access"),
            ("/srv/one/error.log", "nginx-error"),
            ("/var/log/apache2/error.log", "apache-error"),
            ("/var/log/apache2/access.log", "access"),
        ] {
            assert!(listed.contains(&(path.to_owned(), format.to_owned())), "{path}: {listed:?}");
        }
        assert!(!listed.iter().any(|(path, _)| path == "/srv/two.log"), "{listed:?}");
        fs::create_dir_all(root.path().join("var/log/journal")).unwrap();
        assert!(
            found(root.path(), Vec::new()).iter().all(|log| log.off.is_none()),
            "journald does not run: nobody has the lines but the file"
        );
        put("run/systemd/journal/socket", "");
        let places = found(root.path(), Vec::new());
        let off = places.iter().filter(|log| log.off.is_some()).count();
        assert_eq!((places.first().map(|log| log.place.clone()), off), (Some(Place::Journal), 1), "its lines are in the journal");
    }

    #[test]
    fn the_users_word_goes_first() {
        let setting =
            |path: &str, format: Option<&str>, off| LogSetting { path: Some(path.into()), format: format.map(str::to_owned), off };
        let all = places(
            &[setting("/srv/access.log", None, false), setting("/srv/x", Some("nonsense"), false), setting("/srv/y", Some("%h %r"), true)],
            &[],
        );
        let of = |path: &str| all.iter().find(|log| log.place == Place::File(path.into())).unwrap();
        assert_eq!((of("/srv/access.log").format.as_str(), of("/srv/access.log").off.as_ref()), ("access", None));
        assert!(of("/srv/x").off.as_ref().unwrap().1.starts_with("there is no format \"nonsense\": one of auth, journal"));
        assert_eq!(of("/srv/y").off, Some((LogState::Off, "the configuration says so".to_owned())));
    }

    #[test]
    fn many_sites_take_no_place_from_containers_and_what_is_left_out_is_said() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/nginx")).unwrap();
        let sites: String = (0..200).map(|site| format!("server {{ access_log /srv/{site}/access.log; }} ")).collect();
        fs::write(root.path().join("etc/nginx/nginx.conf"), format!("http {{ {sites} }}")).unwrap();
        fs::create_dir_all(root.path().join("var/log")).unwrap();
        fs::write(root.path().join("var/log/auth.log"), "").unwrap();
        let container = |name: &str| LogPlace { name: name.into(), ..file(format!("/docker/{name}").into(), LogFormat::Docker) };
        let all = found(root.path(), vec![container("docker:one"), container("docker:two")]);
        let total = all.len();
        let off = LogSetting { path: Some("/srv/0/access.log".into()), format: None, off: true };
        let all = with_settings(all, &[off], &[]);
        let followed = all.iter().filter(|log| log.off.is_none()).count();
        assert_eq!(followed, MAX_SOURCES, "one that is off takes no place");
        for name in ["docker:one", "docker:two"] {
            assert!(all.iter().any(|log| log.name == *name), "{name}");
        }
        let left = total - 1 - MAX_SOURCES;
        let last = all.last().unwrap();
        assert_eq!(last.name, HostText::from(format!("{left} more logs").as_str()));
        let (state, why) = last.off.as_ref().unwrap();
        assert!(*state == LogState::Failed && why.starts_with(&format!("{left} logs are not followed, /srv/")), "{why}");
    }
}
