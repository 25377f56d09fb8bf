//! What leaves the machine, and only when configured.

pub mod probe;
mod webhook;

pub use webhook::{Delivery, Webhook, WebhookError, WebhookReport};
