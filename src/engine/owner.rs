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
    /// Sources of consoles, the latest last.
    sources: Mutex<Vec<IpAddr>>,
    /// Processes of the consoles that are attached now.
    attached: Mutex<Vec<u32>>,
    /// Addresses that the policy adds.
    listed: Vec<IpAddr>,
}

impl Owner {
    pub(super) fn new(listed: Vec<IpAddr>) -> Self {
        Self { listed, ..Self::default() }
    }

    /// A console attached; `ssh_connection` is what sshd(8) put in its environment: client, port, server, port.
    pub(super) fn arrived(&self, pid: Option<u32>, ssh_connection: Option<&str>) {
        lock(&self.attached).extend(pid);
        let client = ssh_connection.and_then(|text| text.split_whitespace().next()).and_then(|text| text.parse::<IpAddr>().ok());
        let Some(client) = client else { return };
        let mut sources = lock(&self.sources);
        sources.retain(|known| *known != client);
        if sources.len() >= CONSOLES {
            sources.remove(0);
        }
        sources.push(client);
    }

    /// A console left; where it came from stays protected.
    pub(super) fn left(&self, pid: Option<u32>) {
        let mut attached = lock(&self.attached);
        if let Some(at) = attached.iter().position(|known| Some(*known) == pid) {
            attached.swap_remove(at);
        }
    }

    /// The lifeline at this moment.
    pub(super) fn lifeline(&self) -> Lifeline {
        let sources = lock(&self.sources).clone();
        let attached = lock(&self.attached).clone();
        let mut lifeline = lifeline::read(&sources, &attached);
        lifeline.addresses.extend(self.listed.iter().map(|addr| (addr.to_canonical(), LifelineReason::RecentLogin)));
        lifeline
    }
}
