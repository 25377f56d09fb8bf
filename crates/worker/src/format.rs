//! How a log writes its lines, by the names that people give in `[[logs]]`.

use bartizan_logs::web::Format as WebFormat;
use serde::{Deserialize, Serialize};

use super::jails::Jailed;

/// How a source writes its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFormat {
    /// Lines of a syslog daemon, `vsftpd.log`, `proftpd.log`.
    Auth,
    /// Entries of `journalctl --output=json`.
    Journal,
    /// Docker's `json-file`.
    Docker,
    /// What auditd writes of logins and accounts.
    Audit,
    /// Requests, in this format of the server; `None` when it is to be guessed line by line.
    Access(Option<WebFormat>),
    /// nginx's error log.
    NginxError,
    /// Apache's error log.
    ApacheError,
    /// One of the others, or none of ours, with jails taken over from fail2ban.
    Jailed(Box<Jailed>),
}

impl LogFormat {
    /// The format of this name, or of this text of a server's configuration.
    pub fn named(text: &str) -> Option<Self> {
        Some(match text {
            "auth" | "syslog" => Self::Auth,
            "journal" => Self::Journal,
            "docker" => Self::Docker,
            "auditd" => Self::Audit,
            "access" | "common" | "json" => Self::Access(None),
            "combined" => Self::Access(Some(WebFormat::combined())),
            "nginx-error" => Self::NginxError,
            "apache-error" => Self::ApacheError,
            text if text.contains('$') => Self::Access(Some(WebFormat::nginx(text, Default::default()))),
            text if text.contains('%') => Self::Access(Some(WebFormat::apache(text))),
            _ => return None,
        })
    }

    /// All names that there are.
    pub const NAMES: [&'static str; 8] = ["auth", "journal", "docker", "auditd", "access", "combined", "nginx-error", "apache-error"];

    /// In a table.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Journal => "journal",
            Self::Docker => "docker",
            Self::Audit => "auditd",
            Self::Access(_) => "access",
            Self::NginxError => "nginx-error",
            Self::ApacheError => "apache-error",
            Self::Jailed(jailed) => jailed.own.as_ref().map_or("jail", Self::noun),
        }
    }
}
