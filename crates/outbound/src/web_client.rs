//! One HTTP client a sink: no redirects, no proxies, little patience, and no secret in what it says about failures.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};

/// One attempt takes at most this long.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So much of an answer is read, in bytes, and shown, in characters.
const READ: usize = 2_048;
const SHOWN: usize = 160;
/// A part of a path that is shorter is no secret.
const SHORTEST_SECRET: usize = 6;

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) struct WebRequest {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebFailure {
    /// One line without secrets.
    pub(crate) why: String,
    /// How long the other side asked to be left alone.
    pub(crate) asked: Option<Duration>,
    /// The other side says that this request is wrong.
    pub(crate) refused: bool,
    /// It may say so because of what stands in it: web application firewalls answer 403 or 406.
    pub(crate) filtered: bool,
}

impl WebFailure {
    pub(crate) fn here(why: String) -> Self {
        Self { why, asked: None, refused: false, filtered: false }
    }
}

/// The client, with a runtime of its own: it blocks the thread that sends, and no other.
#[derive(Debug)]
pub(crate) struct WebClient {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl WebClient {
    pub(crate) fn new() -> Result<Self, String> {
        Self::patient(TIMEOUT)
    }

    pub(crate) fn patient(timeout: Duration) -> Result<Self, String> {
        // The first provider of a process stays; a second call only says so.
        drop(rustls::crypto::ring::default_provider().install_default());
        // It goes where the owner said or nowhere.
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // Messages are rare: a connection kept open would be closed by the other side when the next one comes.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("bartizan/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|why| format!("cannot set up TLS: {}", reason(&why)))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|why| why.to_string())?;
        Ok(Self { client, runtime })
    }

    /// Sends it once; what was answered, in words.
    pub(crate) fn send(&self, request: WebRequest) -> Result<String, WebFailure> {
        let url = Url::parse(&request.url).map_err(|why| WebFailure::here(format!("the address is not one: {why}")))?;
        let hidden = secrets_of(&url, &request.headers);
        self.runtime.block_on(async {
            let mut sent = self.client.request(request.method, url.clone()).body(request.body);
            for (name, value) in &request.headers {
                sent = sent.header(*name, value);
            }
            let mut answer = sent.send().await.map_err(|why| WebFailure::here(format!("{}: {}", host(&url), reason(&why))))?;
            let (status, asked) = (answer.status(), asked(answer.headers()));
            let mut body = Vec::new();
            // Only the beginning: it is the other side's, and of any length. One that is cut off was an answer all the same.
            while let Ok(Some(chunk)) = answer.chunk().await {
                body.extend_from_slice(chunk.get(..chunk.len().min(READ)).unwrap_or_default());
                if body.len() >= READ {
                    break;
                }
            }
            let said = said(&String::from_utf8_lossy(&body), &hidden);
            let words = format!("{} answered {status}{said}", host(&url));
            let filtered = matches!(status.as_u16(), 403 | 406);
            if status.is_success() { Ok(words) } else { Err(WebFailure { why: words, asked, refused: is_refusal(status), filtered }) }
        })
    }
}

/// Statuses about the request itself (RFC 9110, sections 15.5.1, 15.5.14, 15.5.16 and 15.5.21): the same one again is refused again.
/// Others (401, 403, 404, 429, 5xx) are about the address, the token or the server, and may be different later.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 413 | 415 | 422)
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3); a date is not read. Discord writes fractions.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get("Retry-After")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds.clamp(0.0, 86_400.0)).unwrap_or_default())
}

/// What of a request may not be repeated when the other side repeats it: parts of the path, the query, tokens.
fn secrets_of(url: &Url, headers: &[(&'static str, String)]) -> Vec<String> {
    let path = url.path_segments().into_iter().flatten().map(str::to_owned);
    let query = url.query_pairs().map(|(_, value)| value.into_owned()).chain(url.query().map(str::to_owned));
    let query =
        query.chain(url.query().into_iter().flat_map(|query| query.split('&')).filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())));
    let login = [url.username(), url.password().unwrap_or_default()].map(str::to_owned);
    let query = query.chain(login);
    let tokens =
        headers.iter().filter(|(name, _)| *name == "Authorization").filter_map(|(_, value)| value.split(' ').nth(1).map(str::to_owned));
    // Telegram's token follows the word `bot`.
    let path = path.flat_map(|part| [part.strip_prefix("bot").unwrap_or_default().to_owned(), part]);
    let mut hidden: Vec<String> = path.chain(query).chain(tokens).filter(|part| part.len() >= SHORTEST_SECRET).collect();
    hidden.sort_by_key(|part| std::cmp::Reverse(part.len()));
    hidden
}

/// The beginning of an answer in one line, without secrets.
fn said(body: &str, hidden: &[String]) -> String {
    let mut text = body.to_owned();
    for secret in hidden {
        text = text.replace(secret.as_str(), "***");
    }
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let text: String = words.join(" ").chars().take(SHOWN).collect();
    if text.is_empty() { String::new() } else { format!(": {text}") }
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

/// The host only: path and query of a webhook are often its secret.
pub(crate) fn host(url: &Url) -> String {
    url.host_str().unwrap_or("(no host)").to_owned()
}

/// The host of an address, for people.
pub(crate) fn host_of(url: &str) -> String {
    Url::parse(url).ok().as_ref().map_or_else(|| "(no address)".to_owned(), host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_of(url: &str) -> String {
        said("LOGINSECRET 123:TOKENSECRET QUERYSECRET", &secrets_of(&Url::parse(url).unwrap(), &[]))
    }

    #[test]
    fn what_the_other_side_repeats_of_a_secret_is_not_shown() {
        let url = Url::parse("https://hooks.example/services/T0SECRETS/B0?key=VERYSECRET").unwrap();
        let hidden = secrets_of(&url, &[("Authorization", "Bearer tok_123456".to_owned())]);
        let leaked = said_of("https://u:LOGINSECRET@api.example/bot123:TOKENSECRET/x?token=QUERYSECRET");
        assert!(!leaked.contains("SECRET"), "{leaked}");
        let said = said("no\r\nroute /services/T0SECRETS/B0?key=VERYSECRET for tok_123456 \u{1b}[2J", &hidden);
        assert!(
            said.starts_with(": no route") && !said.contains("SECRET") && !said.contains("123456") && !said.contains('\u{1b}'),
            "{said}"
        );
    }

    #[test]
    fn a_wait_that_is_asked_for_is_read_and_bounded() {
        let asked = |value: &str| asked(&[(reqwest::header::RETRY_AFTER, value.parse().unwrap())].into_iter().collect());
        assert_eq!(asked("1.5"), Some(Duration::from_millis(1500)));
        for nonsense in ["-1", "inf", "NaN", "1e400"] {
            assert!(asked(nonsense).is_some_and(|asked| asked <= Duration::from_secs(86_400)), "{nonsense}");
        }
        assert_eq!(asked("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
