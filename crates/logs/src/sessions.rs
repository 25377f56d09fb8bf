//! The lines of one SSH connection joined by their process id: each attempt counts once, and a line without an address gets the one that
//! the same connection named before.
//!
//! sshd tells of one failed login in up to four lines (`Invalid user`, pam_unix, `Failed password`, `maximum attempts exceeded`), and an agent
//! full of keys fails with each of them before the right one. So a refused key counts only if the connection ends without a login.

use std::net::IpAddr;

use bartizan_model::Timestamp;

use super::record::{Method, Raw, What};

/// Connections remembered. sshd holds 100 at once before login (MaxStartups); more than that share slots, and the older is forgotten.
const SLOTS: usize = 4096;
/// A process id is another connection after this time: LoginGraceTime is two minutes, and its longest setting is rarely ten.
const STALE: chrono::TimeDelta = chrono::TimeDelta::minutes(15);

/// What is remembered of a connection.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    pid: u32,
    address: Option<IpAddr>,
    port: Option<u16>,
    last: Option<Timestamp>,
    /// Which account was tried last.
    user: u64,
    /// A failure that counts only if no login follows.
    pending: bool,
    /// A probe without an address was seen.
    probed: bool,
    /// An attempt was counted.
    counted: bool,
    /// The attempt of the next `Failed` line was counted already.
    prepaid: bool,
    /// The client said that it gives up, which it does once.
    gone: bool,
    /// Somebody was let in.
    accepted: bool,
}

/// The connections of one source.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// Empty until the first line of sshd.
    slots: Vec<Slot>,
}

impl Sessions {
    /// Joins a record of sshd with the earlier ones of its connection, and says how many attempts it adds.
    pub(crate) fn settle(&mut self, record: &mut Raw<'_>) {
        let pid = record.pid.unwrap_or(0);
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Slot::default());
        }
        let mut alone = Slot::default();
        let slot = match self.slots.get_mut(pid as usize % SLOTS) {
            Some(slot) if pid != 0 => slot,
            _ => &mut alone,
        };
        if slot.is_another(pid, record) {
            *slot = Slot { pid, ..Slot::default() };
        }
        slot.last = record.at.or(slot.last);
        if record.has_peer() {
            slot.address = record.address.or(slot.address);
            slot.port = record.port.or(slot.port);
        } else {
            (record.address, record.port) = (slot.address, slot.port);
        }
        record.attempts = slot.attempts(record);
        if record.attempts > 0 && !record.has_peer() {
            // Nobody to hold it to yet: the line that names the address counts it.
            (slot.pending, record.attempts) = (true, 0);
        }
    }
}

impl Slot {
    fn is_another(&self, pid: u32, record: &Raw<'_>) -> bool {
        let stale = || matches!((self.last, record.at), (Some(last), Some(at)) if at.signed_duration_since(last) > STALE && !self.accepted);
        let moved = || matches!((self.address, record.address), (Some(known), Some(now)) if known != now);
        self.pid != pid || record.what == What::Connected || (self.gone && record.what == What::GaveUp) || moved() || stale()
    }

    /// How many attempts this line adds.
    fn attempts(&mut self, record: &mut Raw<'_>) -> u32 {
        match record.what {
            What::LoginFailed => self.failed(record),
            What::InvalidUser | What::NotAllowed => {
                self.user = account(record);
                (self.counted, self.prepaid) = (true, true);
                1
            }
            What::KeyRevoked => {
                self.pending = true;
                0
            }
            What::GaveUp => {
                self.gone = true;
                u32::from(!std::mem::replace(&mut self.counted, true))
            }
            What::TooManyFailures if self.counted => 0,
            What::TooManyFailures => {
                let known = record.has_peer();
                (self.counted, self.pending) = (known, !known);
                u32::from(known)
            }
            What::Probe => {
                self.probed = !record.has_peer();
                0
            }
            What::Disconnected => self.ended(record),
            What::LoginAccepted => {
                let other = self.pending && self.user != account(record);
                (self.pending, self.prepaid, self.accepted) = (false, false, true);
                u32::from(other)
            }
            _ => 0,
        }
    }

    fn failed(&mut self, record: &Raw<'_>) -> u32 {
        // `none` asks which methods there are, and is no attempt.
        if record.method == Method::None {
            return 0;
        }
        // sshd's `Change of username`: an attempt of its own.
        if record.method == Method::Unknown && record.detail.is_some() {
            (self.pending, self.counted) = (false, true);
            return 1;
        }
        let user = account(record);
        let other = std::mem::replace(&mut self.user, user) != user;
        let waits = match record.method {
            // pam_unix tells of it before sshd does; sshd's own line about PAM counts.
            Method::Pam => record.detail.is_some(),
            Method::PublicKey => record.known_user == Some(true),
            _ => false,
        };
        if waits {
            let second = self.pending && other;
            self.pending = true;
            self.counted |= second;
            return u32::from(second);
        }
        self.pending = false;
        self.counted = true;
        // `PAM: Authentication failure` comes before `Failed keyboard-interactive/pam` of the same attempt.
        if record.method == Method::Pam {
            self.prepaid = true;
            return record.repeated;
        }
        if std::mem::take(&mut self.prepaid) { record.repeated.saturating_sub(1) } else { record.repeated }
    }

    fn ended(&mut self, record: &mut Raw<'_>) -> u32 {
        // sshd says both `Received disconnect` and `Disconnected from`: the first to come settles it.
        let (pending, probed, counted) = (self.pending, self.probed, self.counted);
        (self.pending, self.probed, self.counted) = (false, false, true);
        if (record.preauth && !pending && !counted) || (probed && !pending) {
            record.what = What::Probe;
        }
        u32::from(pending && !self.accepted)
    }
}

/// The account of a record, as a number to compare by (FNV-1a); a collision costs one attempt.
fn account(record: &Raw<'_>) -> u64 {
    let user = record.user.unwrap_or_default();
    user.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
