//! A sink: takes a parcel, and says in words what came of it. Blocks whoever sends, so each has a thread of its own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::web::Web;
use super::web_client::{WebFailure, host_of};
use super::{mail, secret, syslog};
use bartizan_alerts::{Failure, Format, Message, Parcel, render};
use bartizan_config::{MailSetting, Secret, SinkSetting, SinkType};
use bartizan_model::{SinkTest, Timestamp};
use bartizan_sys::{feed, line_file};

/// One sink.
#[derive(Debug)]
pub struct Sink(To);

#[derive(Debug)]
enum To {
    Web(Box<Web>),
    File { path: PathBuf, max_bytes: u64 },
    Command { line: Vec<String>, user: String, timeout: Duration },
    Mail(MailSetting),
    Syslog { address: String, tcp: bool },
}

impl Sink {
    /// The sink of these settings. Nothing is opened or asked yet.
    pub fn new(setting: &SinkSetting) -> Self {
        Self(match setting.to.clone() {
            SinkType::Web { url, form } => To::Web(Box::new(Web::new(url, form))),
            SinkType::File { path, max_bytes } => To::File { path, max_bytes },
            SinkType::Command { line, user, timeout } => To::Command { line, user, timeout },
            SinkType::Mail(setting) => To::Mail(setting),
            SinkType::Syslog { address, tcp } => To::Syslog { address, tcp },
        })
    }

    /// Sends it once and waits until it is known what came of it, at most about a quarter of a minute; `now` is when it is sent.
    /// What the other side answered, in words.
    ///
    /// # Errors
    /// [`Failure`]: why it was not taken, and whether another attempt makes sense.
    pub fn send(&self, parcel: &Parcel, now: Timestamp) -> Result<String, Failure> {
        match &self.0 {
            To::Web(web) => web.send(parcel, now).map_err(web_failure),
            To::File { path, max_bytes } => {
                let line = render(parcel, &Format::Json, now).text;
                let appended = line_file::append(path, &line, *max_bytes);
                appended.map_err(|why| failure(format!("{}: {why}", path.display())))?;
                Ok(format!("appended to {}", path.display()))
            }
            To::Command { line, user, timeout } => {
                let input = format!("{}\n", render(parcel, &Format::Json, now).text);
                command(line, user, &input, *timeout).map_err(failure)
            }
            To::Mail(setting) => mail::send(setting, parcel, now).map_err(|mail::MailFailure { why, refused }| Failure {
                why,
                retry_after: None,
                refused,
                refused_for_good: refused,
            }),
            To::Syslog { address, tcp } => syslog::send(address, *tcp, &render(parcel, &Format::Syslog, now).text).map_err(failure),
        }
    }
}

fn failure(why: String) -> Failure {
    Failure { why, retry_after: None, refused: false, refused_for_good: false }
}

fn web_failure(failure: WebFailure) -> Failure {
    let retry_after = failure.asked.and_then(|asked| TimeDelta::from_std(asked).ok());
    Failure { why: failure.why, retry_after, refused: failure.refused || failure.filtered, refused_for_good: failure.refused }
}

fn command(line: &[String], user: &str, input: &str, timeout: Duration) -> Result<String, String> {
    let program = line.first().map_or("", String::as_str);
    let fed = feed::feed(line, user, input.as_bytes(), timeout).map_err(|why| format!("{program}: {why}"))?;
    let err: String =
        fed.err.split(|c: char| c.is_whitespace() || c.is_control()).collect::<Vec<_>>().join(" ").chars().take(160).collect();
    let said = if err.is_empty() { String::new() } else { format!(": {err}") };
    match fed.code {
        Some(0) => Ok(format!("{program} ended with 0{said}")),
        Some(code) => Err(format!("{program} ended with {code}{said}")),
        None => Err(format!("{program} was killed by a signal{said}")),
    }
}

/// What a sink is and where, without secrets: `slack at hooks.slack.com`.
pub fn place(to: &SinkType) -> String {
    match to {
        SinkType::Web { url: Secret::Plain(url), .. } => format!("{} at {}", to.name(), host_of(url)),
        SinkType::Web { url, .. } => format!("{}, address in {}", to.name(), secret::place(url)),
        SinkType::File { path, .. } => format!("file {}", path.display()),
        SinkType::Command { line, user, .. } => format!("command {} as {user}", line.first().map_or("", String::as_str)),
        SinkType::Mail(setting) => format!("mail to {} through {}", setting.to.join(", "), setting.host),
        SinkType::Syslog { address, tcp } => format!("syslog at {address} over {}", if *tcp { "TCP" } else { "UDP" }),
    }
}

/// Sends a test message to each of these sinks at once; what came back, in their order.
pub fn test_all(sinks: &[SinkSetting], host: &str, now: Timestamp) -> Vec<SinkTest> {
    std::thread::scope(|scope| {
        let senders: Vec<_> = sinks.iter().map(|setting| (setting, scope.spawn(move || test(setting, host, now)))).collect();
        let answered = |(setting, sender): (&SinkSetting, std::thread::ScopedJoinHandle<'_, SinkTest>)| {
            sender.join().unwrap_or_else(|_| SinkTest {
                name: setting.name.clone(),
                place: place(&setting.to),
                taken: false,
                answer: "the sender failed; see the agent's log".to_owned(),
                took_ms: 0,
            })
        };
        senders.into_iter().map(answered).collect()
    })
}

/// Sends a test message to this sink, past all rules and limits, and gives what came back.
pub(crate) fn test(setting: &SinkSetting, host: &str, now: Timestamp) -> SinkTest {
    let begun = Instant::now();
    let parcel = Parcel::single(Message::test(host, &setting.name), now);
    let outcome = Sink::new(setting).send(&parcel, now);
    SinkTest {
        name: setting.name.clone(),
        place: place(&setting.to),
        taken: outcome.is_ok(),
        answer: outcome.unwrap_or_else(|failure| failure.why),
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}
