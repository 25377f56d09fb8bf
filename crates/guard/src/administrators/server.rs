//! The SSH servers of this host and what their configuration really says of one login: `sshd -T -C` of the very program,
//! file and options that a live server was started with; for dropbear its options.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::PATIENCE;
use bartizan_sys::{child, pidfd, proc_files, system_program};

/// Servers of different programs or options that are asked.
const MOST: usize = 4;
/// Bytes of a command line.
const LONGEST: usize = 16 << 10;
/// Options of sshd(8) with a value, and those of them on which its configuration depends.
const WITH_VALUE: &str = "CEbcfghkopu";
const PASSED_ON: &str = "fohcp";

/// How a server was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Server {
    /// The program, and those of its options that say how it is configured.
    OpenSsh { program: PathBuf, options: Vec<String> },
    /// Its command line.
    Dropbear { arguments: Vec<String> },
}

/// What a server does with one login: keyword (lower case) to its values, a line each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Effective {
    values: HashMap<String, Vec<String>>,
}

impl Effective {
    fn parse(text: &str) -> Self {
        let mut values: HashMap<String, Vec<String>> = HashMap::new();
        for (word, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            values.entry(word.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
        }
        Self { values }
    }

    /// Every keyword with each of its values, the keywords in order.
    pub(super) fn pairs(self) -> Vec<(String, String)> {
        let mut pairs: Vec<_> =
            self.values.into_iter().flat_map(|(word, values)| values.into_iter().map(move |value| (word.clone(), value))).collect();
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        pairs
    }

    /// Every value of a keyword.
    pub(crate) fn all(&self, word: &str) -> impl Iterator<Item = &str> {
        self.values.get(word).into_iter().flatten().map(String::as_str)
    }

    /// Its first value, unless that is `none`.
    pub(super) fn one(&self, word: &str) -> Option<&str> {
        self.all(word).next().filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case("none"))
    }

    /// Whether it is `yes`.
    pub(super) fn says_yes(&self, word: &str) -> bool {
        self.one(word) == Some("yes")
    }
}

/// The servers that run here; where none does, the one that the first connection would start.
pub(crate) fn servers() -> Vec<Server> {
    let mut found: Vec<Server> = Vec::new();
    for server in pidfd::everything().unwrap_or_default().iter().filter_map(|stat| of(stat.pid)) {
        if !found.contains(&server) && found.len() < MOST {
            found.push(server);
        }
    }
    let idle = Path::new("/usr/sbin/sshd");
    if found.is_empty() && idle.is_file() {
        found.push(Server::OpenSsh { program: idle.to_owned(), options: Vec::new() });
    }
    found
}

/// A process of root's that serves this host (its files are ours or init's).
fn of(pid: u32) -> Option<Server> {
    let name = system_program::name(pid).filter(|name| matches!(name.as_str(), "sshd" | "dropbear"))?;
    let mounts = |who: &str| fs::metadata(format!("/proc/{who}/ns/mnt")).ok().map(|place| place.ino());
    let theirs = mounts(&pid.to_string())?;
    if proc_files::real_uid(pid) != Some(0) || ![mounts("thread-self"), mounts("1")].contains(&Some(theirs)) {
        return None;
    }
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(line.get(..LONGEST).unwrap_or(&line)).into_owned();
    let words = words(&line)?;
    if name == "dropbear" {
        return Some(Server::Dropbear { arguments: words });
    }
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let program = PathBuf::from(program.to_string_lossy().trim_end_matches(" (deleted)"));
    let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_else(|_| "/".into());
    Some(Server::OpenSsh { program, options: options(&words, &cwd) })
}

/// The arguments of a listener; `None` for what serves one session. sshd writes its state over its own command line:
/// `sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups`.
fn words(line: &str) -> Option<Vec<String>> {
    match line.trim_end_matches(['\0', ' ']).strip_prefix("sshd: ") {
        Some(title) => {
            let (command, _) = title.rsplit_once(" [listener]")?;
            Some(command.split_ascii_whitespace().skip(1).map(str::to_owned).collect())
        }
        None => Some(line.split('\0').skip(1).filter(|word| !word.is_empty()).map(str::to_owned).collect()),
    }
}

/// Those that its configuration depends on, ready to be passed on; the file by its whole path.
fn options(words: &[String], cwd: &Path) -> Vec<String> {
    let mut passed: Vec<String> = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-') else { continue };
        let Some(at) = letters.find(|letter| WITH_VALUE.contains(letter)) else { continue };
        let (letter, rest) = (&letters[at..=at], &letters[at + 1..]);
        let mut value = if rest.is_empty() { words.next().cloned().unwrap_or_default() } else { rest.to_owned() };
        // Blanks within a value are not told apart from those between two words.
        while letter == "o" && words.peek().is_some_and(|next| !next.starts_with('-')) {
            value = format!("{value} {}", words.next().map(String::as_str).unwrap_or_default());
        }
        if letter == "f" {
            value = cwd.join(&value).to_string_lossy().into_owned();
        }
        if PASSED_ON.contains(letter) {
            passed.extend([format!("-{letter}"), value]);
        }
    }
    passed
}

impl Server {
    /// What it does with a login of this account from this address.
    ///
    /// # Errors
    /// One sentence: why that cannot be told.
    pub(super) fn effective(&self, name: &str, from: IpAddr) -> Result<Effective, String> {
        match self {
            Self::Dropbear { arguments } => Ok(of_dropbear(arguments)),
            Self::OpenSsh { .. } if name.contains([',', '=', '\0']) || name.is_empty() => Err("its name cannot be asked for".to_owned()),
            Self::OpenSsh { .. } => self.say(Some(format!("user={name},host={from},addr={from},laddr=127.0.0.1,lport=22"))),
        }
    }

    /// What it does with everybody: outside of every Match block.
    ///
    /// # Errors
    /// As [`Server::effective`].
    pub(crate) fn general(&self) -> Result<Effective, String> {
        match self {
            Self::Dropbear { arguments } => Ok(of_dropbear(arguments)),
            Self::OpenSsh { .. } => self.say(None),
        }
    }

    fn say(&self, connection: Option<String>) -> Result<Effective, String> {
        let Self::OpenSsh { program, options } = self else { return Err("no sshd".to_owned()) };
        let mut arguments: Vec<OsString> = vec!["-T".into()];
        arguments.extend(connection.into_iter().flat_map(|connection| ["-C".into(), connection.into()]));
        arguments.extend(options.iter().map(OsString::from));
        let shown = program.display().to_string().escape_debug().to_string();
        let said = child::ask(program.as_os_str(), &arguments, PATIENCE).map_err(|why| format!("`{shown} -T`: {why}"))?;
        if said.success {
            return Ok(Effective::parse(&String::from_utf8_lossy(&said.out)));
        }
        let why = String::from_utf8_lossy(&said.err).lines().next().unwrap_or("it failed").escape_debug().take(200).collect::<String>();
        Err(format!("`{shown} -T`: {why}"))
    }

    /// Whether its files ask where a login comes from.
    pub(super) fn depends_on_address(&self) -> bool {
        let Self::OpenSsh { options, .. } = self else { return false };
        let file = options.iter().position(|word| word == "-f").and_then(|at| options.get(at + 1)).map_or("/etc/ssh/sshd_config", |f| f);
        let dropins = fs::read_dir("/etc/ssh/sshd_config.d").into_iter().flatten().flatten().take(256);
        let mut files: Vec<String> = dropins.map(|entry| entry.path().to_string_lossy().into_owned()).collect();
        files.push(file.to_owned());
        files.iter().any(|file| {
            let text = String::from_utf8_lossy(&super::read(file)).to_ascii_lowercase();
            let words = text.lines().map(str::trim).filter(|line| line.starts_with("match"));
            words
                .flat_map(str::split_ascii_whitespace)
                .any(|word| ["address", "host", "localaddress", "localport", "rdomain"].contains(&word))
        })
    }
}

/// dropbear(8) has no file: what its options say, in the words of sshd_config(5).
fn of_dropbear(arguments: &[String]) -> Effective {
    let has = |option: &str| arguments.iter().any(|word| word == option);
    let value = |option: &str| arguments.iter().position(|word| word == option).and_then(|at| arguments.get(at + 1));
    let root = if has("-w") {
        "no"
    } else if has("-g") {
        "prohibit-password"
    } else {
        "yes"
    };
    let passwords = if has("-s") { "no" } else { "yes" };
    let empty = if has("-B") { "yes" } else { "no" };
    let mut text = format!(
        "permitrootlogin {root}\npasswordauthentication {passwords}\npermitemptypasswords {empty}\npubkeyauthentication yes\nusepam no\nstrictmodes yes\nauthorizedkeysfile .ssh/authorized_keys\n"
    );
    for (word, value) in [("forcecommand", value("-c")), ("allowgroups", value("-G"))] {
        text.extend(value.map(|value| format!("{word} {value}\n")));
    }
    for port in arguments.iter().zip(arguments.iter().skip(1)).filter(|(option, _)| *option == "-p").map(|(_, port)| port) {
        text.push_str(&format!("port {}\n", port.rsplit(':').next().unwrap_or_default()));
    }
    Effective::parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_known_by_its_title_and_a_session_is_none() {
        let listener = "sshd: /usr/sbin/sshd -D -f etc/own.conf -o AllowUsers=ann bob -p 2222 [listener] 0 of 10-100 startups\0\0";
        let found = options(&words(listener).unwrap(), Path::new("/srv"));
        assert_eq!(found, ["-f", "/srv/etc/own.conf", "-o", "AllowUsers=ann bob", "-p", "2222"]);
        assert_eq!(options(&words("/usr/sbin/sshd\0-De\0-f/etc/x\0").unwrap(), Path::new("/")), ["-f", "/etc/x"]);
        assert_eq!((words("sshd: ann [priv]\0"), words("sshd: ann@pts/0\0\0")), (None, None));
        assert_eq!(options(&words("/usr/sbin/sshd\0-o").unwrap(), Path::new("/")), ["-o", ""]);
    }

    #[test]
    fn dropbear_says_by_its_options_whom_it_lets_in() {
        let said = of_dropbear(&["-F", "-w", "-s", "-p", "192.0.2.1:2222"].map(str::to_owned));
        assert_eq!(
            (said.one("permitrootlogin"), said.says_yes("passwordauthentication"), said.one("port")),
            (Some("no"), false, Some("2222"))
        );
    }
}
