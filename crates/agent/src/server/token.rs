//! Scoped tokens: a MAC over who may ask what on which connection until when, under a key that lives as long
//! as the agent.

use std::time::Duration;

use super::Peer;
use bartizan_model::Role;
use bartizan_protocol::{Pass, Token};

/// How long a token holds.
pub const LIFETIME: Duration = Duration::from_secs(300);

/// Why a token does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// None came with the question.
    #[error("it came without a token")]
    Missing,
    /// Not made by this agent, or changed.
    #[error("its token was not made by this agent, or was changed")]
    Forged,
    /// Made for another connection or another process.
    #[error("its token belongs to another connection or process")]
    Elsewhere,
    /// Too old.
    #[error("its token has lapsed")]
    Lapsed,
    /// Made for less.
    #[error("its token allows {0} only")]
    Narrow(Role),
}

/// Makes and checks tokens.
pub(super) struct Tokens {
    key: [u8; 32],
    lifetime: Duration,
}

impl Tokens {
    pub(super) fn new(key: [u8; 32], lifetime: Duration) -> Self {
        Self { key, lifetime }
    }

    /// A pass for this peer. `now` is in nanoseconds since boot: no clock change makes a token older or younger.
    pub(super) fn issue(&self, peer: &Peer, scope: Role, now: u64) -> Pass {
        let until = now.saturating_add(u64::try_from(self.lifetime.as_nanos()).unwrap_or(u64::MAX));
        let said = format!("{}.{scope}.{until}", holder(peer));
        let token = Token::new(format!("{said}.{}", self.seal(&said)));
        Pass { token, scope, lasts_ms: u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Whether this peer's token allows what `needs` a role.
    pub(super) fn check(&self, peer: &Peer, token: Option<&Token>, needs: Role, now: u64) -> Result<(), Fault> {
        let text = token.ok_or(Fault::Missing)?.text();
        let (said, mac) = text.rsplit_once('.').ok_or(Fault::Forged)?;
        // Comparing hashes takes the same time wherever they differ.
        if blake3::Hash::from_hex(mac).map_err(|_| Fault::Forged)? != self.seal(said) {
            return Err(Fault::Forged);
        }
        let mut fields = said.rsplitn(3, '.');
        let until: u64 = fields.next().and_then(|until| until.parse().ok()).ok_or(Fault::Forged)?;
        let scope = fields.next().and_then(role).ok_or(Fault::Forged)?;
        if fields.next() != Some(holder(peer).as_str()) {
            return Err(Fault::Elsewhere);
        }
        match () {
            () if now >= until => Err(Fault::Lapsed),
            () if scope < needs => Err(Fault::Narrow(scope)),
            () => Ok(()),
        }
    }

    fn seal(&self, said: &str) -> blake3::Hash {
        blake3::keyed_hash(&self.key, said.as_bytes())
    }
}

/// For whom a token is: this process on this connection.
fn holder(peer: &Peer) -> String {
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    format!("{}.{}.{}.{}", peer.connection, peer.uid, number(peer.pid.map(u64::from)), number(peer.start))
}

fn role(name: &str) -> Option<Role> {
    [Role::Viewer, Role::Operator, Role::Admin].into_iter().find(|role| role.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer { connection: 4, uid: 1000, gid: 1000, groups: vec![], pid: Some(77), start: Some(123), role: Role::Operator }
    }

    #[test]
    fn a_token_holds_for_its_holder_scope_and_time_alone() {
        let tokens = Tokens::new([7; 32], Duration::from_secs(300));
        let second = 1_000_000_000;
        let pass = tokens.issue(&peer(), Role::Operator, 10 * second);
        let check = |peer: &Peer, needs, now| tokens.check(peer, Some(&pass.token), needs, now);
        assert_eq!((pass.scope, pass.lasts()), (Role::Operator, Duration::from_secs(300)));
        assert_eq!(check(&peer(), Role::Operator, 309 * second), Ok(()));
        assert_eq!(check(&peer(), Role::Viewer, 10 * second), Ok(()));
        assert_eq!(check(&peer(), Role::Operator, 310 * second), Err(Fault::Lapsed));
        assert_eq!(check(&peer(), Role::Admin, 11 * second), Err(Fault::Narrow(Role::Operator)));
        let others = [
            Peer { connection: 5, ..peer() },
            Peer { uid: 0, ..peer() },
            Peer { pid: Some(78), ..peer() },
            Peer { pid: None, ..peer() },
            Peer { start: Some(124), ..peer() },
        ];
        for other in others {
            assert_eq!(check(&other, Role::Operator, 11 * second), Err(Fault::Elsewhere), "{other:?}");
        }
        assert_eq!(tokens.check(&peer(), None, Role::Operator, 0), Err(Fault::Missing));
        let restarted = Tokens::new([8; 32], Duration::from_secs(300));
        assert_eq!(restarted.check(&peer(), Some(&pass.token), Role::Operator, 11 * second), Err(Fault::Forged), "an earlier start's");
    }

    proptest::proptest! {
        /// No text that differs from a token in one byte, or is cut, is one.
        #[test]
        fn no_changed_token_holds(at in 0usize..200, byte in 0u8..128, cut in 0usize..200) {
            let tokens = Tokens::new([7; 32], Duration::from_secs(300));
            let good = tokens.issue(&peer(), Role::Operator, 0).token.text().to_owned();
            let mut changed = good.clone().into_bytes();
            if let Some(place) = changed.get_mut(at) {
                *place = byte;
            }
            changed.truncate(cut.max(at + 1));
            let changed = String::from_utf8(changed).unwrap();
            // The hash is read in either case of letters; everything else is as it was made or not at all.
            if !changed.eq_ignore_ascii_case(&good) {
                let held = tokens.check(&peer(), Some(&Token::new(changed)), Role::Viewer, 1);
                proptest::prop_assert_eq!(held, Err(Fault::Forged));
            }
        }
    }
}
