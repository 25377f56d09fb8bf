//! The owner's own access, read anew whenever somebody may be cut off: no answer is older than the question.

use std::net::IpAddr;
use std::sync::Mutex;

use super::shared::lock;
use crate::host::lifeline;
use crate::model::{Lifeline, LifelineReason};

/// Sources from which consoles were attached, remembered while the agent lives.
const CONSOLES: usize = 64;

/// Knows whom never to cut.
#[derive(Debug, Default)]
pub(super) struct Owner {
    consoles: Mutex<Vec<IpAddr>>,
    /// Addresses that the policy adds.
    listed: Vec<IpAddr>,
}

impl Owner {
    pub(super) fn new(listed: Vec<IpAddr>) -> Self {
        Self { consoles: Mutex::default(), listed }
    }

    /// A console attached; `ssh_connection` is what sshd(8) put in its environment: client, port, server, port.
    pub(super) fn console(&self, ssh_connection: &str) {
        let Some(Ok(client)) = ssh_connection.split_whitespace().next().map(str::parse::<IpAddr>) else { return };
        let mut consoles = lock(&self.consoles);
        consoles.retain(|known| *known != client);
        if consoles.len() >= CONSOLES {
            consoles.remove(0);
        }
        consoles.push(client);
    }

    /// The lifeline at this moment.
    pub(super) fn lifeline(&self) -> Lifeline {
        let mut lifeline = lifeline::read();
        let added = lock(&self.consoles).iter().chain(&self.listed).copied().collect::<Vec<_>>();
        lifeline.addresses.extend(added.into_iter().map(|addr| (addr.to_canonical(), LifelineReason::RecentLogin)));
        lifeline
    }
}
