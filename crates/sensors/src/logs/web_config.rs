//! The configuration of a web server with all that it includes, read to see which logs the server writes, and in which format.

use std::path::{Path, PathBuf};

use super::LogPlace;
use super::discovery::file;
use bartizan_logs::web::config::{ConfigText, LogKind, WebLogs, read_apache, read_nginx};
use bartizan_worker::LogFormat;

const NGINX: &str = "/etc/nginx/nginx.conf";
const APACHES: [&str; 2] = ["/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf"];
/// Where Debian's Apache takes `${APACHE_LOG_DIR}` from.
const APACHE_VARIABLES: &str = "/etc/apache2/envvars";
/// Bytes of one file of a configuration, and files of one.
const MAX_BYTES: u64 = 1 << 20;
const MAX_FILES: usize = 1000;

/// The logs of the web servers below `root`.
pub(super) fn logs(root: &Path) -> Vec<LogPlace<LogFormat>> {
    let nginx = web(root, NGINX, read_nginx);
    let variables = variables(&root.join(APACHE_VARIABLES.trim_start_matches('/')));
    let apaches = APACHES.iter().map(|main| web(root, main, |files| read_apache(files, &variables)));
    let all = std::iter::once(nginx).chain(apaches).flat_map(|logs| logs.logs);
    all.map(|log| {
        let source = match log.kind {
            LogKind::Access(format) => LogFormat::Access(format),
            LogKind::NginxError => LogFormat::NginxError,
            LogKind::ApacheError => LogFormat::ApacheError,
        };
        file(PathBuf::from(log.path), source)
    })
    .collect()
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

    #[test]
    fn a_pattern_fits_what_a_shell_would_take() {
        for (pattern, name, wanted) in
            [("*.conf", "a.conf", true), ("*.conf", "a.conf~", false), ("a*b?d", "axxbcd", true), ("*", "", true), ("?", "", false)]
        {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), wanted, "{pattern} {name}");
        }
    }
}
