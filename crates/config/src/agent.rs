//! Where the agent lives, who may talk to it, what it keeps: `agent.toml`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value;

use super::alerts::{self, AlertSettings};
use super::layers::{ConfigError, Layers, Origin, read_file};
use super::logs::{self, LogSetting};
use super::policy::{self, Policy};
use super::values::{bad, bytes, ids, lane, number, one_of, path, text, text_of};
use bartizan_model::Rung;

/// The commented default settings, also installed as an example.
pub const DEFAULT: &str = include_str!("../../../config/agent.toml");

/// Where settings are read from unless told otherwise.
pub const FILE: &str = "/etc/bartizan/agent.toml";

/// Longest path of a unix socket: `sun_path` is 108 bytes with its end (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;

/// What the command line says about settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    /// `--config FILE`
    pub config: Option<PathBuf>,
    /// `--data DIR`
    pub data: Option<PathBuf>,
    /// `--socket PATH`
    pub socket: Option<PathBuf>,
    /// `--rung RUNG`
    pub rung: Option<Rung>,
}

/// How much of its own doings the agent writes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the five levels of every log
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// As in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How many events may wait in each lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // by urgency
pub struct LaneSizes {
    pub security: usize,
    pub normal: usize,
    pub bulk: usize,
}

/// Who may do what on the socket, besides user 0 who may do all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Group that may open the socket.
    pub socket_group: Option<String>,
    /// User ids that may approve, act and undo.
    pub operators: Vec<u32>,
    /// Group ids that may.
    pub operator_groups: Vec<u32>,
    /// User ids that may also change the mode and stop.
    pub admins: Vec<u32>,
    /// Group ids that may.
    pub admin_groups: Vec<u32>,
}

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Database, audit log, keys, own logs. Absolute.
    pub data: PathBuf,
    /// Socket and short-lived state. Absolute.
    pub runtime: PathBuf,
    /// Control socket. Absolute, at most 107 bytes.
    pub socket: PathBuf,
    /// Who may do what.
    pub access: Access,
    /// The sensors to use; `None` means the best that works.
    pub rung: Option<Rung>,
    /// Most bytes of the archive on disk.
    pub store_max_bytes: u64,
    /// How long facts are kept.
    pub store_max_age: Duration,
    /// How many events may wait.
    pub lanes: LaneSizes,
    /// What the agent may cost: percent of one core over ten seconds, 1 to 800.
    pub max_cpu_percent: u32,
    /// What the agent may hold: resident bytes, 64 MiB to 16 GiB.
    pub max_memory: u64,
    /// Logs to follow besides those that are found, or not to follow.
    pub logs: Vec<LogSetting>,
    /// Who is told, where and when. Without sinks nothing leaves this host.
    pub alerts: AlertSettings,
    /// How much is logged.
    pub log: LogLevel,
    /// What counts as an attack and what may be done about it.
    pub policy: Policy,
    /// Where the policy came from; `None` means it is the built-in one.
    pub policy_file: Option<PathBuf>,
    /// Watches and judges, and changes nothing on the host: beside another agent, for the length of a drill. No file sets it.
    pub only_watches: bool,
    policy_place: PathBuf,
    /// Where agent.toml is or would be.
    file: PathBuf,
    layers: Layers,
}

impl Settings {
    /// Reads defaults, file, environment and flags, in this order, and the policy beside the file.
    ///
    /// # Errors
    /// [`ConfigError`]: one line with file, line, key and what to write. Nothing is half taken over.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::load_with(flags, &|name| std::env::var_os(name))
    }

    /// The same with another environment.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load_with(flags: &Flags, environment: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let named = flags.config.clone().or_else(|| environment("BARTIZAN_CONFIG").map(PathBuf::from));
        let file = named.clone().unwrap_or_else(|| PathBuf::from(FILE));
        let mut layers = Layers::built_in(DEFAULT)?;
        if let Some(text) = read_file(&file, named.is_some())? {
            layers.add_file(&text, &file)?;
        }
        layers.add_environment(environment)?;
        for (key, path) in [("data", &flags.data), ("socket", &flags.socket)] {
            if let Some(path) = path {
                layers.put(key, text_of(key, path)?, Origin::Flag)?;
            }
        }
        if let Some(rung) = flags.rung {
            layers.put("rung", Value::String(rung_name(rung).to_owned()), Origin::Flag)?;
        }
        let policy_file = file.with_file_name("policy.toml");
        let (policy, own) = policy_from(&policy_file)?;
        Ok(Self { file, ..Self::from_layers(layers, policy, policy_file, own)? })
    }

    /// Reads the policy again, from where it was or would have been at the start.
    ///
    /// # Errors
    /// As [`Settings::load`]; the policy in force is not touched.
    pub fn read_policy(&self) -> Result<Policy, ConfigError> {
        policy_from(&self.policy_place).map(|(policy, _)| policy)
    }

    /// Reads the lists of who may do what again, from where they were at the start.
    ///
    /// # Errors
    /// As [`Settings::load`]; the lists in force are not touched.
    pub fn read_access(&self) -> Result<Access, ConfigError> {
        let mut layers = Layers::built_in(DEFAULT)?;
        if let Some(text) = read_file(&self.file, false)? {
            layers.add_file(&text, &self.file)?;
        }
        layers.add_environment(&|name| std::env::var_os(name))?;
        access(&layers)
    }

    /// Where the jails are that were taken over from fail2ban, if any were: beside `agent.toml`.
    pub fn fail2ban_file(&self) -> PathBuf {
        self.file.with_file_name("fail2ban.toml")
    }

    /// Where `agent.toml` is, or would be looked for.
    pub fn file(&self) -> &Path {
        &self.file
    }

    fn from_layers(layers: Layers, policy: Policy, policy_place: PathBuf, own_policy: bool) -> Result<Self, ConfigError> {
        let data = path(&layers, "data")?.ok_or_else(|| bad(&layers, "data", "is empty: write an absolute path".to_owned()))?;
        let runtime = match path(&layers, "runtime")? {
            Some(runtime) => runtime,
            None if matches!(layers.get("data")?.1, Origin::Default) => PathBuf::from("/run/bartizan"),
            None => data.join("run"),
        };
        let socket = path(&layers, "socket")?.unwrap_or_else(|| runtime.join("bartizan.sock"));
        if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
            return Err(bad(
                &layers,
                "socket",
                format!("{} is longer than {LONGEST_SOCKET_PATH} bytes, which no socket can have: write a shorter path", socket.display()),
            ));
        }
        Ok(Self {
            data,
            runtime,
            socket,
            access: access(&layers)?,
            rung: rung(&layers)?,
            store_max_bytes: bytes(&layers, "store_max_bytes", 16 << 20..=1 << 40, "16MiB to 1TiB")?,
            store_max_age: Duration::from_secs(number(&layers, "store_max_days", 1, 3650)? * 86_400),
            lanes: LaneSizes {
                security: lane(&layers, "lane_security")?,
                normal: lane(&layers, "lane_normal")?,
                bulk: lane(&layers, "lane_bulk")?,
            },
            max_cpu_percent: u32::try_from(number(&layers, "max_cpu_percent", 1, 800)?).unwrap_or(u32::MAX),
            max_memory: bytes(&layers, "max_memory", 64 << 20..=16 << 30, "64MiB to 16GiB")?,
            logs: logs::logs(&layers)?,
            alerts: alerts::alerts(&layers)?,
            log: log_level(&layers)?,
            policy,
            policy_file: own_policy.then(|| policy_place.clone()),
            only_watches: false,
            policy_place,
            file: PathBuf::from(FILE),
            layers,
        })
    }

    /// Where the value of a setting came from; `None` for a name that does not exist.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.layers.get(key).ok().map(|(_, origin)| origin)
    }

    /// Every setting as `key = value (origin)`, by name; the last line is about the policy.
    pub fn describe(&self) -> Vec<String> {
        let effective = |key: &str, value: &Value| match key {
            "runtime" => format!("\"{}\"", self.runtime.display()),
            "socket" => format!("\"{}\"", self.socket.display()),
            // The rest of the address is often a secret.
            "webhook" | "alerts_heartbeat" => host_of(value),
            "alerts_sinks" => alerts::shown(&self.alerts),
            _ => value.to_string(),
        };
        let mut lines: Vec<String> =
            self.layers.iter().map(|(key, value, origin)| format!("{key} = {} ({origin})", effective(key, value))).collect();
        lines.push(match &self.policy_file {
            Some(file) => format!("policy = \"{}\"", file.display()),
            None => "policy = built-in (default)".to_owned(),
        });
        lines
    }
}

/// Scheme and host of an address, or that it lies elsewhere.
fn host_of(value: &Value) -> String {
    match value {
        Value::String(url) if url.is_empty() => "\"\"".to_owned(),
        Value::String(url) => format!("\"{}/...\"", url.split('/').take(3).collect::<Vec<_>>().join("/")),
        other => other.to_string(),
    }
}

fn rung_name(rung: Rung) -> &'static str {
    match rung {
        Rung::Ebpf => "ebpf",
        Rung::ProcessConnector => "process-connector",
        Rung::Procfs => "procfs",
    }
}

/// The policy of a file, and whether there is one.
fn policy_from(file: &Path) -> Result<(Policy, bool), ConfigError> {
    let text = read_file(file, false)?;
    Ok((Policy::parse(text.as_deref().unwrap_or_default(), &file.display().to_string())?, text.is_some()))
}

/// Who may do what.
fn access(layers: &Layers) -> Result<Access, ConfigError> {
    Ok(Access {
        socket_group: text(layers, "socket_group")?,
        operators: ids(layers, "operators")?,
        operator_groups: ids(layers, "operator_groups")?,
        admins: ids(layers, "admins")?,
        admin_groups: ids(layers, "admin_groups")?,
    })
}

fn rung(layers: &Layers) -> Result<Option<Rung>, ConfigError> {
    let choices =
        [("auto", None), ("ebpf", Some(Rung::Ebpf)), ("process-connector", Some(Rung::ProcessConnector)), ("procfs", Some(Rung::Procfs))];
    one_of(layers, "rung", &choices)
}

fn log_level(layers: &Layers) -> Result<LogLevel, ConfigError> {
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    one_of(layers, "log", &[Error, Warn, Info, Debug, Trace].map(|level| (level.name(), level)))
}

/// The whole of what a user may write, for `docs/` and for a first installation: file name and text.
pub const EXAMPLES: [(&str, &str); 2] = [("agent.toml", DEFAULT), ("policy.toml", policy::DEFAULT)];

#[cfg(test)]
mod tests {
    use super::*;

    fn load(agent: Option<&str>, policy: Option<&str>, environment: &[(&str, &str)], flags: Flags) -> Result<Settings, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.toml");
        std::fs::write(&file, agent.unwrap_or_default()).unwrap();
        if let Some(policy) = policy {
            std::fs::write(dir.path().join("policy.toml"), policy).unwrap();
        }
        let environment: Vec<(String, String)> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let read = move |name: &str| environment.iter().find(|(key, _)| key == name).map(|(_, value)| OsString::from(value));
        let flags = Flags { config: Some(file), ..flags };
        let prefix = format!("{}/", dir.path().display());
        Settings::load_with(&flags, &read).map_err(|e| e.to_string().replace(&prefix, ""))
    }

    #[test]
    fn the_built_in_settings_are_valid() {
        let settings = load(None, None, &[], Flags::default()).unwrap();
        assert_eq!(settings.socket, Path::new("/run/bartizan/bartizan.sock"));
        assert_eq!((settings.rung, settings.store_max_bytes, settings.alerts.sinks.len()), (None, 1 << 30, 0));
        assert_eq!((settings.max_cpu_percent, settings.max_memory), (20, 256 << 20));
    }

    #[test]
    fn later_layers_win_and_each_value_knows_its_origin() {
        let file = "# mine\nrung = \"procfs\"\nlog = \"debug\"\ndata = \"/srv/a\"\nstore_max_days = 3\n";
        let environment = [("BARTIZAN_LOG", "warn"), ("BARTIZAN_DATA", "/srv/b"), ("BARTIZAN_ADMINS", "5, 6")];
        let flags = Flags { data: Some(PathBuf::from("/srv/c")), ..Flags::default() };
        let settings = load(Some(file), None, &environment, flags).unwrap();
        assert_eq!((settings.rung, settings.log, settings.data.as_path()), (Some(Rung::Procfs), LogLevel::Warn, Path::new("/srv/c")));
        assert_eq!(settings.socket, Path::new("/srv/c/run/bartizan.sock"), "one --data isolates an agent");
        assert_eq!(settings.access.admins, [5, 6]);
        assert!(matches!(settings.origin("rung"), Some(Origin::File(_, 2))));
        assert_eq!(settings.origin("log"), Some(&Origin::Environment("BARTIZAN_LOG".to_owned())));
        assert_eq!((settings.origin("data"), settings.origin("webhook")), (Some(&Origin::Flag), Some(&Origin::Default)));
        assert!(settings.describe().contains(&"log = \"warn\" ($BARTIZAN_LOG)".to_owned()));
    }

    #[test]
    fn mistakes_are_one_line_with_place_key_and_what_to_write() {
        let cases = [
            ("\nlogg = \"info\"\n", "agent.toml:2: logg: no such setting (did you mean log?); known are "),
            ("log = 3\n", "agent.toml:1: log: 3 is not a text: write it in quotes"),
            ("log = \"loud\"\n", "agent.toml:1: log: \"loud\" is not one of error, warn, info, debug, trace"),
            ("data = \"var\"\n", "agent.toml:1: data: \"var\" is not an absolute path: begin it with /"),
            ("data = \"\"\n", "agent.toml:1: data: is empty: write an absolute path"),
            ("store_max_bytes = \"3 parsecs\"\n", "agent.toml:1: store_max_bytes: \"3 parsecs\" is not a size"),
            ("store_max_days = 0\n", "agent.toml:1: store_max_days: 0 is not a whole number from 1 to 3650"),
            ("max_cpu_percent = 0\n", "agent.toml:1: max_cpu_percent: 0 is not a whole number from 1 to 800"),
            ("max_memory = \"1MiB\"\n", "agent.toml:1: max_memory: \"1MiB\" is not a size from 64MiB to 16GiB"),
            ("lane_bulk = -1\n", "agent.toml:1: lane_bulk: -1 is not a whole number"),
            ("operators = [\"bob\"]\n", "agent.toml:1: operators: [\"bob\"] is not a list of numeric ids"),
            ("webhook = \"ftp://x\"\n", "agent.toml:1: webhook: is not a web address (ftp...)"),
            ("webhook_format = \"irc\"\n", "agent.toml:1: webhook_format: \"irc\" is not one of json, slack, discord, ntfy"),
            ("[webhook]\ncolour = \"red\"\n", "agent.toml:1: webhook_colour: no such setting"),
            ("logs = 3\n", "agent.toml:1: logs: is not a list of at most 100 logs: write [[logs]]"),
            ("[[logs]]\npath = \"app.log\"\n", "agent.toml:1: logs: \"app.log\" is not an absolute path: write [[logs]]"),
            ("[[logs]]\nfile = \"/a\"\n", "agent.toml:1: logs: \"file\" is not known of a log, only path, format and off are"),
            ("[[logs]]\npath = \"/a\"\noff = 1\n", "agent.toml:1: logs: off is 1, not true or false"),
            ("a = \n", "agent.toml: line 1: "),
        ];
        for (file, expected) in cases {
            let error = load(Some(file), None, &[], Flags::default()).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains('\n'), "{file:?}: {error}");
        }
        let error = load(None, None, &[("BARTIZAN_RUNG", "best")], Flags::default()).unwrap_err();
        assert_eq!(error, "$BARTIZAN_RUNG: rung: \"best\" is not one of auto, ebpf, process-connector, procfs");
    }

    #[test]
    fn a_named_file_must_exist_and_the_policy_beside_it_is_used() {
        let flags = Flags { config: Some(PathBuf::from("/nonexistent/a.toml")), ..Flags::default() };
        let error = Settings::load_with(&flags, &|_| None).unwrap_err().to_string();
        assert!(error.starts_with("/nonexistent/a.toml: cannot be read: "), "{error}");
        let settings = load(None, Some("[mode]\ninitial = \"aggressive\"\n"), &[], Flags::default()).unwrap();
        assert_eq!(settings.policy.mode.initial, bartizan_model::Mode::Aggressive);
        let secret = load(Some("webhook = \"https://host/hook/SECRET\"\n"), None, &[], Flags::default()).unwrap().describe().join("\n");
        assert!(secret.contains("webhook = \"https://host/...\"") && !secret.contains("SECRET"), "{secret}");
        let logs = load(
            Some("[[logs]]\npath = \"/srv/a\"\nformat = \"access\"\n[[logs]]\npath = \"journal\"\noff = true\n"),
            None,
            &[],
            Flags::default(),
        );
        let logs: Vec<_> = logs.unwrap().logs.into_iter().map(|log| (log.path, log.format, log.off)).collect();
        assert_eq!(logs, [(Some("/srv/a".into()), Some("access".to_owned()), false), (None, None, true)]);
        assert_eq!(
            load(None, Some("[mode]\nbalanced_at = 2.0\n"), &[], Flags::default()).unwrap_err(),
            "policy.toml: line 2: mode.balanced_at: 2 is not between 0 and 1"
        );
    }
}
