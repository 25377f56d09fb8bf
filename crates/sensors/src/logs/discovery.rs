//! Which logs the services of this host write: the files of syslog, the journal, and what the web servers' own configuration says; the
//! user's word goes before what is found.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{LogPlace, Place};
use bartizan_config::LogSetting;
use bartizan_logs::web::config::{ConfigText, LogKind, WebLogs, read_apache, read_nginx};
use bartizan_worker::LogFormat;

/// Files of syslog daemons, and of those who write their own in its manner.
const SYSLOG: [&str; 9] = [
    "/var/log/auth.log", "/var/log/secure", "/var/log/syslog", "/var/log/messages", "/var/log/mail.log", "/var/log/maillog",
    "/var/log/kern.log", "/var/log/vsftpd.log", "/var/log/proftpd/proftpd.log",
];
/// Of these the journal has the same lines.
const IN_JOURNAL: usize = 7;
/// Where journald keeps its files; one of them is there when it runs.
const JOURNALS: [&str; 2] = ["/run/log/journal", "/var/log/journal"];
const NGINX: &str = "/etc/nginx/nginx.conf";
const APACHES: [&str; 2] = ["/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf"];
/// Where Debian's Apache takes `${APACHE_LOG_DIR}` from.
const APACHE_VARIABLES: &str = "/etc/apache2/envvars";
/// Bytes of one file of a configuration, files of one, and sources in all.
const MAX_BYTES: u64 = 1 << 20;
const MAX_FILES: usize = 1000;
const MAX_SOURCES: usize = 150;

/// All logs to follow or to list.
pub fn places(settings: &[LogSetting]) -> Vec<LogPlace<LogFormat>> {
    let mut found = found(Path::new("/"));
    for setting in settings {
        let place = setting.path.clone().map_or(Place::Journal, Place::File);
        let known = found.iter().position(|other| other.place == place).map(|at| found.remove(at));
        found.insert(0, named(setting, place, known));
    }
    found.truncate(MAX_SOURCES);
    found
}

/// What the user named.
fn named(setting: &LogSetting, place: Place, known: Option<LogPlace<LogFormat>>) -> LogPlace<LogFormat> {
    let off = setting.off.then(|| "the configuration says so".to_owned());
    let journal = matches!(place, Place::Journal);
    let (source, unknown) = match (&setting.format, known) {
        (Some(text), _) => match LogFormat::named(text) {
            Some(format) => (format, None),
            None => (
                LogFormat::Auth,
                Some(format!("there is no format \"{text}\": one of {}, or the server's own", LogFormat::NAMES.join(", "))),
            ),
        },
        (None, Some(known)) => (known.source, None),
        (None, None) if journal => (LogFormat::Journal, None),
        (None, None) => (guess(&place), None),
    };
    LogPlace { format: source.noun().to_owned(), place, source, off: off.or(unknown) }
}

/// By its name.
fn guess(place: &Place) -> LogFormat {
    let Place::File(path) = place else { return LogFormat::Journal };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match () {
        () if name.contains("access") => LogFormat::Access(None),
        () if name.contains("error") => LogFormat::NginxError,
        () => LogFormat::Auth,
    }
}

/// What is there below `root`.
fn found(root: &Path) -> Vec<LogPlace<LogFormat>> {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    let journal = JOURNALS.iter().any(|directory| below(directory).is_dir());
    let mut all = Vec::new();
    if journal {
        all.push(LogPlace { place: Place::Journal, source: LogFormat::Journal, format: LogFormat::Journal.noun().to_owned(), off: None });
    }
    for (at, path) in SYSLOG.iter().enumerate().filter(|(_, path)| below(path).exists()) {
        let off = (journal && at < IN_JOURNAL).then(|| "the journal has the same lines".to_owned());
        all.push(file(below(path), LogFormat::Auth, off));
    }
    let nginx = web(root, NGINX, read_nginx);
    let variables = variables(&below(APACHE_VARIABLES));
    let apaches = APACHES.iter().map(|main| web(root, main, |files| read_apache(files, &variables)));
    for log in std::iter::once(nginx).chain(apaches).flat_map(|logs| logs.logs) {
        let source = match log.kind {
            LogKind::Access(format) => LogFormat::Access(format),
            LogKind::NginxError => LogFormat::NginxError,
            LogKind::ApacheError => LogFormat::ApacheError,
        };
        all.push(file(PathBuf::from(log.path), source, None));
    }
    let mut seen = BTreeSet::new();
    all.retain(|log| if let Place::File(path) = &log.place { seen.insert(path.clone()) } else { true });
    all
}

fn file(path: PathBuf, source: LogFormat, off: Option<String>) -> LogPlace<LogFormat> {
    LogPlace { place: Place::File(path), format: source.noun().to_owned(), source, off }
}

/// Reads a server's configuration with all that it includes.
fn web(root: &Path, main: &str, read: impl Fn(&[ConfigText<'_>]) -> WebLogs) -> WebLogs {
    let main = root.join(main.trim_start_matches('/'));
    let base = main.parent().unwrap_or(root).to_owned();
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    let mut waiting = vec![main];
    // Each file may name more of them.
    while let Some(path) = waiting.pop() {
        if files.len() >= MAX_FILES || files.iter().any(|(known, _)| *known == path) {
            continue;
        }
        let Some(text) = text(&path) else { continue };
        files.push((path, text));
        let last = files.last().map(|(path, text)| ConfigText { name: path.to_str().unwrap_or_default(), text });
        let includes = last.map(|last| read(&[last]).includes).unwrap_or_default();
        waiting.extend(includes.iter().flat_map(|pattern| expand(root, &base, pattern)));
    }
    let texts: Vec<_> = files.iter().map(|(path, text)| ConfigText { name: path.to_str().unwrap_or_default(), text }).collect();
    let mut logs = read(&texts);
    for log in &mut logs.logs {
        // A relative one counts from there; an absolute one stays as it is.
        log.path = base.join(&log.path).to_string_lossy().into_owned();
    }
    logs
}

fn text(path: &Path) -> Option<String> {
    use std::io::Read;
    let (file, found) = bartizan_sys::plain_file::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    (found.len() <= MAX_BYTES).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Files that a pattern of an include names; `*` and `?` stand in its last part, as they do in practice.
fn expand(root: &Path, base: &Path, pattern: &str) -> Vec<PathBuf> {
    let path = match pattern.strip_prefix('/') {
        Some(absolute) => root.join(absolute),
        None => base.join(pattern),
    };
    let (Some(parent), Some(last)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else { return Vec::new() };
    if path.is_dir() {
        return list(&path, |_| true);
    }
    if !last.contains(['*', '?']) {
        return vec![path];
    }
    list(parent, |name| fits(last.as_bytes(), name.as_bytes()))
}

fn list(directory: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().take(MAX_FILES);
    let named = entries.filter(|entry| entry.file_name().to_str().is_some_and(&wanted));
    let mut paths: Vec<_> = named.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Whether a name fits a pattern of `*`, `?` and bytes.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(b'?') => (at, read) = (at + 1, read + 1),
            Some(byte) if Some(byte) == name.get(read) => (at, read) = (at + 1, read + 1),
            _ => match star {
                Some((begun, taken)) => {
                    star = Some((begun, taken + 1));
                    (at, read) = (begun + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// `export NAME=value` of a shell script, with `$SUFFIX` and other variables taken for empty.
fn variables(path: &Path) -> Vec<(String, String)> {
    let text = text(path).unwrap_or_default();
    let plain = |value: &str| {
        let value = value.trim().trim_matches(['"', '\'']);
        value.split_once('$').map_or(value.to_owned(), |(before, after)| {
            before.to_owned() + after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    let exports = text.lines().filter_map(|line| line.trim().strip_prefix("export ")?.split_once('='));
    exports.map(|(name, value)| (name.trim().to_owned(), plain(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let listed: Vec<_> = found(root.path())
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
        fs::create_dir_all(root.path().join("run/log/journal")).unwrap();
        let places = found(root.path());
        let off = places.iter().filter(|log| log.off.is_some()).count();
        assert_eq!((places.first().map(|log| log.place.clone()), off), (Some(Place::Journal), 1), "its lines are in the journal");
    }

    #[test]
    fn the_users_word_goes_first() {
        let setting =
            |path: &str, format: Option<&str>, off| LogSetting { path: Some(path.into()), format: format.map(str::to_owned), off };
        let all = places(&[
            setting("/srv/access.log", None, false),
            setting("/srv/x", Some("nonsense"), false),
            setting("/srv/y", Some("%h %r"), true),
        ]);
        let of = |path: &str| all.iter().find(|log| log.place == Place::File(path.into())).unwrap();
        assert_eq!((of("/srv/access.log").format.as_str(), &of("/srv/access.log").off), ("access", &None));
        assert!(of("/srv/x").off.as_ref().unwrap().starts_with("there is no format \"nonsense\": one of auth, journal"));
        assert_eq!(of("/srv/y").off.as_deref(), Some("the configuration says so"));
    }

    #[test]
    fn a_pattern_fits_what_a_shell_would_take() {
        for (pattern, name, wanted) in
            [("*.conf", "a.conf", true), ("*.conf", "a.conf~", false), ("a*b?d", "axxbcd", true), ("*", "", true), ("?", "", false)]
        {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), wanted, "{pattern} {name}");
        }
    }
}
