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

    async fn deliver(&self, dressed: &Dressed) -> Result<(), String> {
        let mut outcome = self.post(dressed).await;
        for pause in self.pauses {
            if outcome.is_ok() {
                break;
            }
            tokio::time::sleep(*pause).await;
            outcome = self.post(dressed).await;
        }
        outcome
    }

    async fn post(&self, dressed: &Dressed) -> Result<(), String> {
        let mut request = self.client.post(&self.url).header("Content-Type", dressed.content_type);
        for (name, value) in &dressed.headers {
            request = request.header(*name, value);
        }
        let answer = request.body(dressed.body.clone()).send().await.map_err(|why| reason(&why))?;
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
    use bartizan_model::{Alert, AlertId, AlertState, IncidentId, Severity, Timestamp};

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

    fn notice(id: u64) -> Notice {
        Notice::alert("web-1", &alert(id), &[])
    }

    fn question() -> Notice {
        use bartizan_model::{ActionKind, ActionPlan, Approval, ApprovalId, ApprovalState, Confidence, Preview, Target};
        let at = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
        let approval = Approval {
            id: ApprovalId(5),
            incident: IncidentId(1),
            action: ActionPlan::new(ActionKind::ContainHost, Target::Host, Duration::from_secs(600)).unwrap(),
            reason: "nginx ran a shell".to_owned(),
            held_because: "mode PARANOID".to_owned(),
            confidence: Confidence::new(0.9),
            preview: Preview::default(),
            blast_radius: String::new(),
            asked_at: at,
            expires_at: at,
            state: ApprovalState::Pending,
            answered_by: None,
        };
        Notice::question("web-1", &approval, Severity::High)
    }

    /// A server that reads one request a connection and answers with these statuses in turn; returns the requests.
    async fn serve(listener: TcpListener, answers: &[&str]) -> Vec<String> {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut request, mut buffer) = (String::new(), [0; 4096]);
            let is_whole = |request: &str| {
                let (head, body) = request.split_once("\r\n\r\n")?;
                let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok())?;
                (body.len() >= length).then_some(())
            };
            while is_whole(&request).is_none() {
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
        let (hook, delivery) = Webhook::with(&url, WebhookFormat::Json, TIMEOUT, &QUICK).unwrap();
        hook.offer(notice(6));
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
        let (hook, delivery) = Webhook::with(&url, WebhookFormat::Json, TIMEOUT, &[]).unwrap();
        hook.offer(notice(1));
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
        let (hook, delivery) = Webhook::with(&url, WebhookFormat::Json, Duration::from_millis(100), &[]).unwrap();
        for id in 0..QUEUE as u64 + 3 {
            hook.offer(notice(id));
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
        let error = Webhook::new("https://", WebhookFormat::Json).unwrap_err().to_string();
        assert!(error.starts_with("webhook (no address): ") && !error.contains('\n'), "{error}");
    }

    #[tokio::test]
    async fn a_question_is_pushed_in_the_form_that_each_receiver_takes() {
        for format in [WebhookFormat::Json, WebhookFormat::Slack, WebhookFormat::Discord, WebhookFormat::Ntfy] {
            let (listener, url) = local().await;
            let (hook, delivery) = Webhook::with(&url, format, TIMEOUT, &[]).unwrap();
            hook.offer(question());
            drop(hook);
            let server = tokio::spawn(async move { serve(listener, &["200 OK"]).await });
            delivery.run().await;
            let request = server.await.unwrap().remove(0);
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            for word in ["nginx ran a shell", "contain this host", "bartizan approve Q5", "bartizan reject Q5", "Answer until"] {
                assert!(body.contains(word), "{format:?}: {word} is not in {body}");
            }
            let json = serde_json::from_str::<serde_json::Value>(body);
            match format {
                WebhookFormat::Json => assert_eq!(json.unwrap()["approval"]["id"], "Q5"),
                WebhookFormat::Slack => assert!(json.unwrap()["text"].as_str().unwrap().starts_with("QUESTION Q5 on web-1")),
                WebhookFormat::Discord => assert!(json.unwrap()["content"].as_str().unwrap().starts_with("QUESTION Q5 on web-1")),
                WebhookFormat::Ntfy => {
                    assert!(
                        head.to_lowercase().contains("title: question q5 on web-1") && head.to_lowercase().contains("priority: 5"),
                        "{head}"
                    );
                    assert!(json.is_err() && body.starts_with("QUESTION Q5 on web-1"));
                }
            }
        }
    }

    #[tokio::test]
    async fn a_flood_of_alerts_is_limited_and_counted_and_holds_back_no_question() {
        let (listener, url) = local().await;
        let (hook, delivery) = Webhook::with(&url, WebhookFormat::Slack, TIMEOUT, &[]).unwrap();
        for id in 0..100 {
            hook.offer(notice(id));
        }
        hook.offer(question());
        let watcher = Arc::clone(&hook.tally);
        drop(hook);
        let answers = vec!["200 OK"; BURST as usize + 1];
        let server = tokio::spawn(async move { serve(listener, &answers).await });
        delivery.run().await;
        let requests = server.await.unwrap();
        assert!(requests[0].contains("QUESTION Q5"), "the question goes first: {}", requests[0]);
        assert_eq!(watcher.sent.load(Ordering::Relaxed), u64::from(BURST) + 1);
        assert_eq!(watcher.limited.load(Ordering::Relaxed), 100 - u64::from(BURST));
        let mut bucket = Bucket { left: 0, at: tokio::time::Instant::now() };
        assert!(!bucket.take(bucket.at) && bucket.take(bucket.at + PAUSE) && !bucket.take(bucket.at));
    }
}
