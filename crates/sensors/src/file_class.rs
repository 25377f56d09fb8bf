//! What kind of file a path names: one table for everybody who watches files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bartizan_model::FileClass;

/// Parts of the system: programs, libraries, settings, what starts.
const SYSTEM: [&str; 11] = ["etc", "usr", "bin", "sbin", "lib", "lib64", "lib32", "boot", "root/.ssh", "var/spool/cron", "opt"];
/// Of these, where attributes are learnt at the start: where set-user-id programs and settings lie, and not every icon.
const LEARNT: [&str; 8] = ["etc", "usr/bin", "usr/sbin", "usr/local", "usr/libexec", "usr/lib/openssh", "usr/lib/dbus-1.0", "var/log"];

/// Names of histories in a home (bash, zsh, fish, python, mysql, psql, less, vim ...).
const HISTORIES: [&str; 12] = [
    ".bash_history", ".zsh_history", ".histfile", ".sh_history", ".ash_history", ".ksh_history", ".python_history", ".mysql_history",
    ".psql_history", ".sqlite_history", ".rediscli_history", ".viminfo",
];
/// Where fish keeps its own.
const FISH: &str = ".local/share/fish/fish_history";
/// Credentials of cloud providers, below a home.
const CLOUD: [&str; 10] = [
    ".aws/credentials",
    ".aws/config",
    ".config/gcloud/credentials.db",
    ".config/gcloud/access_tokens.db",
    ".config/gcloud/application_default_credentials.json",
    ".azure/accessTokens.json",
    ".azure/msal_token_cache.json",
    ".oci/config",
    ".config/doctl/config.yaml",
    ".config/hcloud/cli.toml",
];
/// Credentials of container registries and clusters, below a home and on the host.
const CONTAINER: [&str; 3] = [".docker/config.json", ".kube/config", ".config/containers/auth.json"];
const CLUSTER: [&str; 8] = [
    "etc/kubernetes/admin.conf",
    "etc/kubernetes/super-admin.conf",
    "etc/kubernetes/kubelet.conf",
    "etc/kubernetes/controller-manager.conf",
    "etc/kubernetes/scheduler.conf",
    "etc/rancher/k3s/k3s.yaml",
    "var/lib/kubelet/kubeconfig",
    "run/secrets/kubernetes.io/serviceaccount/token",
];
/// Passwords and tokens of other programs, below a home.
const PROGRAMS: [&str; 11] = [
    ".netrc", ".pgpass", ".my.cnf", ".mylogin.cnf", ".git-credentials", ".npmrc", ".pypirc", ".vault-token", ".s3cfg", ".rclone.conf",
    ".config/rclone/rclone.conf",
];
/// Files of browsers and password managers, below a home.
const STORES: [&str; 4] = [".password-store", ".local/share/keyrings", ".config/KeePassXC", ".local/share/kwalletd"];

/// The table, below a root.
#[derive(Debug, Clone)]
pub(super) struct FileClasses {
    root: PathBuf,
}

impl FileClasses {
    pub(super) fn under(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The kind of file at a path, if its place is one that counts. Credentials are told by [`FileClasses::in_home`].
    pub(super) fn of(&self, path: &Path) -> Option<FileClass> {
        let below = path.strip_prefix(&self.root).ok()?;
        let name = below.file_name().unwrap_or_default();
        if HISTORIES.iter().any(|history| name == OsStr::new(history)) || below.ends_with(FISH) {
            return Some(FileClass::ShellHistory);
        }
        if below.starts_with("var/log") || below.starts_with("run/log") {
            return Some(FileClass::Log);
        }
        SYSTEM.iter().any(|part| below.starts_with(part)).then_some(FileClass::System)
    }

    /// Where attributes are learnt at the start.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        LEARNT.iter().map(|part| self.root.join(part)).collect()
    }

    /// Credentials that may lie on the host itself, whoever uses it.
    pub(super) fn on_host(&self) -> Vec<(PathBuf, FileClass)> {
        CLUSTER.iter().map(|file| (self.root.join(file), FileClass::ContainerCredentials)).collect()
    }
}

/// Credentials and histories that may lie in a home, with what kind each is.
pub(super) fn in_home(home: &Path) -> Vec<(PathBuf, FileClass)> {
    let each = |files: &'static [&'static str], class| files.iter().map(move |file| (home.join(file), class));
    each(&CLOUD, FileClass::CloudCredentials)
        .chain(each(&CONTAINER, FileClass::ContainerCredentials))
        .chain(each(&PROGRAMS, FileClass::ProgramCredentials))
        .chain(each(&HISTORIES, FileClass::ShellHistory))
        .chain([(home.join(FISH), FileClass::ShellHistory)])
        .chain(stores(home).map(|path| (path, FileClass::PasswordStore)))
        .collect()
}

/// What browsers and password managers keep: profiles have names of their own.
fn stores(home: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    const PROFILES: usize = 16;
    let firefox = children(&home.join(".mozilla/firefox")).flat_map(|profile| ["logins.json", "key4.db"].map(|file| profile.join(file)));
    let chromium = [".config/google-chrome", ".config/chromium", ".config/BraveSoftware/Brave-Browser"]
        .map(|browser| home.join(browser))
        .into_iter()
        .flat_map(|browser| children(&browser))
        .filter(|profile| {
            profile.file_name().is_some_and(|name| name.as_bytes().starts_with(b"Default") || name.as_bytes().starts_with(b"Profile"))
        })
        .flat_map(|profile| ["Login Data", "Cookies"].map(|file| profile.join(file)));
    let managers = STORES.map(|store| home.join(store)).into_iter().flat_map(|store| children(&store));
    firefox.chain(chromium).chain(managers).take(4 * PROFILES)
}

fn children(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).take(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_file_is_told_by_its_place() {
        let classes = FileClasses::under(Path::new("/"));
        let of = |path: &str| classes.of(Path::new(path));
        assert_eq!(of("/var/log/auth.log"), Some(FileClass::Log));
        assert_eq!(of("/home/ann/.bash_history"), Some(FileClass::ShellHistory));
        assert_eq!(of("/root/.local/share/fish/fish_history"), Some(FileClass::ShellHistory));
        assert_eq!(of("/usr/bin/sudo"), Some(FileClass::System));
        for other in ["/tmp/x", "/home/ann/bash_history", "/var/lib/x", "/usrx/y"] {
            assert_eq!(of(other), None, "{other}");
        }
        let home = in_home(Path::new("/home/ann"));
        let class = |file: &str| home.iter().find(|(path, _)| path == Path::new(file)).map(|(_, class)| *class);
        assert_eq!(class("/home/ann/.aws/credentials"), Some(FileClass::CloudCredentials));
        assert_eq!(class("/home/ann/.kube/config"), Some(FileClass::ContainerCredentials));
        assert_eq!(class("/home/ann/.pgpass"), Some(FileClass::ProgramCredentials));
    }

    #[test]
    fn stores_of_browsers_are_found_whatever_their_profile_is_called() {
        let home = tempfile::tempdir().unwrap();
        for directory in [".mozilla/firefox/x1.default", ".config/chromium/Profile 2", ".password-store"] {
            std::fs::create_dir_all(home.path().join(directory)).unwrap();
        }
        std::fs::write(home.path().join(".password-store/bank.gpg"), "x").unwrap();
        let found: Vec<PathBuf> =
            in_home(home.path()).into_iter().filter(|(_, class)| *class == FileClass::PasswordStore).map(|(path, _)| path).collect();
        for wanted in [".mozilla/firefox/x1.default/logins.json", ".config/chromium/Profile 2/Login Data", ".password-store/bank.gpg"] {
            assert!(found.contains(&home.path().join(wanted)), "{wanted}: {found:?}");
        }
    }
}
