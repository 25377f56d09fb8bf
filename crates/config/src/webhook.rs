//! Where and in which form those are told who are not at the console.

use super::layers::{ConfigError, Layers};
use super::values::{bad, one_of, text};

/// In which form notices are POSTed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookFormat {
    /// The record, for programs.
    #[default]
    Json,
    /// Incoming webhooks of Slack, and of Mattermost and others that take the same.
    Slack,
    /// Webhooks of Discord.
    Discord,
    /// A topic of ntfy.
    Ntfy,
}

pub(super) fn format(layers: &Layers) -> Result<WebhookFormat, ConfigError> {
    let choices = [
        ("json", WebhookFormat::Json),
        ("slack", WebhookFormat::Slack),
        ("discord", WebhookFormat::Discord),
        ("ntfy", WebhookFormat::Ntfy),
    ];
    one_of(layers, "webhook_format", &choices)
}

pub(super) fn address(layers: &Layers) -> Result<Option<String>, ConfigError> {
    let Some(url) = text(layers, "webhook")? else { return Ok(None) };
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) || url.contains(' ') || url.len() > 2048 {
        return Err(bad(layers, "webhook", format!("\"{}\" is not a web address: write https://host/path", url.escape_debug())));
    }
    Ok(Some(url))
}
