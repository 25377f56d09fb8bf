//! Where a secret lies: never in what is shown, logged or printed.

use std::fmt;
use std::path::PathBuf;

use toml::Value;

/// Longest text, in bytes.
const MAX_TEXT: usize = 2_048;

/// A secret, or where it is read from each time that it is needed.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In the settings themselves: only addresses may stand there.
    Plain(String),
    /// The first line of this file; absolute.
    File(PathBuf),
    /// An environment variable of the agent.
    Environment(String),
    /// A credential that systemd passes: a file of this name in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), `LoadCredential=`).
    Credential(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Secret::Plain(..)"),
            Self::File(path) => write!(f, "Secret::File({})", path.display()),
            Self::Environment(name) => write!(f, "Secret::Environment({name})"),
            Self::Credential(name) => write!(f, "Secret::Credential({name})"),
        }
    }
}

impl Secret {
    /// From `{ file = "/etc/bartizan/token" }`, `{ env = "NAME" }` or `{ credential = "name" }`.
    pub(super) fn elsewhere(value: &Value) -> Result<Self, String> {
        const WRITE: &str = "write { file = \"/path\" }, { env = \"NAME\" } or { credential = \"name\" }";
        let table = value.as_table().filter(|table| table.len() == 1);
        let Some((place, Value::String(text))) = table.and_then(|table| table.iter().next()) else {
            // The value may be the secret: it is not repeated.
            return Err(format!("is not a place of a secret: {WRITE}"));
        };
        let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        match place.as_str() {
            "file" if text.starts_with('/') && text.len() <= MAX_TEXT => Ok(Self::File(PathBuf::from(text))),
            "env" if is_name => Ok(Self::Environment(text.clone())),
            "credential" if is_name && !text.starts_with('.') => Ok(Self::Credential(text.clone())),
            _ => Err(format!("is not a place of a secret: {WRITE}")),
        }
    }

    /// The same, or a web address that stands in the settings.
    pub(super) fn address(value: &Value) -> Result<Self, String> {
        let Value::String(url) = value else { return Self::elsewhere(value) };
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let is_one = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        if !is_one || url.contains(|c: char| c == ' ' || c.is_control()) || url.len() > MAX_TEXT {
            // Only the scheme is repeated: without one, all of it may be the secret.
            let shown = url.split_once("://").map_or("it", |(scheme, _)| scheme);
            let shown: String = shown.escape_debug().take(12).collect();
            return Err(format!("is not a web address ({shown}...): write https://host/path"));
        }
        Ok(Self::Plain(url.clone()))
    }
}
