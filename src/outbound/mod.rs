//! What leaves the machine, and only when configured.

mod webhook;

pub use webhook::{Delivery, Webhook, WebhookError, WebhookReport};
