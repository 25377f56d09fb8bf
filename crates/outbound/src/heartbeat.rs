//! A sign of life to an address that the owner named: whoever runs it notices when it stays away.

use reqwest::Method;

use super::secret;
use super::web_client::{WebClient, WebRequest};
use bartizan_config::Secret;

/// Asks one address, and says nothing about this host.
#[derive(Debug)]
pub struct Heartbeat {
    url: Secret,
    client: Result<WebClient, String>,
}

impl Heartbeat {
    /// For this address. Nothing is asked yet.
    pub fn new(url: Secret) -> Self {
        Self { url, client: WebClient::new() }
    }

    /// Asks once, with GET; at most ten seconds.
    ///
    /// # Errors
    /// Why it was not taken, without the address.
    pub fn beat(&self) -> Result<(), String> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let url = secret::read(&self.url)?;
        let request = WebRequest { method: Method::GET, url, headers: Vec::new(), body: String::new() };
        client.send(request).map(drop).map_err(|failure| failure.why)
    }
}
