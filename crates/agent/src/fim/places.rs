//! Where changes matter on a host: the sets that are watched unless a person names others.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bartizan_sys::digest::read_bounded;

/// Longest configuration of a web server that is read, in bytes.
const LONGEST: u64 = 1 << 20;
/// Directories and files of configuration that are looked at, at most.
const MAX_CONFIGURATIONS: usize = 512;

/// A set of places and why they are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceSet {
    /// Its name.
    pub name: &'static str,
    /// Its places, also those that are not there: that one comes is a change.
    pub paths: Vec<PathBuf>,
}

/// By name; `*` is one directory of any name, and the place one that is there. Homes are added to the log-ins.
const SETS: [(&str, &[&str]); 6] = [
    ("configuration", &["/etc"]),
    ("programs", &["/usr/bin", "/usr/sbin", "/usr/local", "/usr/libexec", "/opt"]),
    ("start-up", &["/usr/lib/systemd", "/var/spool/cron", "/usr/lib/modules-load.d", "/usr/lib/tmpfiles.d", "/usr/lib/udev"]),
    ("kernel", &["/boot", "/usr/lib/modules"]),
    ("log-ins", &["/usr/lib/security", "/usr/lib64/security", "/usr/lib/*/security"]),
    ("web roots", &["/var/www", "/srv/www", "/usr/share/nginx/html"]),
];
/// In the home of every account: keys, and settings of the services that trust them.
const OF_ACCOUNTS: [&str; 3] = [".ssh", ".rhosts", ".shosts"];
/// In the home of who may log in: what the shell, PAM and the user's own service manager start.
const OF_PERSONS: [&str; 13] = [
    ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".zshenv", ".zprofile", ".zshrc", ".zlogin", ".kshrc",
    ".config/fish", ".config/systemd/user", ".pam_environment",
];
/// Shells that let nobody in.
const NO_LOG_IN: [&[u8]; 3] = [b"/nologin", b"/false", b"/sync"];
/// Where web servers say what they serve.
const WEB_SERVERS: [&str; 4] = ["/etc/nginx", "/etc/apache2", "/etc/httpd", "/usr/local/nginx/conf"];

/// The sets of this host, below `/` or another root for tests.
pub fn watched_places(root: &Path) -> Vec<PlaceSet> {
    let under = |path: &str| root.join(path.trim_start_matches('/'));
    let mut sets: Vec<PlaceSet> =
        SETS.iter().map(|(name, paths)| PlaceSet { name, paths: paths.iter().flat_map(|path| expand(root, path)).collect() }).collect();
    let mut served: Vec<PathBuf> = WEB_SERVERS.iter().flat_map(|place| web_roots(&under(place))).map(|path| under(&path)).collect();
    served.retain(|path| path != root);
    for set in &mut sets {
        match set.name {
            "log-ins" => set.paths.extend(homes(root)),
            "web roots" => set.paths.append(&mut served),
            _ => {}
        }
        set.paths.sort();
        set.paths.dedup();
    }
    sets
}

/// What matters in the homes of the accounts in `/etc/passwd`, there or not.
fn homes(root: &Path) -> Vec<PathBuf> {
    let passwd = read_bounded(&root.join("etc/passwd"), LONGEST).unwrap_or_default();
    let mut places = Vec::new();
    for line in passwd.split(|byte| *byte == b'\n').take(MAX_CONFIGURATIONS) {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let Some(home) = fields.get(5).and_then(|home| Path::new(OsStr::from_bytes(home)).strip_prefix("/").ok()) else { continue };
        let home = root.join(home);
        let shell = fields.get(6).copied().unwrap_or_default();
        let no_log_in = NO_LOG_IN.iter().any(|name| shell.ends_with(name));
        places.extend(OF_ACCOUNTS.iter().map(|name| home.join(name)));
        places.extend(OF_PERSONS.iter().filter(|_| !no_log_in).map(|name| home.join(name)));
    }
    places
}

fn expand(root: &Path, path: &str) -> Vec<PathBuf> {
    let path = path.trim_start_matches('/');
    let Some((before, after)) = path.split_once("/*/") else {
        return vec![root.join(path)];
    };
    let any = std::fs::read_dir(root.join(before)).into_iter().flatten().flatten();
    any.map(|one| one.path().join(after)).filter(|path| path.symlink_metadata().is_ok()).take(MAX_CONFIGURATIONS).collect()
}

/// The directories that the configuration below `place` serves: `root` of nginx, `DocumentRoot` of Apache.
fn web_roots(place: &Path) -> Vec<String> {
    let (mut waiting, mut served, mut looked) = (vec![place.to_owned()], Vec::new(), 0);
    while let Some(path) = waiting.pop().filter(|_| looked < MAX_CONFIGURATIONS) {
        looked += 1;
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()).take(MAX_CONFIGURATIONS));
        } else if let Ok(text) = read_bounded(&path, LONGEST) {
            served.extend(String::from_utf8_lossy(&text).lines().filter_map(served_by));
        }
    }
    served
}

fn served_by(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let key = words.next()?;
    let path = words.next()?.trim_end_matches(';').trim_matches('"');
    let known = key == "root" || key.eq_ignore_ascii_case("documentroot");
    (known && path.starts_with('/') && !path.contains('$')).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_roots_are_those_that_the_servers_say() {
        let host = tempfile::tempdir().unwrap();
        let make = |path: &str, text: &str| {
            let path = host.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for directory in ["srv/shop", "srv/blog", "usr/lib/aarch64-linux-gnu/security"] {
            std::fs::create_dir_all(host.path().join(directory)).unwrap();
        }
        make("etc/nginx/sites-enabled/shop", "server {\n    root /srv/shop;\n    root $elsewhere;\n # root /srv/old;\n}");
        make("etc/apache2/sites-enabled/blog.conf", "<VirtualHost>\n  DocumentRoot \"/srv/blog\"\n  DocumentRoot /gone\n");
        make("etc/passwd", "root:x:0:0::/root:/bin/bash\ndb:x:90:90::/var/lib/db:/usr/sbin/nologin\nbad\n");
        let sets = watched_places(host.path());
        let of = |name: &str| sets.iter().find(|set| set.name == name).unwrap().paths.clone();
        let served = ["gone", "srv/blog", "srv/shop", "srv/www", "usr/share/nginx/html", "var/www"];
        assert_eq!(of("web roots"), served.map(|path| host.path().join(path)));
        let ways_in = of("log-ins");
        for (path, wanted) in [
            ("usr/lib/aarch64-linux-gnu/security", true),
            ("root/.ssh", true),
            ("root/.bash_profile", true),
            ("var/lib/db/.ssh", true),
            ("var/lib/db/.bash_profile", false),
        ] {
            assert_eq!(ways_in.contains(&host.path().join(path)), wanted, "{path}: {ways_in:#?}");
        }
        assert_eq!(of("configuration"), [host.path().join("etc")]);
    }
}
