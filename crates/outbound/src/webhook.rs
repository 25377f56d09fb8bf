//! Alerts, questions and what was done alone, POSTed to the one address that the owner configured, in the form that it takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::dress::{Dressed, dress};
use super::notice::{Kind, Notice};
use bartizan_config::WebhookFormat;
use bartizan_model::Unpoisoned as _;

/// Notices that may wait; one more is dropped and counted.
const QUEUE: usize = 256;
/// So many at once, then one in each pause: what is above it is counted and told with the next one.
const BURST: u32 = 20;
const PAUSE: Duration = Duration::from_secs(15);
/// One try takes at most this long.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pauses before further tries: a restart of the other side or of a router loses nothing.
const AGAIN: [Duration; 4] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(60)];
/// The longest pause that the other side can ask for (Retry-After): a question that waits behind it must still be in time.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// Why there will be no webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("webhook {url}: {why}; check `webhook` in agent.toml")]
pub struct WebhookError {
    url: String,
    why: String,
}

/// What became of alerts so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WebhookReport {
    /// Accepted by the other side.
    pub sent: u64,
    /// Given up after all tries.
    pub failed: u64,
    /// Never tried, because too many waited.
    pub dropped: u64,
    /// Never tried, because too many came at once; the next one that was sent said so.
    pub limited: u64,
    /// Why the last try failed, if it did; empty again after a success.
    pub last_error: Option<String>,
}

#[derive(Debug, Default)]
struct Tally {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    limited: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// Where notices are handed in. Never blocks.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// What waits for a person or was done without one goes first.
    urgent: mpsc::Sender<Notice>,
    queue: mpsc::Sender<Notice>,
    tally: Arc<Tally>,
}

/// The other end: sends what was handed in, one after another.
#[derive(Debug)]
pub struct Delivery {
    url: String,
    format: WebhookFormat,
    client: reqwest::Client,
    urgent: mpsc::Receiver<Notice>,
    queue: mpsc::Receiver<Notice>,
    tally: Arc<Tally>,
    /// A flood of alerts must not hold back a question.
    buckets: [Bucket; 2],
    pauses: &'static [Duration],
}

/// How many may still be sent now.
#[derive(Debug)]
struct Bucket {
    left: u32,
    /// When it was last filled.
    at: Instant,
}

impl Bucket {
    fn new() -> Self {
        Self { left: BURST, at: Instant::now() }
    }

    fn take(&mut self, now: Instant) -> bool {
        let pauses = u32::try_from((now - self.at).as_secs() / PAUSE.as_secs()).unwrap_or(u32::MAX);
        if pauses > 0 {
            self.left = self.left.saturating_add(pauses).min(BURST);
            self.at += PAUSE.saturating_mul(pauses);
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

impl Webhook {
    /// The hook for this address, and the delivery that somebody must run.
    ///
    /// # Errors
    /// When the address is none, or TLS cannot be set up.
    pub fn new(url: &str, format: WebhookFormat) -> Result<(Self, Delivery), WebhookError> {
        Self::with(url, format, TIMEOUT, &AGAIN)
    }

    fn with(url: &str, format: WebhookFormat, timeout: Duration, pauses: &'static [Duration]) -> Result<(Self, Delivery), WebhookError> {
        let fail = |why: String| WebhookError { url: shown(url), why };
        reqwest::Url::parse(url).map_err(|why| fail(why.to_string()))?;
        // The first provider of a process stays; a second call only says so.
        drop(rustls::crypto::ring::default_provider().install_default());
        // No redirects and no proxy from the environment: it goes where the owner said or nowhere.
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("bartizan/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|why| fail(reason(&why)))?;
        let ((urgent, urgents), (queue, queues)) = (mpsc::channel(QUEUE), mpsc::channel(QUEUE));
        let tally = Arc::new(Tally::default());
        let hook = Self { urgent, queue, tally: Arc::clone(&tally) };
        let buckets = [Bucket::new(), Bucket::new()];
        Ok((hook, Delivery { url: url.to_owned(), format, client, urgent: urgents, queue: queues, tally, buckets, pauses }))
    }

    /// Hands a notice in. When too many wait already it is dropped and counted.
    pub fn offer(&self, notice: Notice) {
        let queue = if notice.kind == Kind::Alert { &self.queue } else { &self.urgent };
        if queue.try_send(notice).is_err() {
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of alerts so far.
    pub fn report(&self) -> WebhookReport {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        WebhookReport {
            sent: count(&self.tally.sent),
            failed: count(&self.tally.failed),
            dropped: count(&self.tally.dropped),
            limited: count(&self.tally.limited),
            last_error: self.tally.last_error.lock().unpoisoned().clone(),
        }
    }
}

impl Delivery {
    /// Sends until every [`Webhook`] is gone and nothing waits.
    pub async fn run(mut self) {
        let mut told = 0;
        while let Some(notice) = self.next().await {
            let bucket = if notice.kind == Kind::Alert { 0 } else { 1 };
            if !self.buckets.get_mut(bucket).is_some_and(|bucket| bucket.take(Instant::now())) {
                self.tally.limited.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let unsent = self.tally.limited.load(Ordering::Relaxed) + self.tally.dropped.load(Ordering::Relaxed);
            let dressed = dress(&notice, self.format, unsent - told);
            let outcome = self.deliver(&dressed).await;
            match &outcome {
                Ok(()) => {
                    told = unsent;
                    self.tally.sent.fetch_add(1, Ordering::Relaxed);
                }
                Err(why) => {
                    tracing::warn!(about = %notice.about, %why, "the webhook did not take a notice");
                    self.tally.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            *self.tally.last_error.lock().unpoisoned() = outcome.err();
        }
    }

    async fn next(&mut self) -> Option<Notice> {
        tokio::select! {
            biased;
            Some(notice) = self.urgent.recv() => Some(notice),
            Some(notice) = self.queue.recv() => Some(notice),
            else => None,
        }
    }

    /// Tries until it is taken, the tries are used up, or the other side says that it will never take it.
    async fn deliver(&self, dressed: &Dressed) -> Result<(), String> {
        let mut outcome = self.post(dressed).await;
        for pause in self.pauses {
            let pause = match &outcome {
                Err(refused) if refused.is_transient => refused.asked.map_or(*pause, |asked| asked.max(*pause)),
                Ok(()) | Err(_) => break,
            };
            tokio::time::sleep(pause).await;
            outcome = self.post(dressed).await;
        }
        outcome.map_err(|refused| refused.why)
    }

    async fn post(&self, dressed: &Dressed) -> Result<(), Refused> {
        let mut request = self.client.post(&self.url).header("Content-Type", dressed.content_type);
        for (name, value) in &dressed.headers {
            request = request.header(*name, value);
        }
        let answer = request.body(dressed.body.clone()).send().await;
        let answer = answer.map_err(|why| Refused { why: reason(&why), is_transient: true, asked: None })?;
        // The body is not read: it is the other side's, and of any length.
        if answer.status().is_success() {
            return Ok(());
        }
        let why = format!("{} answered {}", shown(&self.url), answer.status());
        Err(Refused { why, is_transient: is_transient(answer.status()), asked: asked(answer.headers()) })
    }
}

/// Why a try failed.
#[derive(Debug)]
struct Refused {
    /// One line without the secret.
    why: String,
    /// Whether the same request may be taken later.
    is_transient: bool,
    /// How long the other side asked to be left alone.
    asked: Option<Duration>,
}

/// What may be different the next time: 408 (the other side waited too long), 429 (too many), and errors of its own (RFC 9110, RFC 6585).
fn is_transient(status: reqwest::StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 429)
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3); a date is not read. Discord writes fractions.
fn asked(headers: &reqwest::header::HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get("Retry-After")?.to_str().ok()?.trim().parse().ok()?;
    let asked = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Some(asked.min(LONGEST_ASKED))
}

/// The innermost cause, without the address: it may hold a secret token.
fn reason(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let kind = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "cannot connect"
    } else {
        "cannot send"
    };
    if std::ptr::addr_eq(innermost, error) { kind.to_owned() } else { format!("{kind}: {innermost}") }
}

/// Scheme and host only: path and query of a webhook are often its secret.
fn shown(url: &str) -> String {
    let parsed = reqwest::Url::parse(url).ok();
    let host = parsed.as_ref().and_then(|parsed| Some(format!("{}://{}", parsed.scheme(), parsed.host_str()?)));
    host.unwrap_or_else(|| "(no address)".to_owned())
}

#[cfg(test)]
mod tests;
