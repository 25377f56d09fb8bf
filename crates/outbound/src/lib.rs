//! What leaves the machine, and only when configured.

#![forbid(unsafe_code)]

mod dress;
mod notice;
pub mod probe;
mod webhook;

pub use notice::{Kind, Notice};
pub use webhook::{Delivery, Webhook, WebhookError, WebhookReport};
