//! Sinks that are web servers: which request carries a parcel to each, and how it is signed.

use reqwest::Method;
use ring::{digest, hmac};

use super::secret;
use super::web_client::{WebClient, WebFailure, WebRequest};
use bartizan_alerts::{Body, Format, Parcel, render};
use bartizan_config::{Secret, WebForm};
use bartizan_model::Timestamp;

/// When a signed body was sent, in seconds since 1970, and the signature of `TIMESTAMP.BODY` as `sha256=HEX`.
const TIMESTAMP: &str = "X-Bartizan-Timestamp";
const SIGNATURE: &str = "X-Bartizan-Signature";

/// A web server.
#[derive(Debug)]
pub(crate) struct Web {
    url: Secret,
    form: WebForm,
    client: Result<WebClient, String>,
}

impl Web {
    pub(crate) fn new(url: Secret, form: WebForm) -> Self {
        Self { url, form, client: WebClient::new() }
    }

    pub(crate) fn send(&self, parcel: &Parcel, now: Timestamp) -> Result<String, WebFailure> {
        let client = self.client.as_ref().map_err(|why| WebFailure::here(why.clone()))?;
        let url = secret::read(&self.url).map_err(WebFailure::here)?;
        client.send(request(&self.form, url, parcel, now).map_err(WebFailure::here)?)
    }
}

fn format(form: &WebForm) -> Format {
    match form {
        WebForm::Json { .. } => Format::Json,
        WebForm::Slack => Format::Slack,
        WebForm::Mattermost => Format::Mattermost,
        WebForm::Discord => Format::Discord,
        WebForm::Teams => Format::Teams,
        WebForm::Ntfy { .. } => Format::Ntfy,
        WebForm::Telegram { chat } => Format::Telegram(chat.clone()),
        WebForm::Matrix { .. } => Format::Matrix,
    }
}

fn request(form: &WebForm, url: String, parcel: &Parcel, now: Timestamp) -> Result<WebRequest, String> {
    let Body { content_type, mut headers, text: body } = render(parcel, &format(form), now);
    headers.push(("Content-Type", content_type.to_owned()));
    let bearer = |token: &Secret| secret::read(token).map(|token| ("Authorization", format!("Bearer {token}")));
    let (method, url) = match form {
        WebForm::Matrix { room, token } => {
            headers.push(bearer(token)?);
            (Method::PUT, matrix(&url, room, &transaction(parcel, &body))?)
        }
        WebForm::Ntfy { token } => {
            headers.extend(token.as_ref().map(bearer).transpose()?);
            (Method::POST, url)
        }
        WebForm::Json { secret } => {
            if let Some(key) = secret {
                let at = now.timestamp();
                headers.push((SIGNATURE, signature(&secret::read(key)?, at, &body)));
                headers.push((TIMESTAMP, at.to_string()));
            }
            (Method::POST, url)
        }
        WebForm::Slack | WebForm::Mattermost | WebForm::Discord | WebForm::Teams | WebForm::Telegram { .. } => (Method::POST, url),
    };
    Ok(WebRequest { method, url, headers, body })
}

/// HMAC-SHA256 (RFC 2104) of time and body: whoever knows the key knows that both are ours, and can refuse what is old.
fn signature(key: &str, at: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    format!("sha256={}", hex(hmac::sign(&key, format!("{at}.{body}").as_bytes()).as_ref()))
}

/// `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}` of the client-server API.
fn matrix(server: &str, room: &str, transaction: &str) -> Result<String, String> {
    let mut url = reqwest::Url::parse(server).map_err(|why| format!("the address is not one: {why}"))?;
    let mut path = url.path_segments_mut().map_err(|()| "the address takes no path: write https://host".to_owned())?;
    path.pop_if_empty().extend(["_matrix", "client", "v3", "rooms", room, "send", "m.room.message", transaction]);
    drop(path);
    Ok(url.into())
}

/// The same for the same parcel: a server that has it already writes it once.
pub(crate) fn transaction(parcel: &Parcel, body: &str) -> String {
    let first = parcel.items.first().map(|item| item.first.to_rfc3339()).unwrap_or_default();
    hex(digest::digest(&digest::SHA256, format!("{first} {body}").as_bytes()).as_ref()).chars().take(32).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_alerts::Message;

    #[test]
    fn a_signature_is_hmac_sha256_over_time_and_body() {
        // RFC 4231, test case 2.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        let rfc = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(hmac::sign(&key, b"what do ya want for nothing?").as_ref()), rfc);
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac Jefe
        assert_eq!(signature("Jefe", 1_700_000_000, "{}"), "sha256=d3793e2b4103edfbd98cc19591832f5fad701d413db9fcae0ae7dab8184ed207");
    }

    #[test]
    fn a_room_and_a_transaction_of_matrix_stay_within_their_part_of_the_path() {
        let url = matrix("https://matrix.example.org/", "!a/b?c#d:example.org", "t1").unwrap();
        assert_eq!(url, "https://matrix.example.org/_matrix/client/v3/rooms/!a%2Fb%3Fc%23d:example.org/send/m.room.message/t1");
        let at = |seconds| Timestamp::from_timestamp(seconds, 0).unwrap();
        let parcel = |seconds| Parcel::single(Message::test("web-1", "ops"), at(seconds));
        let id = |parcel: &Parcel, now| transaction(parcel, &render(parcel, &Format::Matrix, at(now)).text);
        assert_eq!(id(&parcel(5), 10), id(&parcel(5), 99), "a second attempt");
        assert_ne!(id(&parcel(5), 10), id(&parcel(6), 10), "another parcel with the same words");
    }
}
