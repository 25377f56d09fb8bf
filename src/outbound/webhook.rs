//! Alerts, POSTed as JSON to the one address that the owner configured.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::model::Alert;

/// Alerts that may wait; one more is dropped and counted.
const QUEUE: usize = 256;
/// One try takes at most this long.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pauses before further tries.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

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
    /// Why the last try failed, if it did; empty again after a success.
    pub last_error: Option<String>,
}

#[derive(Debug, Default)]
struct Tally {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// Where alerts are handed in. Never blocks.
#[derive(Debug, Clone)]
pub struct Webhook {
    queue: mpsc::Sender<Alert>,
    tally: Arc<Tally>,
}

/// The other end: sends what was handed in, one after another.
#[derive(Debug)]
pub struct Delivery {
    url: String,
    client: reqwest::Client,
    queue: mpsc::Receiver<Alert>,
    tally: Arc<Tally>,
    pauses: &'static [Duration],
}

impl Webhook {
    /// The hook for this address, and the delivery that somebody must run.
    ///
    /// # Errors
    /// When the address is none, or TLS cannot be set up.
    pub fn new(url: &str) -> Result<(Self, Delivery), WebhookError> {
        Self::with(url, TIMEOUT, &AGAIN)
    }

    fn with(url: &str, timeout: Duration, pauses: &'static [Duration]) -> Result<(Self, Delivery), WebhookError> {
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
        let (sender, queue) = mpsc::channel(QUEUE);
        let tally = Arc::new(Tally::default());
        Ok((Self { queue: sender, tally: Arc::clone(&tally) }, Delivery { url: url.to_owned(), client, queue, tally, pauses }))
    }

    /// Hands an alert in. When too many wait already it is dropped and counted.
    pub fn offer(&self, alert: Alert) {
        if self.queue.try_send(alert).is_err() {
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
            last_error: self.tally.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl Delivery {
    /// Sends until every [`Webhook`] is gone and nothing waits.
    pub async fn run(mut self) {
        while let Some(alert) = self.queue.recv().await {
            let mut outcome = self.post(&alert).await;
            for pause in self.pauses {
                if outcome.is_ok() {
                    break;
                }
                tokio::time::sleep(*pause).await;
                outcome = self.post(&alert).await;
            }
            let counter = if outcome.is_ok() { &self.tally.sent } else { &self.tally.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            if let Err(why) = &outcome {
                tracing::warn!(alert = %alert.id, %why, "the webhook did not take an alert");
            }
            *self.tally.last_error.lock().unwrap_or_else(PoisonError::into_inner) = outcome.err();
        }
    }

    async fn post(&self, alert: &Alert) -> Result<(), String> {
        let answer = self.client.post(&self.url).json(alert).send().await.map_err(|why| reason(&why))?;
        // The body is not read: it is the other side's, and of any length.
        if answer.status().is_success() { Ok(()) } else { Err(format!("{} answered {}", shown(&self.url), answer.status())) }
    }
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
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::model::{AlertId, AlertState, IncidentId, Severity, Timestamp};

    fn alert(id: u64) -> Alert {
        let at = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
        Alert {
            id: AlertId(id),
            incident: IncidentId(1),
            at,
            updated: at,
            severity: Severity::High,
            sentence: "nginx ran a shell".to_owned(),
            count: 1,
            state: AlertState::New,
            by: None,
        }
    }

    /// A server that reads one request a connection and answers with these statuses in turn; returns the requests.
    async fn serve(listener: TcpListener, answers: &[&str]) -> Vec<String> {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut request, mut buffer) = (String::new(), [0; 4096]);
            while !request.ends_with('}') {
                let length = stream.read(&mut buffer).await.unwrap();
                assert!(length > 0, "cut: {request}");
                request.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            }
            requests.push(request);
            stream
                .write_all(
                    format!("HTTP/1.1 {answer}\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                        .as_bytes(),
                )
                .await
                .unwrap();
        }
        requests
    }

    async fn local() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook/SECRET", listener.local_addr().unwrap());
        (listener, url)
    }

    const QUICK: [Duration; 2] = [Duration::from_millis(10); 2];

    #[tokio::test]
    async fn an_alert_arrives_as_json_also_after_a_failure() {
        let (listener, url) = local().await;
        let (hook, delivery) = Webhook::with(&url, TIMEOUT, &QUICK).unwrap();
        hook.offer(alert(6));
        let watcher = hook.clone();
        drop(hook);
        let server = tokio::spawn(async move { serve(listener, &["500 Internal Server Error", "204 No Content"]).await });
        let running = tokio::spawn(delivery.run());
        let requests = server.await.unwrap();
        let (head, body) = requests[1].split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /hook/SECRET HTTP/1.1") && head.to_lowercase().contains("content-type: application/json"), "{head}");
        assert_eq!(serde_json::from_str::<Alert>(body).unwrap(), alert(6));
        let begun = Instant::now();
        while watcher.report().sent == 0 && begun.elapsed() < TIMEOUT {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(watcher.report(), WebhookReport { sent: 1, ..WebhookReport::default() });
        drop(watcher);
        running.await.unwrap();
    }

    #[tokio::test]
    async fn failures_are_told_without_the_secret_and_redirects_are_not_followed() {
        let (listener, url) = local().await;
        let (hook, delivery) = Webhook::with(&url, TIMEOUT, &[]).unwrap();
        hook.offer(alert(1));
        let tally = Arc::clone(&hook.tally);
        drop(hook);
        let server = tokio::spawn(async move { serve(listener, &["307 Temporary Redirect"]).await });
        delivery.run().await;
        server.await.unwrap();
        let told = tally.last_error.lock().unwrap().clone().unwrap();
        assert!(told.contains("answered 307") && !told.contains("SECRET"), "{told}");
        assert_eq!((tally.failed.load(Ordering::Relaxed), tally.sent.load(Ordering::Relaxed)), (1, 0));
    }

    #[tokio::test]
    async fn a_silent_or_absent_server_is_given_up_and_too_many_alerts_are_counted() {
        let (listener, url) = local().await;
        let (hook, delivery) = Webhook::with(&url, Duration::from_millis(100), &[]).unwrap();
        for id in 0..QUEUE as u64 + 3 {
            hook.offer(alert(id));
        }
        assert_eq!(hook.report().dropped, 3);
        let running = tokio::spawn(delivery.run());
        let begun = Instant::now();
        while hook.report().failed == 0 && begun.elapsed() < TIMEOUT {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(hook.report().last_error.unwrap().starts_with("no answer in time"));
        drop(listener);
        while !hook.report().last_error.is_some_and(|why| why.starts_with("cannot connect")) {
            assert!(begun.elapsed() < TIMEOUT, "{:?}", hook.report());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        running.abort();
    }

    #[test]
    fn an_address_that_is_none_is_one_line() {
        let error = Webhook::new("https://").unwrap_err().to_string();
        assert!(error.starts_with("webhook (no address): ") && !error.contains('\n'), "{error}");
    }
}
