//! Where changes matter on a host: the sets that are watched unless a person names others.

use std::path::{Path, PathBuf};

use bartizan_sys::digest::read_bounded;

/// Longest configuration of a web server that is read, in bytes.
const LONGEST: u64 = 1 << 20;
/// Directories and files of configuration that are looked at, at most.
const MOST: usize = 512;

/// A set of places and why they are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceSet {
    /// Its name.
    pub name: &'static str,
    /// Those of its places that are there.
    pub paths: Vec<PathBuf>,
}

/// By name; `*` is one directory of any name.
const SETS: [(&str, &[&str]); 6] = [
    ("configuration", &["/etc"]),
    ("programs", &["/usr/bin", "/usr/sbin", "/usr/local", "/usr/libexec", "/opt"]),
    ("start-up", &["/usr/lib/systemd", "/var/spool/cron", "/usr/lib/modules-load.d", "/usr/lib/tmpfiles.d", "/usr/lib/udev"]),
    ("kernel", &["/boot", "/usr/lib/modules"]),
    (
        "log-ins",
        &["/root/.ssh", "/home/*/.ssh", "/root/.bashrc", "/root/.profile", "/usr/lib/security", "/usr/lib/x86_64-linux-gnu/security"],
    ),
    ("web roots", &["/var/www", "/srv/www", "/usr/share/nginx/html"]),
];
/// Where web servers say what they serve.
const WEB_SERVERS: [&str; 4] = ["/etc/nginx", "/etc/apache2", "/etc/httpd", "/usr/local/nginx/conf"];

/// The sets of this host, below `/` or another root for tests.
pub fn watched_places(root: &Path) -> Vec<PlaceSet> {
    let under = |path: &str| root.join(path.trim_start_matches('/'));
    let mut sets: Vec<PlaceSet> =
        SETS.iter().map(|(name, paths)| PlaceSet { name, paths: paths.iter().flat_map(|path| expand(root, path)).collect() }).collect();
    let mut served: Vec<PathBuf> = WEB_SERVERS.iter().flat_map(|place| web_roots(&under(place))).map(|path| under(&path)).collect();
    served.retain(|path| path.is_dir() && path != root);
    served.sort();
    if let Some(web) = sets.last_mut() {
        web.paths.extend(served);
        web.paths.sort();
        web.paths.dedup();
    }
    sets.retain(|set| !set.paths.is_empty());
    sets
}

fn expand(root: &Path, path: &str) -> Vec<PathBuf> {
    let path = path.trim_start_matches('/');
    let Some((before, after)) = path.split_once("/*/") else {
        return Some(root.join(path)).filter(|path| path.symlink_metadata().is_ok()).into_iter().collect();
    };
    let homes = std::fs::read_dir(root.join(before)).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        homes.map(|home| home.path().join(after)).filter(|path| path.symlink_metadata().is_ok()).take(MOST).collect();
    found.sort();
    found
}

/// The directories that the configuration below `place` serves: `root` of nginx, `DocumentRoot` of Apache.
fn web_roots(place: &Path) -> Vec<String> {
    let (mut waiting, mut served, mut looked) = (vec![place.to_owned()], Vec::new(), 0);
    while let Some(path) = waiting.pop().filter(|_| looked < MOST) {
        looked += 1;
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()).take(MOST));
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
        for directory in ["srv/shop", "srv/blog", "home/ann/.ssh"] {
            std::fs::create_dir_all(host.path().join(directory)).unwrap();
        }
        make("etc/nginx/sites-enabled/shop", "server {\n    root /srv/shop;\n    root $elsewhere;\n # root /srv/old;\n}");
        make("etc/apache2/sites-enabled/blog.conf", "<VirtualHost>\n  DocumentRoot \"/srv/blog\"\n  DocumentRoot /gone\n");
        let sets = watched_places(host.path());
        let of = |name: &str| sets.iter().find(|set| set.name == name).unwrap().paths.clone();
        assert_eq!(of("web roots"), ["srv/blog", "srv/shop"].map(|path| host.path().join(path)));
        assert_eq!(of("log-ins"), [host.path().join("home/ann/.ssh")]);
        assert_eq!(of("configuration"), [host.path().join("etc")]);
    }
}
