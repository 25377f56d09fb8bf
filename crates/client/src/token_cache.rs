//! Keeps the pass of one connection: fresh enough and wide enough for the next question, or none.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bartizan_model::{Role, Unpoisoned as _};
use bartizan_protocol::{Pass, Token};

/// The pass in hand.
#[derive(Debug)]
struct Held {
    token: Token,
    scope: Role,
    /// From here on another is asked for: at four fifths of its life.
    old_at: Instant,
}

/// Holds at most one pass.
#[derive(Debug, Default)]
pub(super) struct TokenCache {
    held: Mutex<Option<Held>>,
    offered: bool,
}

impl TokenCache {
    /// With the pass of the greeting; an agent that gave none asks for none.
    pub(super) fn new(pass: Option<Pass>) -> Self {
        let token_cache = Self { offered: pass.is_some(), ..Self::default() };
        pass.into_iter().for_each(|pass| token_cache.keep(pass));
        token_cache
    }

    /// Whether a question that needs this role goes with a token.
    pub(super) fn is_wanted(&self, needs: Role) -> bool {
        self.offered && needs > Role::Viewer
    }

    /// Takes a new pass instead of the old one.
    pub(super) fn keep(&self, pass: Pass) {
        let old_at = Instant::now() + pass.lasts().mul_f64(0.8).min(Duration::from_secs(86_400));
        *self.lock() = Some(Held { token: pass.token, scope: pass.scope, old_at });
    }

    /// The token, when it is young and allows this.
    pub(super) fn fit_for(&self, needs: Role) -> Option<Token> {
        self.lock().as_ref().filter(|held| held.scope >= needs && Instant::now() < held.old_at).map(|held| held.token.clone())
    }

    /// The token, whatever it is: the agent says best why it does not do.
    pub(super) fn any(&self) -> Option<Token> {
        self.lock().as_ref().map(|held| held.token.clone())
    }

    /// The agent calls it lapsed.
    pub(super) fn throw_away(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unpoisoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_or_narrow_is_not_used() {
        let pass = |scope, lasts_ms| Pass { token: Token::new("t".to_owned()), scope, lasts_ms };
        let token_cache = TokenCache::new(Some(pass(Role::Operator, 60_000)));
        assert!(token_cache.fit_for(Role::Operator).is_some() && token_cache.fit_for(Role::Admin).is_none());
        token_cache.keep(pass(Role::Admin, 0));
        assert!(token_cache.fit_for(Role::Viewer).is_none() && token_cache.any().is_some());
        token_cache.throw_away();
        assert!(token_cache.any().is_none() && token_cache.is_wanted(Role::Operator) && !token_cache.is_wanted(Role::Viewer));
        assert!(!TokenCache::new(None).is_wanted(Role::Admin));
    }
}
