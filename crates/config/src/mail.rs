//! A mail server and who is written to: the settings of a sink of type `mail`.

use super::alerts::Fields;
use super::secret::Secret;

/// Most receivers.
const MAX_RECEIVERS: usize = 16;
/// Longest address (RFC 5321, section 4.5.3.1.3).
const MAX_ADDRESS: usize = 254;

/// Whether and how the connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// From the beginning (port 465).
    Tls,
    /// After STARTTLS (port 587); a server that has none is refused.
    StartTls,
    /// Not at all; then there is no login.
    None,
}

/// A mail server and who is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSetting {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: MailTls,
    /// User and password, where the server wants them.
    pub login: Option<(String, Secret)>,
    /// The address in `From`.
    pub sender: String,
    /// The addresses in `To`.
    pub to: Vec<String>,
}

/// What the settings of one sink say.
pub(super) fn mail(fields: &mut Fields) -> Result<MailSetting, String> {
    const SUCH: &str = "\"smtp.example.org:587\"";
    let server = fields.needed("server", SUCH)?;
    let place = server.rsplit_once(':').and_then(|(host, port)| Some((host.trim_matches(['[', ']']), port.parse().ok()?)));
    let (host, port) = place
        .filter(|(host, port)| !host.is_empty() && *port > 0)
        .ok_or_else(|| format!("server is \"{server}\", without host and port: write {SUCH}"))?;
    let tls = match fields.text("tls")?.as_deref() {
        None | Some("starttls") => MailTls::StartTls,
        Some("tls") => MailTls::Tls,
        Some("none") => MailTls::None,
        Some(other) => return Err(format!("tls is \"{other}\", not one of starttls, tls, none")),
    };
    let password = fields.take("password").map(|value| Secret::elsewhere(&value).map_err(|why| format!("password {why}"))).transpose()?;
    let login = match (fields.text("user")?, password) {
        (None, None) => None,
        (Some(_), Some(_)) if tls == MailTls::None => {
            return Err("a password is never sent unencrypted: set tls to starttls or tls".to_owned());
        }
        (Some(user), Some(password)) => Some((user, password)),
        (Some(_), None) => return Err("has a user and no password: write password = { file = \"/path\" }".to_owned()),
        (None, Some(_)) => return Err("has a password and no user: write user = \"name\"".to_owned()),
    };
    let sender = fields.needed("sender", "\"bartizan@web-1.example.org\"")?;
    Ok(MailSetting { host: host.to_owned(), port, tls, login, sender: address(&sender)?, to: receivers(fields)? })
}

fn receivers(fields: &mut Fields) -> Result<Vec<String>, String> {
    const WRITE: &str = "write to = [\"you@example.org\"]";
    let value = fields.take("to").ok_or_else(|| format!("has no receivers: {WRITE}"))?;
    let list = value.as_array().filter(|list| (1..=MAX_RECEIVERS).contains(&list.len()));
    let list = list.ok_or_else(|| format!("to is not a list of at most {MAX_RECEIVERS} mail addresses: {WRITE}"))?;
    list.iter().map(|one| address(one.as_str().unwrap_or_default())).collect()
}

/// Only plain addresses: no name, no comment, no second one.
fn address(text: &str) -> Result<String, String> {
    let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.@".contains(c));
    let is_one = text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    if !is_one || !is_plain(text) || text.len() > MAX_ADDRESS {
        let shown: String = text.escape_debug().take(60).collect();
        return Err(format!("\"{shown}\" is no mail address: write you@example.org"));
    }
    Ok(text.to_owned())
}
