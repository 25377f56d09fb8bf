//! A mail to people, through the mail server that the owner named.

use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tokio::time::timeout;

use super::{secret, web};
use bartizan_alerts::{Body, Format, Parcel, render};
use bartizan_config::{MailSetting, MailTls};
use bartizan_model::Timestamp;

/// To connect and log in takes at most this long, and so does what follows, until the mail is taken.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long we wait for the answer to QUIT: the mail is taken already.
const FAREWELL: Duration = Duration::from_secs(1);
/// So many characters of an answer are shown.
const SHOWN: usize = 160;

const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// Why it was not sent, and whether the server refuses this mail rather than all.
#[derive(Debug)]
pub(crate) struct MailFailure {
    pub(crate) why: String,
    pub(crate) refused: bool,
}

impl MailFailure {
    fn here(why: String) -> Self {
        Self { why, refused: false }
    }
}

/// User and password.
type Login = (String, String);

/// Where the dialogue ended.
#[derive(Debug)]
struct Broken {
    /// None: there was no answer in time.
    error: Option<Error>,
    /// The server had the whole mail.
    had_all: bool,
}

/// Sends it once; what the server answered.
pub(crate) fn send(setting: &MailSetting, parcel: &Parcel, now: Timestamp) -> Result<String, MailFailure> {
    // The first provider of a process stays; a second call only says so.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mail = mail(setting, parcel, now).map_err(MailFailure::here)?;
    let login = setting.login.as_ref().map(|(user, password)| Ok((user.clone(), secret::read(password)?)));
    let login: Option<Login> = login.transpose().map_err(MailFailure::here)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| MailFailure::here(why.to_string()))?;
    let sent = runtime.block_on(deliver(setting, login.as_ref(), &mail));
    // A name that is still being looked up holds nobody up.
    runtime.shutdown_background();
    let hidden = login.as_ref().map(secrets_of).unwrap_or_default();
    match sent {
        Ok(answer) => {
            let said = one_line(answer.message().collect::<Vec<_>>().join(" "), &hidden);
            Ok(format!("{} answered {}: {said}", setting.host, answer.code()))
        }
        Err(broken) => Err(failure(&setting.host, &broken, &hidden)),
    }
}

/// The dialogue, command by command: the first answer that is no yes ends it and is what is told.
async fn deliver(setting: &MailSetting, login: Option<&Login>, mail: &Message) -> Result<Response, Broken> {
    let broken = |error, had_all| Broken { error, had_all };
    let entered = timeout(TIMEOUT, enter(setting, login)).await;
    let mut connection = entered.map_err(|_| broken(None, false))?.map_err(|why| broken(Some(why), false))?;
    let mut had_all = false;
    let hand_over = async {
        let envelope = mail.envelope();
        connection.command(Mail::new(envelope.from().cloned(), Vec::new())).await?;
        for receiver in envelope.to() {
            connection.command(Rcpt::new(receiver.clone(), Vec::new())).await?;
        }
        connection.command(Data).await?;
        had_all = true;
        connection.message(&mail.formatted()).await
    };
    let handed = timeout(TIMEOUT, hand_over).await;
    let answer = handed.map_err(|_| broken(None, had_all))?.map_err(|why| broken(Some(why), had_all))?;
    drop(timeout(FAREWELL, connection.quit()).await);
    Ok(answer)
}

/// Connects, encrypts and logs in. The asynchronous client, since the other one hides why a certificate is refused: it ignores the error
/// of the handshake and waits for the next answer.
async fn enter(setting: &MailSetting, login: Option<&Login>) -> Result<AsyncSmtpConnection, Error> {
    let (server, name) = ((setting.host.as_str(), setting.port), ClientId::default());
    let parameters = || TlsParameters::new(setting.host.clone());
    let at_once = (setting.tls == MailTls::Tls).then(parameters).transpose()?;
    let mut connection = AsyncSmtpConnection::connect_tokio1(server, Some(TIMEOUT), &name, at_once, None).await?;
    if setting.tls == MailTls::StartTls {
        connection.starttls(parameters()?, &name).await?;
    }
    if let Some((user, password)) = login {
        connection.auth(DEFAULT_MECHANISMS, &Credentials::new(user.clone(), password.clone())).await?;
    }
    Ok(connection)
}

fn mail(setting: &MailSetting, parcel: &Parcel, now: Timestamp) -> Result<Message, String> {
    let Body { headers, text, .. } = render(parcel, &Format::Mail, now);
    let mailbox = |address: &str| address.parse::<Mailbox>().map_err(|why| format!("\"{address}\" is no mail address: {why}"));
    let sender = mailbox(&setting.sender)?;
    // The same for a second attempt: who got the first one sees that it is the same mail.
    let id = format!("<{}@{}>", web::transaction(parcel, &text), sender.email.domain());
    let mut builder = Message::builder().from(sender).date(SystemTime::from(now)).message_id(Some(id));
    for address in &setting.to {
        builder = builder.to(mailbox(address)?);
    }
    if let Some((_, subject)) = headers.into_iter().find(|(name, _)| *name == "Subject") {
        builder = builder.subject(subject);
    }
    // RFC 3834: no answering machine answers.
    let automatic = HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned());
    let builder = builder.raw_header(automatic).header(ContentType::TEXT_PLAIN).header(ContentTransferEncoding::QuotedPrintable);
    builder.body(text).map_err(|why| format!("cannot write the mail: {why}"))
}

fn failure(host: &str, broken: &Broken, hidden: &[String]) -> MailFailure {
    let Some(error) = &broken.error else { return MailFailure::here(format!("{host}: no answer in time")) };
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let said = one_line(innermost.to_string(), hidden);
    match error.status() {
        // Before it had the mail, a refusal is about us, the login or an address, and may be different later.
        Some(code) => MailFailure { why: format!("{host} answered {code}: {said}"), refused: broken.had_all && error.is_permanent() },
        None if error.is_timeout() => MailFailure::here(format!("{host}: no answer in time")),
        None => MailFailure::here(format!("{host}: {said}")),
    }
}

/// What of a login may not be repeated when the other side repeats it: the password, and how it is written in AUTH PLAIN and AUTH LOGIN
/// (RFC 4616; Base64).
fn secrets_of((user, password): &Login) -> Vec<String> {
    let plain = base64(format!("\0{user}\0{password}").as_bytes());
    vec![plain, base64(password.as_bytes()), password.clone()]
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        let letter = move |at: usize| match LETTERS.get(((bits >> (18 - 6 * at)) & 63) as usize) {
            Some(letter) => char::from(*letter),
            None => '=',
        };
        let known = three.len() + 1;
        (0..4).map(move |at| if at < known { letter(at) } else { '=' })
    };
    bytes.chunks(3).flat_map(group).collect()
}

/// The beginning, in one line, without what is hidden.
fn one_line(mut text: String, hidden: &[String]) -> String {
    for secret in hidden {
        text = text.replace(secret.as_str(), "***");
    }
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests;
