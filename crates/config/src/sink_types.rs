//! What a sink is and where: its `type`, and the settings that this type has.

use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::alerts::Fields;
use super::mail::{MailSetting, mail};
use super::secret::Secret;

/// Longest command line, in arguments.
const MAX_ARGUMENTS: usize = 32;
/// Longest time that a command may take.
const LONGEST_COMMAND: Duration = Duration::from_secs(20);

/// In which form a web server takes messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebForm {
    /// Our own JSON, signed with HMAC-SHA256 when there is a secret.
    Json {
        /// The key of the signature.
        secret: Option<Secret>,
    },
    /// An incoming webhook of Slack.
    Slack,
    /// An incoming webhook of Mattermost.
    Mattermost,
    /// A webhook of Discord.
    Discord,
    /// A workflow of Teams.
    Teams,
    /// A topic of ntfy.
    Ntfy {
        /// The access token, where the topic needs one.
        token: Option<Secret>,
    },
    /// A bot of Telegram: the address is `https://api.telegram.org/botTOKEN/sendMessage`.
    Telegram {
        /// The chat.
        chat: String,
    },
    /// A room of Matrix: the address is that of the home server.
    Matrix {
        /// The room's id.
        room: String,
        /// The access token of the account that writes there.
        token: Secret,
    },
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkType {
    /// POSTed to a web server.
    Web {
        /// Where.
        url: Secret,
        /// In which form.
        form: WebForm,
    },
    /// Appended to a file, a JSON document a line.
    File {
        /// The file; absolute.
        path: PathBuf,
        /// From this size on a new one is begun; three older ones are kept.
        max_bytes: u64,
    },
    /// Given to a program on its standard input, as JSON.
    Command {
        /// Program and arguments; never read by a shell.
        line: Vec<String>,
        /// As this user, never root.
        user: String,
        /// It is killed after this time.
        timeout: Duration,
    },
    /// Sent as a mail.
    Mail(MailSetting),
    /// Sent to a syslog server (RFC 5424).
    Syslog {
        /// Host and port.
        address: String,
        /// Over TCP (RFC 6587, octet counting) instead of UDP (RFC 5426).
        tcp: bool,
    },
}

impl SinkType {
    /// Signed with nothing.
    pub(super) fn json(url: Secret) -> Self {
        Self::Web { url, form: WebForm::Json { secret: None } }
    }

    pub(super) fn slack(url: Secret) -> Self {
        Self::Web { url, form: WebForm::Slack }
    }

    pub(super) fn discord(url: Secret) -> Self {
        Self::Web { url, form: WebForm::Discord }
    }

    pub(super) fn ntfy(url: Secret) -> Self {
        Self::Web { url, form: WebForm::Ntfy { token: None } }
    }

    /// As in the settings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Web { form, .. } => match form {
                WebForm::Json { .. } => "json",
                WebForm::Slack => "slack",
                WebForm::Mattermost => "mattermost",
                WebForm::Discord => "discord",
                WebForm::Teams => "teams",
                WebForm::Ntfy { .. } => "ntfy",
                WebForm::Telegram { .. } => "telegram",
                WebForm::Matrix { .. } => "matrix",
            },
            Self::File { .. } => "file",
            Self::Command { .. } => "command",
            Self::Mail(_) => "mail",
            Self::Syslog { .. } => "syslog",
        }
    }
}

/// What the `type` of a sink says.
pub(super) fn sink_type(fields: &mut Fields) -> Result<SinkType, String> {
    const TYPES: &str = "json, slack, mattermost, discord, teams, ntfy, telegram, matrix, mail, file, command or syslog";
    let name = fields.needed("type", &format!("one of {TYPES}"))?;
    let form = match name.as_str() {
        "file" => return file(fields),
        "command" => return command(fields),
        "mail" => return mail(fields).map(SinkType::Mail),
        "syslog" => return syslog(fields),
        "json" => WebForm::Json { secret: secret(fields, "secret")? },
        "slack" => WebForm::Slack,
        "mattermost" => WebForm::Mattermost,
        "discord" => WebForm::Discord,
        "teams" => WebForm::Teams,
        "ntfy" => WebForm::Ntfy { token: secret(fields, "token")? },
        "telegram" => WebForm::Telegram { chat: fields.needed("chat", "\"-1001234567890\"")? },
        "matrix" => WebForm::Matrix {
            room: fields.needed("room", "\"!abc:example.org\"")?,
            token: secret(fields, "token")?.ok_or("has no token: write token = { file = \"/path\" }")?,
        },
        _ => return Err(format!("type \"{}\" is not known: write {TYPES}", name.escape_debug())),
    };
    let url = fields.take("url").ok_or("has no url: write url = \"https://host/path\", or { file = \"/path\" }")?;
    Ok(SinkType::Web { url: Secret::address(&url).map_err(|why| format!("url: {why}"))?, form })
}

fn secret(fields: &mut Fields, key: &'static str) -> Result<Option<Secret>, String> {
    fields.take(key).map(|value| Secret::elsewhere(&value).map_err(|why| format!("{key} {why}"))).transpose()
}

fn file(fields: &mut Fields) -> Result<SinkType, String> {
    let path = fields.needed("path", "\"/var/log/bartizan/alerts.jsonl\"")?;
    if !path.starts_with('/') {
        return Err(format!("path is \"{path}\", not absolute: begin it with /"));
    }
    let max_bytes = match fields.take("max_bytes") {
        None => 8 << 20,
        Some(value) => value
            .as_integer()
            .and_then(|bytes| u64::try_from(bytes).ok())
            .filter(|bytes| (65_536..=1 << 30).contains(bytes))
            .ok_or_else(|| format!("max_bytes is {value}, not a number from 65536 to 1073741824"))?,
    };
    Ok(SinkType::File { path: PathBuf::from(path), max_bytes })
}

fn command(fields: &mut Fields) -> Result<SinkType, String> {
    const WRITE: &str = "write command = [\"/usr/local/bin/page\", \"--urgent\"]";
    let value = fields.take("command").ok_or_else(|| format!("has no command: {WRITE}"))?;
    let text = |one: &Value| one.as_str().filter(|text| text.len() <= 1_024 && !text.contains('\0')).map(str::to_owned);
    let line: Option<Vec<String>> = value.as_array().and_then(|list| list.iter().map(text).collect());
    let line = line.filter(|line| line.len() <= MAX_ARGUMENTS && line.first().is_some_and(|program| program.starts_with('/')));
    let line = line.ok_or_else(|| format!("command is not a program with an absolute path and its arguments: {WRITE}"))?;
    let user = fields.text("user")?.unwrap_or_else(|| "nobody".to_owned());
    if user == "root" || user == "0" {
        return Err("user is root: name another, a command for alerts needs no rights".to_owned());
    }
    Ok(SinkType::Command { line, user, timeout: fields.span("timeout", Duration::from_secs(10), LONGEST_COMMAND)? })
}

fn syslog(fields: &mut Fields) -> Result<SinkType, String> {
    const SUCH: &str = "\"udp://loghost:514\" or \"tcp://loghost:601\"";
    let address = fields.needed("address", SUCH)?;
    let (tcp, rest) = match (address.strip_prefix("udp://"), address.strip_prefix("tcp://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Err(format!("address is \"{address}\": write {SUCH}")),
    };
    let is_place = rest.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    if !is_place {
        return Err(format!("address is \"{address}\", without host and port: write {SUCH}"));
    }
    Ok(SinkType::Syslog { address: rest.to_owned(), tcp })
}
